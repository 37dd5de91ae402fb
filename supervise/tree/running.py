"""A running supervisor, as its user holds it: the handle stays valid over the supervisor's own restarts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple, Unpack, overload

from supervise.address.address import Address, WeakAddress, address_of
from supervise.address.ping import Pong, ping_all
from supervise.address.view import cant_be_pickled
from supervise.journal.listening import check_listener
from supervise.mailbox.account import Account
from supervise.mailbox.subscription import Subscription, WhenFull
from supervise_strategies.child_spec import check_name
from supervise_strategies.child_state import ChildCount, ChildInfo
from supervise_strategies.errors import ChildNotFound, InvalidSpec
from supervise_strategies.exit_reason import SHUTDOWN, ExitReason
from supervise_strategies.restart import RestartName

from . import admin
from .branch import BranchPlace
from .child import Child
from .child_options import ChildOptions, takes_child_options
from .description import Description
from .explanation import explain_place
from .operator import Operator
from .place import ActorPlace
from .pool import Pool
from .pool_place import PoolPlace, pool_place
from .task import Task, task

if TYPE_CHECKING:
    from pathlib import Path

    from supervise.events import DeadLetter, Event, Listener
    from supervise_strategies.explanation import Explanation

    from .tree import TreeEnded

A = TypeVar("A")
Ts = TypeVarTuple("Ts")


class RunningSupervisor:
    """A supervisor of a running tree: start, stop, find and look.

    `async with Supervisor(…) as app` gives that of the root; `app.supervisor(key)` one below
    it. The handle stays valid over the supervisor's own restarts.

    Calls that change the tree are served one at a time and in order, as in OTP. While a start
    or a stop is under way they wait. Calls that only read are answered at once. A caller that
    is cancelled while it waits leaves the change to go on.

    >>> async with Supervisor("app", DynamicSupervisor("sessions")) as app:
    ...     sessions = app.supervisor("sessions")
    ...     ada = await sessions.start(dict, name="ada")
    ...     sessions
    ...     sessions.find("ada")
    ...     app.find("sessions/ada") == ada
    <RunningSupervisor app/sessions>
    <Address app/sessions/ada>
    True
    """

    __slots__ = ("_branch",)

    def __init__(self, branch: BranchPlace) -> None:
        self._branch = branch

    @property
    def name(self) -> str:
        """The supervisor's name: the last part of its path."""
        return self._branch.name

    @property
    def path(self) -> str:
        """The full path, from the root on."""
        return self._branch.path

    def __copy__(self) -> RunningSupervisor:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> RunningSupervisor:
        """Itself: a copy of a handle leads to the same tree."""
        return self

    def __reduce__(self) -> NoReturn:
        raise cant_be_pickled(self, self.path)

    def __repr__(self) -> str:
        return f"<RunningSupervisor {self.path}{'' if self._branch.node else ' (not running)'}>"

    # -- changes -----------------------------------------------------------------------------------------------------

    @overload
    async def start(
        self,
        factory: Callable[[Unpack[Ts]], AbstractAsyncContextManager[A]],
        /,
        *args: *Ts,
        **options: Unpack[ChildOptions],
    ) -> Address[A]: ...
    @overload
    async def start(
        self, factory: Callable[[Unpack[Ts]], Awaitable[A]], /, *args: *Ts, **options: Unpack[ChildOptions]
    ) -> Address[A]: ...
    @overload
    async def start(self, factory: Callable[[Unpack[Ts]], A], /, *args: *Ts, **options: Unpack[ChildOptions]) -> Address[A]: ...
    @takes_child_options
    async def start(self, factory: Callable[[Unpack[Ts]], Any], /, *args: *Ts, **options: Unpack[ChildOptions]) -> Address[Any]:
        """Add a child at the end, start it, and return its address when it is ready.

        See `child` for the factory and its arguments. Under a dynamic supervisor it is temporary
        unless `restart` says otherwise. A factory that ignores its start leaves a stopped child,
        whose address raises `ActorStopped`.

        Raises `ChildStartFailed`, with the cause, and keeps nothing; `ChildAlreadyStarted`,
        `ChildAlreadyPresent`, `TooManyChildren`, `SupervisorNotRunning`, and `InvalidSpec`.
        """
        return await self._start(factory, args, options)

    @takes_child_options
    async def start_task(
        self,
        function: Callable[[Unpack[Ts]], Coroutine[Any, Any, object]],
        /,
        *args: *Ts,
        **options: Unpack[ChildOptions],
    ) -> Address[Task]:
        """Add a child that runs `function(*args)` in a task, and return its address.

        `await app.start_task(poll, url, name="poll")`. Its return is a normal end, what it raises a
        crash, and a stop cancels it; see `task`, which is the form for a static child. It returns
        before the function has begun. Raises what `start` raises, and `InvalidSpec` for what isn't
        a coroutine function.
        """
        return await self._start(task(function, *args), (), options)

    @overload
    async def start_child(self, child: Child[A], *, name: str | None = None) -> Address[A]: ...
    @overload
    async def start_child(  # type: ignore[overload-overlap]  # a pool is described as a supervisor, and has an address
        self, child: Pool[A], *, name: str | None = None
    ) -> Address[A]: ...
    @overload
    async def start_child(self, child: Description, *, name: str | None = None) -> RunningSupervisor: ...
    async def start_child(
        self, child: Child[Any] | Description, *, name: str | None = None
    ) -> Address[Any] | RunningSupervisor:
        """Add a child that is described already, or a whole supervisor with all below it.

        A description is a template: it may be started many times, under different names. `name` is
        the one that it gets here. Default: its own; under a dynamic supervisor, and for a child
        without one, that with `-2`, `-3`, … if it is taken.

        It is then a part of the tree like any other. Its keys find (`find`), and `on_tree_started`
        of what is below it waits until all of it is built. If it doesn't start, nothing of it is
        left.

        Raises what `start` raises, and `InvalidSpec` for what only a root can have, as `listener`
        and `shutdown_budget`.
        """
        if not isinstance(child, Child | Description):
            cure = "describe it with child(factory, …), Supervisor(…) or DynamicSupervisor(…), or use start(factory, …)"
            raise InvalidSpec("start_child", "child", child, cure)
        if isinstance(child, Description):
            child.check_below()
        base = child.name if name is None else name
        if base is None or (name is None and self._branch.description.spec.dynamic):
            name = None
        else:
            check_name("child", base)
            name = base
        place = await admin.add(self._branch, name, child)
        return address_of(place.mailbox) if isinstance(place, ActorPlace | PoolPlace) else RunningSupervisor(place)

    async def _start(self, factory: Callable[..., Any], args: tuple[Any, ...], options: ChildOptions) -> Address[Any]:
        alike = None if args or options else self._branch.alike(factory)
        default: RestartName = "temporary" if self._branch.description.spec.dynamic else "permanent"
        child = alike or Child(factory, args, options, default=default)
        place: Any = await admin.add(self._branch, child.name, child, keyed=False)
        return address_of(place.mailbox)

    async def terminate_child(self, child: str | Address[Any] | WeakAddress[Any] | RunningSupervisor) -> None:
        """Stop a child, by name, address or handle, and leave it listed.

        Its siblings aren't touched, whatever the strategy. A temporary child is forgotten. Under a
        dynamic supervisor a name won't do, one whose child has ended already is no error, and the
        child is forgotten. Raises `ChildNotFound`, or `ChildUnstoppable` if it outlives its
        cancellation.
        """
        if isinstance(child, str):
            await admin.terminate(self._branch, child, by_name=True)
        elif isinstance(child, Address | WeakAddress | RunningSupervisor):
            given = child._branch if isinstance(child, RunningSupervisor) else child
            if self._branch.tree.registry.lists(self._branch, given):
                await admin.terminate(self._branch, child.name, by_name=False)
        else:
            cure = "a name, an address or a supervisor's handle; find(key) gives the address of a described child"
            raise InvalidSpec("terminate_child", "child", child, cure)

    async def restart_child(self, name: str) -> bool:
        """Start a child that is listed but stopped, on its mailbox.

        It returns False if its factory ignored the start, or if it lived by its addresses
        (`lifetime="addresses"`) and nobody has one any more. It counts against no limit.

        Raises `ChildNotFound`, `ChildRunning`, `ChildRestarting`, `NotForDynamic`; and
        `ChildStartFailed`, with the cause: then it stays stopped.
        """
        return await admin.restart(self._branch, name)

    async def delete_child(self, name: str) -> None:
        """Forget a child that is listed but stopped; its address never works again.

        Raises `ChildNotFound`, `ChildRunning`, `ChildRestarting`, `NotForDynamic`.
        """
        await admin.delete(self._branch, name)

    async def resize(self, key: str | Pool[Any], /, size: int) -> None:
        """Have so many workers in a pool below this supervisor: `await app.resize(jobs, 8)`.

        It returns when the new ones are ready; or when those over the number have ended, each after
        what it has in hand, within its `stop_within`. Nothing that waits is moved. The last ones go
        first. The pool keeps its size over its restarts.

        Raises `InvalidSpec` for a number that is none, `ChildNotFound`, and `ChildStartFailed`,
        after which it has fewer.
        """
        self._branch.check_here()
        await pool_place(self._branch, key).resize(size)

    def operator(self, who: str) -> Operator:
        """The hand of a person on this supervisor and what is below it.

        It can pause, resume, restart, stop, start, and change a policy. `who` stands in the events
        that say what was asked for. Raises `InvalidSpec` for an empty name.
        """
        return Operator(self._branch, who)

    def kill(self, path: str) -> None:
        """Cancel an actor as somebody outside the tree would; it returns at once.

        No stop is asked for, and its supervisor sees `killed`. What follows is decided as after a
        crash. Raises `ChildNotFound`.
        """
        self._branch.check_here()
        self._branch.tree.registry.place(self._branch, path).kill()

    def kill_all(self) -> None:
        """Cancel the whole tree at once, in no order; it returns at once.

        It is for when an ordered stop takes too long.
        """
        self._branch.check_here()
        self._branch.tree.kill()

    async def stop(self, reason: ExitReason = SHUTDOWN) -> None:
        """Stop this supervisor with all below it, in order, and wait until it has ended.

        The root's tree is then over. A nested supervisor's parent reacts to `reason` as to any
        child that ended by itself. So a permanent one comes back: `terminate_child` on the parent
        is what keeps it down. Idempotent.
        """
        if not isinstance(reason, ExitReason):
            cure = "a reason is a value, e.g. ExitReason(ExitKind.SHUTDOWN, 'why')"
            raise InvalidSpec(f"stop of supervisor {self.path!r}", "reason", reason, cure)
        await admin.stop(self._branch, reason)

    async def wait(self) -> None:
        """Wait until the whole tree has ended by itself, or was stopped."""
        tree = self._branch.tree
        if not tree.over.is_set():
            self._branch.check_here()
        await tree.over.wait()
        if tree.hosted is not None:
            await tree.hosted.wait()

    async def close(self) -> None:
        """End a tree that was begun with `open()`, and wait until nothing is left.

        All of it is stopped in order. Idempotent. It may be called in any task of the event loop; a
        caller that is cancelled leaves the stop to go on.

        Raises what ended the tree before, unless `wait()` has. RuntimeError for a tree in an `async
        with`, whose end is the end of the block, and for what isn't the root; `WouldDeadlock` in an
        actor of the tree.
        """
        hosted = self._branch.tree.hosted
        if hosted is None or self._branch.parent is not None:
            raise RuntimeError(
                f"{self.path} wasn't begun with open(): stop() stops it, and leaving its `async with` waits for it"
            )
        if self.ended is None:
            self._branch.check_here()
        admin.check_deadlock(self._branch, None, stopping=True)
        await hosted.close()

    async def stopping(self) -> None:
        """Wait until the whole tree begins to end, whatever makes it.

        The first message that a stop refuses comes later.
        """
        if self.ended is None:
            self._branch.check_here()
        await self._branch.tree.ending.wait()

    # -- reading -----------------------------------------------------------------------------------------------------

    @overload
    def find(self, key: Child[A] | Pool[A], /) -> Address[A]: ...
    @overload
    def find(self, key: str, /) -> Address[Any]: ...
    def find(self, key: Any, /) -> Any:
        """The address of a child, under a typed key or a relative path.

        A key finds from anywhere in the tree. Where a description was started several times, its
        keys stand at several places. What is below this supervisor comes first, then what is below
        the one above it, and so on.

        Raises `ChildNotFound`, and `ChildAmbiguous`, which names the paths, if there are several.
        An address may be of a child that is stopped; using it says so.
        """
        return self._branch.find(key)

    def supervisor(self, key: str | Description, /) -> RunningSupervisor:
        """The handle of a supervisor below this one, under a relative path or its description.

        See `find` for what is nearest. Within an instance of a description that is this instance
        itself. Raises `ChildNotFound`, and `ChildAmbiguous`.
        """
        return RunningSupervisor(self._branch.tree.registry.branch(self._branch, key))

    def explain(self, key: str | Child[Any] | Description, /, *, error: BaseException | None = None) -> Explanation:
        """What a crash of that child would cause now, without doing it; `str()` gives words.

        The same rules decide as after a real crash, on a copy of what the supervisor knows. Wait,
        stop and `when=` policies are asked, so one that counts its own calls notices; of a random
        wait it is one draw. `error` is what it would crash with, for policies that look at it. For
        a supervisor it is what its giving up would cause.

        Raises `ChildNotFound`, and `SupervisorNotRunning` if the supervisor of the child is down.
        """
        return explain_place(self._branch.tree.registry.place(self._branch, key), error)

    def which_children(self) -> list[ChildInfo]:
        """One line for each listed child, in start order: OTP's `which_children`.

        Empty while the supervisor is down.
        """
        node = self._branch.node
        return [] if node is None else node.machine.children()

    children = which_children

    def count_children(self) -> ChildCount:
        """How many children there are, by type, and how many live: OTP's `count_children`."""
        node = self._branch.node
        return ChildCount(0, 0, 0, 0) if node is None else node.machine.count()

    def get_childspec(self, name: str) -> ChildInfo:
        """One child, with its spec and its state: OTP's `get_childspec`.

        Raises `ChildNotFound`.
        """
        node = self._branch.node
        info = None if node is None else node.machine.child(name)
        if node is None or info is None:
            raise ChildNotFound(name, among=() if node is None else node.places)
        return info

    @property
    def restarts(self) -> int:
        """The restarts that count against the intensity, as of the last one."""
        node = self._branch.node
        return 0 if node is None else node.machine.restarts

    @property
    def busy(self) -> bool:
        """Whether a start or a stop is under way, so that calls which change the tree wait."""
        node = self._branch.node
        return node is not None and node.machine.busy

    @property
    def running(self) -> bool:
        """Whether the supervisor itself runs: not ended, and not between two lives."""
        return self._branch.node is not None

    @property
    def ended(self) -> TreeEnded | None:
        """How the whole tree ended, or None while it runs."""
        return self._branch.tree.ended

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have a function called with every event of the whole tree; the result undoes that.

        It is called at once and in order. It must be quick, and must not wait. If it raises, that
        is logged, and nothing else happens.
        """
        check_listener("subscribe", "listener", listener, optional=False)
        self._branch.check_here()
        return self._branch.tree.bus.subscribe(listener)

    def events(self, *, capacity: float = 1000, overflow: WhenFull = "drop_oldest") -> Subscription[Event]:
        """The events of this supervisor and of all below it, as a stream.

        `async with app.events() as events: async for event in events`. It outlives restarts of the
        supervisor. It ends when that is gone for good, the root with its tree; the last events,
        such as its own end, come before.

        Nothing ever waits for the reader: at most `capacity` events (default 1000) wait for it.
        Beyond that the oldest is dropped and counted, or, with `overflow="close"`, the stream ends
        with `SubscriberTooSlow`. For each event at once and in order, `subscribe` takes a function.
        """
        branch = self._branch
        return Subscription(f"events of {branch.path}", branch.tree.backend, branch.attach, capacity, overflow)

    async def ping(self, timeout: float | None = 5.0) -> dict[str, Pong]:
        """Have all actors below this supervisor answer an empty message, all at the same time.

        It returns a `Pong` for each path, in the tree's order. That says how many seconds it took,
        the wait behind what is queued and in hand included. Or it says why there was no answer,
        e.g. within `timeout` seconds (default 5; None for no deadline). One that is restarting
        isn't waited for. Raises `InvalidSpec`.
        """
        self._branch.check_here()
        return await ping_all(self.path, [place.mailbox for place in self._branch.actors()], timeout)

    async def record(self) -> Path | None:
        """Write the flight record of the whole tree now, and return its file.

        `supervise postmortem` reads it. It is written in a thread. None if it can't be written,
        which is logged as a WARNING. RuntimeError where the tree has no flight recorder
        (`recorder=False`).
        """
        self._branch.check_here()
        recorder = self._branch.tree.recorder
        if recorder is None:
            raise RuntimeError(f"{self._branch.tree.root.path} has recorder=False, so there is nothing to write")
        return await recorder.record()

    def dead_letters(self) -> list[DeadLetter]:
        """The last 100 dead letters of the whole tree, as text."""
        return self._branch.tree.dead_letters.last()

    @property
    def dead_letter_count(self) -> int:
        """How many dead letters there were in the whole tree."""
        return self._branch.tree.dead_letters.count

    def account(self) -> Account:
        """What became of every message that the actors below this supervisor accepted.

        Those of forgotten ones are included.
        """
        return self._branch.account()
