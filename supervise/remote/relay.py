"""Messages that are passed on to another process, without being read: a relay.

A relay is served at a gate as an actor would be. What comes for it goes out over another link, with its bytes, its signature's
hash, its deadline, its depth and its trace; the answer comes back in the same way. So it knows the signatures of an interface,
and nothing of what is in the messages. It is one hop more for whoever waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, cast

from supervise.address.address import Address, WeakAddress
from supervise.errors import ActorStopped, CallTooDeep, SuperviseError
from supervise.log import say
from supervise.mailbox.observers import Down
from supervise.message import Message, name_of
from supervise.tree.child import Child
from supervise.tree.current import current
from supervise.wire.bodies import ErrorBody, decode_body
from supervise.wire.frames import MOST_VIA
from supervise.wire.interface import Interface, Served
from supervise.wire.kinds import Kind
from supervise_strategies.errors import InvalidSpec, StrategyError
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import ExitKind, ExitReason, describe
from supervise_strategies.kind import is_of
from supervise_strategies.text import LONG, cut

from . import circle
from .limits import DEEPEST
from .link import Link
from .outgoing import Outgoing
from .seldom import Seldom
from .target import Incoming, refuse

if TYPE_CHECKING:
    from supervise.address.origin import Origin
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.subscription import Subscription, WhenFull
    from supervise.wire.codec import Event

    from .peer import Peer

A = TypeVar("A")


class Passing(NamedTuple):
    """A message that is passed on: what the function of a relay is asked about.

    >>> choose: Choose = lambda passing: near if passing.handler == "count" else far
    >>> near, far = dial("unix:///run/near.sock", name="near"), dial("unix:///run/far.sock", name="far")
    >>> choose(Passing("shop", "place", call=True, size=17, origin=None))
    <Child far permanent(...)>
    """

    interface: str
    handler: str
    """Its name: `place`."""
    call: bool
    """Whether somebody waits for the answer."""
    size: int
    """Bytes of its arguments."""
    origin: Origin


Choose: TypeAlias = "Callable[[Passing], Child[Peer] | Address[Peer] | WeakAddress[Peer]]"


class Relay:
    """What a relay is described with; `relay` makes it."""

    def __init__(self, to: Child[Peer] | Choose, interface: Interface[Any]) -> None:
        self.to: Child[Peer] | Choose = to
        self.interface: Interface[Any] = interface
        self.no_choice: Seldom = Seldom()
        """That choosing a link has raised."""

    def target(self, here: Mailbox) -> RelayTarget:
        """Of one connection, in the tree of its link, whose mailbox this is."""
        return RelayTarget(self, here)

    def __repr__(self) -> str:
        return f"<Relay of {self.interface.name}>"


def relay(to: Child[Peer] | Choose, interface: Interface[Any], /) -> Served:
    """Serve an interface by passing its messages on: `gate(…, serves=[relay(link, ORDERS)])`.

    to: The link that they go out over, which has to use the interface. Or a function that is asked
        for each message which link it is: it is called in the loop, and must neither wait nor
        raise; what it raises is logged, and the message is refused.

    It can be watched and subscribed to if it is a link: that is passed on, too, with what was missed
    over there. With a function there is no one actor that it would be of.

    Order is kept for each sender as long as its messages go out over the same link. When the link is
    down they wait in its mailbox. A call that was written to a connection that has ended is
    `OutcomeUnknown` for its caller, too. Relays may follow each other: 8 of them pass on a send, and
    as many a call as its depth allows. Raises `InvalidSpec`.

    >>> from supervise.testing import FakeNetwork
    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def sell(self, item: str) -> str:
    ...         return f"{item} is sold"
    >>> SHOP, outer, inner, shop = Interface("shop", Shop), FakeNetwork(), FakeNetwork(), child(Shop)
    >>> there = Supervisor("there", shop, gate(inner.listen, serves=[SHOP.by(shop)]))
    >>> back = dial(inner.connect, uses=[SHOP])
    >>> between = Supervisor("between", back, gate(outer.listen, serves=[relay(back, SHOP)]))
    >>> link = dial(outer.connect, uses=[SHOP])
    >>> async with there, between, Supervisor("web", link) as web:
    ...     await SHOP.over(web.find(link)).call(Shop.sell, "tea")
    'tea is sold'
    """
    who = "relay"
    given = cast("object", interface)
    if not is_of(given, Interface):
        raise InvalidSpec(who, "interface", given, "an interface, as Interface(…) makes it: relay(link, ORDERS)")
    goes = cast("object", to)
    if not _is_described(goes) and not callable(goes):
        raise InvalidSpec(who, "to", goes, "the link, as dial(…) describes it, or a function that chooses one for each message")
    return Served(interface, cast("Any", Relay(to, interface)))


def _is_described(link: object) -> bool:
    """Whether it is a child, as `dial` describes it."""
    return type(link) is Child


class RelayTarget:
    """Takes what comes in on one connection for one interface, and passes it on."""

    def __init__(self, relay: Relay, here: Mailbox) -> None:
        self._relay = relay
        self._here = here
        self._fixed: Link | None = None

    @property
    def mailbox(self) -> Mailbox:
        return self._here if self._fixed is None else self._fixed.mailbox

    @property
    def is_open(self) -> bool:
        return False  # it may have to wait for credit

    @property
    def by_level(self) -> bool:
        return True

    def look_out(self, told: Callable[[Down, bool], object]) -> Callable[[], object]:
        try:
            return self._one_link().watching.look_out(self._relay.interface, told)
        except SuperviseError as error:
            told(Down(self._here.path, 0, ExitReason(ExitKind.UNREACHABLE, str(error))), True)
            return lambda: None

    def subscribe(self, event: Event, capacity: int, overflow: WhenFull) -> Subscription[Any]:
        kind: type[Any] = event.kind
        return self._one_link().subscribe(self._relay.interface, kind, capacity, overflow)

    def _one_link(self) -> Link:
        """That of a relay that doesn't choose one for each message. Raises ActorStopped."""
        if not _is_described(self._relay.to):
            who = f"{self._here.path} passes on each message of {self._relay.interface.name} to a link of its own"
            raise ActorStopped(f"{who}: none of them is the one to be watched, or subscribed to")
        return self._link_for(None)

    async def take(self, incoming: Incoming) -> None:
        arrival = incoming.arrival
        if arrival is not None and arrival.done():
            return
        try:
            if len(incoming.frame.via) >= MOST_VIA:  # a call ends by its depth: a send would go round for ever
                text = f"{name_of(incoming.method.function)} was passed on by {MOST_VIA} relays, which is the most"
                raise CallTooDeep(f"{self._here.path}: {text}: does one of them lead back to another?")
            link = self._link_for(incoming)
            await link.forward(Forwarded(link, incoming))
        except SuperviseError as error:
            refuse(self.mailbox, incoming, (), {}, error)

    def _link_for(self, incoming: Incoming | None) -> Link:
        """Of a message, or of a relay that has one for all. Raises ActorStopped where there is none."""
        if self._fixed is not None and self._fixed.mailbox.refusal != "closed":  # else another one may have its place
            return self._fixed
        to: Any = self._relay.to
        name = self._relay.interface.name if incoming is None else name_of(incoming.method.function)
        try:
            chosen = to if incoming is None or _is_described(to) else to(self._passing(incoming))
            address = current().find(chosen) if _is_described(chosen) else chosen
        except StrategyError as error:
            raise ActorStopped(f"{self._here.path} doesn't pass on {name}: {error}") from error
        except BaseException as error:
            if interrupts(error):
                raise
            if self._relay.no_choice.is_due():  # of each message its caller hears, or it is a dead letter
                text = "%s: the function that chooses a link for %s raised %s"
                say(logging.ERROR, text, self._here.path, name, error, error=error)
            raise ActorStopped(f"{self._here.path} doesn't pass on {name}: choosing a link raised {describe(error)}") from error
        link: object = address._mailbox.mailbox.extras.carrier if type(address) in (Address, WeakAddress) else None
        if not isinstance(link, Link) or self._relay.interface not in link.uses:
            uses = f"a link that uses {self._relay.interface.name}"
            raise ActorStopped(f"{self._here.path} doesn't pass on {name}: {address!r} isn't {uses}")
        if _is_described(to):
            self._fixed = link
        return link

    def _passing(self, incoming: Incoming) -> Passing:
        return Passing(
            incoming.interface.name,
            incoming.method.name,
            incoming.arrival is not None,
            len(incoming.frame.body),
            incoming.origin,
        )


class Forwarded(Outgoing):
    """A message that is passed on. Its answer goes back as it is."""

    __slots__ = ("_arrival",)

    def __init__(self, link: Link, incoming: Incoming) -> None:
        frame, origin, arrival = incoming.frame, incoming.origin, incoming.arrival
        message = Message(incoming.method.function, (), {})  # its arguments aren't read
        super().__init__(
            link,
            incoming.interface,
            incoming.method,
            frame.body,
            message,
            None,
            level=incoming.level + 1,
            above=() if arrival is None else (*frame.above, circle.new_id())[-DEEPEST:],  # who calls may have put in any
            deadline=incoming.deadline,
            trace=frame.trace,
            flags=frame.flags,
            via=(cut(origin.identity or origin.address, LONG), *frame.via)[:MOST_VIA],
        )
        self.is_call: bool = arrival is not None
        self._arrival = arrival
        if arrival is not None:
            arrival.passed_on = self

    def refuse(self, error: BaseException) -> None:
        if self.end() and self._arrival is not None:
            self._arrival.refuse(error)

    def answered(self, body: bytes) -> None:
        if self.end() and self._arrival is not None:
            self._arrival.pass_back(Kind.REPLY, body)

    def failed(self, body: bytes, path: str) -> None:
        decode_body(ErrorBody, body)  # what is none is this link's fault, and not that of the one that it would go to
        if self.end() and self._arrival is not None:
            self._arrival.pass_back(Kind.ERROR, body)
