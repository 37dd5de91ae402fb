"""What is compared with OTP, and the driver that takes it through a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from .compare import differences
from .replies import PENDING
from .scenario import Json, Scenario


class Observation(NamedTuple):
    """What one step led to, taken when nothing was left to happen."""

    answers: Sequence[tuple[int, Json]]
    """Replies, in order, each with the index of the step that made the call."""
    events: Sequence[Json]
    tree: Json
    seconds: float
    """From the step's begin to its completion."""


class Subject(Protocol):
    """An implementation under test, with the tree of one scenario."""

    async def perform(self, index: int, step: Json) -> Observation:
        """Do a step, and come back when the tree is quiescent. A call that waits is answered in a later observation."""
        ...


async def play(scenario: Scenario, subject: Subject) -> str | None:
    """All steps in order, up to the first that differs from OTP: the differences, or None."""
    for index, (step, recorded) in enumerate(zip(scenario.steps, scenario.expect, strict=True)):
        observation = await subject.perform(index, step)
        found = differences(recorded, _result(index, step, observation))
        if found:
            what = " ".join(str(step[key]) for key in ("do", "sup", "child", "instance") if isinstance(step.get(key), str))
            return f"step {index} ({what}): {'; '.join(found)}"
    return None


def _result(index: int, step: Json, seen: Observation) -> Json:
    """The observation in the form of a recorded result."""
    own = [reply for call, reply in seen.answers if call == index]
    lo, hi = step.get("within_ms", (0, float("inf")))
    return {
        "reply": own[0] if own else PENDING,
        "late_replies": [{"step": call, "reply": reply} for call, reply in seen.answers if call != index],
        "within": lo <= round(seen.seconds * 1000, 3) <= hi,
        "events": seen.events,
        "tree": seen.tree,
    }
