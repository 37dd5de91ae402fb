"""One call for each of many items, a bounded number of them at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import anyio

from supervise_strategies.child_spec import is_count
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.kind import attribute_of_kind

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

R = TypeVar("R")


class Mapped(Generic[R]):
    """The results of `Address.map`: await it for a list, or enter it and iterate. It is used once."""

    __slots__ = (
        "_call",
        "_calls",
        "_changed",
        "_delivered",
        "_done",
        "_ended",
        "_error",
        "_group",
        "_items",
        "_limit",
        "_ordered",
        "_pulling",
        "_returns",
        "_taken",
        "_tasks",
        "_who",
    )

    def __init__(
        self,
        who: str,
        call: Callable[[Any], Awaitable[R]],
        items: Iterable[Any] | AsyncIterable[Any],
        limit: float,
        ordered: bool,
        return_exceptions: bool,
    ) -> None:
        self._who = f"map of {who}"
        if not is_count(limit, 1):
            cure = "how many calls may be under way at once: a whole number, 1 or more, or math.inf"
            raise InvalidSpec(self._who, "limit", limit, cure)
        for option, value in (("ordered", ordered), ("return_exceptions", return_exceptions)):
            if value not in (True, False):
                raise InvalidSpec(self._who, option, value, "True or False")
        self._items: AsyncIterator[Any]
        if attribute_of_kind(type(items), "__aiter__") is not None:
            self._items = aiter(items)  # type: ignore[arg-type]  # it has it
        else:
            try:
                self._items = _each(iter(items))  # type: ignore[arg-type]  # TypeError, if it can't
            except TypeError:
                raise InvalidSpec(self._who, "items", items, "an iterable, or an asynchronous one") from None
        self._call = call
        self._limit = limit
        self._ordered = ordered
        self._returns = return_exceptions
        self._group: TaskGroup | None = None
        self._pulling = anyio.Lock()
        self._changed = anyio.Event()
        self._calls: set[anyio.CancelScope] = set()
        self._tasks = 0
        self._taken = 0  # items
        self._delivered = 0  # results
        self._done: dict[int, Any] = {}  # results that weren't read yet, by the number of their item
        self._error: BaseException | None = None
        self._ended = False  # there are no more items

    def __await__(self) -> Generator[Any, Any, list[R]]:
        return self._all().__await__()

    async def _all(self) -> list[R]:
        async with self as results:
            return [result async for result in results]

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError(f"{self._who} was used already: call map() again")
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._begin_one()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Cancel what is under way, and wait for it. What the body raises leaves as it is, in no group."""
        assert self._group is not None
        self._ended = True
        self._group.cancel_scope.cancel()
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            items = self._items
            if isinstance(items, AsyncGenerator):  # nobody else can close it
                with anyio.CancelScope(shield=True):
                    await items.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        if self._group is None:
            raise RuntimeError(f"{self._who}: await it, or iterate inside of `async with`")
        while True:
            if self._error is not None:
                error, self._error, self._ended = self._error, None, True
                self._done.clear()
                self._delivered = self._taken
                try:
                    raise error
                finally:
                    del error
            number = self._delivered if self._ordered else next(iter(self._done), -1)
            if number in self._done:
                result: R = self._done.pop(number)
                self._delivered += 1
                self._tell()  # there is room for one more
                return result
            if self._ended and self._delivered == self._taken:
                raise StopAsyncIteration
            await self._changed.wait()

    # -- its tasks ---------------------------------------------------------------------------------------------------

    def _begin_one(self) -> None:
        assert self._group is not None
        self._tasks += 1
        self._group.start_soon(self._work, name=self._who)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _work(self) -> None:
        """Take one item after the other."""
        while True:
            async with self._pulling:
                while self._taken - self._delivered >= self._limit and not self._ended:
                    await self._changed.wait()
                if self._ended:
                    return
                try:
                    item = await anext(self._items)
                except StopAsyncIteration:
                    self._ended = True
                    self._tell()
                    return
                except Exception as error:  # of the items, which nobody has asked to have as a result
                    self._fail(error)
                    return
                number = self._taken
                self._taken += 1
                if self._tasks < self._limit:
                    self._begin_one()
            result: Any = None
            with anyio.CancelScope() as scope:
                self._calls.add(scope)
                try:
                    result = await self._call(item)
                except Exception as error:
                    if not self._returns:
                        self._fail(error)
                        return
                    result = error
                finally:
                    self._calls.discard(scope)
            if scope.cancelled_caught:
                return
            del item
            self._done[number] = result
            del result
            self._tell()

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self._ended = True
        for scope in self._calls:  # not that of the group, which has the reader in it
            scope.cancel()
        self._tell()


async def _each(items: Any) -> AsyncGenerator[Any]:
    for item in items:
        yield item
