"""Who asks, of a message that came over a link: what `current().origin` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .address import WeakAddress


class Origin(NamedTuple):
    """The other side of the link that a message came over.

    Who it is comes from the connection, never from the message. A relay passes it on: then
    `relayed` is what the relay says of those behind it, nearest first, and is worth as much as
    the relay is.

    >>> from supervise.remote import Admission, dial, gate
    >>> from supervise.testing import FakeNetwork
    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def who(self) -> str:
    ...         origin: Origin = current().origin
    ...         return str(origin)
    >>> SHOP, network, shop = Interface("shop", Shop), FakeNetwork(), child(Shop)
    >>> def admit(caller):
    ...     return Admission("ada")
    >>> door = gate(network.listen, serves=[SHOP.by(shop)], admit=admit)
    >>> link = dial(network.connect, uses=[SHOP])
    >>> async with Supervisor("there", shop, door), Supervisor("web", link) as web:
    ...     await SHOP.over(web.find(link)).call(Shop.who)
    'ada at here'
    """

    link: WeakAddress[Any]
    """This side of the link: what the other one serves is reached through it, until the connection ends."""
    address: str
    """Where the other side connected from; or, of a link that was dialed, what was dialed."""
    identity: str = ""
    """Who the other side has proved to be: what its certificate, its socket or the gate's `admit` says; empty: nobody."""
    name: str = ""
    """What the other side calls itself, which nothing proves."""
    relayed: tuple[str, ...] = ()
    """The identities that a relay says it passes on for."""

    def __str__(self) -> str:
        who = self.identity or "nobody known"
        return " for ".join([f"{who} at {self.address}", *self.relayed])
