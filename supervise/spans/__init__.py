"""Spans of what actors do: an instrument (`mailbox/instrument.py`) on OpenTelemetry's API alone, without its SDK.

This room may import `actor/` and what is below it. `import supervise` loads nothing of it but `chosen.py`, which decides
whether a tree is traced. Start reading with `spans.py`: the table of all spans and their rules; then `message_span.py`.
"""
