"""A running tree takes another description, and new code, child by child: what stands keeps its mailbox and its address.

Theory of operation
-------------------
- What is described anew is so at once, and whatever is started from then on is made of it: a restart after a crash, too. Old
  keys go on finding what they found, and so do the new ones.
- A child is given new code by a stop and a start that its supervisor does in its turn (`Supervision.reload_child`). So it is no
  crash, and counted nowhere; `Asked` says who wanted it.
- Here nothing is compared or decided: who reloads knows what has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from supervise._backends import answered
from supervise.mailbox.choice import choosing
from supervise.mailbox.mailbox_options import MailboxOptions
from supervise_strategies.child_state import ChildState
from supervise_strategies.errors import AdminError, ChildNotFound, NotForDynamic

from .branch import BranchPlace, Place
from .child import Child
from .operator import Operator
from .place import ActorPlace
from .pool import Pool
from .pool_place import PoolPlace

if TYPE_CHECKING:
    from supervise._backends import Future
    from supervise.mailbox.mailbox import Mailbox

    from .description import Description


class Renewal:
    """The hand of whoever reloads on a running tree. `who` stands in the events."""

    def __init__(self, root: BranchPlace, who: str) -> None:
        self._root = root
        self._who = who

    def place(self, path: tuple[str, ...]) -> Place | None:
        """What stands there now, below the root."""
        place: Place | None = self._root
        for part in path:
            place = place.places.get(part) if isinstance(place, BranchPlace) else None
        return place

    def describe(self, place: Place, description: Child[Any] | Description) -> None:
        """It is described so from now on. It is of the same kind: an actor, a pool or a supervisor, dynamic or not.

        Policies hold from the next end on; what is said of its mailbox, as far as that can change; all else from the next life
        on. Who knows that a supervisor's own children are other ones now starts and removes them.
        """
        self._root.tree.registry.renew(place.key, description)
        if isinstance(place, ActorPlace):
            self._describe_actor(place, cast("Child[Any]", description))
        elif isinstance(place, PoolPlace):
            self._describe_pool(place, cast("Pool[Any]", description))
        else:
            self._describe_branch(place, cast("Description", description))

    def _describe_actor(self, place: ActorPlace, child: Child[Any]) -> None:
        deadlines, was, now = self._root.tree.deadlines, place.child.rules.handler_deadline, child.rules.handler_deadline
        place.child = child
        _describe_mailbox(place.mailbox, child.mailbox_options)
        if was != now and place.incarnation is not None and place.incarnation.running:
            if was is not None:
                deadlines.leave(place, was)
            if now is not None:
                deadlines.enter(place, now)

    def _describe_pool(self, place: PoolPlace, pool: Pool[Any]) -> None:
        size = place.pool.size if place.pool.size != cast("Pool[Any]", place.key).size else pool.size  # it was resized by hand
        place.describe(pool, pool.with_size(size))
        _describe_mailbox(place.mailbox, pool.mailbox_options)
        for worker in place.places.values():
            if isinstance(worker, ActorPlace):
                worker.child = pool.worker
                worker.mailbox.options = pool.worker_options
        self.arrange(place)

    def _describe_branch(self, place: BranchPlace, description: Description) -> None:
        place.description, place.checked = description, None
        self.arrange(place)

    def arrange(self, place: BranchPlace) -> None:
        """Its children are in the order of its description, with all that was started since; others come after them."""
        node = place.node
        if node is not None:
            node.step(node.machine.describe, place.description.spec, self._root.tree.backend.now())
        order = {name: number for number, (name, _) in enumerate(place.description.named())}
        by_order = sorted(place.places.items(), key=lambda item: order.get(item[0], len(order)))
        place.places.clear()
        place.places.update(by_order)

    def ask(self, place: Place) -> Future | None:
        """Ask for a life with its new code; None if it gets none now (`Supervision.reloads`), or its supervisor is down.

        The future says whether it is up with it.
        """
        node = place.node if isinstance(place, ActorPlace) else place.parent
        if node is None or node.branch.node is not node or not node.machine.reloads(place.name):
            return None
        ticket = node.tree.backend.future()
        with Operator(node.branch, self._who)._does(place, "reload", "restart it with its new code"):
            node.step(node.machine.reload_child, place.name, ticket, node.tree.backend.now())
        return ticket

    def add(self, branch: BranchPlace, name: str, description: Child[Any] | Description) -> Future | None:
        """Ask for a child that is described now; None where its supervisor is down, and will start it.

        The future raises what `RunningSupervisor.start` does. One that was asked for, and whose turn hasn't come, is described
        anew.
        """
        node = branch.node
        if node is None:
            return None
        offer = node.offered(name)
        if offer is None:
            offer = node.offer(name, description.spec_as_child(name), description, keyed=True)
        else:
            offer.description, offer.answer = description, node.tree.backend.future()
        return offer.answer

    def remove(self, branch: BranchPlace, name: str) -> list[Future]:
        """Have a child stopped and forgotten; one of a supervisor that is down is forgotten at once, and nobody is to wait.

        The futures raise what `terminate_child` and `delete_child` do.
        """
        node = branch.node
        if node is None or name not in node.machine:
            self._forget(branch, name)
            return []
        backend = node.tree.backend
        stopped, forgotten = backend.future(), backend.future()
        node.step(node.machine.terminate_child, name, stopped, backend.now())
        node.step(node.machine.delete_child, name, forgotten, backend.now())
        info, place = node.machine.child(name), branch.places.get(name)
        if place is not None and info is not None and info.state is ChildState.STARTING:
            place.kill()  # else the calls wait for its start
        return [stopped, forgotten]

    def _forget(self, branch: BranchPlace, name: str) -> None:
        place = branch.places.pop(name, None)
        if place is not None:
            self._root.tree.registry.leave((place,) if isinstance(place, ActorPlace) else (place, *place.walk()))
            place.forget()
            branch.gone = branch.gone.plus(place.account())


async def failure(*tickets: Future | None) -> AdminError | None:
    """Why what was asked for wasn't done; None if it was. One whose supervisor ended meanwhile wasn't."""
    why: AdminError | None = None
    for ticket in tickets:
        try:
            if ticket is not None:
                await answered(ticket)
        except (ChildNotFound, NotForDynamic):  # it is gone already
            pass
        except AdminError as error:
            why = error
    return why


async def is_up(ticket: Future | None) -> bool:
    """Whether who was asked for is up with its new code; False, too, if its supervisor ended meanwhile."""
    if ticket is None:
        return False
    try:
        return bool(await answered(ticket))
    except AdminError:
        return False


def _describe_mailbox(mailbox: Mailbox, options: MailboxOptions) -> None:
    mailbox.options = options
    if options.lanes and callable(options.choice):
        mailbox.extras.choosing = choosing(options.choice, options.lanes, mailbox)
