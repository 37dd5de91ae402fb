"""Specs of the machine, made from recorded ones."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from supervise_strategies import (
    ChildSpec,
    ExitKind,
    ExitReason,
    ImmortalLoopWarning,
    Intensity,
    InvalidSpec,
    Restart,
    Strategy,
    SupervisorSpec,
)

from .reasons import exit_reason
from .scenario import Json


@dataclass(frozen=True, slots=True)
class ScriptedSpec(ChildSpec):
    """A child's spec with what the script says of its behaviour, so that whoever starts it knows both."""

    stop_seconds: float = 0.0
    stop_reason: ExitReason = ExitReason(ExitKind.SHUTDOWN)
    nested: Json | None = None
    """A supervisor's own spec. Not looked at before it starts: a fault in it is a failed start, as in OTP."""


class Blueprint(NamedTuple):
    """A supervisor's spec, and what its instances are made of if it is simple_one_for_one."""

    spec: SupervisorSpec
    template: ScriptedSpec | None


def blueprint(name: str, sup: Json) -> Blueprint:
    """Raises `InvalidSpec` with OTP's fault. An absent key stands for OTP's default."""
    strategy = sup.get("strategy", "one_for_one")
    dynamic = strategy == "simple_one_for_one"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImmortalLoopWarning)
        settings = partial(
            SupervisorSpec,
            name,
            strategy=Strategy.ONE_FOR_ONE if dynamic else strategy,
            intensity=Intensity(sup.get("intensity", 1), sup.get("period", 5)),
            auto_shutdown=sup.get("auto_shutdown", "never"),
            dynamic=dynamic,
            give_up_as=ExitKind.SHUTDOWN,
        )
        childless = settings()  # OTP looks at these before it looks at the children
        children = tuple(child_spec(child) for child in sup["children"])
        if not dynamic:
            return Blueprint(settings(children=children), None)
        if len(children) != 1:
            raise InvalidSpec(f"supervisor {name!r}", "children", len(children), "one template", fault="bad_start_spec")
        childless.check_child(children[0])
        return Blueprint(childless, children[0])


def added_spec(supervisor: SupervisorSpec, child: Json) -> ScriptedSpec:
    """The spec of a child that is added at run time. Raises `InvalidSpec`, also for what this supervisor doesn't allow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImmortalLoopWarning)
        spec = child_spec(child)
        supervisor.check_child(spec)
    return spec


def child_spec(child: Json) -> ScriptedSpec:
    """Of a recorded CHILD."""
    return ScriptedSpec(
        child.get("id", ""),
        restart=Restart(child.get("restart", "permanent")),
        significant=child.get("significant", False),
        stop_within=seconds(child.get("shutdown")),
        type=child.get("type", "worker"),
        stop_seconds=child.get("stop_ms", 0) / 1000,
        stop_reason=exit_reason(child.get("stop_reason", "shutdown")),
        nested=child.get("spec"),
    )


def seconds(shutdown: Any) -> Any:
    """Milliseconds, `infinity` or `brutal_kill`; what is neither goes through, for the machine to refuse."""
    if shutdown == "infinity":
        return math.inf
    return shutdown / 1000 if isinstance(shutdown, int) and not isinstance(shutdown, bool) else shutdown
