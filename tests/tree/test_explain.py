"""`app.explain`: what a crash would cause now, told first and then made to happen.

Tested: SEMANTICS 12 in a running tree: each explanation is compared with the events of the crash that follows; the chain up to
the root; keys and paths; policies that look at the exception; that nothing is done by asking; and refusals.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import retry_if_exception_type, wait_fixed

from supervise import (
    ChildNotFound,
    Decision,
    DynamicSupervisor,
    ExitKind,
    Explanation,
    GaveUp,
    Intensity,
    Restart,
    Supervisor,
    SupervisorNotRunning,
    child,
)
from supervise.events import Decided, Event, Started, Stopped
from supervise.testing.virtual_time import at_rest
from supervise.tree.explanation import explain_description
from tests.doubles import Boom
from tests.members import Member

pytestmark = pytest.mark.anyio

SLOWLY = Restart.permanent(wait=wait_fixed(7), counted=True)
BOOM = Boom("told to")


def timeless(*decisions: Decision) -> list[Decision]:
    """Without what an explanation can't know before: when it is, and from where the exception comes."""
    return [decision._replace(at=0, fingerprint="") for decision in decisions]


async def test_the_events_of_a_crash_are_those_that_were_explained() -> None:
    events: list[Event] = []
    a, b, c = (child(Member, name=name, restart=SLOWLY) for name in "abc")
    async with Supervisor("app", a, Supervisor("below", b, c, strategy="rest_for_one")) as app:
        foretold = app.explain("below/b", error=BOOM)
        app.subscribe(events.append)
        await anyio.sleep(1)
        assert events == []
        await app.find(b).send(Member.crash)
        await at_rest()
        (decided,) = [event for event in events if isinstance(event, Decided)]
        assert timeless(decided.decision) == timeless(*foretold.decisions)
        assert (decided.path, decided.supervisor) == (foretold.path, foretold.supervisor) == ("app/below/b", "app/below")
        stopped = [event.path for event in events if isinstance(event, Stopped)]
        assert stopped == ["app/below/b", *(f"app/below/{name}" for name in foretold.stops)]
        await anyio.sleep(foretold.delay)
        await at_rest()
        started = [event.path for event in events if isinstance(event, Started)]
        assert started == [f"app/below/{name}" for name in foretold.starts] == ["app/below/b", "app/below/c"]
        assert app.explain(b).left == foretold.left_after + 1 == 3  # 7 s later, the window has forgotten it


async def test_a_give_up_is_explained_up_to_the_end_of_the_tree() -> None:
    a = child(Member, name="a")
    tree = Supervisor("app", Supervisor("below", a, intensity=Intensity(0)), child(Member, name="b"), intensity=Intensity(0))
    foretold: Explanation | None = None
    with pytest.raises(GaveUp) as caught:
        async with tree as app:
            foretold = app.explain("below/a", error=BOOM)
            assert [part.path for part in foretold.chain] == ["app/below/a", "app/below"]
            assert foretold.above is not None
            assert (foretold.above.stops, foretold.above.above) == (("b",), None)
            assert "the tree ends, and GaveUp is raised" in str(foretold)
            await app.find(a).send(Member.crash)
            await app.wait()
    assert foretold is not None
    told = [decision for part in foretold.chain for decision in part.decisions]
    assert timeless(*told) == timeless(*(event.decision for event in caught.value.crashes))


async def test_a_nested_supervisor_that_gives_up_comes_back_by_its_parents_rules() -> None:
    tree = Supervisor("app", Supervisor("below", child(Member, name="a"), intensity=Intensity(0)), child(Member, name="b"))
    async with tree as app:
        foretold = app.explain("below/a")
        assert foretold.above is not None
        assert (foretold.above.starts, foretold.above.ends) == (("below",), None)
        assert app.supervisor("below").explain("a") == foretold
        own = app.explain("below")
        assert (own.starts, own.decisions[0].reason.kind) == (("below",), ExitKind.GAVE_UP)


async def test_a_tree_that_does_not_run_is_explained_as_one_that_has_just_started() -> None:
    below = Supervisor("below", child(Member, name="a"), intensity=Intensity(0))
    tree = Supervisor("app", below, child(Member, name="b", restart=SLOWLY))
    before = {path: explain_description(tree, path) for path in ("below/a", "below", "b")}
    assert {path: found.decisions[0].reason.kind for path, found in before.items()} == {
        "below/a": ExitKind.CRASHED,
        "below": ExitKind.GAVE_UP,
        "b": ExitKind.CRASHED,
    }
    async with tree as app:
        for path, found in before.items():
            assert str(app.explain(path)) == str(found)


async def test_policies_are_asked_about_the_exception() -> None:
    restart = Restart.permanent(when=retry_if_exception_type(OSError))
    async with Supervisor("app", child(Member, name="a", restart=restart)) as app:
        assert app.explain("a", error=OSError()).starts == ("a",)
        assert app.explain("a", error=BOOM).starts == ()
        assert "doesn't match Boom" in str(app.explain("a", error=BOOM))


async def test_what_is_down_can_not_crash_and_the_explanation_says_so() -> None:
    async with Supervisor("app", child(Member, name="a", restart=SLOWLY), DynamicSupervisor("pool")) as app:
        await app.supervisor("pool").start(Member, name="m")
        assert "temporary: never restarted -> not restarted" in str(app.explain("pool/m"))
        await app.find("a").send(Member.crash)
        await at_rest()
        assert app.explain("a").note == "it can't crash now: it is restarting"
        await app.terminate_child("a")
        assert app.explain("a").note == "it can't crash now: it is stopped"


async def test_unknown_paths_and_supervisors_that_are_down_are_refused() -> None:
    below = Supervisor("below", child(Member, name="a"), restart="transient")
    async with Supervisor("app", below) as app:
        for path in ("z", "below/z", "below/a/z"):
            with pytest.raises(ChildNotFound, match="z"):
                app.explain(path)
        await app.terminate_child("below")
        with pytest.raises(SupervisorNotRunning, match=r"app/below.*nobody would decide"):
            app.explain("below/a")


async def test_a_frozen_value() -> None:
    async with Supervisor("app", child(Member, name="a")) as app:
        found: Any = app.explain("a")
        with pytest.raises(AttributeError):
            found.path = "x"
