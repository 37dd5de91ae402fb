"""Which spans have the status ERROR, with which `error.type`, beyond the ten kinds of crash in `test_errors_in_red.py`.

Tested: what is an answer is red nowhere, and what is refused, late or isolated is red at its caller; an object that is raised
again is recorded again; a crash while a stop is under way is recorded once, on a span; a status has 500 characters at most.
"""

from __future__ import annotations

from typing import Any, NoReturn, Self, cast

import anyio
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    BadCall,
    CallTimeout,
    MailboxFull,
    Supervisor,
    UnknownHandler,
    child,
    concurrent,
    current,
)
from supervise.spans import attributes as key
from supervise.testing.virtual_time import at_rest
from tests.collector import Span
from tests.doubles import Boom, Gate, Scribe

from .watch import Watch

pytestmark = pytest.mark.anyio


def red(watch: Watch) -> set[str]:
    return {span.name for span in watch.received() if span.status == "ERROR"}


def recorded(watch: Watch) -> list[Span]:
    return [span for span in watch.received() if [event for event in span.events if event.name == "exception"]]


async def test_an_answer_is_red_on_neither_span_and_says_that_it_is_one(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        expecting = await app.start(Scribe, name="expecting", expects=(Boom,))
        replying = await app.start(Scribe, name="replying", on_error="reply")
        for scribe in (expecting, replying):
            with pytest.raises(Boom):
                await scribe.call(Scribe.crash)
        await expecting.send(Scribe.crash)
        await at_rest()
    assert red(watch) == set()
    assert recorded(watch) == []
    spans = [span for span in watch.received() if span.name.endswith(" Scribe.crash")]
    assert len(spans) == 6
    assert [span.name for span in spans if span.attributes.get(key.OUTCOME) != "answered"] == ["send Scribe.crash"]


async def test_what_is_no_answer_is_red(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, expects=(KeyError,), on_error="crash")
        with pytest.raises(ActorCrashed):
            await scribe.call(Scribe.crash)
        replying = await app.start(Scribe, name="replying", on_error="reply")
        await replying.send(Scribe.crash)  # nobody waits for an answer
        await at_rest()
    assert red(watch) == {"call Scribe.crash", "process Scribe.crash", "drop Scribe.crash"}
    assert [span.name for span in recorded(watch)] == ["process Scribe.crash"] * 2


class Isolating:
    @concurrent(isolate=True)
    async def fail(self) -> NoReturn:
        raise Boom("alone")


async def test_an_isolated_failure_is_red_on_both_spans(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        isolating = await app.start(Isolating)
        with pytest.raises(Boom):
            await isolating.call(Isolating.fail)
    assert red(watch) == {"call Isolating.fail", "process Isolating.fail"}


async def test_what_is_refused_full_or_late_is_red_at_its_caller(watch: Watch) -> None:
    gate = Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, name="s", capacity=1, overflow="reject")
        foreign, misfit = cast("tuple[Any, Any]", (Isolating.fail, Scribe.note))
        with pytest.raises(UnknownHandler):
            await scribe.call(foreign)
        with pytest.raises(BadCall):
            await scribe.call(misfit)
        with pytest.raises(CallTimeout):
            await scribe.options(timeout=1).call(Scribe.hold, gate)
        await scribe.send(Scribe.note, "a")
        with pytest.raises(MailboxFull):
            await scribe.call(Scribe.note_at_once, "b")
        gate.open()
        await at_rest()
        await app.terminate_child("s")
        with pytest.raises(ActorStopped):
            await scribe.call(Scribe.note, "c")
    calls = [span for span in watch.received() if span.name.startswith("call ")]
    assert [(span.status, span.attributes["error.type"].rpartition(".")[2]) for span in calls] == [
        ("ERROR", "UnknownHandler"),
        ("ERROR", "BadCall"),
        ("ERROR", "timeout"),
        ("ERROR", "MailboxFull"),
        ("ERROR", "ActorStopped"),
    ]


async def test_a_handler_that_takes_too_long_is_red_with_its_decision_below_it(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, handler_deadline=1)
        with pytest.raises(ActorCrashed):
            await scribe.call(Scribe.hold, Gate())
        await at_rest()
    call, process, restart = watch.one("call Scribe.hold"), watch.one("process Scribe.hold"), watch.one("restart Scribe")
    assert (process.status, process.attributes["error.type"]) == ("ERROR", "timeout")
    assert restart.attributes["error.type"] == process.attributes["error.type"]
    [event] = process.events
    waited, *_, raised = event.attributes["exception.stacktrace"].split("\n")
    assert event.name == "exception"
    assert (waited, raised.split(":")[0]) == ("It waited in:", "supervise.errors.HandlerLate")
    assert f'", line {Scribe.hold.__code__.co_firstlineno + 1}, in Scribe.hold\n' in event.attributes["exception.stacktrace"]
    assert (process.parent_id, restart.parent_id) == (call.span_id, process.span_id)
    assert red(watch) == {"call Scribe.hold", "process Scribe.hold"}
    assert [span.name for span in recorded(watch)] == ["process Scribe.hold"]


ALWAYS_THE_SAME = Boom("the same object")


class Singular:
    def fail(self) -> NoReturn:
        raise ALWAYS_THE_SAME


async def test_an_object_that_is_raised_again_is_recorded_once_for_each_crash(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        singular = await app.start(Singular)
        for _ in range(3):
            with pytest.raises(ActorCrashed):
                await singular.call(Singular.fail)
    assert [span.name for span in recorded(watch)] == ["process Singular.fail"] * 3


class Leaving:
    """Its exit hook raises."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> NoReturn:
        raise Boom("on the way out")

    def leave(self) -> None:
        current().stop()

    def begin(self) -> None:
        current().nursery.start_soon(self._fail)

    async def _fail(self) -> NoReturn:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("cut off")


async def test_a_crash_while_a_supervisor_stops_an_actor_stands_on_its_stop(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        await app.start(Leaving, name="l")
        await app.terminate_child("l")
    stop = watch.one("stop Leaving")
    assert (stop.status, stop.description, stop.attributes["error.type"]) == ("ERROR", "on the way out", "tests.doubles.Boom")
    assert recorded(watch) == [stop]


async def test_a_crash_of_the_nursery_at_a_stop_stands_on_that(watch: Watch) -> None:
    class Quiet(Leaving):
        async def __aexit__(self, *_: object) -> None:  # type: ignore[override]  # Leaving's only raises
            pass

    async with Supervisor("app", tracing=watch.provider) as app:
        quiet = await app.start(Quiet, name="q")
        await quiet.call(Leaving.begin)
        await at_rest()
        await app.terminate_child("q")
    stop = watch.one("stop Quiet")
    assert (stop.status, stop.attributes["error.type"]) == ("ERROR", "KeyError")
    assert recorded(watch) == [stop]


async def test_a_crash_at_the_end_that_an_actor_has_asked_for_itself_stands_on_its_decision(watch: Watch) -> None:
    async with Supervisor("app", child(Leaving, restart="transient"), tracing=watch.provider) as app:
        await app.find("leaving").send(Leaving.leave)
        await at_rest()
    [restart] = watch.named("restart Leaving")
    assert (restart.status, restart.attributes["error.type"]) == ("ERROR", "tests.doubles.Boom")
    assert recorded(watch)[0] == restart


async def test_a_handler_that_crashes_while_its_actor_is_stopped_is_linked_to_by_the_stop(watch: Watch) -> None:
    gate = Gate()

    class Torn:
        async def fail(self) -> NoReturn:
            await gate.walk_through()
            raise Boom("in the middle of a stop")

    async with Supervisor("app", tracing=watch.provider) as app:
        torn = await app.start(Torn, name="t")
        await torn.send(Torn.fail)
        await gate.reached.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, "t")
            await at_rest()
            gate.open()
    process, stop = watch.one("process Torn.fail"), watch.one("stop Torn")
    assert recorded(watch) == [process]
    assert (stop.status, [link.span_id for link in stop.links]) == ("ERROR", [process.span_id])


async def test_the_text_of_a_status_is_bounded(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        with pytest.raises(ActorCrashed):
            await scribe.call(Scribe.crash, "x" * 10_000)
    assert {len(span.description) for span in watch.received() if span.status == "ERROR"} <= set(range(501))
    assert len(watch.one("process Scribe.crash").description) == 500


class Wrapped:
    async def fail(self) -> None:
        async with anyio.create_task_group():
            raise Boom("in a group of one") from OSError("the cause")


async def test_a_group_of_one_has_the_type_of_what_is_in_it_on_each_span(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        await (await app.start(Wrapped)).send(Wrapped.fail)
        await at_rest()
    types = [span.attributes["error.type"] for span in watch.received() if "error.type" in span.attributes]
    assert types == ["tests.doubles.Boom"] * 3  # the handler's, the lost message's, and the decision's
