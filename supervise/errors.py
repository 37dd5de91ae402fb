"""Everything that this package raises on purpose.

SuperviseError
├── SendError                     the message wasn't accepted; it is attached as `.message`
│   ├── MailboxFull               no room, and the policy or `try_send` doesn't wait
│   ├── SendTimeout (also TimeoutError)  the deadline passed while it waited for room
│   └── MailboxClosed             the actor is gone for good; get a new address
├── CallError                     the call was accepted, and there will be no reply
│   ├── ActorCrashed              the handler raised; `__cause__` is what it raised
│   ├── MessageDropped            a full mailbox dropped it (`overflow="drop_..."`), or somebody took it out
│   ├── ActorRestarting           `on_restart="fail"`: the actor crashed while the call waited
│   ├── CallTimeout (also TimeoutError)  the deadline passed while it was queued, or in hand
│   └── CallCycle                 the call would wait for itself
├── ActorStopped                  (a SendError and a CallError) stopped, but listed: it may be started again
├── UnknownHandler                the live instance has no such handler
├── BadCall (also TypeError)      the arguments don't fit the handler's signature; the actor lives on
├── NotAHandler (also TypeError)  what was given to call, send or stream_from can't be one
├── HandlerLate                   (also TimeoutError) a handler overran its `handler_deadline`: the cause of the crash
├── StartLate                     (also TimeoutError) a start overran its `start_within`: the cause of a start that failed
├── SubscriberTooSlow             a subscription with `overflow="close"` was full
├── WrongThread (also RuntimeError)   an address belongs to the thread of its event loop; from_thread is for others
├── WrongLoop (also RuntimeError)     another event loop runs here, or its own is closed
├── WrongProcess (also RuntimeError)  the process was forked off, and has a copy that nobody runs
├── WouldDeadlock                 an actor can't wait for what waits for it: its own stop, or its own start
├── NoActor                       `current()` outside of an actor
├── Unsupervised                  the actor has no supervisor to ask
├── IgnoreStart                   raised by a factory or enter hook: don't start me, this is no error
├── StartFailed                   the tree didn't start; `__cause__` says why
└── GaveUp                        the tree ended: too many restarts; `.crashes` is the chain of ends that led there

TimeoutError                      the builtin: every deadline's error is one
StrategyError                     what a supervision decision refuses; its tree is in `supervise_strategies.errors`
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from .message import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .events import Decided
    from .frame import Frame
    from .message import Message


class SuperviseError(Exception):
    """The base of all errors of this package but those of `supervise_strategies`.

    A message that was refused, or given up, is attached as `.message`, as its sender gave it: it can be sent once more.
    """

    def __init__(self, text: str = "", message: Message | None = None) -> None:
        super().__init__(text)
        self.message: Message | None = message


class SendError(SuperviseError):
    """The message wasn't accepted. Nothing was lost: it is attached as `.message`."""


class MailboxFull(SendError):
    """There was no room, and nobody was to wait for it."""


class MailboxClosed(SendError):
    """The actor is gone for good, or this address was closed. It never works again; a later namesake has a new mailbox."""


class CallError(SuperviseError):
    """The call was accepted, and there will be no reply."""

    begun: bool = False
    """Whether a handler had begun with it, and so may have done some of its work; else nothing was done."""


class ActorCrashed(CallError):
    """The handler raised, or the actor crashed while it handled the call. `__cause__` is the exception itself."""

    begun = True

    def __init__(self, path: str, incarnation: int, what: str, message: Message | None = None) -> None:
        held = "" if message is None else f" with {name_of(message.handler)} in hand"
        super().__init__(f"{path} #{incarnation} crashed{held}: {what}", message)
        self.path: str = path
        self.incarnation: int = incarnation


class MessageDropped(CallError):
    """The call was taken out of the mailbox before its handler began: by an overflow policy, or by hand."""


class ActorRestarting(CallError):
    """The actor crashed while the call waited, or was restarting when it came, and the call asked not to wait."""


class ActorStopped(SendError, CallError):
    """The actor is stopped but still listed by its supervisor; the address works again when it is started again."""


class CallCycle(CallError):
    """The call would wait for itself: each actor of the cycle waits for the next one. `.cycle` holds their paths.

    So would a call to an actor whose stream waits for the calling task to read on; if that task is none of an actor's own, the
    last of the cycle waits for it.
    """

    def __init__(self, cycle: Sequence[str], message: Message | None = None, *, reader: bool = False) -> None:
        call = "this call" if message is None else f"this call of {name_of(message.handler)}"
        cure = "use send, or call from a task of current().nursery"
        if reader:
            call, cure = f"{call}, by that reader,", "use send, call from another task, or leave the stream's block first"
        path = " -> ".join([*cycle, "the reader of its stream"] if reader else cycle)
        super().__init__(f"{path}: {call} would wait for itself for ever; {cure}", message)
        self.cycle: tuple[str, ...] = tuple(cycle)


class SendTimeout(SendError, TimeoutError):
    """The deadline of `options(timeout=…)` has passed while the message waited for room. It wasn't accepted."""


class CallTimeout(CallError, TimeoutError):
    """The deadline of `options(timeout=…)` has passed, and there was no answer.

    If nobody has begun with the call it is skipped; a handler that has begun goes on, unless `on_cancel="cancel"` was said.
    """


class UnknownHandler(SuperviseError):
    """The live instance has no handler of that name. The actor lives on."""


class BadCall(SuperviseError, TypeError):
    """The arguments don't fit the handler's signature. It is the caller's error: the handler didn't run, the actor lives on."""


class NotAHandler(SuperviseError, TypeError):
    """What was given to `call`, `send` or `stream_from` can't be run by an actor, or not in that way."""


class WrongThread(SuperviseError, RuntimeError):
    """It was used in another thread than its event loop's. Nothing was sent or changed."""


class WrongLoop(SuperviseError, RuntimeError):
    """Another event loop runs here than the one it belongs to, or that one is closed. Nothing was sent or changed."""


class WrongProcess(SuperviseError, RuntimeError):
    """The process was forked off since: the actor lives in its parent, and nobody runs its copy. Nothing was changed."""


class WouldDeadlock(SuperviseError):
    """The wait could never end: the actor would wait for its own stop, or, in its start, for its supervisor's next turn."""


class HandlerLate(SuperviseError, TimeoutError):
    """A handler took longer than the `handler_deadline` of its child: it was cancelled, and this is why the actor crashed."""

    stack: tuple[Frame, ...] = ()
    """What it was waiting in, outermost line first, as far as it could be seen."""


class StartLate(SuperviseError, TimeoutError):
    """A start took longer than the `start_within` of its child: it was cancelled, and has failed."""


class SubscriberTooSlow(SuperviseError):
    """A subscriber with `overflow="close"` didn't read in time: its subscription was closed rather than values dropped."""


class NoActor(SuperviseError, LookupError):
    """`current()` was called outside of an actor's handlers, hooks, factory and nursery."""


class Unsupervised(SuperviseError):
    """The actor runs on its mailbox alone: there is no supervisor and no tree to ask."""


class IgnoreStart(SuperviseError):
    """Raised by a factory or an enter hook: the actor isn't wanted now. It is listed as stopped; nothing has failed.

    Erlang/OTP's `ignore`.
    """


class StartFailed(SuperviseError):
    """A tree didn't start: a child's factory or enter hook raised, which is `__cause__`. What had started was stopped."""


class GaveUp(SuperviseError):
    """A tree ended because its root supervisor spent its restart intensity.

    `.crashes` holds the decisions that led there, oldest first; each says which child ended, why, and what followed. `.record`
    is the file of the flight record, which `supervise postmortem` reads: None with `recorder=False`, or if it couldn't be
    written, which is logged. Its name is a note of the exception, so it stands below a traceback.
    """

    def __init__(self, path: str, crashes: Sequence[Decided], record: Path | None = None) -> None:
        last = f"; last: {crashes[-1]}" if crashes else ""
        super().__init__(f"supervisor {path!r} gave up restarting{last}")
        self.path: str = path
        self.crashes: tuple[Decided, ...] = tuple(crashes)
        self.record: Path | None = record
        if record is not None:
            self.add_note(f"What led to it: supervise postmortem {shlex.quote(str(record))}")
