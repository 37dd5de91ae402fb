"""The actor around one connection of a link: one life is one connection, and a reconnect is its supervisor's restart.

Theory of operation
-------------------
- A life begins by connecting, and until both sides have greeted each other it begins none of its messages (`Incarnation.
  connects`). So what fails to connect never has a message in hand, and what waits goes out in order once a connection is there.
- Its handlers carry messages out. Three kinds of tasks run beside them, in a group of the life's own, which the exit hook
  leaves: the reader, the writer, and an intake for each interface with more than has room.
- The first cause of its end is kept. A lost connection and a broken rule are crashes; GOODBYE is an orderly end.
- An ordered stop lets what is open finish within `grace`, in both directions, says GOODBYE, and closes. A crash, or a kill,
  closes at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

import anyio
from anyio.abc import ByteStream

from supervise.address.origin import Origin
from supervise.errors import ActorStopped, ProtocolError
from supervise.events import LinkDown, LinkUp
from supervise.tree.child import Child
from supervise.tree.current import current
from supervise.tree.pool import Pool
from supervise.wire.bodies import Goodbye, decode_body, encode_body
from supervise.wire.frames import EXTRA, Frame
from supervise.wire.kinds import Kind
from supervise_strategies.exception import traceback_of
from supervise_strategies.exit_reason import ExitKind, ExitReason, describe
from supervise_strategies.text import LONG, one_line, printable

from .arrival import Arrival
from .connection import Connection
from .failure import CANCELLED
from .intake import Intake
from .link import Link
from .outgoing import Outgoing, State
from .relay import Relay
from .target import ActorTarget, Incoming, Target
from .watched import Watched

if TYPE_CHECKING:
    from supervise.actor.incarnation import Incarnation
    from supervise.wire.codec import Method
    from supervise.wire.interface import Interface, Served

    from .handshake import Introduced
    from .limits import Limits


_FAREWELL: Final = 1.0  # seconds for GOODBYE, after the grace for what is open


class Terms(NamedTuple):
    """What a link is described with."""

    where: str
    uses: tuple[Interface[Any], ...]
    serves: tuple[Served, ...]
    limits: Limits
    eager: bool = False


class _Handler(NamedTuple):
    """One entry of the own table, as it is served on this connection."""

    intake: Intake
    interface: Interface[Any]
    method: Method
    target: Target


class Peer:
    """The actor of a link: one of its lives is one connection to another process.

    `connect`, `dial` and gates make it. It has no messages of its own: what is sent to an address
    that `Interface.over` gives goes through its mailbox. So that of a link is written
    `Address[Peer]`, and nothing else needs this name.

    >>> link = dial("unix:///run/shop.sock", name="shop")
    >>> async with Supervisor("web", link) as web:
    ...     found: Address[Peer] = web.find(link)
    >>> found
    <Address web/shop>
    """

    def __init__(
        self, terms: Terms, greet: Callable[[Link], Awaitable[Introduced]], over: Callable[[], object] | None = None
    ) -> None:
        self._terms = terms
        self._greet = greet
        self._over = over
        life = current()._incarnation
        self._life: Incarnation = life
        extras = life.mailbox.own_extras()
        if not isinstance(extras.carrier, Link):
            extras.carrier = Link(life.mailbox, terms.uses, terms.limits)
        self._link: Link = extras.carrier
        self._group = anyio.create_task_group()
        self._connection: Connection | None = None
        self._table: list[_Handler] = []
        self._serves: list[tuple[Interface[Any], Target]] = []  # by their numbers
        self._origin: Origin | None = None
        self._watched: Watched | None = None
        self._intakes: dict[str, Intake] = {}
        self._calls: dict[int, Arrival] = {}
        self._depths: dict[int, list[int]] = {}  # calls and bytes that are open, by depth
        self._credit: dict[Intake, int] = {}  # of sends, that is to be given back
        self._stream: ByteStream | None = None
        self._quiet: anyio.Event | None = None
        self._parting = False
        self._ended = False
        self._agreed: Limits = terms.limits
        if not terms.eager:
            life.connects()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        if not self._terms.eager:
            self._group.start_soon(self._run, self._connect, name="connect")
            return self
        try:
            await self._connect()
        except BaseException as error:
            await self.__aexit__(type(error), error, traceback_of(error))
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._connection is not None and not self._ended:
                await self._part(self._connection)
        finally:
            self._close("it was stopped" if error is None else describe(error))
            if self._over is not None:
                self._over()
            self._group.cancel_scope.cancel()
            try:
                await self._group.__aexit__(None, None, None)
            finally:
                if self._stream is not None:
                    with anyio.CancelScope(shield=True):
                        await anyio.aclose_forcefully(self._stream)

    # -- the connection ------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Greet the other side, and begin."""
        greeted = await self._greet(self._link)
        self._stream = greeted.stream
        if self._ended:
            return  # it ended in the very turn in which the last frame of the greeting came: nobody would end this one
        self._agreed = agreed = greeted.limits
        life = self._life
        connection = Connection(greeted.stream, greeted.reader, agreed, life.mailbox.backend, self._fail)
        self._connection = connection
        self._origin = Origin(current().address, greeted.address, greeted.identity, greeted.name)
        for number, served in enumerate(greeted.serves):
            interface, target = served.interface, self._target_of(served)
            self._serves.append((interface, target))
            intake = self._intakes.get(interface.name)
            if intake is None:
                intake = Intake(interface.name, number, self._group, self._accepted, self._flush)
                self._intakes[interface.name] = intake
            self._table += [_Handler(intake, interface, method, target) for method in interface.methods]
        self._watched = Watched(connection, self._group, agreed.frame)
        self._group.start_soon(self._run, connection.write, name="writer")
        self._group.start_soon(self._run, self._read, name="reader")
        up = LinkUp(self._link.path, life.number, greeted.address, greeted.identity, greeted.name)
        self._link.up(connection, agreed, greeted.routes, up.far, self._calls)
        life.connected(up.far)
        life.owner.bus.publish(up)

    def _target_of(self, served: Served) -> Target:
        """Who serves it, found in the tree of this very life."""
        actor = cast("Any", served.actor)
        if isinstance(actor, Relay):
            return actor.target(self._life.mailbox)
        find = (lambda: current().find(actor)) if type(actor) in (Child, Pool) else (lambda: actor)
        return ActorTarget(find, self._life.mailbox)

    async def _read(self) -> None:
        assert self._connection is not None
        await self._connection.read(self._take, self._flush)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        """A task beside the handlers: what it raises ends the life, once."""
        try:
            await work()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """The life ends by this, if it doesn't end already. While it is being left, that is nobody's crash."""
        if not self._ended:
            self._close(describe(error))
            if not self._parting:
                self._life.fail(error)

    def _superseded(self) -> None:
        """A newer connection of the same link is there: this one ends at once, and what isn't in never gets in."""
        self._close("a newer connection has taken its place")
        self._life.stop(ExitReason(ExitKind.SHUTDOWN, "a newer connection has taken its place"))

    def _close(self, why: str) -> None:
        """Nothing goes out or comes in any more. Calls from over there are those of callers who are gone."""
        if self._ended:
            return
        self._ended = True
        lost = None
        if self._connection is not None:
            self._connection.close()
            lost = self._link.down(why)
        if self._watched is not None:
            self._watched.close()
        for intake in self._intakes.values():
            intake.close()
        for arrival in [*self._calls.values()]:
            arrival.withdraw()
        self._calls.clear()
        self._settled()
        if lost is not None:
            self._life.owner.bus.publish(LinkDown(self._link.path, self._life.number, why, lost.unconfirmed, lost.calls))

    async def _part(self, connection: Connection) -> None:
        """Let what is open finish, and say GOODBYE."""
        self._parting = True
        with anyio.move_on_after(self._agreed.grace):
            while not self._ended and not self._is_quiet:
                self._quiet = anyio.Event()
                await self._quiet.wait()
        with anyio.move_on_after(_FAREWELL):
            connection.put(Frame(Kind.GOODBYE, body=encode_body(Goodbye(why="it was stopped"))), urgent=False)
            if not self._ended:
                await connection.written()

    @property
    def _is_quiet(self) -> bool:
        if self._calls or self._link.is_busy:
            return False
        return not any(intake.open for intake in self._intakes.values())

    def _settled(self) -> None:
        """Something that was open isn't any more."""
        if self._quiet is not None and (self._ended or self._is_quiet):
            self._quiet.set()

    # -- out -----------------------------------------------------------------------------------------------------------

    def _carry(self, outgoing: Outgoing) -> Awaitable[None] | None:
        """The handler of all messages of the link."""
        self._link.carry(outgoing)
        connection = self._connection
        if connection is None or not connection.is_full or outgoing.state is State.WAITS:
            return None  # what is held back is in the link's hands, and mustn't be in those of this life
        return connection.room()

    def _put(self, frame: Frame) -> None:
        if self._connection is not None:
            self._connection.put(frame, urgent=True)

    def _answer(self, arrival: Arrival, kind: Kind, body: bytes) -> None:
        """The one answer to a call, and with it its credit."""
        if self._calls.get(arrival.number) is arrival:  # else the connection is over
            self._is_over(arrival)
            self._put(Frame(kind, arrival.number, body=body))

    def _is_over(self, arrival: Arrival) -> None:
        del self._calls[arrival.number]
        depth = self._depths[arrival.depth]
        depth[0] -= 1
        depth[1] -= arrival.size
        self._settled()

    def _accepted(self, intake: Intake, size: int) -> None:
        """An intake has brought in a send."""
        if self._ended:
            return
        credit = self._credit[intake] = self._credit.get(intake, 0) + size
        if credit >= self._agreed.send_bytes // 4:
            self._flush()  # else at the end of a chunk, or of a line: a frame for each send would cost a fifth of it

    def _flush(self) -> None:
        """Give back the credit of what was accepted meanwhile."""
        if self._credit:
            credit, self._credit = self._credit, {}
            for intake, size in credit.items():
                self._put(Frame(Kind.CREDIT, size, intake.number))
            self._settled()

    # -- in ------------------------------------------------------------------------------------------------------------

    def _take(self, frame: Frame) -> Awaitable[None] | None:
        """One frame. ProtocolError if it breaks a rule."""
        if self._ended:
            return None  # the rest of a chunk: what was before it may be gone, and it mustn't get in without that
        handle = _HANDLERS.get(frame.kind)
        if handle is None:
            raise ProtocolError("order", f"{frame.kind.name} has no place after the greeting")
        return handle(self, frame)

    def _take_call(self, frame: Frame) -> Awaitable[None] | None:
        intake, interface, method, target = self._handler(frame)
        size = len(frame.body) + EXTRA
        depth = self._depths.setdefault(frame.depth, [0, 0])
        if frame.id in self._calls:
            raise ProtocolError("id", f"call {frame.id} is open already")
        if frame.depth > self._agreed.depth:
            raise ProtocolError("depth", f"{frame.depth}, and {self._agreed.depth} were agreed")
        if depth[0] >= self._agreed.calls or depth[1] + size > self._agreed.call_bytes:
            agreed = f"{self._agreed.calls} calls with {self._agreed.call_bytes} bytes"
            raise ProtocolError("credit", f"more than {agreed} are open at depth {frame.depth}")
        most = self._agreed.frame - EXTRA
        arrival = Arrival(target.mailbox, frame.id, interface, method, frame.depth, size, most, self._answer)
        depth[0] += 1
        depth[1] += size
        self._calls[frame.id] = arrival
        if self._parting:
            arrival.refuse(ActorStopped(f"{self._link.path} is being stopped, and begins nothing new"))
            return None
        return intake.take(target, self._incoming(frame, interface, method, arrival, size))

    def _take_send(self, frame: Frame) -> Awaitable[None] | None:
        intake, interface, method, target = self._handler(frame)
        size = len(frame.body) + EXTRA
        if intake.open + size > self._agreed.send_bytes:
            raise ProtocolError("credit", f"more than {self._agreed.send_bytes} bytes of sends aren't accepted yet")
        return intake.take(target, self._incoming(frame, interface, method, None, size))

    def _incoming(
        self, frame: Frame, interface: Interface[Any], method: Method, arrival: Arrival | None, size: int
    ) -> Incoming:
        origin = self._origin
        assert origin is not None
        if frame.via:
            origin = origin._replace(relayed=tuple([printable(name) for name in frame.via]))
        return Incoming(frame, interface, method, arrival, size, self._life.mailbox.backend.now(), origin)

    def _handler(self, frame: Frame) -> _Handler:
        if frame.to >= len(self._table):
            raise ProtocolError("to", f"there is no handler {frame.to}: the table has {len(self._table)}")
        return self._table[frame.to]

    def _take_reply(self, frame: Frame) -> None:
        self._link.answer_to(frame.id).answered(frame.body)
        self._settled()

    def _take_error(self, frame: Frame) -> None:
        outgoing = self._link.open_call(frame.id)
        # What is no error ends the connection, and the call is still open then: its outcome is unknown.
        outgoing.failed(frame.body, f"{self._link.path}:{outgoing.interface.name}")
        self._link.answer_to(frame.id)
        self._settled()

    def _take_cancel(self, frame: Frame) -> None:
        arrival = self._calls.get(frame.id)
        if arrival is not None and arrival.withdraw():
            self._intakes[arrival.interface.name].withdrawn()
            self._answer(arrival, Kind.ERROR, CANCELLED)

    def _take_credit(self, frame: Frame) -> None:
        interfaces = self._link.far_interfaces
        if frame.to >= len(interfaces):
            raise ProtocolError("to", f"there is no interface {frame.to}")
        self._link.accepted(interfaces[frame.to], frame.id)
        self._settled()

    def _take_watch(self, frame: Frame) -> None:
        if self._watched is not None:
            self._watched.watch(frame.id, self._numbered(frame)[1])

    def _take_unwatch(self, frame: Frame) -> None:
        if self._watched is not None:
            self._watched.unwatch(frame.id)

    def _take_down(self, frame: Frame) -> None:
        self._link.watching.take_down(frame)

    def _take_subscribe(self, frame: Frame) -> None:
        events = [(event, target) for interface, target in self._serves for event in interface.kinds]
        if frame.to >= len(events):
            raise ProtocolError("to", f"there is no event {frame.to}: the table has {len(events)}")
        event, target = events[frame.to]
        if self._watched is not None:
            self._watched.subscribe(frame.id, target, event, frame.body)

    def _take_unsubscribe(self, frame: Frame) -> None:
        if self._watched is not None:
            self._watched.unsubscribe(frame.id)

    def _take_more(self, frame: Frame) -> None:
        if self._watched is not None:
            self._watched.more(frame.id, frame.to)

    def _take_event(self, frame: Frame) -> None:
        self._link.watching.take_event(frame)

    def _take_ended(self, frame: Frame) -> None:
        self._link.watching.take_ended(frame)

    def _take_missed(self, frame: Frame) -> None:
        self._link.watching.take_missed(frame)

    def _numbered(self, frame: Frame) -> tuple[Interface[Any], Target]:
        if frame.to >= len(self._serves):
            raise ProtocolError("to", f"there is no interface {frame.to}: the table has {len(self._serves)}")
        return self._serves[frame.to]

    def _take_ping(self, frame: Frame) -> None:
        self._put(Frame(Kind.PONG, frame.id))

    def _take_pong(self, frame: Frame) -> None:
        pass  # that it came was what was asked

    def _take_goodbye(self, frame: Frame) -> None:
        why = one_line(decode_body(Goodbye, frame.body).why, LONG)
        said = f"the other side said goodbye: {why}" if why else "the other side said goodbye"
        self._close(said)
        self._life.stop(ExitReason(ExitKind.SHUTDOWN, said))


_HANDLERS: Final[dict[Kind, Callable[[Peer, Frame], Awaitable[None] | None]]] = {
    Kind.CALL: Peer._take_call,
    Kind.SEND: Peer._take_send,
    Kind.REPLY: Peer._take_reply,
    Kind.ERROR: Peer._take_error,
    Kind.CANCEL: Peer._take_cancel,
    Kind.CREDIT: Peer._take_credit,
    Kind.WATCH: Peer._take_watch,
    Kind.UNWATCH: Peer._take_unwatch,
    Kind.DOWN: Peer._take_down,
    Kind.SUBSCRIBE: Peer._take_subscribe,
    Kind.UNSUBSCRIBE: Peer._take_unsubscribe,
    Kind.MORE: Peer._take_more,
    Kind.EVENT: Peer._take_event,
    Kind.ENDED: Peer._take_ended,
    Kind.MISSED: Peer._take_missed,
    Kind.PING: Peer._take_ping,
    Kind.PONG: Peer._take_pong,
    Kind.GOODBYE: Peer._take_goodbye,
}
