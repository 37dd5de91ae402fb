"""A pool as it is described: one address, one mailbox, and several workers that take their messages from it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Final, Generic, Self, TypeVar, TypeVarTuple, Unpack, cast, overload

from supervise.actor.factory import default_name
from supervise.mailbox.mailbox_options import MailboxOptions
from supervise.message import Message
from supervise_strategies.child_spec import ChildSpec, SupervisorSpec, warn_of_immortal_loop
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.intensity import Intensity
from supervise_strategies.strategy import AutoShutdown

from .child import Child
from .child_options import ChildOptions, takes_child_options
from .description import Description, policies

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
Ts = TypeVarTuple("Ts")
_OF_THE_POOL: Final = ("name", "significant", "required", "on_limit")
_DEFAULT: Final = Intensity()


class Pool(Description, Generic[A_co]):
    """A pool as it is described, and the typed key under which its address is found.

    It is immutable, and made by `pool`. In a tree it stands for one child, whose workers are
    below it: `app/list/1`, `app/list/2`.

    >>> workers = pool(list, size=2, name="workers")
    >>> print(Supervisor("app", workers))
    app  [one_for_one, 3 in 5 s]
      workers  [pool of 2, 3 in 5 s]  permanent
    >>> async with Supervisor("app", workers) as app:
    ...     await app.resize(workers, 3)
    ...     app.find(workers)
    <Address app/workers>
    """

    __slots__ = ("key_of", "mailbox_options", "size", "worker")
    is_one_thing = True

    def __init__(
        self,
        factory: Callable[..., Any],
        args: tuple[Any, ...],
        options: ChildOptions,
        *,
        size: int,
        key: Callable[[Message], Hashable] | None,
        intensity: Intensity,
    ) -> None:
        name = options.get("name")
        name = default_name(factory) if name is None else name
        who = f"pool {name!r}"
        _check_size(who, size)
        if key is not None and not callable(key):
            raise InvalidSpec(who, "key", key, "a function of one Message that gives its key: lambda message: message.args[0]")
        if options.get("lifetime", "supervisor") != "supervisor":
            raise InvalidSpec(who, "lifetime", options.get("lifetime"), "a pool lives by its supervisor: leave it out")
        if "queue" in options:
            cure = "a pool has a queue of its own, which its workers take from; lanes= says what comes first"
            raise InvalidSpec(who, "queue", options["queue"], cure)
        of_workers = cast(ChildOptions, {option: value for option, value in options.items() if option not in _OF_THE_POOL})
        self.worker: Child[A_co] = Child(factory, args, {**of_workers, "name": name}, default="permanent")
        self.mailbox_options: MailboxOptions = self.worker.mailbox_options
        self.key_of: Callable[[Message], Hashable] | None = key
        super().__init__(
            name,
            (),
            strategy="one_for_one",
            intensity=intensity,
            auto_shutdown=AutoShutdown.NEVER,
            dynamic=False,
            max_children=math.inf,
            restart=self.worker.spec.restart.type.value,
            significant=options.get("significant", False),
            stop_within=None,
            shutdown_budget=None,
            give_up_as="gave_up",
            required=options.get("required", True),
        )
        self.says_restart: bool = "restart" in options
        self.spec_below: ChildSpec = replace(self.spec_below, on_limit=options.get("on_limit", "stop"))
        self._has(size)
        warn_of_immortal_loop(self.spec, self.worker.spec)

    def _has(self, size: int) -> None:
        self.size: int = size
        self._children: dict[str, Child[Any] | Description] = {str(number): self.worker for number in range(1, size + 1)}
        self.spec: SupervisorSpec = SupervisorSpec(
            id=self.name,
            children=tuple(self.worker.spec_as_child(name) for name in self._children),
            intensity=self.spec.intensity,
            ends_with_last=True,
        )

    def with_size(self, size: int) -> Self:
        """The same pool with another number of workers."""
        _check_size(f"pool {self.name!r}", size)
        other = self.__copy__()
        other._has(size)
        return other

    def __copy__(self) -> Self:
        other = type(self).__new__(type(self))
        for kind in (Description, Pool):
            for slot in kind.__slots__:
                if slot != "__weakref__":
                    setattr(other, slot, getattr(self, slot))
        return other

    @property
    def worker_options(self) -> MailboxOptions:
        """What is said of a worker's own mailbox, beside that of the pool."""
        said = self.mailbox_options
        return MailboxOptions(on_cancel=said.on_cancel, on_dead_letter=said.on_dead_letter, concurrency=said.concurrency)

    def _line(self) -> str:
        spec = replace(self.worker.spec, significant=self.spec_below.significant, on_limit=self.spec_below.on_limit)
        return f"{self.name}  [{self._kind()}, {self.spec.intensity}]  {spec.restart}{policies(spec, self.required)}"

    def _kind(self) -> str:
        keyed = "" if self.key_of is None else " by key"
        return f"pool of {self.size}{keyed}"


def _check_size(who: str, size: object) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidSpec(who, "size", size, "how many workers: a whole number, 1 or more")


@overload
def pool(
    factory: Callable[[Unpack[Ts]], AbstractAsyncContextManager[A]],
    /,
    *args: *Ts,
    size: int = ...,
    key: Callable[[Message], Hashable] | None = ...,
    intensity: Intensity = ...,
    **options: Unpack[ChildOptions],
) -> Pool[A]: ...
@overload
def pool(
    factory: Callable[[Unpack[Ts]], Awaitable[A]],
    /,
    *args: *Ts,
    size: int = ...,
    key: Callable[[Message], Hashable] | None = ...,
    intensity: Intensity = ...,
    **options: Unpack[ChildOptions],
) -> Pool[A]: ...
@overload
def pool(
    factory: Callable[[Unpack[Ts]], A],
    /,
    *args: *Ts,
    size: int = ...,
    key: Callable[[Message], Hashable] | None = ...,
    intensity: Intensity = ...,
    **options: Unpack[ChildOptions],
) -> Pool[A]: ...
@takes_child_options
def pool(
    factory: Callable[[Unpack[Ts]], Any],
    /,
    *args: *Ts,
    size: int = 4,
    key: Callable[[Message], Hashable] | None = None,
    intensity: Intensity = _DEFAULT,
    **options: Unpack[ChildOptions],
) -> Pool[Any]:
    """Describe a pool of workers with one address and one mailbox.

    Each worker is `factory(*args)`, and is restarted alone. Messages of one sender begin in
    their order, and may end in any: give a `key` where that matters.

    A message is bound to a worker when an idle one takes it. So one that waits for its restart
    holds nothing up. What it had in hand, and is to be tried again (`redeliver=`), any worker
    may take.

    size: How many workers (default 4); `app.resize(key, n)` changes it at run time.
    key: A function of one `Message`. Messages of one key are handled one after the other,
        in their order, by whichever worker is idle. A `redeliver=` that waits holds up its
        key alone. None is no key. What the function raises is raised by `send` or `call`,
        and nothing was accepted. Default: None.
    intensity: How many restarts of workers the pool tolerates together. With more of them
        all of it is restarted, as a supervisor is. Default: `Intensity(3, per=5.0)`.

    A worker that is restarted no more leaves the pool: its `limit=` or `stop=` is spent, it is
    in quarantine, or it has ended and isn't permanent. With the last one the pool ends: it is
    left stopped, or, with `on_limit="escalate"`, its supervisor gives up.

    The other options are those of `child`. `name`, `significant`, `required` and `on_limit` are
    the pool's. `capacity`, `overflow`, `lanes`, `choice`, `throttle` and `drain` say how its
    one mailbox is. All others are said of each worker. In its workers, `current().address` is
    that of the worker alone.

    Raises `InvalidSpec` at once for what can never work.

    >>> import anyio
    >>> class Resizer:
    ...     async def resize(self, picture):
    ...         await anyio.sleep(1)
    ...         return f"{picture} by {current().name}"
    >>> resizers = pool(Resizer, size=2)
    >>> async with Supervisor("app", resizers) as app:
    ...     await app.find(resizers).map(Resizer.resize, ["a.png", "b.png"])
    ['a.png by 1', 'b.png by 2']
    """
    return Pool(factory, args, options, size=size, key=key, intensity=intensity)
