"""The description of a supervisor, as a value."""

from __future__ import annotations

import pytest
from tenacity import stop_after_attempt, wait_fixed

from supervise import (
    DynamicSupervisor,
    Intensity,
    Restart,
    Supervisor,
    child,
)
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio


async def test_a_description_prints_as_the_tree_that_it_is() -> None:
    tree = Supervisor(
        "app",
        child(Scribe, name="db", restart="transient"),
        DynamicSupervisor("conns", max_children=7),
        strategy="rest_for_one",
    )
    assert str(tree).split("\n") == [
        "app  [rest_for_one, 3 in 5 s]",
        "  db  transient",
        "  conns  [dynamic, 3 in 5 s, at most 7 children]",
    ]


def test_a_tree_says_which_restarts_are_counted_and_how_patient_it_is() -> None:
    paced, five = wait_fixed(1), stop_after_attempt(5)
    described = Supervisor(
        "app",
        child(str, name="paced", restart=Restart.permanent(wait=paced)),
        child(str, name="counted", restart=Restart.permanent(wait=paced, counted=True)),
        child(str, name="bounded", restart=Restart.permanent(wait=paced, stop=five)),
        child(str, name="limited", restart=Restart.permanent(wait=paced), limit=Intensity(9)),
        child(str, name="hot", restart=Restart.permanent(wait=wait_fixed(0.001))),
        child(str, name="tired", restart=Restart.permanent(stop=five)),
        child(str, name="patient", retry_start=True),
        child(str, name="poisoned", quarantine=3),
    )
    stop = "stop=stop_after_attempt(max_attempt_number=5)"
    wait = "wait=wait_fixed(wait_fixed=1.0)"
    assert str(described).split("\n")[1:] == [
        f"  paced  permanent({wait}), paced: not counted",
        f"  counted  permanent({wait}, counted=True)",
        f"  bounded  permanent({wait}, {stop}), bounded by stop=: not counted",
        f"  limited  permanent({wait}), limit 9 in 5 s",
        "  hot  permanent(wait=wait_fixed(wait_fixed=0.001))",
        f"  tired  permanent({stop}), bounded by stop=: not counted",
        "  patient  permanent, its first start is tried again",
        "  poisoned  permanent, quarantine after 3 crashes alike",
    ]
