"""Crashes on purpose: `crash_on` makes the next messages of one kind crash one actor."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeAlias, TypeVar

import anyio

from supervise.actor.incarnation import Incarnation
from supervise.address.address import Address
from supervise.errors import NoActor
from supervise.mailbox.handler import attribute_named_by, check, class_of, resolve, table_for
from supervise.message import name_of, owner_of
from supervise.tree.current import current
from supervise_strategies.errors import InvalidSpec

if TYPE_CHECKING:
    from supervise.address.address import WeakAddress

A = TypeVar("A")
P = ParamSpec("P")
Fault: TypeAlias = Exception | type[Exception] | Callable[[], Exception]


class Sabotage(Exception):
    """What `crash_on`, `chaos` and `survives` crash an actor with, if nothing else is said.

    To the supervisor it is a crash as any other.

        >>> class Cart:
        ...     def pay(self):
        ...         return "paid"
        >>> async with Supervisor("app") as app:
        ...     cart = await app.start(Cart, name="cart")
        ...     with crash_on(cart, Cart.pay):
        ...         await cart.call(Cart.pay)
        Traceback (most recent call last):
        ActorCrashed: app/cart #1 crashed with Cart.pay in hand: Sabotage: Cart.pay, on purpose
    """


class Trap:
    """Crashes that are to come; made by `crash_on`.

    As a context manager it takes away what is left of them at the end. `times` is how many
    there are to be, `happened` how many there were, `left` what is still to come.

        >>> class Cart:
        ...     def pay(self):
        ...         return "paid"
        >>> async with Supervisor("app") as app:
        ...     cart = await app.start(Cart, name="cart")
        ...     with crash_on(cart, Cart.pay, times=2) as trap:
        ...         await cart.send(Cart.pay)
        ...         await cart.send(Cart.pay)
        ...         await trap.wait()
        >>> trap
        <Trap on Cart.pay of app/cart: 2 of 2 happened>
    """

    def __init__(self, address: WeakAddress[Any], handler: str, times: int, error: Fault | None) -> None:
        self.address: WeakAddress[Any] = address
        self.handler: str = handler
        self.times: int = times
        self.happened: int = 0
        """How many of the crashes have happened."""
        self._error = error
        self._over = anyio.Event()
        self._ambush: _Ambush | None = None

    @property
    def left(self) -> int:
        """How many crashes are still to come; 0 once it is disarmed."""
        return 0 if self._ambush is None else self.times - self.happened

    async def wait(self) -> None:
        """Wait until all of them have happened, or were taken away."""
        await self._over.wait()

    def disarm(self) -> None:
        """Let the handler be as it was; idempotent."""
        if self._ambush is not None:
            self._ambush.remove(self)
            self._ambush = None
            self._over.set()

    def spring(self) -> Exception:
        """For the library: what the handler raises now."""
        self.happened += 1
        number = f", {self.happened} of {self.times}" if self.times > 1 else ""
        if self.happened == self.times:
            self.disarm()
        if self._error is None:
            return Sabotage(f"{self.handler}, on purpose{number}")
        if isinstance(self._error, Exception):
            return self._error.with_traceback(None)  # not with the frames of the crash before
        return self._error()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.disarm()

    def __repr__(self) -> str:
        return f"<Trap on {self.handler} of {self.address.path}: {self.happened} of {self.times} happened>"


class _Ambush:
    """A handler of a class, replaced while there are traps on it; all its other actors pass."""

    def __init__(self, kind: type, name: str, original: Callable[..., Any]) -> None:
        self.traps: list[Trap] = []
        self._kind = kind
        self._name = name
        self._own: tuple[Any] | None = (vars(kind)[name],) if name in vars(kind) else None
        try:
            setattr(kind, name, self._stand_in(original))
        except TypeError:
            cure = f"{kind.__qualname__} can't be changed, as builtin classes can't: give it a Python class around it"
            raise InvalidSpec("crash_on", "address", kind, cure) from None
        table_for(kind).clear()  # what was looked up before

    def _stand_in(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def coroutine(actor: Any, /, *args: Any, **kwargs: Any) -> Any:
            self.pass_by()
            return await original(actor, *args, **kwargs)

        def plain(actor: Any, /, *args: Any, **kwargs: Any) -> Any:
            self.pass_by()
            return original(actor, *args, **kwargs)

        stand_in: Callable[..., Any] = coroutine if inspect.iscoroutinefunction(original) else plain
        # Named so, it is found by its name, like what it stands for, when its user's code names it meanwhile.
        stand_in.__name__ = self._name
        stand_in.__qualname__ = getattr(original, "__qualname__", f"{self._kind.__qualname__}.{self._name}")
        stand_in.__module__ = getattr(original, "__module__", self._kind.__module__)
        stand_in.__doc__ = original.__doc__
        vars(stand_in).update(getattr(original, "__dict__", {}))  # that it is @concurrent is an attribute
        return stand_in

    def pass_by(self) -> None:
        """Raise, if there is a trap for the actor that runs."""
        try:
            here = current().address
        except NoActor:  # a test that calls the function by hand
            return
        trap = next((trap for trap in self.traps if trap.address == here), None)
        if trap is not None:
            raise trap.spring()

    def remove(self, trap: Trap) -> None:
        self.traps.remove(trap)
        if not self.traps:
            del _ambushes[self._kind, self._name]
            if self._own is None:
                delattr(self._kind, self._name)
            else:
                setattr(self._kind, self._name, self._own[0])
            table_for(self._kind).clear()


_ambushes: Final[dict[tuple[type, str], _Ambush]] = {}


def crash_on(
    address: Address[A] | WeakAddress[A],
    handler: Callable[Concatenate[A, P], Any],
    /,
    times: int = 1,
    error: Fault | None = None,
) -> Trap:
    """Make the next messages to this handler crash this actor, instead of being handled.

    Armed when it returns. The crashes outlive the actor's restarts, and don't depend on which
    incarnation meets them. Other actors of the class aren't touched. If the child `expects`
    what is raised, it is an answer as ever, and no crash.

        handler: A function of the actor's class. A handler that the actor calls by itself
            crashes, too.
        times: How many messages (default 1).
        error: An exception, its class, or a function that makes one (default `Sabotage`).

    While a trap is armed, the actor's class holds another function in the handler's place. The
    trap's end, or `with crash_on(…):`, puts it back.

    Raises `InvalidSpec` and `UnknownHandler` at once, for a builtin class, too, which can't be
    changed. RuntimeError if the actor doesn't run now, since its class isn't known then.

        >>> class Cart:
        ...     def pay(self):
        ...         return f"paid by #{current().incarnation}"
        >>> async with Supervisor("app") as app:
        ...     cart = await app.start(Cart)
        ...     trap = crash_on(cart, Cart.pay)
        ...     await cart.send(Cart.pay)
        ...     await cart.call(Cart.pay)
        'paid by #2'
    """
    check(handler)
    owner = owner_of(handler)
    if owner is None:
        cure = "name a function of the actor's class: any other callable is run as it is, so let that one raise"
        raise InvalidSpec("crash_on", "handler", handler, cure)
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise InvalidSpec("crash_on", "times", times, "a whole number, 1 or more")
    if not (error is None or isinstance(error, Exception) or callable(error)):
        raise InvalidSpec("crash_on", "error", error, "an exception, its class, or a function that makes one")
    turn = address._mailbox.turn
    if not isinstance(turn, Incarnation) or turn.instance is None:
        raise RuntimeError(f"{address.path} doesn't run now: crash_on looks at its class, so wait until it is started")
    kind: type = class_of(turn.instance)
    original, *_ = resolve(kind, {}, handler)
    name = attribute_named_by(kind, handler) or owner
    trap = Trap(address.weak if isinstance(address, Address) else address, name_of(handler), times, error)
    ambush = _ambushes.get((kind, name))
    if ambush is None:
        ambush = _ambushes[kind, name] = _Ambush(kind, name, original)
    ambush.traps.append(trap)
    trap._ambush = ambush
    address._mailbox.mailbox.attention = True  # it looks handlers up again when it has looked around
    return trap
