"""Spans of what actors do: an instrument (`mailbox/instrument.py`) on OpenTelemetry's API alone, without its SDK.

This room may import `actor/` and what is below it; nothing of it is loaded before a tree is traced, but for `chosen.py`, which
decides that. Start reading with `spans.py`: the table of all spans and their rules; then `message_span.py`.
"""
