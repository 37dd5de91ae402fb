"""What may cross to another process, declared: interfaces, what is made of their messages, and the frames that carry them.

Nothing here reads a socket, or waits. Extra `[remote]`. Start reading with `interface.py`.
"""

try:
    import msgspec as msgspec
except ImportError:
    raise ImportError("supervise.wire needs msgspec: pip install msgspec") from None
