"""What a person does to a tree that runs: said as an event, with who asked, and never taken for a crash."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from supervise.events import Asked
from supervise_strategies.errors import ChildNotFound, InvalidSpec
from supervise_strategies.intensity import Intensity, check_intensity
from supervise_strategies.restart import Restart, RestartName, RestartType, as_restart, no_restart

from . import admin
from .branch import BranchPlace, Place
from .place import ActorPlace
from .pool_place import PoolPlace, pool_place

if TYPE_CHECKING:
    from .child import Child
    from .description import Description
    from .pool import Pool


class Operator:
    """One person's hand on a supervisor: `app.operator("ada")`.

    Each method takes a path relative to the supervisor, or the described child. It publishes an
    `Asked` event when it has found the child, and then does it. Nothing of it is a crash: no
    restart is counted, no decision made, no backoff grows.

    As all calls that change a tree they wait for a start or stop under way, and an actor can't
    wait for its own end. All raise `ChildNotFound`, and `SupervisorNotRunning` when the child's
    supervisor is down.

    >>> async with Supervisor("app", child(list, name="names"), listener=print) as app:
    ...     await app.operator("ada").restart("names")
    app/names #1 started
    app #1 started
    app/names: ada asks to restart it
    app/names #1 ended: shutdown
    app/names #2 started
    True
    app/names #2 ended: shutdown
    app #1 ended: shutdown
    """

    __slots__ = ("_branch", "who")

    def __init__(self, branch: BranchPlace, who: str) -> None:
        if not isinstance(who, str) or not who.strip():
            raise InvalidSpec("operator", "who", who, "the name of who asks, e.g. 'ada': events and logs say it")
        self._branch = branch
        self.who: str = who

    def __repr__(self) -> str:
        return f"<Operator {self.who} of {self._branch.path}>"

    def pause(self, key: str | Child[Any] | Pool[Any]) -> None:
        """Have an actor begin no further message; it keeps accepting. Returns at once.

        It outlasts restarts, until `resume`.
        """
        place = self._actor(key)
        with self._does(place, "pause", "pause it"):
            place.mailbox.pause()

    def resume(self, key: str | Child[Any] | Pool[Any]) -> None:
        """Have a paused actor go on. Idempotent."""
        place = self._actor(key)
        with self._does(place, "resume", "resume it"):
            place.mailbox.resume()

    async def resize(self, key: str | Pool[Any], size: int) -> None:
        """Have so many workers in a pool: see `RunningSupervisor.resize`."""
        self._branch.check_here()
        place = pool_place(self._branch, key)
        place.pool.with_size(size)  # InvalidSpec before anything is said
        with self._does(place, "resize", f"have {size} workers"):
            await place.resize(size)

    async def stop(self, key: str | Child[Any] | Description) -> None:
        """Stop a child and leave it listed; its siblings run on.

        A temporary one, or a dynamic supervisor's, is forgotten. Raises `ChildUnstoppable` if it
        outlives its cancellation.
        """
        place, branch = self._child(key)
        with self._does(place, "stop", "stop it"):
            await admin.terminate(branch, place.name, by_name=False)  # of a dynamic supervisor, too, which takes no names

    async def start(self, key: str | Child[Any] | Description) -> bool:
        """Start a child that is stopped, on its mailbox. False: its factory ignored the start.

        Raises `ChildRunning`, `ChildRestarting`, `ChildStartFailed`, `NotForDynamic`.
        """
        place, branch = self._child(key)
        with self._does(place, "start", "start it"):
            return await admin.restart(branch, place.name)

    async def restart(self, key: str | Child[Any] | Description) -> bool:
        """Stop a child in order and start it again.

        What waits in its mailbox stays, and no sibling is touched. One that waits for its backoff
        is restarted now, with its group, and this doesn't wait until it is ready. It returns False
        if its factory ignored the start.

        Raises `ChildTemporary` and `NotForDynamic`, since both are forgotten when they stop;
        `ChildStartFailed`, and it stays stopped; `ChildUnstoppable`.
        """
        place, branch = self._child(key)
        admin.check_deadlock(branch, place.name)
        name = place.name
        with self._does(place, "restart", "restart it"):
            return bool(await admin.ask(branch, lambda node, ticket, now: node.machine.renew_child(name, ticket, now)))

    async def change(
        self,
        key: str | Child[Any] | Description,
        *,
        restart: Restart | RestartName | None = None,
        limit: Intensity | None = None,
    ) -> None:
        """Give a child another restart policy, another limit of its own, or both.

        A policy is type, `wait=`, `stop=` and `when=`. It holds from the child's next end on. It
        isn't written down anywhere: when its supervisor is itself restarted, what the description
        says holds again. Raises `InvalidSpec` for what the child couldn't have been described with.
        """
        place, branch = self._child(key)
        who = f"child {place.name!r}"
        said: list[str] = []
        policy: Restart | None = None
        if restart is not None:
            policy = as_restart(restart)
            if not isinstance(policy, Restart):
                raise no_restart(who, restart)
            if isinstance(place, ActorPlace) and place.mailbox.lifetime is not None and policy.type is RestartType.PERMANENT:
                cure = "its end by its addresses is a normal one: make it transient or temporary"
                raise InvalidSpec(who, "restart", restart, cure)
            said.append(f"change its restart to {policy}")
        if limit is not None:
            check_intensity(who, "limit", limit)
            said.append(f"change its limit to {limit}")
        if not said:
            raise InvalidSpec(who, "change", None, "say what: restart=…, limit=…, or both")
        name = place.name
        with self._does(place, "change", " and ".join(said)):
            await admin.ask(
                branch,
                lambda node, ticket, now: node.machine.change_child(name, ticket, now, restart=policy, limit=limit),
            )

    async def change_intensity(self, intensity: Intensity) -> None:
        """Give this supervisor itself another restart intensity.

        Restarts that were counted stay counted. It holds until the supervisor is itself restarted.
        Raises `InvalidSpec` for anything but an `Intensity`.
        """
        check_intensity(f"supervisor {self._branch.name!r}", "intensity", intensity)
        self._branch.running_node()
        with self._does(self._branch, "change", f"change its intensity to {intensity}"):
            await admin.ask(self._branch, lambda node, ticket, now: node.machine.change_intensity(intensity, ticket, now))

    def _child(self, key: Any) -> tuple[Place, BranchPlace]:
        """The child's place, and that of its supervisor, which runs."""
        place = self._branch.tree.registry.place(self._branch, key)
        node = place.node if isinstance(place, ActorPlace) else place.parent
        if node is None:
            raise ChildNotFound(place.name, "; it is the root: stop() ends it")
        node.branch.running_node()
        return place, node.branch

    def _actor(self, key: Any) -> ActorPlace | PoolPlace:
        self._branch.check_here()
        place = self._branch.tree.registry.place(self._branch, key)
        if not isinstance(place, ActorPlace | PoolPlace):
            raise InvalidSpec("operator", "key", key, "that is a supervisor, and has no mailbox: name one of its actors")
        return place

    @contextmanager
    def _does(self, place: Place, what: str, in_words: str) -> Generator[None]:
        """Say it; what is done in the block comes of it."""
        instrument = place.instrument if isinstance(place, BranchPlace) else place.mailbox.instrument
        with nullcontext() if instrument is None else instrument.asked_by(self.who, what, in_words):
            self._branch.tree.bus.publish(Asked(place.path, self.who, in_words))
            yield
