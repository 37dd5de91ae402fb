"""A bounded stream of values for one reader. Whoever puts values in never waits: a reader that is too slow pays for itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias, TypeVar

import anyio
from anyio.abc import ObjectReceiveStream

from supervise.errors import SubscriberTooSlow
from supervise_strategies.child_spec import is_count
from supervise_strategies.errors import InvalidSpec

if TYPE_CHECKING:
    from supervise._backends import Backend, Future

T_co = TypeVar("T_co", covariant=True)
WhenFull: TypeAlias = Literal["drop_oldest", "close"]


class _Noted(NamedTuple):
    """A value, with what an instrument has noted of who published it."""

    value: object
    noted: object


class Subscription(ObjectReceiveStream[T_co]):
    """What one subscriber gets, as an anyio receive stream.

    It is read as `async with … as prices: async for price in prices`. It begins where `async
    with` does. From there on it misses nothing, as long as at most `capacity` values wait.

    Beyond that the oldest is dropped and counted in `dropped`. With `overflow="close"` the
    subscription ends instead: `receive` hands out what waits, and then raises
    `SubscriberTooSlow`. `async for` ends when the source is gone for good, after what waits.

    It is for one reader: a second one at the same time gets `anyio.BusyResourceError`. It
    belongs to the source's event loop.

    >>> class Market:
    ...     def price(self, price):
    ...         current().publish(price)
    >>> async with Supervisor("app", child(Market)) as app:
    ...     market = app.find("market")
    ...     async with market.subscribe(int, capacity=2) as prices:
    ...         for price in (10, 11, 12):
    ...             await market.call(Market.price, price)
    ...         await prices.receive(), prices.dropped
    (11, 1)
    """

    def __init__(
        self,
        source: str,
        backend: Backend,
        attach: Callable[[Subscription[Any]], Callable[[], object]],
        capacity: float,
        overflow: WhenFull,
    ) -> None:
        who = f"subscription to {source!r}"
        if not is_count(capacity, 1):
            raise InvalidSpec(who, "capacity", capacity, "a whole number of values, 1 or more, or math.inf")
        if overflow not in ("drop_oldest", "close"):
            raise InvalidSpec(who, "overflow", overflow, "'drop_oldest' or 'close'", among=("drop_oldest", "close"))
        self._source = source
        self._backend = backend
        self._attach: Callable[[Subscription[Any]], Callable[[], object]] | None = attach
        self._detach: Callable[[], object] | None = None
        self._capacity = capacity
        self._overflow: WhenFull = overflow
        self._buffer: deque[Any] = deque()
        self._noted: object = None  # by an instrument, of what was received last
        self._waiter: Future | None = None
        self._dropped = 0
        self._ended = False  # nothing comes in any more
        self._too_slow: float | None = None  # so many waited, and none of them was to be lost
        self._closed = False

    @property
    def dropped(self) -> int:
        """How many values were dropped because they weren't read in time."""
        return self._dropped

    def __len__(self) -> int:
        """How many values wait to be read."""
        return len(self._buffer)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Subscription to {self._source}, {len(self._buffer)} wait, {self._dropped} dropped>"

    # -- the reader's side -------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    def _enter(self) -> None:
        """Begin here and now; `aclose` ends it."""
        attach, self._attach = self._attach, None
        if attach is None:
            raise RuntimeError(f"this subscription to {self._source!r} was used already: subscribe again")
        self._detach = attach(self)
        if self._ended:
            self._leave()

    async def receive(self) -> T_co:
        """Wait for the next value, and return it.

        Raises `anyio.EndOfStream` when there won't be one; `SubscriberTooSlow` if
        `overflow="close"` closed it; `anyio.BusyResourceError` beside another reader.
        """
        if self._attach is not None:
            raise RuntimeError(f"the subscription to {self._source!r} hasn't begun: enter it with `async with` first")
        if self._waiter is not None:
            raise anyio.BusyResourceError("receiving from")
        self._check_open()
        await self._backend.checkpoint()
        while not self._buffer:
            self._check_open()
            if self._too_slow is not None:
                waited = "1 value" if self._too_slow == 1 else f"{self._too_slow:g} values"
                raise SubscriberTooSlow(
                    f"the subscription to {self._source!r} was closed: {waited} waited, and overflow='close'"
                )
            if self._ended:
                raise anyio.EndOfStream
            if self._waiter is not None:
                raise anyio.BusyResourceError("receiving from")
            self._waiter = waiter = self._backend.future()
            try:
                await waiter
            finally:
                self._waiter = None
        value: Any = self._buffer.popleft()
        self._noted = None
        if type(value) is _Noted:
            self._noted, value = value.noted, value.value
        received: T_co = value
        return received

    async def aclose(self) -> None:
        """End it; what waits is gone. Idempotent."""
        self._closed = self._ended = True
        self._attach = None
        self._buffer.clear()
        self._leave()
        self._wake()
        await self._backend.checkpoint()

    def _check_open(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError

    # -- the source's side -------------------------------------------------------------------------------------------

    def put(self, value: object, noted: object = None) -> None:
        """Hand a value on, now, whatever the reader does.

        `noted`: by an instrument, of who publishes it.
        """
        if self._ended:
            return
        if len(self._buffer) >= self._capacity:
            if self._overflow == "close":
                self.end(too_slow=self._capacity)
                return
            self._buffer.popleft()
            self._dropped += 1
        self._buffer.append(value if noted is None else _Noted(value, noted))
        self._wake()

    def end(self, *, too_slow: float | None = None) -> None:
        """Nothing more will come. Idempotent.

        too_slow: So many values waited, and `overflow="close"`.
        """
        if not self._ended:
            self._too_slow = too_slow
        self._ended = True
        self._leave()
        self._wake()

    def _leave(self) -> None:
        detach, self._detach = self._detach, None
        if detach is not None:
            detach()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
