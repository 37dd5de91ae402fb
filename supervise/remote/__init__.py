"""Links to other processes: gates, and who dials them.

Begin with `gate`, where others come in, and `dial`, a link to a gate, each a child of your
tree. What may be called over them is an `Interface` of `supervise.wire`. `relay` serves one
by passing its messages on, and a `topic` publishes events to whoever subscribes. `Limits`
bounds all that one side may ask of the other.

    ORDERS = Interface("shop", OrdersApi)
    Supervisor("shop", orders, gate("tcp://127.0.0.1:7000", serves=[ORDERS.by(orders)]))

    link = dial("tcp://127.0.0.1:7000", uses=[ORDERS])
    async with Supervisor("web", link) as app:
        await ORDERS.over(app.find(link)).call(OrdersApi.place, order)

Who comes in is a `Caller`, about whom the gate's `admit` is asked (`Admit`); it answers with
an `Admission`. `connect` is the factory in a `dial`, for a `child` of your own making.
Messages, and what is promised of them, are told in the guide, `examples/guide/remote.md`.

This room may import `wire/`, `tree/` and what is below them, and no leaf beside it. Extra
`[remote]`. Start reading with `peer.py`, which is one connection, and `link.py`, which is
what outlives it.
"""

try:
    import msgspec as msgspec
except ImportError:
    raise ImportError("supervise.remote needs msgspec: pip install msgspec") from None

from .caller import Admission, Admit, Caller, Credentials
from .dial import Connects, connect, dial
from .gate import Listens, gate
from .limits import Limits
from .peer import Peer
from .relay import Choose, Passing, relay
from .topic import Topic, topic

__all__ = (
    "Admission",
    "Admit",
    "Caller",
    "Choose",
    "Connects",
    "Credentials",
    "Limits",
    "Listens",
    "Passing",
    "Peer",
    "Topic",
    "connect",
    "dial",
    "gate",
    "relay",
    "topic",
)
