"""How scenarios came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from .scenario import Scenario
from .skips import skip_reason

Play: TypeAlias = Callable[[Scenario], str | None]
"""Take a subject through a scenario: how it differs from OTP, or None."""


class Verdict(NamedTuple):
    """One scenario's."""

    id: str
    outcome: Literal["passed", "failed", "skipped"]
    reason: str = ""


def judge(scenarios: Iterable[Scenario], play: Play) -> Iterator[Verdict]:
    """One verdict per scenario. A subject that raises has failed, and the rest goes on."""
    for scenario in scenarios:
        skipped = skip_reason(scenario)
        if skipped is not None:
            yield Verdict(scenario.id, "skipped", skipped)
            continue
        try:
            reason = play(scenario)
        except Exception as error:
            reason = f"raised {type(error).__name__}: {error}"
        yield Verdict(scenario.id, "passed") if reason is None else Verdict(scenario.id, "failed", reason)


def lines(name: str, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """A file's line, and below it what failed or was skipped."""
    yield summary(name, verdicts)
    for verdict in verdicts:
        if verdict.outcome != "passed":
            yield f"  {verdict.outcome} {verdict.id}: {verdict.reason}"


def summary(name: str, verdicts: Iterable[Verdict]) -> str:
    """`name: N passed, N failed, N skipped`."""
    count = Counter(verdict.outcome for verdict in verdicts)
    return f"{name}: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped"
