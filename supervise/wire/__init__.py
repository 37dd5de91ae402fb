"""What may cross to another process, declared: interfaces, and addresses of them.

Begin with `Interface`: which functions of a class can be called from outside, and with which types. `Interface.by` says who
serves it, and `Interface.over` is the address at the other side of a link. Links and gates are in `supervise.remote`. A
`WireFormat` of your own makes other bytes than MessagePack.

Nothing here reads a socket, or waits. Extra `[remote]`. It may import `tree/` and what is below it. Start reading with
`interface.py`; the protocol, as a table for other languages, is at the top of `frames.py`.
"""

try:
    import msgspec as msgspec
except ImportError:
    raise ImportError("supervise.wire needs msgspec: pip install msgspec") from None

from .format import WireFormat
from .interface import Interface, Served
from .remote_address import RemoteAddress, RemoteSubscription

__all__ = ("Interface", "RemoteAddress", "RemoteSubscription", "Served", "WireFormat")
