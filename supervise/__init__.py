"""Actors whose mailbox outlives them, in supervision trees by Erlang/OTP's rules, on asyncio and trio."""

from supervise_strategies import (
    AdminError,
    AutoShutdown,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
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
    Restart,
    Strategy,
    StrategyError,
    SupervisorNotRunning,
    TooManyChildren,
)

from .account import Account
from .address import Address, FromThread, Recipient, WeakAddress
from .address_like import AddressLike
from .child import Child, ChildOptions, child
from .context import Current, current
from .dynamic import DynamicSupervisor
from .envelope import Message
from .errors import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    CallCycle,
    CallError,
    GaveUp,
    HandlerLate,
    IgnoreStart,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    NoActor,
    NotAHandler,
    SendError,
    StartFailed,
    SubscriberTooSlow,
    SuperviseError,
    UnknownHandler,
    Unsupervised,
    WouldDeadlock,
)
from .factory import Factory
from .handler import concurrent
from .lane import MessageQueue
from .nursery import Nursery
from .observers import Down, Monitor
from .open_mailbox import Crashed, Ended, OpenMailbox, open_mailbox
from .operator import Operator
from .ping import Pong
from .running import RunningSupervisor
from .subscription import Subscription
from .supervisor import Supervisor
from .task import Task, task
from .throttle import Throttle
from .timers import Timer, Timers
from .tree import TreeEnded

__all__ = (
    "Account",
    "ActorCrashed",
    "ActorRestarting",
    "ActorStopped",
    "Address",
    "AddressLike",
    "AdminError",
    "AutoShutdown",
    "CallCycle",
    "CallError",
    "Child",
    "ChildAlreadyPresent",
    "ChildAlreadyStarted",
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
    "Nursery",
    "OpenMailbox",
    "Operator",
    "Pong",
    "Recipient",
    "Restart",
    "RunningSupervisor",
    "SendError",
    "StartFailed",
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
    "TooManyChildren",
    "TreeEnded",
    "UnknownHandler",
    "Unsupervised",
    "WeakAddress",
    "WouldDeadlock",
    "child",
    "concurrent",
    "current",
    "open_mailbox",
    "task",
)
