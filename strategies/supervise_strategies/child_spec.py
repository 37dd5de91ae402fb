"""What a supervisor knows of a child and of itself: immutable, and validated when built."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .errors import InvalidSpec
from .exit_reason import ExitKind
from .intensity import Intensity, check_intensity
from .restart import Restart, RestartType, no_restart
from .strategy import AutoShutdown, Strategy

StopWithin: TypeAlias = float | Literal["brutal_kill"]
ChildType: TypeAlias = Literal["worker", "supervisor"]
OnLimit: TypeAlias = Literal["stop", "escalate"]
DEFAULT_SECONDS: Final = 5.0
"""What a worker's ordered stop may take, if nothing is said."""


class ImmortalLoopWarning(UserWarning):
    """A child may take so long to stop that no limit can ever end its restarts.

    Its stop time is at or above period / intensity. If it overruns that at every restart, old
    restarts are forgotten before new ones come (erlang/otp#4648). Lower the stop time, or raise
    the period.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     tree = Supervisor("app", child(list, stop_within=10), intensity=Intensity(3, per=5))
    >>> print(caught[0].message)
    child 'list': stop_within=10 s is at or above period / intensity (5 s / 3) of the
        intensity of supervisor 'app': a child whose stop always overruns never spends it; ...
    """


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child, as the decisions see it: immutable, and validated when it is built.

        id: Its name: text without `/`, unique below its supervisor.
        restart: Its policy (default `Restart()`, permanent).
        significant: Whether its end may shut its supervisor down, see `auto_shutdown` (default
            False).
        stop_within: What an ordered stop may take: seconds, `math.inf`, or `"brutal_kill"`
            (cancelled at once). Default as in OTP: 5 s for a worker, infinity for a supervisor.
        type: `"worker"` (default) or `"supervisor"`.
        limit: A budget of restarts of its own (default: none). Beyond it the child is left
            stopped while its siblings live.
        on_limit: `"stop"` (default), or `"escalate"`: beyond its `limit` the supervisor gives
            up.
        retry_start: Whether its first start is tried again like a restart (default False).
        quarantine: After so many crashes in a row of one fingerprint it is left stopped
            (default: never).

    Raises `InvalidSpec`, with the cure, for a value that can't be, and for a significant child
    that is permanent.

        >>> ChildSpec("db", Restart.temporary()).seconds
        5.0
        >>> ChildSpec("db", stop_within=-1)
        Traceback (most recent call last):
        InvalidSpec: child 'db': stop_within=-1 is not valid: seconds (0 or more), math.inf, or 'brutal_kill'
    """

    id: str
    restart: Restart = Restart()
    significant: bool = False
    stop_within: StopWithin | None = None
    type: ChildType = "worker"
    limit: Intensity | None = None
    on_limit: OnLimit = "stop"
    retry_start: bool = False
    quarantine: int | None = None

    def __post_init__(self) -> None:
        check_name("child", self.id)
        who = f"{'supervisor' if self.type == 'supervisor' else 'child'} {self.id!r}"
        if self.type not in ("worker", "supervisor"):
            raise InvalidSpec(who, "type", self.type, "'worker' or 'supervisor'", fault="invalid_child_type")
        if self.stop_within is not None:
            check_stop_within(who, self.stop_within)
        if not isinstance(self.restart, Restart):
            raise no_restart(who, self.restart)
        if self.significant not in (True, False):
            raise InvalidSpec(who, "significant", self.significant, "True or False", fault="invalid_significant")
        if self.significant and self.restart.type is RestartType.PERMANENT:
            cure = "a permanent child never ends for good; make it transient or temporary"
            raise InvalidSpec(who, "significant", True, cure, fault="bad_combination")
        if self.limit is not None:
            check_intensity(who, "limit", self.limit)
        if self.on_limit not in ("stop", "escalate"):
            raise InvalidSpec(who, "on_limit", self.on_limit, "'stop' or 'escalate'", among=("stop", "escalate"))
        self._check_patience(who)

    def _check_patience(self, who: str) -> None:
        never = self.restart.type is RestartType.TEMPORARY
        if self.restart.counted and self.limit is not None:
            raise InvalidSpec(who, "restart", self.restart, "without counted=True: its own limit= counts all of its restarts")
        if self.retry_start not in (True, False):
            raise InvalidSpec(who, "retry_start", self.retry_start, "True or False")
        if self.retry_start and never:
            cure = "a temporary child is never started again: make it permanent or transient, or leave it out"
            raise InvalidSpec(who, "retry_start", True, cure)
        row = self.quarantine
        if row is not None and (isinstance(row, bool) or not isinstance(row, int) or row < 1):
            raise InvalidSpec(who, "quarantine", row, "after how many crashes of one kind in a row: a whole number, 1 or more")
        if row is not None and never:
            cure = "a temporary child is never restarted: make it permanent or transient, or leave it out"
            raise InvalidSpec(who, "quarantine", row, cure)

    @property
    def seconds(self) -> float:
        """What an ordered stop may take, in seconds.

        `stop_within`, or its default by type. A brutal kill takes none.
        """
        within = self.stop_within
        if within is None:
            return math.inf if self.type == "supervisor" else DEFAULT_SECONDS
        return 0.0 if within == "brutal_kill" else within

    @property
    def brutal(self) -> bool:
        """Whether an ordered stop cancels at once, without asking."""
        return self.stop_within == "brutal_kill"


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """One supervisor, as the decisions see it: its children, and how their ends are answered.

        id: Its name: text without `/`.
        children: In start order; stopped in reverse.
        strategy: Who is restarted with a child: `"one_for_one"` (default), `"one_for_all"` or
            `"rest_for_one"`.
        intensity: How many restarts it performs before it gives up (default: 3 in 5 s).
        auto_shutdown: Whether ends of significant children shut it down (default `"never"`).
        dynamic: OTP's simple_one_for_one (default False): children come and go at run time, are
            known by address, and are stopped all at once.
        max_children: How many there may be (default: any number).
        give_up_as: The reason that its parent sees when it gives up. `gave_up` (default) is
            abnormal, so a transient supervisor is restarted; OTP's is `shutdown`.
        ends_with_last: For a pool (default False): when the last child has left, which is
            restarted no more, it ends as that did.

    Raises `InvalidSpec`, with the cure, for a value that can't be, and for two children of one
    name.

        >>> spec = SupervisorSpec("app", (ChildSpec("db"), ChildSpec("web")), strategy="rest_for_one")
        >>> Supervision(spec).begin(now=0)
        [Start(id='db', number=1)]
    """

    id: str
    children: tuple[ChildSpec, ...] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = Intensity()
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    dynamic: bool = False
    max_children: float = math.inf
    give_up_as: ExitKind = ExitKind.GAVE_UP
    ends_with_last: bool = False

    def __post_init__(self) -> None:
        check_name("supervisor", self.id)
        who = f"supervisor {self.id!r}"
        try:
            object.__setattr__(self, "strategy", Strategy(self.strategy))
        except ValueError:
            cure = "one of " + ", ".join(repr(s.value) for s in Strategy)
            raise InvalidSpec(who, "strategy", self.strategy, cure, fault="invalid_strategy", among=Strategy) from None
        try:
            object.__setattr__(self, "auto_shutdown", AutoShutdown(self.auto_shutdown))
        except ValueError:
            cure = "one of " + ", ".join(repr(a.value) for a in AutoShutdown)
            raise InvalidSpec(
                who, "auto_shutdown", self.auto_shutdown, cure, fault="invalid_auto_shutdown", among=AutoShutdown
            ) from None
        check_intensity(who, "intensity", self.intensity, fault="invalid_intensity")
        if self.give_up_as in ("gave_up", "shutdown"):
            object.__setattr__(self, "give_up_as", ExitKind(self.give_up_as))
        else:
            raise InvalidSpec(who, "give_up_as", self.give_up_as, "'gave_up' or 'shutdown'", among=("gave_up", "shutdown"))
        if self.dynamic and (self.strategy is not Strategy.ONE_FOR_ONE or self.children):
            names = [child.id for child in self.children]
            cure = "a dynamic supervisor is one_for_one and begins without children: start them when it runs"
            raise InvalidSpec(who, "children", names, cure)
        limit = self.max_children
        if not is_count(limit, 0):
            raise InvalidSpec(who, "max_children", limit, "a whole number, 0 or more, or math.inf")
        check_unique(who, (child.id for child in self.children))
        for child in self.children:
            self.check_child(child)

    def check_child(self, child: ChildSpec) -> None:
        """The rules that need both: for each static child, and for one that is added at run time.

        Raises `InvalidSpec`.
        """
        who = f"child {child.id!r}"
        if child.significant and self.auto_shutdown is AutoShutdown.NEVER:
            cure = f"supervisor {self.id!r} has auto_shutdown='never'; set it to 'any_significant' or 'all_significant'"
            raise InvalidSpec(who, "significant", True, cure, fault="bad_combination")
        if child.significant and self.dynamic:
            cure = f"supervisor {self.id!r} is dynamic, and a dynamic supervisor never shuts down by itself"
            raise InvalidSpec(who, "significant", True, cure, fault="bad_combination")


def warn_of_immortal_loop(supervisor: SupervisorSpec, child: ChildSpec) -> None:
    """Warn where a limit can never be spent. Said where the tree is described; a warning that is an error is raised there.

    The default stop time beside the default intensity is our own choice, and nobody is warned of it.
    """
    limit, whose = child.limit, "its own limit"
    if limit is None:
        limit, whose = supervisor.intensity, f"the intensity of supervisor {supervisor.id!r}"
    if limit is not child.limit and not child.restart.intensity_counts:
        return
    if child.restart.type is RestartType.TEMPORARY or (child.stop_within is None and limit == Intensity()):
        return
    if limit.restarts and limit.per / limit.restarts <= child.seconds < math.inf:
        given = "stop_within=" if child.stop_within is not None else "the default stop time of "
        counted = limit is child.limit or child.restart.counted
        paced = "" if counted else ", or give its restarts a wait=, so they aren't counted"
        warnings.warn(
            f"child {child.id!r}: {given}{child.seconds:g} s is at or above period / intensity ({limit.per:g} s / "
            f"{limit.restarts}) of {whose}: a child whose stop always overruns never spends it; lower stop_within, or "
            f"raise the period{paced}",
            ImmortalLoopWarning,
            stacklevel=_to_the_user(),
        )


def _to_the_user() -> int:
    """The stack level, for a warning of our caller, at which the code stands that isn't ours."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in ("supervise", "supervise_strategies"):
        level, frame = level + 1, frame.f_back
    return level


def check_name(kind: str, name: object) -> None:
    """Names are parts of a path: text, not empty, without `/`."""
    if not isinstance(name, str) or not name:
        raise InvalidSpec(kind, "name", name, "a name is text, and not empty", fault="missing_id")
    if "/" in name:
        raise InvalidSpec(f"{kind} {name!r}", "name", name, "a name is one part of a path: leave out the '/'")


def check_unique(who: str, names: Iterable[str]) -> None:
    """Names are unique within one supervisor."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            cure = "two children have this name; give one another name="
            raise InvalidSpec(who, "children", name, cure, fault="duplicate_child_name")
        seen.add(name)


def is_count(value: object, least: int) -> bool:
    """Whether it is a whole number, at least `least`, or infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
        return False
    return isinstance(value, int) or math.isinf(value) or value.is_integer()


def check_stop_within(who: str, value: object) -> None:
    """Seconds, infinity or a brutal kill."""
    good = value == "brutal_kill" or (
        isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value) and value >= 0
    )
    if not good:
        cure = "seconds (0 or more), math.inf, or 'brutal_kill'"
        raise InvalidSpec(who, "stop_within", value, cure, fault="invalid_shutdown", among=("brutal_kill",))
