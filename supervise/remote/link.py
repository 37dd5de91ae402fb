"""What a link keeps over its connections: the credit of those who send over it, and their messages on the way.

Theory of operation
-------------------
- Who sends waits for credit in its own coroutine, first come first served; calls have a window for each depth, so that calls
  within calls can't starve each other, and sends have one for each interface. With credit a message is posted to the link's
  mailbox, where it waits for a connection, bounded by the mailbox and by the windows.
- The link's actor, one life for each connection, carries it out: it is written, or held back where this connection agreed on
  less than was promised before. What is held back goes out in order as credit comes, on this connection or the next.
- Where a message goes (an index in the other side's table) is looked up when it is written, since that table may be another
  one after a reconnect.
- Credit comes back with the answer of a call, and with CREDIT for sends. At the end of a connection all that was written to it
  is over: nobody knows what became of its calls, and its sends are counted as unconfirmed.
"""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Sized
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from supervise._backends import Expired, note
from supervise.errors import (
    ActorRestarting,
    ActorStopped,
    CallTimeout,
    CallTooDeep,
    MailboxFull,
    NotServed,
    OutcomeUnknown,
    SendTimeout,
    SuperviseError,
    TooLarge,
)
from supervise.mailbox.envelope import Deadline, MessageOptions
from supervise.mailbox.hops import hops_of
from supervise.mailbox.losses import Loss
from supervise.mailbox.observers import look_out
from supervise.mailbox.refusal import refused
from supervise.mailbox.turn import current_turn
from supervise.message import Message, name_of
from supervise.tree.traffic import HasTraffic, Traffic
from supervise.wire.frames import CANCEL, FINISH, NOW, Frame
from supervise.wire.kinds import Kind

from . import circle
from .flights import Flights
from .outgoing import Outgoing, State
from .watching import Watching
from .window import Window

if TYPE_CHECKING:
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.instrument import AnyMessageSpan
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.observers import Down, Monitor, OnDown
    from supervise.mailbox.subscription import WhenFull
    from supervise.mailbox.turn import Turn
    from supervise.wire.codec import Method
    from supervise.wire.interface import Interface
    from supervise.wire.remote_address import RemoteSubscription, Travel

    from .connection import Connection
    from .limits import Limits
    from .route import Routes

T = TypeVar("T")
_ENVELOPE: Final = 512  # bytes of a frame beside its body, at most, if it was passed on by few
_VIA: Final = 128  # of them for the names of those
_LATEST: Final = 10 * 365 * 24 * 3600.0  # seconds that a frame can say are left; more is as good as no deadline


class Lost(NamedTuple):
    """What was under way when a connection ended."""

    calls: int
    """Calls whose outcome nobody here knows."""
    unconfirmed: int
    """Sends of which nobody said that they were accepted: an upper bound of what was lost on the way.

    What had been accepted, and died in a mailbox over there with its process, isn't among them.
    """


class Link(HasTraffic):
    """One side of a link, over all its connections."""

    def __init__(self, mailbox: Mailbox, uses: tuple[Interface[Any], ...], limits: Limits) -> None:
        backend = mailbox.backend
        self.mailbox: Mailbox = mailbox
        self.id: bytes = secrets.token_bytes(16)
        self.uses: tuple[Interface[Any], ...] = uses
        self.limits: Limits = limits
        """Its own; what a connection has agreed on may be less."""
        self.connection: Connection | None = None
        self.agreed: Limits = limits
        self._far = ""
        self._calls = [Window(backend, limits.calls, limits.call_bytes) for _ in range(limits.depth)]
        self._sends = {used.name: Window(backend, math.inf, limits.send_bytes) for used in uses}
        self._flights = Flights(limits)  # of this connection, or of none
        self._held: dict[tuple[str, int], deque[Outgoing]] = {}
        self._taken: Sized = ()  # calls that came in, and have no answer yet
        self._routes: Routes | None = None
        self._carriers: dict[Method, Callable[..., Any]] = {}
        self.watching: Watching = Watching(mailbox)
        mailbox.own_extras().on_loss = self._lost
        look_out(mailbox, self._looked)

    @property
    def path(self) -> str:
        """Of its actor."""
        return self.mailbox.path

    # -- who sends -----------------------------------------------------------------------------------------------------

    async def call(
        self, interface: Interface[Any], method: Method, args: tuple[Any, ...], kwargs: dict[str, Any], travel: Travel
    ) -> Any:
        """See `RemoteAddress.call`."""
        message, turn = Message(method.function, args, kwargs), current_turn(None)
        body = self._encoded(method, message)
        instrument = self.mailbox.instrument
        if instrument is None:
            return method.decode_result(await self._call(interface, method, body, message, travel, turn, None))
        with instrument.departs(method.function, turn, call=True) as span:
            return method.decode_result(await self._call(interface, method, body, message, travel, turn, span))

    async def _call(
        self,
        interface: Interface[Any],
        method: Method,
        body: bytes,
        message: Message,
        travel: Travel,
        turn: Turn | None,
        span: AnyMessageSpan | None,
    ) -> bytes:
        backend, hops = self.mailbox.backend, hops_of(turn)
        level = 0 if hops is None else hops.depth
        self._check(level, message, fail_fast=travel.on_restart == "fail")
        id = circle.new_id()
        deadline = None if travel.timeout is None else Deadline(backend.now(), travel.timeout)
        answer = backend.future()
        outgoing = Outgoing(
            self,
            interface,
            method,
            body,
            message,
            answer,
            level=level,
            above=(*(() if hops is None else hops.above), id),
            deadline=deadline,
            trace="" if span is None else span.traceparent,
            flags=_flags(travel),
        )
        await self._post(self._calls[level], outgoing, MessageOptions(deadline, travel.on_restart, span=span))
        waits = turn is not None and turn.exclusive and turn.task is backend.current_task()
        if waits and turn is not None:
            circle.waits(id, turn)
        try:
            if deadline is None:
                told: bytes = await answer
            else:
                told = await backend.until(answer, deadline.at)
            return told
        except Expired:
            outgoing.leave()
            raise self._late(outgoing) from None
        except BaseException:
            outgoing.leave()  # which is nothing if there was an answer
            note(answer)
            raise
        finally:
            if waits:
                circle.waits_no_more(id)
            del answer, outgoing  # an error's traceback has this frame

    def _check(self, level: int, message: Message, *, fail_fast: bool) -> None:
        """Whether a call may be made at all."""
        if level >= self.agreed.depth:
            text = f"{self.path}: {name_of(message.handler)} would be call {level + 1} of those over links that wait for it"
            raise CallTooDeep(f"{text}, and {self.agreed.depth} may: use send, which waits for nothing", message)
        if fail_fast and self.connection is None and self.mailbox.refusal not in ("stopped", "closed"):
            text = f"{self.path} isn't connected, and the call of {name_of(message.handler)} doesn't wait"
            raise ActorRestarting(text, message)

    async def forward(self, outgoing: Outgoing) -> None:
        """Pass on a message of somebody else; it returns when that waits in the link's mailbox, with credit."""
        fail_fast = bool(outgoing.flags & NOW)
        instrument = self.mailbox.instrument
        span = None if instrument is None else instrument.passes()
        options = MessageOptions(outgoing.deadline, "fail" if fail_fast else "wait", span=span)
        if outgoing.is_call:
            self._check(outgoing.level, outgoing.message, fail_fast=fail_fast)
            await self._post(self._calls[outgoing.level], outgoing, options)
        else:
            await self._post(self._sends[outgoing.interface.name], outgoing, options)

    async def send(
        self, interface: Interface[Any], method: Method, args: tuple[Any, ...], kwargs: dict[str, Any], travel: Travel
    ) -> None:
        """See `RemoteAddress.send`."""
        message, turn = Message(method.function, args, kwargs), current_turn(None)
        body = self._encoded(method, message)
        deadline = None if travel.timeout is None else Deadline(self.mailbox.backend.now(), travel.timeout)
        instrument = self.mailbox.instrument
        if instrument is None:
            outgoing = self._send(interface, method, body, message, turn, deadline, None)
            await self._post(self._sends[interface.name], outgoing, None if deadline is None else MessageOptions(deadline))
            return
        with instrument.departs(method.function, turn, call=False) as span:
            outgoing = self._send(interface, method, body, message, turn, deadline, span)
            await self._post(self._sends[interface.name], outgoing, MessageOptions(deadline, span=span))

    def try_send(
        self, interface: Interface[Any], method: Method, args: tuple[Any, ...], kwargs: dict[str, Any], travel: Travel
    ) -> None:
        """See `RemoteAddress.try_send`."""
        message, turn = Message(method.function, args, kwargs), current_turn(None)
        body = self._encoded(method, message)
        instrument = self.mailbox.instrument
        if instrument is None:
            self._try_send(interface, self._send(interface, method, body, message, turn, None, None), MessageOptions())
            return
        with instrument.departs(method.function, turn, call=False) as span:
            outgoing = self._send(interface, method, body, message, turn, None, span)
            self._try_send(interface, outgoing, MessageOptions(span=span))

    def _try_send(self, interface: Interface[Any], outgoing: Outgoing, options: MessageOptions) -> None:
        window = self._sends[interface.name]
        if not window.try_take(outgoing.size):
            waits = f"{window.out_bytes} bytes haven't been accepted over there yet"
            text = f"{self.path} has no credit for {name_of(outgoing.method.function)}: {waits}; try_send doesn't wait for it"
            raise MailboxFull(text, outgoing.message)
        outgoing.state = State.WAITS
        try:
            self.mailbox.try_send(self._carrier(outgoing.method), (outgoing,), {}, options)
        except BaseException as error:
            outgoing.end()
            _say_what(error, outgoing)
            raise

    def _send(
        self,
        interface: Interface[Any],
        method: Method,
        body: bytes,
        message: Message,
        turn: Turn | None,
        deadline: Deadline | None,
        span: AnyMessageSpan | None,
    ) -> Outgoing:
        hops, trace = hops_of(turn), "" if span is None else span.traceparent
        level = 0 if hops is None else hops.depth
        return Outgoing(self, interface, method, body, message, None, level=level, deadline=deadline, trace=trace)

    def _encoded(self, method: Method, message: Message) -> bytes:
        try:
            return method.encode(message.args, message.kwargs, self.agreed.frame - _ENVELOPE)
        except SuperviseError as error:
            error.message = message
            raise

    async def _post(self, window: Window, outgoing: Outgoing, options: MessageOptions | None) -> None:
        """With credit, into the link's mailbox."""
        deadline = outgoing.deadline
        if not window.try_take(outgoing.size):
            try:
                await window.take(outgoing.size, None if deadline is None else deadline.at)
            except Expired:
                outgoing.state = State.OVER
                raise self._late(outgoing, window) from None
            except BaseException as error:
                outgoing.state = State.OVER
                _say_what(error, outgoing)
                raise
            if outgoing.state is State.OVER:  # its caller is gone since
                window.give_back(outgoing.size)
                return
        outgoing.state = State.WAITS
        reply = outgoing if outgoing.is_call else None
        try:
            await self.mailbox.post(self._carrier(outgoing.method), (outgoing,), {}, reply, options)
        except BaseException as error:
            outgoing.end()
            _say_what(error, outgoing)
            raise

    def _late(self, outgoing: Outgoing, window: Window | None = None) -> SendTimeout | CallTimeout:
        deadline = outgoing.deadline
        seconds = 0.0 if deadline is None else deadline.seconds
        name = name_of(outgoing.method.function)
        down = "" if self.connection is not None else " (the link isn't connected)"
        if window is not None:
            return SendTimeout(f"{self.path}: {name} found no credit within {seconds:g} s{down}", outgoing.message)
        late = CallTimeout(f"{self.path}: {name} had no answer within {seconds:g} s{down}", outgoing.message)
        late.begun = outgoing.number > 0
        return late

    def _carrier(self, method: Method) -> Callable[..., Any]:
        """The handler of the link's own actor for messages of this kind; it is called as they are."""
        found = self._carriers.get(method)
        if found is None:

            def carry(peer: Any, outgoing: Outgoing) -> Any:
                return peer._carry(outgoing)

            carry.__name__ = name_of(method.function)
            carry.__qualname__ = f"Link.<locals>.{carry.__name__.rpartition('.')[2]}"  # of no class: it isn't looked up by name
            found = self._carriers[method] = carry
        return found

    def watch(self, interface: Interface[Any]) -> Coroutine[Any, Any, Down]:
        """See `RemoteAddress.watch`."""
        return self.watching.watch(interface)

    def monitored(self, interface: Interface[Any], watcher: Turn, handler: OnDown) -> Monitor:
        """See `Current.watch`."""
        return self.watching.monitored(interface, watcher, handler)

    def subscribe(self, interface: Interface[Any], kind: type[T], capacity: float, overflow: WhenFull) -> RemoteSubscription[T]:
        """See `RemoteAddress.subscribe`."""
        return self.watching.subscribe(interface, kind, capacity, overflow)

    # -- what its actor carries ----------------------------------------------------------------------------------------

    def carry(self, outgoing: Outgoing) -> None:
        """Write it, or hold it back."""
        if outgoing.state is not State.WAITS:
            return
        key = outgoing.interface.name, outgoing.level
        if self.connection is None or key in self._held or not self._flights.fits(outgoing):
            self._held.setdefault(key, deque()).append(outgoing)
        else:
            self._write(outgoing)

    def _write(self, outgoing: Outgoing) -> None:
        assert self.connection is not None
        assert self._routes is not None
        deadline, ms = outgoing.deadline, 0
        if deadline is not None:
            left = deadline.at - self.mailbox.backend.now()
            ms = math.ceil(left * 1000) if left < _LATEST else 0
            if left <= 0:
                self._expire(outgoing)
                return
        refusal = self._unfit(outgoing)
        if refusal is not None:
            self._refuse(outgoing, refusal)
            return
        to = self._routes.index_of(outgoing.interface.name, outgoing.method)
        if isinstance(to, str):
            self._refuse(outgoing, NotServed(f"{self.path}: {to}", outgoing.message))
            return
        outgoing.number = self._flights.add(outgoing)
        if not outgoing.is_call:
            outgoing.state = State.OVER  # its credit comes back for all alike
            frame = Frame(Kind.SEND, 0, to, outgoing.body, ms, min(outgoing.level, 255), outgoing.trace, via=outgoing.via)
        else:
            outgoing.state = State.WRITTEN
            frame = Frame(
                Kind.CALL,
                outgoing.number,
                to,
                outgoing.body,
                ms,
                outgoing.depth,
                outgoing.trace,
                outgoing.above,
                outgoing.flags,
                outgoing.via,
            )
        self.connection.put(frame, urgent=False)

    def _expire(self, outgoing: Outgoing) -> None:
        """Its deadline has passed before it went out."""
        outgoing.refuse(self._late(outgoing))
        if not outgoing.is_call:
            outgoing.end()
            self.mailbox.handled -= 1  # as in `_refuse`
            self.mailbox.own_extras().abandoned += 1

    def _unfit(self, outgoing: Outgoing) -> SuperviseError | None:
        """Whether it is more than this connection has agreed on."""
        most, agreed = self.agreed.frame - _ENVELOPE, self.agreed.depth
        if outgoing.via:  # up to 200 characters each
            most -= max(0, sum(len(name.encode()) + 3 for name in outgoing.via) - _VIA)
        if len(outgoing.body) <= most and not (outgoing.is_call and outgoing.depth > agreed):
            return None
        name = name_of(outgoing.method.function)
        if len(outgoing.body) > most:
            text = f"{self.path}: {name} has {len(outgoing.body)} bytes, and the other side takes {most} by now"
            return TooLarge(f"{text}: send a reference to what is large", outgoing.message)
        text = f"{self.path}: {name} is the call number {outgoing.depth} over links that wait for each other"
        return CallTooDeep(f"{text}, and the other side takes {agreed} by now", outgoing.message)

    def _refuse(self, outgoing: Outgoing, error: SuperviseError) -> None:
        """It doesn't go out: its caller is told; of a send it is a dead letter."""
        outgoing.refuse(error)
        if not outgoing.is_call:
            outgoing.end()
            # The link's own message of it is handled, or will be: this is its end instead.
            self.mailbox.handled -= 1
            message = outgoing.message
            envelope = (message.handler, message.args, message.kwargs, None, None, None)
            self.mailbox.dead_letter(envelope, str(error), Loss.REFUSED, error)

    # -- its connections -----------------------------------------------------------------------------------------------

    def up(self, connection: Connection, agreed: Limits, routes: Routes, far: str, taken: Sized) -> None:
        """A connection is there; what was held back goes out first.

        `far`: who is at its other end, in words. `taken`: the calls that came in by it, and have no answer yet.
        """
        self.agreed, self.connection, self._routes = agreed, connection, routes
        self._far, self._taken = far, taken
        self._flights = Flights(agreed)
        for window in self._calls:
            window.resize(agreed.calls, agreed.call_bytes)
        for window in self._sends.values():
            window.resize(math.inf, agreed.send_bytes)
        self._release()
        self.watching.up(connection, routes)

    def down(self, why: str) -> Lost:
        """It is over. Nobody knows what became of what was written to it."""
        self.connection = None
        self.watching.down(why)
        flights, self._flights = self._flights, Flights(self.limits)
        self._taken = ()
        for outgoing in flights.calls:
            text = f"{self.path}: the connection ended while {name_of(outgoing.method.function)} was under way ({why})"
            cure = "perhaps it was handled, and perhaps not: ask for what it was to change, or make it safe to be repeated"
            outgoing.refuse(OutcomeUnknown(f"{text}: {cure}", outgoing.message))
        for name, sizes in flights.sends.items():
            for size in sizes:
                self._sends[name].give_back(size)
        return Lost(flights.open_calls, flights.unconfirmed)

    @property
    def far_interfaces(self) -> tuple[str, ...]:
        """The names of those that the other side serves, by their numbers."""
        return () if self._routes is None else self._routes.interfaces

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way, or held back."""
        return bool(self._held or self._flights.open_calls or self._flights.unconfirmed)

    def traffic(self) -> Traffic:
        """See `HasTraffic`."""
        credit = [window.credit(f"calls of depth {depth}") for depth, window in enumerate(self._calls, 1)]
        credit += [window.credit(f"sends to {name}") for name, window in self._sends.items()]
        held = sum(map(len, [*self._held.values()]))
        far = "" if self.connection is None else self._far
        return Traffic(far, self._flights.open_calls, len(self._taken), self._flights.unconfirmed, held, tuple(credit))

    @property
    def open_calls(self) -> int:
        """Calls that were written, and have no answer yet."""
        return self._flights.open_calls

    @property
    def unconfirmed(self) -> int:
        """Sends that were written, and of which nobody has said that they were accepted."""
        return self._flights.unconfirmed

    def open_call(self, number: int) -> Outgoing:
        """The call of this number. ProtocolError if there is none."""
        return self._flights.call(number)

    def answer_to(self, number: int) -> Outgoing:
        """The call that an answer is of; it isn't open any more. ProtocolError if there is none."""
        outgoing = self._flights.answered(number)
        if self._held:
            self._release()
        return outgoing

    def accepted(self, interface: str, size: int) -> None:
        """The other side has accepted so many bytes of sends. ProtocolError if there weren't as many."""
        for each in self._flights.accepted(interface, size):
            self._sends[interface].give_back(each)
        self._release()

    def give_back(self, outgoing: Outgoing) -> None:
        """A message has ended: others have its credit."""
        window = self._calls[outgoing.level] if outgoing.is_call else self._sends[outgoing.interface.name]
        window.give_back(outgoing.size)
        if self._held:
            self._release()

    def cancel(self, outgoing: Outgoing) -> None:
        """The caller of a call that was written is gone."""
        if self.connection is not None:
            self.connection.put(Frame(Kind.CANCEL, outgoing.number), urgent=False)

    def _release(self) -> None:
        """Write what was held back, each level in its order, as far as it may be."""
        if self.connection is None:
            return
        for key, held in [*self._held.items()]:
            while held and (held[0].state is not State.WAITS or self._flights.fits(held[0])):
                outgoing = held.popleft()
                if outgoing.state is State.WAITS:
                    self._write(outgoing)
            if not held:
                self._held.pop(key, None)

    def _lost(self, envelope: Envelope) -> None:
        """The link's own message of a send ended before it was carried out: there is no reply slot that would be told."""
        for outgoing in envelope[1]:
            if isinstance(outgoing, Outgoing) and not outgoing.is_call:
                outgoing.end()

    def _looked(self, _: Down, over: bool) -> None:
        """Its actor has ended. If it isn't started again by itself nobody need wait any more."""
        if not over:
            return
        self.watching.end()
        held, self._held = self._held, {}
        for queue in held.values():
            for outgoing in queue:
                if outgoing.state is State.WAITS:
                    self._refuse(outgoing, refused(self.mailbox, outgoing.message))
        for window in (*self._calls, *self._sends.values()):
            window.refuse_waiting(lambda: ActorStopped(f"{self.path} is stopped: who waited for credit waits no more"))


def _flags(travel: Travel) -> int:
    flags = NOW if travel.on_restart == "fail" else 0
    if travel.on_cancel is not None:
        flags |= CANCEL if travel.on_cancel == "cancel" else FINISH
    return flags


def _say_what(error: BaseException, outgoing: Outgoing) -> None:
    """The error is about the sender's own message, not the link's."""
    if isinstance(error, SuperviseError):
        error.message = outgoing.message
