"""What happened, told in order: to the log, to listeners, and to whoever wants the exceptions of crashes.

This room may import the vocabulary, and nothing above it. Start reading with `bus.py`, which hands events out; `event_log.py`
says how they become log records.
"""
