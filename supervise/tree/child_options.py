"""What can be said of a child beside its factory: the options of `child` and `start`, checked when it is described."""

from __future__ import annotations

import functools
import inspect
import math
import textwrap
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, TypeVar, cast

from supervise.errors import NotAHandler
from supervise.mailbox.choice import Choice
from supervise.mailbox.dead_letters import OnDeadLetter
from supervise.mailbox.envelope import OnCancel
from supervise.mailbox.handler import check
from supervise.mailbox.mailbox_options import MailboxOptions, Overflow
from supervise.mailbox.message_queue import MessageQueue
from supervise.mailbox.throttle import Throttle, as_throttle
from supervise.message import AnyHandler
from supervise_strategies.answers import Answers, Expects, OnError, as_answers
from supervise_strategies.child_spec import ChildSpec, OnLimit, StopWithin
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.redeliver import Redeliver, as_redeliver
from supervise_strategies.restart import Restart, RestartName, RestartType, as_restart
from supervise_strategies.suggestion import did_you_mean

if TYPE_CHECKING:
    from supervise_strategies.intensity import Intensity

F = TypeVar("F", bound=Callable[..., Any])
LifetimeOf: TypeAlias = Literal["supervisor", "addresses"]
_TEMPORARY: Final = Restart.temporary()
_EXAMPLE: Final = "\n\n>>> "


class ChildOptions(TypedDict, total=False):
    """What can be said of a child beside its factory: the options of `child` and `start`.

    name: One part of its path. Default: the factory's name in lower case (`actor` for a
        lambda), then `-2`, `-3`, …
    restart: When it comes back after its end: `"permanent"` (always), `"transient"` (after
        an abnormal one), `"temporary"` (never), or a `Restart` with tenacity's policies.
        Default: permanent; temporary under a dynamic supervisor; else transient with
        `lifetime="addresses"`.
    significant: Whether its end can end its supervisor, which has `auto_shutdown` for it
        (default False).
    stop_within: Seconds that an ordered stop may take (default 5), `math.inf`, or
        `"brutal_kill"`.
    limit: A restart budget of its own, `Intensity(restarts, per=seconds)`. Beyond it the
        child is left stopped, while its siblings live. Default: None.
    on_limit: What its own limit's end means: `"stop"` (default), or `"escalate"`: the
        supervisor gives up.
    retry_start: Whether a first start that fails is tried again, as a restart is: by the
        child's `wait=`, `stop=` and limits. In the supervisor's own start the elders run
        meanwhile, and the younger wait, at each level above, too. `start` holds up nobody,
        and returns when the child is up. Patience that is spent is `StartFailed`, or
        `ChildStartFailed`. Default: False, as in Erlang/OTP.
    start_within: Seconds that factory and enter hook may take. Then the start is cancelled,
        and has failed (`StartLate`). A factory that blocks can't be cancelled. Default:
        None; but who takes more than 5 s is said to (`Starting`).
    quarantine: After so many crashes in a row of one kind the child is left stopped, and
        its siblings live. One kind is the same exception type from the same lines; or from
        the same handler, where no line is one's own. The same crash again isn't counted
        against the supervisor's intensity. Another crash, or a life of `healthy_after`
        seconds, begins a new row. Starts that fail are no step of it: a service that is
        down is for `wait=`. `operator(…).restart` lifts it. Default: None, never.
    expects: Which exceptions of a handler are answers, not crashes: they go to the caller
        as they are. Classes, `(KeyError,)`, are matched on the exception itself. A
        predicate, one of tenacity's `retry_if_…` objects or a function of the exception, is
        asked of each exception in a group. `retry_if_not_exception_type(ConnectionError)`:
        only a lost connection is a crash. Of a send an answer is logged and counted.
        Default: none.
    on_error: `"crash"` (default), or `"reply"`: any `Exception` that a handler raises to a
        call goes to its caller as it is, and the actor lives on. What it raises to a send
        is a crash, unless `expects` says otherwise. `"reply"` is the default of `service`,
        `own_thread`, `runnable` and `pykka.actor`, if nothing is said of `expects`.
    on_cancel: What becomes of a handler whose caller is cancelled, or whose `timeout`
        passes. `"finish"` (default): it goes on. `"cancel"`: it is cancelled, if it is an
        async one, and the actor lives on. `options(on_cancel=…)` says it for one call.
    concurrency: How many of its handlers run beside each other. It is for a class that was
        made to be used so, as a pool or a client is, and can't be decorated. All its
        handlers are as if marked with `@concurrent`, and share this limit; a limit that one
        has of its own counts, too. A plain `def` runs when it has its place. One crash cuts
        all that are in hand. Default: None, one after the other.
    capacity: How many messages its mailbox holds: default 1000; `math.inf` for no bound.
    overflow: What a full mailbox does: `"wait"` (default), `"reject"` (`MailboxFull`),
        `"drop_oldest"`, or `"drop_newest"`.
    lanes: Names of two or more lanes, most urgent first, each with the capacity.
        `options(lane="urgent")` chooses one; messages that don't say go to the last.
        Default: one lane.
    choice: Which lane is next. `"strict"` (default): the most urgent that has a message.
        `"fair"`: in turns. Weights for all lanes, `{"urgent": 8, "normal": 1}`: served in
        that proportion while all have messages; an empty one saves nothing up. A function:
        it is asked before each message, gets `{name: how many wait}` of the lanes that have
        any, and returns a name. Where it fails, the most urgent is next, and the log says
        so once a minute.
    throttle: How many messages a second it begins at most: a number, or `Throttle(rate,
        burst)`. Default: no bound.
    queue: What makes a lane's queue: a function without arguments that gives a
        `MessageQueue`. `QueueContract` of `supervise.testing.contract` tests one. Default:
        `collections.deque`.
    redeliver: How often a message is tried again that was in hand as a life ended (default
        0). So it is delivered at least once, instead of at most once. A whole number, or
        `Redeliver(times, wait=…, when=…)`. `@redelivered(…)` on a handler says it for that
        one.
    on_dead_letter: A function of one `Undelivered`, called at once for each message that no
        handler will finish. It may send it elsewhere with `try_send`, but can't wait. What
        it raises is logged; what is lost in it calls no hook. Default: that of the tree's
        root.
    lifetime: `"supervisor"` (default), or `"addresses"`: it ends normally, once nobody
        holds a strong address and nothing waits, and no restart builds it again.
    on_tree_started: A handler that each incarnation handles first of all, but not before
        the whole tree is built. Default: None.
    drain: Whether an ordered stop handles what is queued, within `stop_within`, before the
        actor ends (default False).
    handler_deadline: Seconds that one message may be in hand. Then the actor crashes
        (`HandlerLate`), at the latest a quarter later. Concurrent handlers have none.
        Default: None, no deadline.
    own_task: Whether it has one task from its start to its end (default False: tasks are
        lent to it while it is at work). It is for what a library keeps by the current task
        between two messages: an `anyio.Lock`, a `CapacityLimiter`, SQLAlchemy's
        `async_scoped_session`. It is also for handlers that, on asyncio, leave a cancel
        scope or a timeout open, which is else felt by others. An actor with an enter hook,
        or an async factory, has one anyway.
    required: Whether the tree isn't ready (`supervise.health`) while it is down. Default:
        yes, but no under a dynamic supervisor.

    >>> options: ChildOptions = {"restart": "transient", "limit": Intensity(1, per=60)}
    >>> print(Supervisor("app", child(list, **options), child(dict, **options)))
    app  [one_for_one, 3 in 5 s]
      list  transient, limit 1 in 60 s
      dict  transient, limit 1 in 60 s
    """

    name: str | None
    restart: Restart | RestartName
    significant: bool
    stop_within: StopWithin
    limit: Intensity | None
    on_limit: OnLimit
    retry_start: bool
    start_within: float | None
    quarantine: int | None
    expects: Expects
    on_error: OnError
    on_cancel: OnCancel
    concurrency: float | None
    capacity: float
    overflow: Overflow
    lanes: tuple[str, ...]
    choice: Choice
    throttle: float | Throttle | None
    queue: Callable[[], MessageQueue]
    redeliver: int | Redeliver
    on_dead_letter: OnDeadLetter | None
    lifetime: LifetimeOf
    on_tree_started: Callable[[Any], Any] | None
    drain: bool
    handler_deadline: float | None
    own_task: bool
    required: bool


def unless_said(spec: ChildSpec, says_restart: bool) -> ChildSpec:
    """As it is told to a dynamic supervisor: temporary, unless something else was said."""
    said = says_restart or spec.restart.type is RestartType.TEMPORARY
    return spec if said else replace(spec, restart=_TEMPORARY)


def takes_child_options(function: F) -> F:
    """Have `help()` of the function show the options with their texts before its example: it can't see them in a TypedDict."""
    options = inspect.getdoc(ChildOptions)
    if function.__doc__ and options:  # python -OO has none
        texts = textwrap.indent(options.partition("\n\n")[2].partition(_EXAMPLE)[0], "    ")
        text, example, its_lines = inspect.cleandoc(function.__doc__).partition(_EXAMPLE)
        function.__doc__ = f"{text}\n\nOptions:\n{texts}{example}{its_lines}"
    return function


class CheckedOptions:
    """What a child's options say, checked: shared by all children that say the same, 350 bytes for each of them."""

    __slots__ = (
        "_if_dynamic",
        "answers",
        "drain",
        "handler_deadline",
        "lifetime",
        "mailbox",
        "on_tree_started",
        "own_task",
        "redeliver",
        "required",
        "says_anything",
        "says_restart",
        "spec",
        "start_within",
    )

    def __init__(self, id: str, default: RestartName, options: ChildOptions) -> None:
        unknown = sorted(set(options) - set(ChildOptions.__annotations__))
        if unknown:
            there = ChildOptions.__annotations__
            cure = f"{did_you_mean(unknown[0], there)}there is no such option; there are {', '.join(there)}"
            raise InvalidSpec(f"child {id!r}", unknown[0], cast(Any, options)[unknown[0]], cure)
        self.lifetime: LifetimeOf = options.get("lifetime", "supervisor")
        by_address = self.lifetime == "addresses"
        self.spec: ChildSpec = ChildSpec(
            id=id,
            restart=as_restart(options.get("restart", "transient" if by_address and default == "permanent" else default)),
            significant=options.get("significant", False),
            stop_within=options.get("stop_within"),
            limit=options.get("limit"),
            on_limit=options.get("on_limit", "stop"),
            retry_start=options.get("retry_start", False),
            quarantine=options.get("quarantine"),
        )
        self.says_anything: bool = bool(options)
        self.says_restart: bool = "restart" in options
        self._if_dynamic: ChildSpec | None = None
        who = f"child {self.spec.id!r}"
        if self.lifetime not in ("supervisor", "addresses"):
            cure = "'supervisor' or 'addresses'"
            raise InvalidSpec(who, "lifetime", self.lifetime, cure, among=("supervisor", "addresses"))
        if by_address and self.spec.restart.type == "permanent":
            cure = "its end by its addresses is a normal one: make it transient or temporary"
            raise InvalidSpec(who, "lifetime", self.lifetime, cure)
        self.mailbox: MailboxOptions = MailboxOptions(
            options.get("capacity", 1000),
            options.get("overflow", "wait"),
            options.get("queue", deque),
            options.get("lanes", ()),
            options.get("choice", "strict"),
            as_throttle(who, options.get("throttle")),
            options.get("on_cancel", "finish"),
            options.get("on_dead_letter"),
            options.get("drain", False),
            options.get("concurrency"),
        ).checked(who)
        self.redeliver: Redeliver = as_redeliver(who, options.get("redeliver", 0))
        self.on_tree_started: AnyHandler | None = options.get("on_tree_started")
        if self.on_tree_started is not None:
            try:
                check(self.on_tree_started)
            except NotAHandler as error:
                raise InvalidSpec(who, "on_tree_started", self.on_tree_started, str(error)) from None
        self.answers: Answers = as_answers(who, options.get("expects", ()), options.get("on_error", "crash"))
        self.drain: bool = options.get("drain", False)
        if self.drain not in (True, False):
            raise InvalidSpec(who, "drain", self.drain, "True or False")
        self.own_task: bool = options.get("own_task", False)
        if self.own_task not in (True, False):
            raise InvalidSpec(who, "own_task", self.own_task, "True or False")
        self.handler_deadline: float | None = options.get("handler_deadline")
        _check_seconds(who, "handler_deadline", self.handler_deadline)
        if self.handler_deadline is not None and self.mailbox.concurrency is not None:
            cure = "handlers that run beside others have none: use address.options(timeout=…, on_cancel='cancel')"
            raise InvalidSpec(who, "handler_deadline", self.handler_deadline, cure)
        self.start_within: float | None = options.get("start_within")
        _check_seconds(who, "start_within", self.start_within)
        self.required: bool | None = options.get("required")
        if self.required not in (True, False, None):
            raise InvalidSpec(who, "required", self.required, "True, or False for a child whose loss only degrades the tree")

    def spec_if_dynamic(self) -> ChildSpec:
        """As it is told to a dynamic supervisor. Raises `InvalidSpec` for what can't be said of a temporary child."""
        if self._if_dynamic is None:
            self._if_dynamic = unless_said(self.spec, self.says_restart)
        return self._if_dynamic


@functools.lru_cache(maxsize=128)
def checked(id: str, default: RestartName, options: tuple[tuple[str, type, Any], ...]) -> CheckedOptions:
    """Shared by all that say the same; each with its type, since True and 1 are equal. TypeError for what has no hash."""
    return CheckedOptions(id, default, cast(ChildOptions, {key: value for key, _, value in options}))


def _check_seconds(who: str, option: str, seconds: object) -> None:
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise InvalidSpec(who, option, seconds, "seconds, more than 0, or None for no deadline")
