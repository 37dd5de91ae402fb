"""Pure supervision decisions: Erlang/OTP's rules as a state machine, and restart policies.

Begin with `Supervision`: facts in, directives out. A `SupervisorSpec` with `ChildSpec`s
describes it. `Restart`, `Intensity` and `Strategy` are the policies, with tenacity's
objects in them; `Start`, `Stop` and so on are the directives; `Decision` says in words what
was decided. `explain` says what an end would cause.

Nothing in here reads a clock, waits, logs or touches an event loop: instants (seconds, of
any clock) and the random draw are arguments. It is the lowest room, and imports nothing of
`supervise`; tenacity is imported by `restart.py` alone. Start reading with
`supervision.py`.

    >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
    >>> machine.begin(now=0)
    [Start(id='db', number=1)]
"""

from .answers import Answers
from .backoff import Backoff
from .child_spec import ChildSpec, ImmortalLoopWarning, SupervisorSpec
from .child_state import ChildCount, ChildInfo, ChildState
from .directives import (
    Action,
    CancelStart,
    Cause,
    Close,
    Decision,
    Directive,
    Done,
    Forget,
    Overran,
    PassUp,
    Ready,
    Reply,
    Report,
    Start,
    Stop,
    StopMode,
    Waits,
    WakeAt,
)
from .errors import (
    AdminError,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildAmbiguous,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    ChildTemporary,
    ChildUnstoppable,
    InvalidSpec,
    NotForDynamic,
    StrategyError,
    SupervisorNotRunning,
    TooManyChildren,
)
from .exit_reason import ExitKind, ExitReason
from .explanation import Explanation, explain
from .intensity import Intensity, RestartWindow
from .redeliver import Redeliver
from .restart import Restart, RestartType
from .strategy import AutoShutdown, Strategy
from .supervision import Supervision
from .supervisor_state import Phase

__all__ = (
    "Action",
    "AdminError",
    "Answers",
    "AutoShutdown",
    "Backoff",
    "CancelStart",
    "Cause",
    "ChildAlreadyPresent",
    "ChildAlreadyStarted",
    "ChildAmbiguous",
    "ChildCount",
    "ChildInfo",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "ChildSpec",
    "ChildStartFailed",
    "ChildState",
    "ChildTemporary",
    "ChildUnstoppable",
    "Close",
    "Decision",
    "Directive",
    "Done",
    "ExitKind",
    "ExitReason",
    "Explanation",
    "Forget",
    "ImmortalLoopWarning",
    "Intensity",
    "InvalidSpec",
    "NotForDynamic",
    "Overran",
    "PassUp",
    "Phase",
    "Ready",
    "Redeliver",
    "Reply",
    "Report",
    "Restart",
    "RestartType",
    "RestartWindow",
    "Start",
    "Stop",
    "StopMode",
    "Strategy",
    "StrategyError",
    "Supervision",
    "SupervisorNotRunning",
    "SupervisorSpec",
    "TooManyChildren",
    "Waits",
    "WakeAt",
    "explain",
)
