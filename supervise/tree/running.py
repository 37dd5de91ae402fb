"""A running supervisor, as its user holds it: the handle stays valid over the supervisor's own restarts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, cast, overload

from supervise.actor.incarnation import Incarnation
from supervise.address.address import Address, WeakAddress, address_of
from supervise.address.ping import Pong, ping_all
from supervise.errors import WouldDeadlock
from supervise.mailbox.account import Account
from supervise.mailbox.subscription import Subscription, WhenFull
from supervise.mailbox.turn import CURRENT
from supervise_strategies.child_state import ChildCount, ChildInfo, ChildState
from supervise_strategies.directives import Cause, StopMode
from supervise_strategies.errors import ChildNotFound, InvalidSpec, SupervisorNotRunning
from supervise_strategies.exit_reason import SHUTDOWN, ExitReason
from supervise_strategies.restart import RestartName
from supervise_strategies.supervision import Phase

from .child import Child, ChildOptions
from .explanation import explain_place
from .operator import Operator
from .place import ActorPlace, BranchPlace
from .task import Task, task

if TYPE_CHECKING:
    from supervise.events import DeadLetter, Event, Listener
    from supervise_strategies.explanation import Explanation

    from .description import Description
    from .node import Node
    from .tree import TreeEnded

A = TypeVar("A")
Ts = TypeVarTuple("Ts")


class RunningSupervisor:
    """Start, stop, find and look, on one supervisor of a running tree.

    Calls that change the tree are served one at a time and in order, as in OTP: while a start or a stop is under way they
    wait. Calls that only read are answered at once. A caller that is cancelled while it waits leaves the change to go on.
    """

    __slots__ = ("_branch",)

    def __init__(self, branch: BranchPlace) -> None:
        self._branch = branch

    @property
    def name(self) -> str:
        return self._branch.name

    @property
    def path(self) -> str:
        """The full path, from the root on."""
        return self._branch.path

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
    async def start(self, factory: Callable[[Unpack[Ts]], Any], /, *args: *Ts, **options: Unpack[ChildOptions]) -> Address[Any]:
        """Add a child at the end, start it, and return its address when it is ready.

        See `child` for the arguments. Under a dynamic supervisor it is temporary unless `restart` says otherwise. Raises
        `ChildStartFailed` (with the cause) and keeps nothing; `ChildAlreadyStarted`, `ChildAlreadyPresent`,
        `TooManyChildren`, `SupervisorNotRunning`. A factory that ignores its start leaves a stopped child, whose address
        raises `ActorStopped`.
        """
        return await self._start(Child(factory, args, options, default=self._default()))

    async def start_task(
        self,
        function: Callable[[Unpack[Ts]], Coroutine[Any, Any, object]],
        /,
        *args: *Ts,
        **options: Unpack[ChildOptions],
    ) -> Address[Task]:
        """Add a child that runs `function(*args)` in a task: `await app.start_task(poll, url, name="poll")`.

        Its return is a normal end, what it raises a crash, and a stop cancels it; see `task`, which is the form for a static
        child. It returns before the function has begun. Raises what `start` raises, and `InvalidSpec` for what isn't a
        coroutine function.
        """
        return await self._start(Child(task(function, *args), (), options, default=self._default()))

    def _default(self) -> RestartName:
        return "temporary" if self._branch.description.spec.dynamic else "permanent"

    @overload
    async def start_child(self, child: Child[A]) -> Address[A]: ...
    @overload
    async def start_child(self, child: Description) -> RunningSupervisor: ...
    async def start_child(self, child: Child[Any] | Description) -> Address[Any] | RunningSupervisor:
        """Add a child that is described already, or a whole supervisor. See `start`."""
        if isinstance(child, Child):
            return await self._start(child)
        if not hasattr(child, "spec_as_child"):
            cure = "describe it with child(factory, …), Supervisor(…) or DynamicSupervisor(…), or use start(factory, …)"
            raise InvalidSpec("start_child", "child", child, cure)
        place = await self._add(child.name, child)
        return RunningSupervisor(cast(BranchPlace, place))

    async def _start(self, child: Child[Any]) -> Address[Any]:
        name = child.name if child.name is not None else self._node().free_name(child.spec.id)
        return address_of(cast(ActorPlace, await self._add(name, child)).mailbox)

    async def _add(self, name: str, description: Child[Any] | Description) -> ActorPlace | BranchPlace:
        node = self._node()
        spec = description.spec if isinstance(description, Child) else description.spec_below
        node.branch.description.spec.check_child(spec)
        self._check_deadlock(None)
        offer = node.offer(name, spec, description)
        await offer.answer
        return cast("ActorPlace | BranchPlace", offer.place)

    async def terminate_child(self, child: str | Address[Any] | WeakAddress[Any] | RunningSupervisor) -> None:
        """Stop a child, by name, address or handle, and leave it listed; its siblings aren't touched, whatever the strategy.

        A temporary child is forgotten. Under a dynamic supervisor a name won't do, one whose child has ended already is no
        error, and the child is forgotten. Raises `ChildNotFound`, or `ChildUnstoppable` if it outlives its cancellation.
        """
        node = self._node()
        if isinstance(child, str):
            by_name, name = True, child
        elif isinstance(child, RunningSupervisor):
            by_name, name = False, child.name
            if node.places.get(name) is not child._branch:
                if child.path == f"{self.path}/{name}" and not child.running:
                    return  # it was a child, and is gone
                raise ChildNotFound(child.path)
        elif not isinstance(child, Address | WeakAddress):
            cure = "a name, an address or a supervisor's handle; find(key) gives the address of a described child"
            raise InvalidSpec("terminate_child", "child", child, cure)
        else:
            by_name, name = False, child.name
            place = node.places.get(name)
            if not isinstance(place, ActorPlace) or place.mailbox is not child._mailbox:
                if child._mailbox.parent == self.path and child._mailbox.refusal == "closed":
                    return  # it was a child, and is gone
                raise ChildNotFound(child.path)
        self._check_deadlock(name)
        await self._ask(node, lambda ticket, now: node.machine.terminate_child(name, ticket, now, by_name=by_name))

    async def restart_child(self, name: str) -> bool:
        """Start a child that is listed but stopped, on its mailbox. False: its factory ignored the start.

        It counts against no limit. Raises `ChildNotFound`, `ChildRunning`, `ChildRestarting`, `ChildStartFailed` (it stays
        stopped, with the cause attached), `NotForDynamic`.
        """
        node = self._node()
        self._check_deadlock(None)
        return bool(await self._ask(node, lambda ticket, now: node.machine.restart_child(name, ticket, now)))

    async def delete_child(self, name: str) -> None:
        """Forget a child that is listed but stopped; its address never works again.

        Raises `ChildNotFound`, `ChildRunning`, `ChildRestarting`, `NotForDynamic`.
        """
        node = self._node()
        self._check_deadlock(None)
        await self._ask(node, lambda ticket, now: node.machine.delete_child(name, ticket, now))

    def operator(self, who: str) -> Operator:
        """The hand of a person on this supervisor and what is below it: pause, restart, stop, start, change a policy.

        `who` stands in the events that say what was asked for. Raises `InvalidSpec` for an empty name.
        """
        return Operator(self._branch, who)

    def kill(self, path: str) -> None:
        """Cancel an actor as somebody outside the tree would: no stop is asked for, and its supervisor sees `killed`.

        It returns at once. What follows is decided as after a crash.
        """
        self._branch.tree.registry.place(self._branch, path).kill()

    def kill_all(self) -> None:
        """Cancel the whole tree at once, in no order. It returns at once; for when an ordered stop takes too long."""
        self._branch.tree.kill()

    async def stop(self, reason: ExitReason = SHUTDOWN) -> None:
        """Stop this supervisor with all below it, in order, and wait until it has ended.

        The root's tree is then over; a nested supervisor's parent reacts to `reason` as to any child that ended by itself,
        so a permanent one comes back: `terminate_child` on the parent is what keeps it down. Idempotent.
        """
        if not isinstance(reason, ExitReason):
            cure = "a reason is a value, e.g. ExitReason(ExitKind.SHUTDOWN, 'why')"
            raise InvalidSpec(f"stop of supervisor {self.path!r}", "reason", reason, cure)
        node = self._branch.node
        if node is None:
            return
        self._check_deadlock(None, stopping=True)
        tree = self._branch.tree
        if self._branch.parent is None:
            tree.stop(reason)
            await tree.over.wait()
            return
        ended = node.tree.backend.future()
        node.on_done.append(ended)
        node.step(node.machine.stop, tree.backend.now(), mode=StopMode.RESTART, reason=reason, cause=Cause.SELF)
        await ended

    async def wait(self) -> None:
        """Wait until the whole tree has ended by itself, or was stopped."""
        await self._branch.tree.over.wait()

    async def stopping(self) -> None:
        """Wait until the whole tree begins to end, whatever makes it; the first message that a stop refuses comes later."""
        await self._branch.tree.ending.wait()

    async def _ask(self, node: Node, call: Callable[[object, float], Any]) -> Any:
        ticket = node.tree.backend.future()
        node.step(call, ticket, node.tree.backend.now())
        return await ticket

    def _node(self) -> Node:
        node = self._branch.node
        if node is None:
            raise SupervisorNotRunning(self.path, ": it has ended, or waits for its restart")
        return node

    def _check_deadlock(self, name: str | None, *, stopping: bool = False) -> None:
        """An actor's own task can't wait for what waits for that task."""
        turn = CURRENT.get(None)
        if not isinstance(turn, Incarnation) or turn.task is not self._branch.tree.backend.current_task():
            return
        path = turn.mailbox.path
        if not path.startswith(f"{self.path}/"):
            return
        if stopping or (name is not None and f"{path}/".startswith(f"{self.path}/{name}/")):
            raise WouldDeadlock(
                f"{path} can't wait for its own end: use current().stop() or current().stop_tree(), which don't wait"
            )
        node = self._node()
        below = node.machine.child(path.removeprefix(f"{self.path}/").partition("/")[0])
        if below is None or node.machine.phase is Phase.STOPPING:  # it answers at once
            return
        # A supervisor waits for the start or the stop under way, and for nothing else; so from further up it may be used.
        starting = below.state is ChildState.STARTING and not turn.running
        if starting or below.state is ChildState.STOPPING:
            raise WouldDeadlock(
                f"{path} can't wait for supervisor {self.path!r} while it is being {'started' if starting else 'stopped'}: "
                "nothing else is served meanwhile; do it in a handler before, or in a task of current().nursery"
            )

    # -- reading -----------------------------------------------------------------------------------------------------

    @overload
    def find(self, key: Child[A], /) -> Address[A]: ...
    @overload
    def find(self, key: str, /) -> Address[Any]: ...
    def find(self, key: Any, /) -> Any:
        """The address under a typed key, from anywhere in the tree, or under a path relative to this supervisor.

        Raises `ChildNotFound`. An address may be of a child that is stopped; using it says so.
        """
        return self._branch.find(key)

    def supervisor(self, key: str | Description, /) -> RunningSupervisor:
        """The handle of a supervisor below this one, under a relative path or its description."""
        return RunningSupervisor(self._branch.tree.registry.branch(self._branch, key))

    def explain(self, key: str | Child[Any] | Description, /, *, error: BaseException | None = None) -> Explanation:
        """What a crash of that child would cause now, without doing it; `str()` of it says it in words.

        The same rules decide as after a real crash, on a copy of what the supervisor knows. Wait, stop and `when=` policies
        are asked, so one that counts its own calls notices; of a random wait it is one draw. `error` is what it would crash
        with, for policies that look at it. For a supervisor it is what its giving up would cause. Raises `ChildNotFound`,
        and `SupervisorNotRunning` if the supervisor of the child is down.
        """
        return explain_place(self._branch.tree.registry.place(self._branch, key), error)

    def which_children(self) -> list[ChildInfo]:
        """OTP's `which_children`: one line for each listed child, in start order. Empty while the supervisor is down."""
        node = self._branch.node
        return [] if node is None else node.machine.children()

    children = which_children

    def count_children(self) -> ChildCount:
        """OTP's `count_children`."""
        node = self._branch.node
        return ChildCount(0, 0, 0, 0) if node is None else node.machine.count()

    def get_childspec(self, name: str) -> ChildInfo:
        """OTP's `get_childspec`: one child, with its spec and its state. Raises `ChildNotFound`."""
        node = self._branch.node
        info = None if node is None else node.machine.child(name)
        if info is None:
            raise ChildNotFound(name)
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
        """Have a function called with every event of the whole tree, at once and in order; the result takes it away again.

        It must be quick, and must not wait. If it raises, that is logged, and nothing else happens.
        """
        if not callable(listener):
            raise InvalidSpec("subscribe", "listener", listener, "a function of one event")
        return self._branch.tree.bus.subscribe(listener)

    def events(self, *, capacity: float = 1000, overflow: WhenFull = "drop_oldest") -> Subscription[Event]:
        """The events of this supervisor and of all below it, as a stream: `async with app.events() as events: async for …`.

        It outlives restarts of the supervisor, and ends when it is gone for good, the root with its tree; the last events, such
        as its own end, come before. Nothing ever waits for the reader: at most `capacity` events wait for it; beyond that
        the oldest is dropped and counted, or, with `overflow="close"`, the stream ends with `SubscriberTooSlow`. For each
        event at once and in order, `subscribe` takes a function.
        """
        branch = self._branch

        def attach(stream: Subscription[Any]) -> Callable[[], object]:
            if branch.streams is None:
                stream.end()
                return lambda: None

            def hear(event: Event) -> None:
                if event.path == path or event.path.startswith(below):
                    stream.put(event)

            def detach() -> None:
                unsubscribe()
                branch.streams = branch.streams and tuple(other for other in branch.streams if other is not stream)

            path, below = branch.path, f"{branch.path}/"
            unsubscribe = branch.tree.bus.subscribe(hear)
            branch.streams = (*branch.streams, stream)
            return detach

        return Subscription(f"events of {branch.path}", branch.tree.backend, attach, capacity, overflow)

    async def ping(self, timeout: float | None = 5.0) -> dict[str, Pong]:
        """Have all actors below this supervisor answer an empty message, all at the same time; by path, in the tree's order.

        A `Pong` says how many seconds it took, the wait behind what is queued and in hand included; or why there was no
        answer, e.g. within `timeout` seconds. One that is restarting isn't waited for.
        """
        return await ping_all(self.path, [place.mailbox for place in self._branch.actors()], timeout)

    def dead_letters(self) -> list[DeadLetter]:
        """The last 100 dead letters of the whole tree, as text."""
        return self._branch.tree.dead_letters.last()

    @property
    def dead_letter_count(self) -> int:
        """How many dead letters there were in the whole tree."""
        return self._branch.tree.dead_letters.count

    def account(self) -> Account:
        """What became of every message that the actors below this supervisor accepted, those of forgotten ones included."""
        return self._branch.account()
