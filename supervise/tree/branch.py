"""The place of a supervisor in the tree: what stays while its running nodes come and go.

It owns the places of its static children, so that they keep their mailboxes and addresses when the supervisor is restarted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeAlias

from supervise import events
from supervise.mailbox.account import Account
from supervise.mailbox.affinity import OF_A_TREE, check_loop, check_thread
from supervise_strategies.directives import Cause, Stop, StopMode
from supervise_strategies.error_type import error_type_of_end
from supervise_strategies.errors import SupervisorNotRunning
from supervise_strategies.exit_reason import KILLED, ExitKind, ExitReason

from .place import ActorPlace

if TYPE_CHECKING:
    from supervise._backends import Handle
    from supervise.journal.facts import Lives
    from supervise.mailbox.instrument import Instrument
    from supervise.mailbox.subscription import Subscription
    from supervise_strategies.child_spec import ChildSpec

    from .child import Child
    from .description import Description
    from .node import Node
    from .tree import Tree


class BranchPlace:
    """One supervisor in the tree: its running node comes and goes, its static children's places stay."""

    __slots__ = (
        "checked",
        "description",
        "gone",
        "instrument",
        "is_built",
        "lives",
        "name",
        "node",
        "number",
        "on_built",
        "over",
        "parent",
        "path",
        "places",
        "streams",
        "timer",
        "tree",
    )

    def __init__(self, tree: Tree, parent: Node | None, name: str, description: Description) -> None:
        self.tree: Tree = tree
        self.parent = parent
        self.name: str = name
        self.path: str = name if parent is None else f"{parent.path}/{name}"
        self.description: Description = description
        self.places: dict[str, ActorPlace | BranchPlace] = {}
        self.lives: Lives = tree.bus.facts.lives(self.path)
        self.node: Node | None = None
        self.gone: Account = Account()  # of the children that were forgotten
        self.streams: tuple[Subscription[events.Event], ...] | None = ()  # of the events below; None once it is gone for good
        self.instrument: Instrument | None = None
        if tree.instruments is not None:
            above = None if parent is None else parent.branch.instrument
            kind = type(description).__name__
            self.instrument = tree.instruments.for_supervisor(self.path, above, kind, tree.backend.now, tree.bus.pass_up)
        self.number: int = 0
        self.timer: Handle | None = None
        self.over: set[str] = set()  # names of described children that lived by their addresses, and are forgotten
        self.checked: ChildSpec | None = None  # the last that was found to be one that it can have
        self.is_built: bool = False  # it was ready once, with all below it
        self.on_built: dict[ActorPlace, None] = {}  # whose second phase of the start waits for that, in order

    @property
    def key(self) -> Description:
        """What finds it, for whoever has it."""
        return self.description

    @property
    def above(self) -> BranchPlace | None:
        """The supervisor above it, over all lives of both; None for the root."""
        return None if self.parent is None else self.parent.branch

    def unbuilt(self) -> BranchPlace | None:
        """The highest supervisor that is being built now with all below it: the whole tree, or what was added to it."""
        found: BranchPlace | None = None
        branch: BranchPlace | None = self
        while branch is not None:
            found = found if branch.is_built else branch
            branch = branch.above
        return found

    def built(self) -> None:
        """It is ready for the first time."""
        self.is_built = True
        waiting, self.on_built = self.on_built, {}
        for actor in waiting:
            actor.tree_started()

    def find(self, key: Any) -> Any:
        return self.tree.registry.find(self, key)

    def supervisor(self, key: Any) -> object:
        return self.tree.handle(self.tree.registry.branch(self, key))

    def new_actor(self, node: Node, name: str, child: Child[Any]) -> ActorPlace:
        """The place of an actor below it."""
        return ActorPlace(node, name, child)

    def alike(self, factory: Callable[..., Any]) -> Child[Any] | None:
        """The description of its youngest child, if that says this factory alone, and nobody has it as a key.

        The next such child shares it: 72 bytes for each, and the time to check it.
        """
        place = next(reversed(self.places.values()), None)
        if not isinstance(place, ActorPlace) or place.child.factory is not factory:
            return None
        child = place.child
        return None if child.args or child.rules.says_anything or self.tree.registry.has_key(child) else child

    def check_here(self) -> None:
        """Raise `WrongThread`, `WrongLoop` or `WrongProcess` elsewhere than in the event loop that it runs in."""
        backend = self.tree.backend
        check_thread(self.path, backend, OF_A_TREE)
        check_loop(self.path, backend)

    def running_node(self) -> Node:
        """The node that lives now, for who changes it. Raises `SupervisorNotRunning`, and what `check_here` does."""
        backend = self.tree.backend
        if get_ident() != backend.running._thread_id:
            self.check_here()
        if self.node is None:
            raise SupervisorNotRunning(self.path, ": it has ended, or waits for its restart")
        return self.node

    # -- what its supervisor tells it --------------------------------------------------------------------------------

    def start(self, node: Node | None, number: int) -> None:
        """Begin a new life of the supervisor: a fresh machine over the places that are there."""
        self.parent = node
        self.number = number
        if self.instrument is not None:
            self.instrument.starts(number)
        self.node = self.tree.new_node(self, number)
        self.node.begin()

    def stop(self, directive: Stop) -> None:
        node = self.node
        if node is None:
            return
        if self.instrument is not None:
            self.instrument.asked_to_stop()
        within = min(directive.within, self.tree.budget_left())
        node.step(node.machine.stop, self.tree.backend.now(), mode=directive.mode)
        if directive.brutal or within <= 0:
            node.kill_all()
        elif within < math.inf and self.node is node:
            self._cancel_timer()
            self.timer = self.tree.backend.call_at(self.tree.backend.now() + within, node.kill_all)

    def cancel_start(self, mode: StopMode) -> None:
        """Cancel the child that is being started; those that run already are stopped in order, as by any stop."""
        spec = self.description.spec_below
        self.stop(Stop(self.name, mode, spec.seconds, spec.brutal))

    def kill(self) -> None:
        """End it, and cancel everything below it at once; its parent decides what follows."""
        node = self.node
        if node is not None:
            node.step(node.machine.stop, self.tree.backend.now(), mode=StopMode.RESTART, reason=KILLED)
            node.kill_all()

    def ended(self, reason: ExitReason, cause: Cause, error: BaseException | None) -> None:
        """Its node is done: its parent decides, or the tree ends."""
        self._cancel_timer()
        node, self.node = self.node, None
        if node is None:
            return
        tree, parent, number = self.tree, self.parent, self.number
        if self.instrument is not None:
            self.instrument.gone(reason, error)
        now, ignored = tree.backend.now(), cause is Cause.IGNORED
        lives = tree.lives if parent is None else parent.branch.lives
        lives.ended(now, self.name, number, reason, node.ready)
        self.lives.rest()
        if node.ready:
            tree.bus.publish(events.Stopped(self.path, number, reason, 0, cause, error_type=error_type_of_end(reason, error)))
        else:
            tree.bus.publish(events.StartFailed(self.path, number, reason, ignored, error_type_of_end(reason, error)))
        if parent is None:
            tree.finished(reason, cause, error)
            return
        if node.ready:
            parent.adopt_crashes(node)
            spent = cause is Cause.LAST_LEFT and reason.kind is ExitKind.GAVE_UP
            parent.step(parent.machine.child_exited, self.name, number, reason, now, error=error, spent=spent)
        else:
            parent.step(parent.machine.start_failed, self.name, number, reason, now, error=error, ignored=ignored)
        tree.registry.went_down(parent, self.name)

    def _cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def attach(self, stream: Subscription[Any]) -> Callable[[], object]:
        """Have a stream hear the events of this supervisor and of all below it; the result ends that."""
        if self.streams is None:
            stream.end()
            return lambda: None

        def hear(event: events.Event) -> None:
            if event.path == path or event.path.startswith(below):
                stream.put(event)

        def detach() -> None:
            unsubscribe()
            self.streams = self.streams and tuple(other for other in self.streams if other is not stream)

        self.check_here()
        path, below = self.path, f"{self.path}/"
        unsubscribe = self.tree.bus.subscribe(hear)
        self.streams = (*self.streams, stream)
        return detach

    def walk(self, into: Callable[[BranchPlace], bool] | None = None) -> Iterator[ActorPlace | BranchPlace]:
        """All that is below it now, from the top down in start order; below a supervisor only if `into` says so."""
        todo = [iter([*self.places.values()])]
        while todo:
            for place in todo[-1]:
                yield place
                if isinstance(place, BranchPlace) and (into is None or into(place)):
                    todo.append(iter([*place.places.values()]))
                    break
            else:
                todo.pop()

    def actors(self) -> Iterator[ActorPlace]:
        """All actors that are below it now, in start order."""
        return (place for place in self.walk() if isinstance(place, ActorPlace))

    def alive(self) -> bool:
        """Whether an incarnation of any actor below is left."""
        return any(place.alive() for place in self.actors())

    def account(self) -> Account:
        """The sum over all that is, and was, below it.

        It may be asked for in another thread, while the tree changes: what is forgotten is read before what is there.
        """
        total = self.own_account()
        for place in self.walk():
            total = total.plus(place.own_account() if isinstance(place, BranchPlace) else place.account())
        return total

    def own_account(self) -> Account:
        """Of what isn't below it: what is gone, and of a pool its mailbox."""
        return self.gone

    def close_mailbox(self) -> None:
        """Of a pool: it is stopped, but listed."""

    def forget_mailbox(self) -> None:
        """Of a pool: it is gone for good."""

    def close(self) -> None:
        self.close_mailbox()
        for place in self.walk():
            if isinstance(place, ActorPlace):
                place.close()
            else:
                place.close_mailbox()

    def forget(self) -> None:
        below = [*self.walk()]
        self.forget_mailbox()
        for place in below:
            if isinstance(place, ActorPlace):
                place.forget()
            else:
                place.forget_mailbox()
        for place in (self, *below):  # the last dead letters are events of theirs
            if isinstance(place, BranchPlace):
                streams, place.streams = place.streams, None
                for stream in streams or ():
                    self.tree.bus.then(stream.end)  # its own end is the last that it tells of


Place: TypeAlias = ActorPlace | BranchPlace
