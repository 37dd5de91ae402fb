"""The address of an actor of another process, as its interface declares it; what carries its messages is declared here, too."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NamedTuple,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
    runtime_checkable,
)

from supervise.address.view import cant_be_pickled
from supervise.errors import SuperviseError
from supervise.mailbox.envelope import OnCancel, OnRestart
from supervise.mailbox.mailbox_options import check_on_cancel
from supervise.mailbox.subscription import Subscription
from supervise.message import Message
from supervise_strategies.errors import InvalidSpec

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.observers import Down, Monitor, OnDown
    from supervise.mailbox.subscription import WhenFull
    from supervise.mailbox.turn import Turn

    from .codec import Method
    from .interface import Interface

A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Travel(NamedTuple):
    """How the messages of a view travel."""

    timeout: float | None = None
    on_restart: OnRestart = "wait"
    on_cancel: OnCancel | None = None


class RemoteSubscription(Subscription[T_co]):
    """What one subscriber gets of an actor of another process, as an anyio receive stream.

    It is read as a local one. What waits for it waits at the publisher, up to `capacity` events, so
    a reader that is slow harms itself alone. It goes on over reconnects. It ends when the actor is
    gone for good, or the other side no longer serves such events.

    >>> import anyio
    >>> from typing import NamedTuple
    >>> from supervise.remote import dial, gate
    >>> from supervise.testing import FakeNetwork
    >>> class Sold(NamedTuple):
    ...     item: str
    >>> class Shop:
    ...     async def sell(self, item: str) -> None:
    ...         current().publish(Sold(item))
    >>> SHOP, network, shop = Interface("shop", Shop, events=(Sold,)), FakeNetwork(), child(Shop)
    >>> there = Supervisor("there", shop, gate(network.listen, serves=[SHOP.by(shop)]))
    >>> link = dial(network.connect, uses=[SHOP])
    >>> async with there, Supervisor("web", link) as web:
    ...     far = SHOP.over(web.find(link))
    ...     await far.call(Shop.sell, "milk")  # before anybody subscribes
    ...     events: RemoteSubscription[Sold]
    ...     async with far.subscribe(Sold) as events:
    ...         await far.call(Shop.sell, "tea")
    ...         print(await events.receive(), events.gaps)
    Sold(item='tea') 0
    """

    gaps: int = 0
    """How often since it began a connection has ended that its events come by: each time some may be missing."""


@runtime_checkable
class Carrier(Protocol):
    """What brings messages to another process, and their answers back."""

    mailbox: Mailbox
    uses: tuple[Interface[Any], ...]

    def call(
        self, interface: Interface[Any], method: Method, args: tuple[Any, ...], kwargs: dict[str, Any], travel: Travel, /
    ) -> Coroutine[Any, Any, Any]: ...
    def send(
        self, interface: Interface[Any], method: Method, args: tuple[Any, ...], kwargs: dict[str, Any], travel: Travel, /
    ) -> Coroutine[Any, Any, None]: ...
    def try_send(
        self, interface: Interface[Any], method: Method, args: tuple[Any, ...], kwargs: dict[str, Any], travel: Travel, /
    ) -> None: ...
    def watch(self, interface: Interface[Any], /) -> Coroutine[Any, Any, Down]: ...
    def monitored(self, interface: Interface[Any], watcher: Turn, handler: OnDown, /) -> Monitor: ...
    def subscribe(
        self, interface: Interface[Any], kind: type[T], capacity: float, overflow: WhenFull, /
    ) -> RemoteSubscription[T]: ...


class RemoteAddress(Generic[A_co]):
    """An address of an actor in another process; what `Interface.over` gives.

    It is weak: it keeps neither the actor nor the link alive. It names the link and the interface,
    so it is valid over every reconnect, whichever actor is there. Messages that can't go out yet
    wait in the mailbox of the link.

    It is equal and hashable by link and interface.

    >>> from supervise.remote import dial
    >>> class Shop:
    ...     async def sell(self, item: str) -> str: ...
    >>> SHOP = Interface("shop", Shop)
    >>> link = dial("unix:///run/shop.sock", uses=[SHOP])
    >>> async with Supervisor("web", link) as web:
    ...     shop = SHOP.over(web.find(link))
    >>> shop
    <RemoteAddress web/link:shop>
    """

    __slots__ = ("_carrier", "_interface", "_travel")

    def __init__(self, carrier: Carrier, interface: Interface[A_co], travel: Travel = Travel()) -> None:  # noqa: B008 - a frozen value
        self._carrier = carrier
        self._interface = interface
        self._travel = travel

    @property
    def name(self) -> str:
        """The name of the interface."""
        return self._interface.name

    @property
    def path(self) -> str:
        """The path of the link, and the name of the interface: `web/link:shop`."""
        return f"{self._carrier.mailbox.path}:{self._interface.name}"

    @overload
    async def call(self, handler: Callable[Concatenate[A_co, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(self, handler: Callable[Concatenate[A_co, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, handler: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Have the actor run the handler in its turn, and return the result.

        Beside what a local call may raise (`Address.call`) there is `OutcomeUnknown`, when the
        connection ends while it is under way: perhaps it was handled. Nothing is tried again by
        itself. `NotServed`: the interface doesn't declare it, or the other side serves it
        otherwise. `BadMessage`, `BadReply` and `TooLarge` are of what can't cross.

        What the handler raises arrives as itself if the interface `raises` it, else as
        `ActorCrashed` or `RemoteError`. A caller that is cancelled is forgotten over there, too.
        """
        return await self._carrier.call(self._interface, self._method(handler, args, kwargs), args, kwargs, self._travel)

    async def send(self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Return once the message is in the mailbox of the link, and has credit to go out.

        It is delivered at most once. What was handed to a connection that ends may be lost.
        """
        await self._carrier.send(self._interface, self._method(handler, args, kwargs), args, kwargs, self._travel)

    def try_send(self, handler: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Hand the message over now, or raise `MailboxFull`.

        It waits neither for room nor for credit, and needs no connection: the message waits in the
        mailbox of the link.
        """
        self._carrier.try_send(self._interface, self._method(handler, args, kwargs), args, kwargs, self._travel)

    async def watch(self) -> Down:
        """Wait until the actor has ended and isn't started again by itself, and say why.

        A link that is down, or goes down meanwhile, is an end at once, of kind `unreachable`: the
        actor may live on over there.
        """
        return await self._carrier.watch(self._interface)

    def monitored(self, watcher: Turn, handler: OnDown, /) -> Monitor:
        """For `current().watch(address, handler)`, which see."""
        return self._carrier.monitored(self._interface, watcher, handler)

    def subscribe(
        self, kind: type[T], /, *, capacity: float = 100, overflow: WhenFull = "drop_oldest"
    ) -> RemoteSubscription[T]:
        """Get what the actor publishes of one of its interface's `events`; see `Address.subscribe`.

        What isn't read yet waits at the publisher, `capacity` events of it. It goes on over
        reconnects, and `gaps` counts those. Raises `NotServed`.
        """
        return self._carrier.subscribe(self._interface, kind, capacity, overflow)

    def options(
        self, *, timeout: float | None = None, on_restart: OnRestart = "wait", on_cancel: OnCancel | None = None
    ) -> RemoteAddress[A_co]:
        """A view of this address that says how its messages travel; see `Address.options`.

        timeout: Seconds for credit, the way, the queue and the handling together.
        on_restart: `"fail"`: a call raises `ActorRestarting` at once when the link is down, or the
            actor is restarting over there. It certainly wasn't delivered.
        on_cancel: As of a local address.

        Raises `InvalidSpec`.
        """
        who = f"options of {self.path!r}"
        number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if timeout is not None and (not number or math.isnan(timeout) or timeout < 0):
            raise InvalidSpec(who, "timeout", timeout, "seconds, 0 or more, or None for no deadline")
        if on_restart not in ("wait", "fail"):
            raise InvalidSpec(who, "on_restart", on_restart, "'wait' or 'fail'", among=("wait", "fail"))
        if on_cancel is not None:
            check_on_cancel(who, on_cancel)
        return RemoteAddress(self._carrier, self._interface, Travel(timeout, on_restart, on_cancel))

    def _method(self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Method:
        try:
            self._carrier.mailbox.check_thread()
            return self._interface.method(handler)
        except SuperviseError as refusal:
            refusal.message = Message(handler, args, kwargs)
            raise

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteAddress):
            return False
        same = cast("Any", other)
        return same._carrier is self._carrier and same._interface is self._interface

    def __hash__(self) -> int:
        return hash((self._carrier.mailbox.id, self._interface.name))

    def __reduce__(self) -> NoReturn:
        raise cant_be_pickled(self, self.path)

    def __repr__(self) -> str:
        return f"<RemoteAddress {self.path}>"
