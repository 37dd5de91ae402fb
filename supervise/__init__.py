"""Actors whose mailbox outlives them, in supervision trees by Erlang/OTP's rules, on asyncio and trio.

The public face: it hands names on, and nothing else. What is behind it stands in rooms, each of which imports only from those
before it: `mailbox`, `address`, `actor`, `spans`, `tree`; then the leaves `telemetry`, `adapters`, `health` and `testing`,
which don't import each other. The decisions are in `supervise_strategies`.
"""

from . import _signals as _signals  # first, since it takes those of `supervise run` before all else is imported

# isort: split
from typing import TYPE_CHECKING as _TYPE_CHECKING

from supervise_strategies import (
    AdminError,
    AutoShutdown,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildAmbiguous,
    ChildCount,
    ChildInfo,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    ChildState,
    ChildTemporary,
    ChildUnstoppable,
    Decision,
    ExitKind,
    ExitReason,
    Explanation,
    ImmortalLoopWarning,
    Intensity,
    InvalidSpec,
    NotForDynamic,
    Redeliver,
    Restart,
    Strategy,
    StrategyError,
    SupervisorNotRunning,
    TooManyChildren,
)

from .actor.checkpoint import Checkpoint, checkpointed
from .actor.factory import Factory
from .actor.nursery import Nursery
from .actor.open_mailbox import Crashed, Ended, OpenMailbox, open_mailbox
from .actor.redelivered import redelivered
from .actor.timers import Timer, Timers
from .address.address import Address, WeakAddress
from .address.address_like import AddressLike
from .address.from_thread import FromThread
from .address.origin import Origin
from .address.ping import Pong
from .address.recipient import Recipient
from .address.reply_stream import ReplyStream
from .errors import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    BadCall,
    BadMessage,
    BadReply,
    CallCycle,
    CallError,
    CallTimeout,
    CallTooDeep,
    ConnectionLost,
    GaveUp,
    HandlerLate,
    IgnoreStart,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    NoActor,
    NotAHandler,
    NotServed,
    OutcomeUnknown,
    ProtocolError,
    RemoteError,
    SendError,
    SendTimeout,
    StartFailed,
    StartLate,
    SubscriberTooSlow,
    SuperviseError,
    TooLarge,
    UnknownHandler,
    Unsupervised,
    WouldDeadlock,
    WrongLoop,
    WrongProcess,
    WrongThread,
)
from .mailbox.account import Account
from .mailbox.dead_letters import Undelivered
from .mailbox.handler import concurrent
from .mailbox.message_queue import MessageQueue
from .mailbox.observers import Down, Monitor
from .mailbox.subscription import Subscription
from .mailbox.throttle import Throttle
from .message import Message
from .tree.child import Child, child
from .tree.child_options import ChildOptions
from .tree.current import Current, current
from .tree.dynamic import DynamicSupervisor
from .tree.operator import Operator
from .tree.pool import Pool, pool
from .tree.recorder import Recorder
from .tree.ref import ref
from .tree.running import RunningSupervisor
from .tree.supervisor import Supervisor
from .tree.task import Task, task
from .tree.tree import TreeEnded

__all__ = (
    "Account",
    "ActorCrashed",
    "ActorRestarting",
    "ActorStopped",
    "Address",
    "AddressLike",
    "AdminError",
    "AutoShutdown",
    "BadCall",
    "BadMessage",
    "BadReply",
    "CallCycle",
    "CallError",
    "CallTimeout",
    "CallTooDeep",
    "Checkpoint",
    "Child",
    "ChildAlreadyPresent",
    "ChildAlreadyStarted",
    "ChildAmbiguous",
    "ChildCount",
    "ChildInfo",
    "ChildNotFound",
    "ChildOptions",
    "ChildRestarting",
    "ChildRunning",
    "ChildStartFailed",
    "ChildState",
    "ChildTemporary",
    "ChildUnstoppable",
    "ConnectionLost",
    "Crashed",
    "Current",
    "Decision",
    "Down",
    "DynamicSupervisor",
    "Ended",
    "ExitKind",
    "ExitReason",
    "Explanation",
    "Factory",
    "FromThread",
    "GaveUp",
    "HandlerLate",
    "IgnoreStart",
    "ImmortalLoopWarning",
    "Intensity",
    "InvalidSpec",
    "MailboxClosed",
    "MailboxFull",
    "Message",
    "MessageDropped",
    "MessageQueue",
    "Monitor",
    "NoActor",
    "NotAHandler",
    "NotForDynamic",
    "NotServed",
    "Nursery",
    "OpenMailbox",
    "Operator",
    "Origin",
    "OutcomeUnknown",
    "Pong",
    "Pool",
    "ProtocolError",
    "Recipient",
    "Recorder",
    "Redeliver",
    "RemoteError",
    "ReplyStream",
    "Restart",
    "RunningSupervisor",
    "SendError",
    "SendTimeout",
    "StartFailed",
    "StartLate",
    "Strategy",
    "StrategyError",
    "SubscriberTooSlow",
    "Subscription",
    "SuperviseError",
    "Supervisor",
    "SupervisorNotRunning",
    "Task",
    "Throttle",
    "Timer",
    "Timers",
    "TooLarge",
    "TooManyChildren",
    "TreeEnded",
    "Undelivered",
    "UnknownHandler",
    "Unsupervised",
    "WeakAddress",
    "WouldDeadlock",
    "WrongLoop",
    "WrongProcess",
    "WrongThread",
    "checkpointed",
    "child",
    "concurrent",
    "current",
    "open_mailbox",
    "pool",
    "redelivered",
    "ref",
    "task",
)

if _TYPE_CHECKING:
    __version__: str
    """That of the distribution `supervise-actors`, or of the checkout that runs; `0+unknown` for a bare copy."""
else:

    def __getattr__(name: str) -> str:
        if name == "__version__":
            from ._version import version

            return version()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
