"""All that is read of running trees for one collection, in one walk, in the reader's thread, while they go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from supervise.mailbox.account import Account
from supervise.tree.branch import BranchPlace, Place
from supervise.tree.place import ActorPlace
from supervise.tree.pool_place import PoolPlace
from supervise.tree.snapshot import is_required, is_well, is_whole, state_of, what_is_amiss
from supervise.tree.traffic import traffic_of

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox
    from supervise.tree.tree import Tree

    from .kinds import Kinds

STATES: Final = ("starting", "running", "restarting", "stopping", "stopped")
_STATES: Final = {"connecting": "starting", "finished": "stopped", "unstoppable": "stopping"}
NOTHING: Final = Account()


class Census:
    """Everything is by type of actor. What is told of one that is just changing may be an instant old."""

    __slots__ = (
        "_found",
        "accounts",
        "actors",
        "degraded",
        "fullness",
        "link_credit",
        "links",
        "ready",
        "restartable",
        "strategies",
        "waiting",
        "waiting_senders",
    )

    def __init__(self, trees: Iterable[Tree], kinds: Kinds) -> None:
        self.actors: Counter[tuple[str, str]] = Counter()
        self.waiting: Counter[str] = Counter()
        self.waiting_senders: Counter[str] = Counter()
        self.fullness: dict[str, float] = {}
        """Of the mailbox that is nearest to being full."""
        self.links: Counter[str] = Counter()
        """Of all links together: `connected`, `connecting`, and as `Traffic` has it what is under way over them."""
        self.link_credit: float = 0.0
        """The share that is used of the credit that is nearest to being used up."""
        self._found: dict[str, list[Account]] = {}
        self.restartable: set[tuple[str, str]] = set()
        """Types, each with the strategy of a supervisor above it."""
        self.strategies: set[str] = set()
        self.ready: bool = False
        """Whether a tree runs, and all that run are ready."""
        self.degraded: bool = False
        for number, tree in enumerate(trees):
            ready = self._read(tree, kinds)
            self.ready = ready and (self.ready or number == 0)
        self.accounts: dict[str, Account] = {kind: _sum(found) for kind, found in self._found.items()}
        self._found.clear()

    def _read(self, tree: Tree, kinds: Kinds) -> bool:
        root = tree.root
        ready = not what_is_amiss(root)
        down = False
        needed: dict[BranchPlace, bool] = {root: True}
        self.strategies.add(root.description.spec.strategy.value)
        for place in root.walk():
            try:
                above = place.above or root
                required = needed[above] and is_required(place, above)
                if isinstance(place, BranchPlace):
                    needed[place] = required
                state = state_of(place, above)
                if not isinstance(above, PoolPlace):  # a pool is one thing: its workers aren't judged by themselves
                    well = is_well(place, state)
                    ready = ready and (well or not required)
                    down = down or (not is_whole(place, state) and not (required and not well))
                self._count(place, above, state, kinds)
            except Exception:  # what a mailbox holds may be somebody's own, and it may be gone meanwhile
                continue
        self.degraded = self.degraded or (down and tree.ended is None)
        return ready

    def _count(self, place: Place, above: BranchPlace, state: str, kinds: Kinds) -> None:
        kind = kinds.of(place)
        strategy = above.description.spec.strategy.value
        self.restartable.add((kind, strategy))
        if isinstance(place, BranchPlace):
            self.strategies.add(place.description.spec.strategy.value)
            if not isinstance(place, PoolPlace):
                return
        elif above.node is None and not _is_over(above):
            self.actors[kind, "restarting"] += 1
        else:
            self.actors[kind, _STATES.get(state, state)] += 1
        self._count_messages(place.mailbox, kind)
        if kinds.is_known(place):  # else it would be counted under another name soon, once more
            own = place.own_account() if isinstance(place, PoolPlace) else place.account()
            self._found.setdefault(kind, []).append(own)

    def _count_messages(self, mailbox: Mailbox, kind: str) -> None:
        self.waiting[kind] += mailbox.waiting
        fullness = 0.0
        for lane in mailbox.lanes:
            if lane.waiting_senders is not None:
                self.waiting_senders[kind] += len(lane.waiting_senders.line) + len(lane.reservations)
            fullness = max(fullness, len(lane.queue) / mailbox.options.capacity)
        self.fullness[kind] = max(self.fullness.get(kind, 0.0), fullness)
        traffic = traffic_of(mailbox)
        if traffic is not None:
            self.links["connected" if traffic.far else "connecting"] += 1
            self.links["open_calls"] += traffic.open_calls
            self.links["taken_calls"] += traffic.taken_calls
            self.links["unconfirmed"] += traffic.unconfirmed
            self.links["waiting"] += traffic.waiting
            self.link_credit = max(self.link_credit, traffic.used)


def _sum(accounts: list[Account]) -> Account:
    """As `Account.plus` does, but at once: that is a quarter of a walk."""
    return Account(*map(sum, zip(*accounts, strict=True)))


def _is_over(branch: BranchPlace) -> bool:
    """Whether a supervisor that is down stays so, as far as those above it have decided."""
    above = branch.above
    if above is None:
        return True
    if above.node is None:
        return _is_over(above)
    return state_of(branch, above) in ("stopped", "finished")


def accounts_of(place: Place, kinds: Kinds) -> dict[str, Account]:
    """What became of the messages of an actor that is gone, or of all that were below a supervisor."""
    found: dict[str, Account] = {}
    for each in (place, *(place.walk() if isinstance(place, BranchPlace) else ())):
        if isinstance(each, ActorPlace | PoolPlace):
            kind = kinds.of(each)
            own = each.own_account() if isinstance(each, PoolPlace) else each.account()
            found[kind] = found.get(kind, NOTHING).plus(own)
    return found
