"""One actor, pool or supervisor at one instant, as plain values: what a row of the live table holds."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from supervise.mailbox.call_cycle import waits
from supervise.message import name_of, short_name_of
from supervise.tree.branch import BranchPlace
from supervise.tree.place import ActorPlace
from supervise.tree.pool_place import PoolPlace
from supervise.tree.snapshot import state_in
from supervise.tree.traffic import traffic_of
from supervise_strategies.exception import interrupts
from supervise_strategies.kind import is_of, kind_of, name_of_kind
from supervise_strategies.text import one_line

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox
    from supervise.tree.branch import Place
    from supervise.tree.traffic import Traffic

LONGEST: Final = 200
"""Characters of one text in a row, as that of an exception."""
HANDS: Final = 3
"""Handlers in hand that are named, of an actor whose handlers run beside each other."""


class Row(NamedTuple):
    """One actor, pool or supervisor. Instants are of the tree's clock; counts are since its place in the tree was made."""

    path: str
    kind: str = "actor"
    """actor, pool or supervisor."""
    type: str = ""
    """The class of the live actor, before there is one its factory; of a pool its workers', of a supervisor its strategy."""
    state: str = "running"
    """As `ChildHealth.state`; unknown: it can't be looked at."""
    required: bool = True
    """Whether the tree isn't ready while it is down."""
    life: int = 1
    restarts: int = 0
    """Because of its own ends, since its supervisor started; of a supervisor those below it that still count."""
    limit: int | None = None
    """How many are allowed within its period, of a supervisor, or of a child with a limit of its own."""
    due: float | None = None
    """When it comes back, if it waits for that."""
    queued: int = 0
    capacity: int | None = None
    """Messages that one of its lanes holds; null: there is no bound, or it is a supervisor."""
    senders: int = 0
    """Who waits for room."""
    paused: bool = False
    hand: tuple[str, ...] = ()
    """The handlers that are at work."""
    hand_since: float | None = None
    """The message in hand has been there since then at least."""
    oldest_since: float | None = None
    """The oldest message that waits has waited since then at least."""
    waits_for: str = ""
    """The path of the actor whose answer, or whose room, it waits for."""
    error: str = ""
    """Why it last ended abnormally, since its supervisor started."""
    accepted: int = 0
    handled: int = 0
    failed: int = 0
    dead_lettered: int = 0
    abandoned: int = 0
    workers: int = 0
    """Of a pool: how many it is to have."""
    workers_up: int = 0
    children: int = 0
    """Of a supervisor: how many it has."""
    max_children: int | None = None
    """How many it may have, if it is dynamic and there is a limit."""
    cpu: float | None = None
    """The share of a core that its handlers take, by samples; null: it isn't known."""
    far: str = ""
    """Of a link: who is at its other end; empty: it isn't connected, or is no link."""
    open_calls: int = 0
    """Of a link: calls that went out by it, and have no answer yet."""
    taken_calls: int = 0
    """Of a link: calls that came in by it, and have no answer yet."""
    unconfirmed: int = 0
    """Of a link: sends that went out by it, and aren't known to be in a mailbox."""
    credit: float | None = None
    """Of a link: the share of its credit that is used, of the kind of message that is nearest to having none left."""

    @property
    def well(self) -> bool:
        """Whether it is as it should be."""
        if self.kind == "pool" and self.state == "running":
            return self.workers_up >= max(1, self.workers)
        return self.state in ("running", "finished")

    @property
    def idle(self) -> bool:
        """Whether there is nothing to tell of it: it is well, does nothing, and never was otherwise."""
        at_rest = not (self.queued or self.hand or self.paused or self.senders)
        return at_rest and self.life <= 1 and self.state == "running"

    def badness(self) -> tuple[int, float, int, int]:
        """What comes first where there is room for the worst alone."""
        alarms = (not self.well) * 8 + (self.senders > 0) * 4 + (self.paused * 2) + bool(self.waits_for)
        fullness = self.queued / self.capacity if self.capacity else 0.0
        return alarms, fullness, self.queued, self.restarts

    def as_dict(self) -> dict[str, Any]:
        """Without what has its usual value: most of an idle actor's."""
        return {key: value for key, value, usual in zip(FIELDS, self, _USUAL, strict=True) if value != usual}


FIELDS: Final = Row._fields
_USUAL: Final = Row("")


def row_of(place: Place, above: BranchPlace, required: bool, now: float) -> Row:
    """It now, in the tree's thread. Raises nothing: where what a user's own class says can't be had, that is left out."""
    try:
        return _row(place, above, required, now)
    except BaseException as error:
        if interrupts(error):
            raise
        return Row(place.path, state="unknown", required=required, error=f"it can't be looked at: {name_of_kind(type(error))}")


def _row(place: Place, above: BranchPlace, required: bool, now: float) -> Row:
    node = above.node
    slot = None if node is None else node.machine.slot(place.name)
    state = state_in(node, slot, place)
    restarts, limit, due, error, life = 0, None, None, "", place.number
    if slot is not None:
        due, life = slot.due, slot.number
        limit = None if slot.spec.limit is None else slot.spec.limit.restarts
        if slot.history is not None:
            restarts, last = slot.history.restarts, slot.history.last
            error = "" if last is None else one_line(str(last), LONGEST)
    if isinstance(place, BranchPlace) and not isinstance(place, PoolPlace):
        return supervisor_row(place, state, required, life)._replace(due=due, error=error)
    mailbox: Mailbox = place.mailbox
    workers = up = 0
    kind = "actor"
    if isinstance(place, PoolPlace):
        kind, workers, up = "pool", place.pool.size, len(place.mailbox.up)
        account = place.mailbox.account()
    else:
        account = place.account()
    turn = mailbox.turn
    hand: tuple[str, ...] = ()
    waits_for = ""
    if turn is not None and kind == "actor" and account.in_hand:
        hand = tuple([name_of(envelope[0]) for _, envelope in turn.held()[:HANDS]])
        if turn.awaits is not None and waits(turn):
            waits_for = turn.awaits.mailbox.path
    senders = 0
    for lane in mailbox.lanes:
        if lane.waiting_senders is not None:
            senders += len(lane.waiting_senders.line) + len(lane.reservations)
    capacity = mailbox.options.capacity
    row = Row(
        mailbox.path,
        kind,
        type_of(place),
        state,
        required,
        life,
        restarts,
        limit,
        due,
        mailbox.waiting,
        None if capacity == math.inf else int(capacity),
        senders,
        mailbox.extras.paused,
        hand,
        None,
        None,
        waits_for,
        error,
        account.accepted,
        account.handled,
        account.failed,
        account.dead_lettered,
        account.abandoned,
        workers,
        up,
    )
    traffic = traffic_of(mailbox)
    return row if traffic is None else _with_traffic(row, traffic)


def _with_traffic(row: Row, traffic: Traffic) -> Row:
    """A link's: who waits for credit waits for room over there."""
    return row._replace(
        senders=row.senders + traffic.waiting,
        far=one_line(traffic.far, LONGEST),
        open_calls=traffic.open_calls,
        taken_calls=traffic.taken_calls,
        unconfirmed=traffic.unconfirmed,
        credit=traffic.used,
    )


def supervisor_row(branch: BranchPlace, state: str, required: bool, life: int) -> Row:
    """Of a supervisor: how it restarts, and how much of that is left."""
    node = branch.node
    spec = branch.description.spec if node is None else node.machine.spec
    return Row(
        branch.path,
        "supervisor",
        "dynamic" if spec.dynamic else spec.strategy.value,
        state,
        required,
        life,
        0 if node is None else spec.intensity.restarts - node.machine.left(None, branch.tree.backend.now()),
        spec.intensity.restarts,
        children=len(branch.places),
        max_children=None if math.isinf(spec.max_children) else int(spec.max_children),
    )


def type_of(place: Place) -> str:
    """What the actor there is called among others of its kind."""
    if isinstance(place, PoolPlace):
        return _factory_name(place.pool.worker.factory)
    if isinstance(place, ActorPlace):
        incarnation = place.incarnation
        instance = None if incarnation is None else incarnation.instance
        return _factory_name(place.child.factory) if instance is None else one_line(name_of_kind(kind_of(instance)), LONGEST)
    return "supervisor"


def _factory_name(factory: Any) -> str:
    while is_of(factory, functools.partial):
        factory = factory.func
    return one_line(short_name_of(factory), LONGEST)
