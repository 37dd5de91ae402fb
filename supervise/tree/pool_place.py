"""The place of a pool in the tree, and those of its workers."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from supervise._backends import give
from supervise.mailbox import observers
from supervise.mailbox.mailbox import Mailbox
from supervise.mailbox.pool_mailbox import PoolMailbox, PoolTurn, WorkerMailbox
from supervise.message import named
from supervise_strategies.child_spec import DEFAULT_SECONDS
from supervise_strategies.directives import Cause, Stop, StopMode
from supervise_strategies.errors import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    InvalidSpec,
    SupervisorNotRunning,
)
from supervise_strategies.exit_reason import NORMAL

from . import admin
from .branch import BranchPlace
from .place import ActorPlace
from .pool import Pool

if TYPE_CHECKING:
    from supervise._backends import Future, Handle
    from supervise.mailbox.account import Account
    from supervise_strategies.exit_reason import ExitReason

    from .child import Child
    from .description import Description
    from .node import Node
    from .tree import Tree


class WorkerPlace(ActorPlace):
    """One worker of a pool."""

    __slots__ = ()

    def new_mailbox(self, node: Node, name: str, child: Child[Any]) -> Mailbox:
        branch = node.branch
        assert isinstance(branch, PoolPlace)
        options = branch.pool.worker_options
        return WorkerMailbox(branch.mailbox, node.tree.backend, node.path, name, options, node.tree.dead_letters)

    def stop(self, directive: Stop) -> None:
        branch = cast(PoolPlace, self.above)
        super().stop(directive._replace(within=math.inf, brutal=False) if branch.patient else directive)

    def drains(self, mode: StopMode) -> bool:
        return cast(PoolPlace, self.above).mailbox.drains  # at a stop of the worker alone the others go on with what waits

    def find(self, key: Any, *, lent: bool = False) -> Any:
        """As whatever is beside the pool does: the pool is one thing."""
        beside = self.above.above or self.above
        return self.node.tree.registry.find_beside(beside, key, lent=lent)

    def supervisor(self, key: Any) -> object:
        return (self.above.above or self.above).supervisor(key)

    def forget(self) -> None:
        super().forget()
        cast(WorkerMailbox, self.mailbox).leave()


class PoolPlace(BranchPlace):
    """One pool: a supervisor of its workers, whose mailbox they share."""

    __slots__ = ("_key", "_waiters", "mailbox", "patient")

    def __init__(self, tree: Tree, parent: Node | None, name: str, description: Pool[Any]) -> None:
        super().__init__(tree, parent, name, description)
        self._key = description
        self.patient: bool = False  # it ends by itself, and the time that it has for that is all that its workers have
        self._waiters: list[Future] = []  # for that
        above = "" if parent is None else parent.path
        self.mailbox: PoolMailbox = PoolMailbox(
            tree.backend, above, name, description.mailbox_options, tree.dead_letters, description.key_of
        )
        if tree.instruments is not None:
            kind = named(description.worker.factory, "__name__") or name
            instrument = None if parent is None else parent.branch.instrument
            self.mailbox.instrument = tree.instruments.for_actor(self.mailbox, instrument, kind)

    @property
    def key(self) -> Description:
        return self._key

    @property
    def pool(self) -> Pool[Any]:
        """As it is now: its size may be another one than was described."""
        return cast("Pool[Any]", self.description)

    def describe(self, pool: Pool[Any], now: Pool[Any]) -> None:
        """It is described anew, and found by that. `now`: the same with the size that it has."""
        self._key, self.description = pool, now
        self.mailbox.describe_key(pool.key_of)

    def new_actor(self, node: Node, name: str, child: Child[Any]) -> ActorPlace:
        return WorkerPlace(node, name, child)

    # -- what its supervisor tells it --------------------------------------------------------------------------------

    def start(self, node: Node | None, number: int) -> None:
        self._forget_surplus()  # a resize that its last life has overtaken
        self.mailbox.accept_again()
        self.mailbox.last_end = None
        self.mailbox.drains = False
        self.mailbox.turn = PoolTurn(self.mailbox, number, self._leave, self._kill_workers)
        super().start(node, number)

    def stop(self, directive: Stop) -> None:
        if directive.mode is StopMode.FINAL:
            self.mailbox.refuse("stopped")
            self.mailbox.drains = self.mailbox.drains or self.pool.worker.rules.drain
        super().stop(directive)
        if self.patient:
            self.patient = False
            spec = self.pool.worker.spec
            for name, place in [*self.places.items()]:
                place.stop(Stop(name, directive.mode, spec.seconds, spec.brutal))

    def ended(self, reason: ExitReason, cause: Cause, error: BaseException | None) -> None:
        mailbox, waiters = self.mailbox, self._waiters
        self._waiters, self.patient = [], False
        mailbox.end()
        mailbox.turn = None
        mailbox.last_end = (self.number, reason)
        observers.incarnation_ended(mailbox, self.number, reason)
        super().ended(reason, cause, error)
        for waiter in waiters:
            give(waiter, reason)

    def close_mailbox(self) -> None:
        self.mailbox.refuse("stopped")
        self.mailbox.discard("its pool is stopped")
        observers.actor_ended(self.mailbox)

    def forget_mailbox(self) -> None:
        self.mailbox.refuse("closed")
        self.mailbox.discard("its pool is gone for good")
        observers.actor_ended(self.mailbox)

    def own_account(self) -> Account:
        return self.gone.plus(self.mailbox.part())

    # -- control -----------------------------------------------------------------------------------------------------

    def _leave(self, grace: float | None) -> Future:
        """Take in nothing more, handle what waits, and end; what still runs after `grace` is killed."""
        tree, node = self.tree, self.node
        waiter = tree.backend.future()
        self._waiters.append(waiter)
        if self.mailbox.refusal not in (None, "leaving"):  # somebody has decided what follows, and how long it may take
            return waiter
        self.patient = self.mailbox.drains = True
        self.mailbox.refuse("leaving")
        within = (self.pool.worker.spec.seconds or DEFAULT_SECONDS) if grace is None else grace
        if node is not None:
            node.step(node.machine.stop, tree.backend.now(), mode=StopMode.RESTART, reason=NORMAL, cause=Cause.SELF)
            if self.node is node and within < math.inf:
                self._cancel_timer()
                self.timer: Handle | None = tree.backend.call_at(tree.backend.now() + within, node.kill_all)
        return waiter

    def _kill_workers(self) -> None:
        for place in [*self.places.values()]:
            place.kill()

    async def resize(self, size: int) -> None:
        """Have so many workers: new ones are started, and the last ones stopped, after what they have in hand.

        If its caller is cancelled, no other one is stopped, and the pool keeps those that it has then.
        """
        resized = self.pool.with_size(size)
        if self.node is not None:
            for name in self.places:
                if int(name) > size:
                    admin.check_deadlock(self, name)  # before anything is changed
        self.description: Description = resized
        if self.node is None:
            self._forget_surplus()
        while (node := self.node) is not None:
            missing = next((name for name, _ in self.description.named() if name not in self.places), None)
            surplus = self._retire()
            if missing is None and not surplus:
                return
            with suppress(ChildAlreadyStarted, ChildAlreadyPresent, ChildNotFound):  # somebody else resizes it, too
                if missing is not None:
                    await admin.add(self, missing, self.pool.worker, keyed=False, worker=True)
                else:
                    await self._remove(surplus[-1])
            if self.node is not node:
                raise SupervisorNotRunning(self.path, ": it has ended meanwhile, and begins its next life with its new size")

    async def _remove(self, name: str) -> None:
        """Stop a worker that is too many, and forget it."""
        aim = self.description
        try:
            await admin.remove(self, name)
        except self.tree.backend.cancelled:  # it goes all the same, but nobody sees to the others
            if self.description is aim:
                self.description = self.pool.with_size(max(self.pool.size, int(name) - 1))
                self._retire()
            raise

    def _forget_surplus(self) -> None:
        """Of a pool that doesn't run."""
        for name in self._retire():
            place = self.places.pop(name)
            place.forget()
            self.gone: Account = self.gone.plus(place.account())

    def _retire(self) -> list[str]:
        """The workers that are too many. They take nothing more from now on, all at once; each is removed in its turn."""
        surplus: list[str] = []
        for name, place in self.places.items():
            mailbox = cast(WorkerPlace, place).mailbox
            assert isinstance(mailbox, WorkerMailbox)
            mailbox.retires = int(name) > self.pool.size
            if mailbox.retires:
                surplus.append(name)
            else:
                mailbox.wake()
        self.mailbox.wake()
        if self.node is not None:
            for name in surplus:
                self.tree.registry.went_down(self.node, name)
        return surplus


def pool_place(branch: BranchPlace, key: str | Pool[Any]) -> PoolPlace:
    """That of the pool under a path or a key. Raises `InvalidSpec` for what is no pool, and what `find` does."""
    place = branch.tree.registry.place(branch, key)
    if not isinstance(place, PoolPlace):
        raise InvalidSpec("resize", "key", key, "that is no pool: give what pool() returned, or its path")
    return place
