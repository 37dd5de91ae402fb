"""Scenarios that nothing of ours can be compared with, and why."""

from __future__ import annotations

from collections.abc import Iterator

from .scenario import Json, Scenario


def skip_reason(scenario: Scenario) -> str | None:
    """By what a scenario needs, never by its id."""
    if "gate_stop" in scenario.features:
        return "gate_stop: a supervisor told to stop cancels a hanging start, where OTP waits for it"
    added = [step["child"] for step in scenario.steps if step["do"] == "start_child" and "child" in step]
    for owner, key, value in [*_times(scenario.spec), *_times({"children": added})]:
        if isinstance(value, float):
            return f"{key}={value} of {owner}: OTP refuses a number that isn't whole, and time is a float here"
    return None


def _times(sup: Json) -> Iterator[tuple[str, str, object]]:
    yield "a supervisor", "period", sup.get("period")
    for child in sup.get("children", ()):
        yield "a child", "shutdown", child.get("shutdown")
        if "spec" in child:
            yield from _times(child["spec"])
