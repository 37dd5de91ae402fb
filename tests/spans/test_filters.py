"""Which spans a tree doesn't make: handlers that are excluded, and sends.

Tested: neither the sender nor the handler of an excluded message has a span, nor has its loss, and what the handler sends or
calls belongs to the span around it, or begins a trace; a crash of one is red on its decision; patterns match type and handler,
in their own case; without spans of sends, what a send sets off is below the sender's own span, or linked to it, and chains end
all the same; wrong options name the cure; the same by the command line.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import anyio
import pytest
from opentelemetry.trace import SpanKind

from supervise import ActorCrashed, Address, InvalidSpec, Supervisor, concurrent, current
from supervise.spans.filters import Excluded
from supervise.spans.spans import Spans
from supervise.testing.virtual_time import at_rest
from tests.collector import Collector
from tests.doubles import Boom, Scribe
from tests.span_tree import span_tree

from .watch import Watch

pytestmark = pytest.mark.anyio


class Clock:
    """Passes on what it gets, in each of the ways in which a handler may run."""

    def __init__(self, scribe: Address[Scribe]) -> None:
        self.scribe = scribe

    async def tick(self) -> None:
        await self.scribe.call(Scribe.note, "a")
        await self.scribe.send(Scribe.note_at_once, "b")

    @concurrent
    async def beside(self) -> None:
        await self.tick()

    def plain(self) -> Any:
        return self.tick()

    async def fail(self) -> NoReturn:
        raise Boom("in a handler without a span")

    def later(self) -> None:
        current().after(1, Clock.tick)


@pytest.mark.parametrize("handler", [Clock.tick, Clock.beside, Clock.plain])
async def test_an_excluded_message_has_no_span_and_what_it_sets_off_belongs_to_the_span_around_it(
    watch: Watch, handler: Any
) -> None:
    async with Supervisor("app", tracing=Spans(watch.provider, exclude=["Clock.*"])) as app:
        clock = await app.start(Clock, await app.start(Scribe))
        with watch.tracer.start_as_current_span("request"):
            await clock.call(handler)
        await at_rest()
    assert not [span.name for span in watch.received() if " Clock." in span.name]
    request = watch.one("request")
    assert watch.one("call Scribe.note").parent_id == watch.one("send Scribe.note_at_once").parent_id == request.span_id
    assert watch.one("start Clock")


@pytest.mark.parametrize("within", [True, False])
async def test_of_a_send_that_is_excluded_too_and_without_a_span_around_it_there_is_a_trace_for_each(
    watch: Watch, within: bool
) -> None:
    async with Supervisor("app", tracing=Spans(watch.provider, exclude=["Clock.*"])) as app:
        clock = await app.start(Clock, await app.start(Scribe))
        if within:
            with watch.tracer.start_as_current_span("request"):
                await clock.send(Clock.tick)
        else:
            await clock.send(Clock.tick)
        await at_rest()
    made = watch.one("call Scribe.note"), watch.one("send Scribe.note_at_once")
    around = watch.one("request").span_id if within else ""
    assert [span.parent_id for span in made] == [around, around]
    assert not [span.name for span in watch.received() if " Clock." in span.name]


async def test_a_timer_of_an_excluded_handler_has_none_either(watch: Watch) -> None:
    async with Supervisor("app", tracing=Spans(watch.provider, exclude=["*.tick"])) as app:
        clock = await app.start(Clock, await app.start(Scribe))
        await clock.call(Clock.later)
        await anyio.sleep(1.5)
        await clock.call(Clock.plain)
    assert {span.name for span in watch.received() if span.attributes.get("supervise.actor.type") == "Clock"} == {
        "start Clock",
        "process Clock.later",
        "process Clock.plain",
        "stop Clock",
    }
    assert len(watch.named("process Scribe.note")) == 2
    assert watch.one("process Clock.plain")


async def test_a_crash_of_an_excluded_handler_is_red_on_its_decision(watch: Watch) -> None:
    async with Supervisor("app", tracing=Spans(watch.provider, exclude=["Clock.fail"])) as app:
        clock = await app.start(Clock, await app.start(Scribe))
        with watch.tracer.start_as_current_span("request"), pytest.raises(ActorCrashed):
            await clock.call(Clock.fail)
        await clock.send(Clock.fail)
        await at_rest()
    first, second = watch.named("restart Clock")
    for restart in (first, second):
        assert (restart.status, [event.name for event in restart.events]) == ("ERROR", ["exception"])
    assert (first.parent_id, second.parent_id) == (watch.one("request").span_id, "")
    assert not [span.name for span in watch.received() if span.name.startswith("drop ")]


@pytest.mark.parametrize(
    ("patterns", "excluded"),
    [
        ([], []),
        (["Clock.*"], ["Clock.tick", "Clock.fail"]),
        (["*.tick"], ["Clock.tick", "Watch.tick"]),
        (["Clock.tick", "Watch.f*"], ["Clock.tick", "Watch.fail"]),
        (["clock.*"], []),
        (["Cl?ck.[t]*"], ["Clock.tick"]),
        (["*"], ["Clock.tick", "Clock.fail", "Watch.tick", "Watch.fail"]),
    ],
)
def test_patterns_match_type_and_handler(patterns: list[str], excluded: list[str]) -> None:
    among = [(kind, handler) for kind in ("Clock", "Watch") for handler in ("tick", "fail")]
    asked = Excluded(patterns)
    assert [f"{kind}.{handler}" for kind, handler in among if asked(kind, handler)] == excluded


NO_SENDS = """\
request  SERVER shop
  call Clock.tick  CLIENT shop
    process Clock.tick  SERVER shop
      call Scribe.note  CLIENT shop
        process Scribe.note  SERVER shop
      process Scribe.note_at_once  CONSUMER shop"""


async def test_without_spans_of_sends_the_handler_is_below_the_senders_own(watch: Watch) -> None:
    async with Supervisor("app", tracing=Spans(watch.provider, sends=False)) as app:
        clock = await app.start(Clock, await app.start(Scribe))
        with watch.tracer.start_as_current_span("request", kind=SpanKind.SERVER):
            await clock.call(Clock.tick)
            await at_rest()
    spans = [span for span in watch.received() if span.trace_id == watch.one("request").trace_id]
    assert span_tree(spans) == NO_SENDS


async def test_without_spans_of_sends_it_may_be_linked_to_it(watch: Watch) -> None:
    async with Supervisor("app", tracing=Spans(watch.provider, sends=False, send_links="link")) as app:
        clock = await app.start(Clock, await app.start(Scribe))
        await clock.call(Clock.tick)
        await at_rest()
    process = watch.one("process Scribe.note_at_once")
    assert (process.parent_id, [link.span_id for link in process.links]) == ("", [watch.one("process Clock.tick").span_id])


class Player:
    def __init__(self) -> None:
        self.other: Address[Player] | None = None

    def meet(self, other: Address[Player]) -> None:
        self.other = other

    async def hit(self, left: int) -> None:
        assert self.other is not None
        if left:
            await self.other.send(Player.hit, left - 1)


async def test_a_chain_without_spans_of_its_sends_ends_all_the_same(watch: Watch) -> None:
    async with Supervisor("app", tracing=Spans(watch.provider, sends=False)) as app:
        first, second = await app.start(Player, name="first"), await app.start(Player, name="second")
        await first.call(Player.meet, second)
        await second.call(Player.meet, first)
        await first.send(Player.hit, 49)
        await at_rest()
    hits = watch.named("process Player.hit")
    traces: dict[str, list[Any]] = {}
    for hit in hits:
        traces.setdefault(hit.trace_id, []).append(hit)
    assert [len(spans) for spans in traces.values()] == [20, 21, 9]
    for before, after in pairwise(traces.values()):
        assert before[-1].span_id in [link.span_id for link in after[0].links]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"exclude": "Clock.*"}, ["exclude='Clock.*'", "a single text"]),
        ({"exclude": ["Clock"]}, ["exclude='Clock'", "no dot", "Clock.*"]),
        ({"exclude": [""]}, ["exclude=''", "['Clock.*', '*.tick']"]),
        ({"exclude": [Clock]}, ["exclude=", "patterns of"]),
        ({"exclude": 5}, ["exclude=5", "patterns of"]),
        ({"sends": "no"}, ["sends='no'", "True or False"]),
        ({"ticks": None}, ["ticks=None", "True or False"]),
        ({"send_links": "links"}, ["send_links='links'", "did you mean 'link'"]),
    ],
)
def test_wrong_options_name_the_cure(options: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        Spans(**options)
    assert [text for text in named if text not in str(refused.value)] == []


def test_what_excludes_more_leaves_the_other_as_it_was() -> None:
    first = Spans(exclude=["Clock.*"], sends=False)
    second = first.excluding(["*.note"])
    assert second.settings.excluded.patterns == ("Clock.*", "*.note")
    assert first.settings.excluded.patterns == ("Clock.*",)
    assert second.settings.sends is False


TREE = """
from supervise import Supervisor, child, current

class Clock:
    def tick(self):
        pass

class Other(Clock):
    pass

async def work():
    for name in ("clock", "other"):
        await current().find(name).call(Clock.tick)
    current().stop_tree("done")

from supervise import task
TREE = Supervisor("app", child(Clock), child(Other), child(task(work), restart="temporary"))
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "clocks.py").write_text(TREE)
    command = [sys.executable, "-m", "supervise", "run", "clocks:TREE", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_line_excludes_too(tmp_path: Path) -> None:
    with Collector() as collector:
        ran = run(tmp_path, "--otlp", collector.endpoint, "--trace-exclude", "Clock.*", "--trace-exclude", "*.nothing")
        assert ran.returncode == 0, ran.stderr
        names = {span.name for span in collector.spans}
    assert {"call Other.tick", "process Other.tick", "start Clock"} <= names
    assert not [name for name in names if re.search(r" Clock\.", name)]


def test_the_command_line_refuses_what_is_no_pattern(tmp_path: Path) -> None:
    ran = run(tmp_path, "--trace-exclude", "Clock")
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "--trace-exclude" in ran.stderr
    assert "Clock.*" in ran.stderr
