"""The calls of a task that reads a stream, to the actor that now waits for it: they came before that wait, and end with it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from supervise._backends import fail
from supervise.errors import CallCycle

from .call_cycle import runs_beside, waits
from .envelope import Envelope, awaited_of, message_of

if TYPE_CHECKING:
    from supervise._backends import Future

    from .lane import Lane
    from .streamed_reply import StreamedReply
    from .turn import Turn


def end_calls_of_reader(turn: Turn, stream: StreamedReply, seen: int) -> int:
    """A generator begins to wait, in its actor's turn: end what its reader waits for there, since nobody will handle that.

    `seen`: how many messages had come when this was last asked, so that each is looked at once for each stream; the answer is
    how many it is now. Who calls reads nothing meanwhile, so what was looked at can't be another reader's.
    """
    mailbox = turn.mailbox
    if stream.reader_turn is not None:
        _end_chain(turn, stream.reader_turn)
        return seen
    came = sum(lane.accepted for lane in mailbox.lanes)
    for lane in mailbox.lanes:
        for pending in (*_newest(lane, came - seen), *_for_room(lane)):
            if mailbox.backend.waits_for(stream.reader, pending):
                _end(lane, pending, [mailbox.path], reader=True)
                return came
    return came


def _end_chain(turn: Turn, reader: Turn) -> None:
    """The reader is an actor's own task: follow what it waits for."""
    path = [turn.mailbox.path, reader.mailbox.path]
    at: Turn = reader
    seen: set[Turn] = set()  # as in call_cycle: who has room by now, and hasn't run since, may be in a ring of its own
    while at not in seen and waits(at) and at.awaits is not None and at.pending is not None:
        seen.add(at)
        if at.awaits.mailbox is turn.mailbox:
            _end(at.awaits, at.pending, [at.mailbox.path, *path])
            return
        life = at.awaits.mailbox.turn
        following = None if life is None else life.handling(at.pending)
        if life is None or following is None or (life.exclusive and runs_beside(life, at.pending)):
            return
        at = following
        path.append(at.mailbox.path)


def _newest(lane: Lane, most: int) -> Iterable[Future]:
    queue: Any = lane.queue
    envelopes: Iterable[Envelope] = queue
    if most < len(queue) and hasattr(queue, "__reversed__"):  # one of the user's own has an order of its own
        envelopes = islice(reversed(queue), max(0, most))
    return [pending for envelope in envelopes if (pending := awaited_of(envelope)) is not None]


def _for_room(lane: Lane) -> Iterable[Future]:
    return () if lane.waiting_senders is None else [room for room, _, _ in lane.waiting_senders.line]


def _end(lane: Lane, pending: Future, cycle: list[str], *, reader: bool = False) -> None:
    """Whoever waits for this gets CallCycle, now."""
    found = [envelope for envelope in lane.queue if awaited_of(envelope) is pending]
    error = CallCycle(cycle, message_of(found[0]) if found else None, reader=reader)
    if found and found[0][3] is pending:
        lane.mailbox.failed += len(lane.take_out(lambda envelope: envelope[3] is pending))
        lane.fail(pending, error)
        lane.admit()
        return
    fail(pending, error)  # of the next item, or of its room, for which it then waits no longer
