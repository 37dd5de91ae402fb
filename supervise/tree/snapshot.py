"""How a tree is, as values: live, ready, and one line for each child.

- *Live*: the tree runs, which it does while it starts and stops, too. What isn't live is worth a restart of the process.
- *Ready*: all that is required is up, and the tree isn't stopping. A stop turns it off before the first message is refused,
  since the tree knows that it ends before any child hears of it.
- *Degraded*: something is down that isn't required: a child with `required=False`, or anything below a supervisor with it,
  or a child of a dynamic supervisor, unless it says `required=True`.

A child that has finished (transient, and it ended in an orderly way; or it ignored its start) is as it should be.

How long the oldest message waits isn't told: that would take a look at the clock for each message that is sent, a tenth of
its whole cost. `queued` is free, and `await address.ping()` tells how long an actor takes to look around.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from supervise.actor.incarnation import Incarnation
from supervise_strategies.child_state import ChildState
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.supervisor_state import Phase

from .branch import BranchPlace, Place
from .place import ActorPlace
from .pool_place import PoolPlace
from .running import RunningSupervisor
from .supervisor import Runnable

if TYPE_CHECKING:
    from supervise_strategies.child_state import Slot

    from .node import Node

Source: TypeAlias = RunningSupervisor | Runnable

CONNECTING: Final = "connecting"
OPTIONAL: Final = 1000
"""Of what isn't required, so many are looked at to know whether a tree is degraded: half a millisecond."""


@dataclass(frozen=True, slots=True)
class ChildHealth:
    """How one actor, pool or supervisor is; `health(app).children` has one for each.

    A pool is one child: its workers aren't told of by themselves. `state` is starting, connecting
    (a link that hasn't heard from its other side yet), running, stopping, stopped, finished,
    restarting (it waits for its backoff, too) or unstoppable. `finished` is well: nobody wants it
    to run.

        required: Whether the tree isn't ready while it is down. What is below an optional
            supervisor is optional.
        restarts: Because of its own ends, since its supervisor started.
        restarts_left: That its limit (its own, or its supervisor's) allows now.
        backoff: Seconds until it comes back, if it waits for that; else None.
        queued: Messages that wait; 0 for a supervisor.
        last_error: Why it last ended abnormally, since its supervisor started; empty if it
            didn't.
        workers, workers_up: Of a pool: how many it is to have, and how many are ready for
            messages.

        >>> async with Supervisor("app", child(list, name="cart")) as app:
        ...     found = health(app).children[0]
        >>> print(found)
        app/cart is running
        >>> found.restarts_left, found.queued
        (3, 0)
    """

    path: str
    kind: Literal["actor", "supervisor", "pool"]
    required: bool
    """Whether the tree isn't ready while it is down; what is below an optional supervisor is optional."""
    state: str
    """starting, connecting, running, stopping, stopped, finished, restarting (it waits for its backoff, too), unstoppable."""
    incarnation: int
    restarts: int
    """Because of its own ends, since its supervisor started."""
    restarts_left: int
    """That its limit (its own, or its supervisor's) allows now."""
    backoff: float | None
    """Seconds until it comes back, if it waits for that."""
    queued: int
    """Messages that wait; 0 for a supervisor."""
    paused: bool
    last_error: str
    """Why it last ended abnormally, since its supervisor started; empty if it didn't."""
    workers: int = 0
    """Of a pool: how many it is to have. A pool is one child; its workers aren't told of by themselves."""
    workers_up: int = 0
    """How many of them are ready for messages. One is enough for a pool to be up; with less than all it is degraded."""

    @property
    def well(self) -> bool:
        """Whether it is as it should be; a pool, if it has a worker that is up."""
        return _is_well(self.state, self.workers_up if self.kind == "pool" else None)

    @property
    def whole(self) -> bool:
        """Whether all workers of a pool are up."""
        return _is_well(self.state, self.workers_up if self.kind == "pool" else None, self.workers)

    def __str__(self) -> str:
        if self.kind == "pool" and self.state == "running":
            return f"{self.path} has {self.workers_up} of {self.workers} workers"
        more = f" in {self.backoff:.3g} s" if self.backoff else ""
        return f"{self.path} is {self.state}{more}{f': {self.last_error}' if self.last_error and not self.well else ''}"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a tree lives and can be sent work; made by `readiness`.

    `live` is true while it starts and stops, too: what isn't live is worth a restart of the
    process. `why` says in words what is in the way of `ready`. `degraded`: something is down
    that isn't required, as far as the first 1,000 of these tell.

        >>> readiness(Supervisor("app"))
        Readiness(live=False, ready=False, why=("app isn't running",), degraded=False)
    """

    live: bool
    ready: bool
    why: tuple[str, ...] = ()
    degraded: bool = False
    """Whether something is down that isn't required, as far as the first 1,000 of these tell."""


@dataclass(frozen=True, slots=True)
class Health:
    """A whole tree at one instant; made by `health`.

    It holds no actor, and can be kept. `children` is all that is below the root, from the top
    down in start order. `why` has a line for each thing that is in the way of `ready`, or that
    degrades the tree.

        >>> async with Supervisor("app", child(list, name="cart", required=False)) as app:
        ...     await app.terminate_child("cart")
        ...     print(health(app))
        app: ready, degraded
          app/cart is stopped
    """

    name: str
    live: bool
    ready: bool
    degraded: bool
    why: tuple[str, ...]
    """What is in the way of ready, and what degrades it, a line each."""
    children: tuple[ChildHealth, ...] = ()
    """All that is below the root, from the top down in start order."""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        word = "ready" if self.ready else "live" if self.live else "down"
        return "\n".join([f"{self.name}: {word}{', degraded' if self.degraded else ''}", *(f"  {line}" for line in self.why)])


def health(source: Source, /) -> Health:
    r"""How a tree is now, with each child of it.

    `source` is what `async with` yields, or the description, which may not run at all. A nested
    supervisor's handle tells of that part alone. It takes some 10 µs for each child, in the
    tree's own thread: what is asked every second gets `readiness`. Raises `InvalidSpec` for
    what is no tree.

        >>> async with Supervisor("app", child(list, name="cart"), pool(dict, size=2, name="packers")) as app:
        ...     found = health(app)
        ...     print(found, *found.children, sep="\n")
        app: ready
        app/cart is running
        app/packers has 2 of 2 workers
    """
    app = _running(source)
    if app is None:
        return Health(source.name, False, False, False, (f"{source.name} isn't running",))
    children = tuple(_children(app._branch, True, everything=True))
    found = _judge(app, [child for child in children if child.required and not child.well])
    lost = [str(child) for child in children if not child.whole and not (child.required and not child.well)]
    return Health(app.path, found.live, found.ready, bool(lost), (*found.why, *lost), children)


def readiness(source: Source, /) -> Readiness:
    """Whether a tree is live and ready now, and whether it is degraded.

    A stop turns `ready` off before the first message is refused. Of what isn't required only
    the first 1,000 are looked at, so many sessions cost nothing much. Raises `InvalidSpec` for
    what is no tree.

        >>> app = Supervisor("app", child(list, name="cart"))
        >>> async with app:
        ...     readiness(app)
        Readiness(live=True, ready=True, why=(), degraded=False)
        >>> readiness(app).why
        ("app isn't running",)
    """
    app = _running(source)
    if app is None:
        return Readiness(False, False, (f"{source.name} isn't running",))
    found = _judge(app, [child for child in _children(app._branch, True, everything=False) if not child.well])
    return replace(found, degraded=_is_degraded(app._branch))


def _is_degraded(root: BranchPlace) -> bool:
    """Whether any of what isn't required is down, or a pool has fewer workers than it is to have."""
    needed, left = {root: True}, OPTIONAL
    for place in root.walk(lambda below: not isinstance(below, PoolPlace)):
        above = place.above or root
        required = needed[above] and is_required(place, above)
        if isinstance(place, BranchPlace):
            needed[place] = required
        if required and not isinstance(place, PoolPlace):
            continue
        state = state_of(place, above)
        if not is_whole(place, state) and (not required or is_well(place, state)):
            return True
        left -= not required
        if left == 0:
            break
    return False


def is_live(source: Source, /) -> bool:
    """Whether a tree runs now, and nothing else: no child is looked at."""
    app = _running(source)
    return app is not None and app._branch.tree.ended is None


def _running(source: Source) -> RunningSupervisor | None:
    if isinstance(source, RunningSupervisor):
        return source
    if isinstance(source, Runnable):
        return source.running
    raise InvalidSpec("health", "source", source, "a running tree, or the Supervisor that describes it")


def _judge(app: RunningSupervisor, missing: list[ChildHealth]) -> Readiness:
    tree = app._branch.tree
    if tree.ended is not None:
        return Readiness(False, False, (f"{app.path} has ended: {tree.ended}",))
    word = what_is_amiss(app._branch)
    why = [*([f"{app.path} is {word}"] if word else ()), *map(str, missing)]
    return Readiness(True, not why, tuple(why))


def what_is_amiss(branch: BranchPlace) -> str:
    """What keeps a supervisor from being ready, whatever its children are: a word, empty if nothing does."""
    node, tree = branch.node, branch.tree
    if tree.ended is not None:
        return "over"
    if tree.ending.is_set() or (node is not None and node.machine.phase in (Phase.STOPPING, Phase.DONE)):
        return "stopping"
    if node is None:
        return "down"
    return "" if node.ready else "starting"


def _children(branch: BranchPlace, required: bool, *, everything: bool) -> Iterator[ChildHealth]:
    needed = {branch: required}

    def into(below: BranchPlace) -> bool:
        return not isinstance(below, PoolPlace) and (needed[below] or everything)

    for place in branch.walk(into):
        above = place.above or branch
        this = needed[above] and is_required(place, above)
        if isinstance(place, BranchPlace):
            needed[place] = this
        if this or everything:
            yield _child(place, above, this)


def is_required(place: Place, above: BranchPlace) -> bool:
    """Whether the supervisor above it isn't ready while it is down, if that one is required itself."""
    if isinstance(place, BranchPlace):
        return place.description.required
    said = place.child.required
    return not above.description.spec.dynamic if said is None else said


def state_of(place: Place, above: BranchPlace) -> str:
    """Where it stands, in the words of `ChildHealth.state`. It may be asked for in another thread."""
    node = above.node
    return state_in(node, None if node is None else node.machine.slot(place.name), place)


def state_in(node: Node | None, slot: Slot | None, place: Place) -> str:
    """The same, for who has what its supervisor keeps of it."""
    if node is None or slot is None:  # its supervisor is down
        return "stopped"
    if slot.is_finished:
        return "finished"
    if slot.state is ChildState.STOPPED and node.machine.phase is Phase.STARTING:
        return "starting"  # its turn comes
    if slot.state is ChildState.RUNNING and isinstance(place, ActorPlace):
        life = place.mailbox.turn
        if isinstance(life, Incarnation) and life.extras.connecting:
            return CONNECTING
    return slot.state.value


def is_well(place: Place, state: str) -> bool:
    """As `ChildHealth.well`."""
    return _is_well(state, len(place.mailbox.up) if isinstance(place, PoolPlace) else None)


def is_whole(place: Place, state: str) -> bool:
    """As `ChildHealth.whole`."""
    if isinstance(place, PoolPlace):
        return _is_well(state, len(place.mailbox.up), place.pool.size)
    return _is_well(state, None)


def _is_well(state: str, workers_up: int | None, wanted: int = 1) -> bool:
    """`workers_up`: of a pool, which needs that many to be so; None of anything else."""
    if state == "finished":
        return True
    return state == "running" and (workers_up is None or workers_up >= max(1, wanted))


def _child(place: Place, above: BranchPlace, required: bool) -> ChildHealth:
    kind: Literal["actor", "supervisor", "pool"] = "actor"
    workers = up = 0
    if isinstance(place, PoolPlace):
        kind, workers, up = "pool", place.pool.size, len(place.mailbox.up)
        path, queued, paused = place.path, place.mailbox.waiting, place.mailbox.extras.paused
    elif isinstance(place, ActorPlace):
        path, queued, paused = place.mailbox.path, place.mailbox.waiting, place.mailbox.extras.paused
    else:
        kind, path, queued, paused = "supervisor", place.path, 0, False
    node = above.node
    slot = None if node is None else node.machine.slot(place.name)
    if node is None or slot is None:  # its supervisor is down
        return ChildHealth(path, kind, required, "stopped", place.number, 0, 0, None, queued, paused, "", workers, up)
    now = above.tree.backend.now()
    last = slot.past.last
    return ChildHealth(
        path,
        kind,
        required,
        state_in(node, slot, place),
        slot.number,
        slot.past.restarts,
        node.machine.left(place.name, now),
        None if slot.due is None else max(0.0, slot.due - now),
        queued,
        paused,
        "" if last is None else str(last),
        workers,
        up,
    )
