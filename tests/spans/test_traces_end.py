"""No trace grows for ever: restarts that fail, chains of sends, loops in the nursery, and ticks.

Tested: how deep restarts nest, and for how long, and what the next trace is linked to; after how many sends a chain goes on in
another trace, also through calls and nursery tasks; what a nursery task does while its handler's span lasts, and afterwards,
sampled or not; ticks; and a soak of all of it, in which no trace has more than 200 spans or lasts longer than 45 s.
"""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from typing import Any, NoReturn

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from tenacity import wait_fixed

from supervise import Address, DynamicSupervisor, Intensity, Restart, RunningSupervisor, Supervisor, child, current
from supervise.spans import attributes as key
from supervise.telemetry.logs import ActorFilter
from supervise.testing.virtual_time import at_rest
from tests.collector import Span
from tests.doubles import Boom, Scribe

from .watch import Watch

pytestmark = pytest.mark.anyio

FOR_EVER = Intensity(10_000, per=1)


def traces(spans: list[Span]) -> list[list[Span]]:
    """In the order of their beginning."""
    found: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        found[span.trace_id].append(span)
    return [*found.values()]


def broken_after_the_first(times: int) -> Any:
    """A factory whose first life is well, and then so many starts fail."""
    calls = itertools.count()

    def broken() -> Scribe:
        if 0 < next(calls) <= times:
            raise Boom("no pen")
        return Scribe()

    return broken


async def test_a_restart_that_fails_nests_five_deep_and_goes_on_in_a_trace_that_is_linked_to_both(watch: Watch) -> None:
    scribe = child(broken_after_the_first(12), name="s")
    async with Supervisor("app", scribe, intensity=FOR_EVER, tracing=watch.provider) as app:
        await app.find(scribe).send(Scribe.crash)
        await at_rest()
    found = [spans for spans in traces(watch.received()) if any(span.name.startswith("restart ") for span in spans)]
    assert [sum(span.name.startswith("restart ") for span in spans) for spans in found] == [5, 5, 3]
    crash = watch.one("process Scribe.crash")
    for before, after in itertools.pairwise(found):
        last = [span for span in before if span.name.startswith("restart ")][-1]
        first = after[0]
        assert (first.name, first.parent_id) == ("start Scribe", "")
        assert [link.span_id for link in first.links] == [last.span_id, crash.span_id]


async def test_it_nests_for_half_a_minute_at_most(watch: Watch) -> None:
    restart = Restart.permanent(wait=wait_fixed(12))
    scribe = child(broken_after_the_first(5), name="s", restart=restart)
    async with Supervisor("app", scribe, tracing=watch.provider) as app:
        await app.find(scribe).send(Scribe.crash)
        await anyio.sleep(100)
    found = [spans for spans in traces(watch.received()) if any(span.name.startswith("restart ") for span in spans)]
    assert [sum(span.name.startswith("restart ") for span in spans) for spans in found] == [3, 3]


async def test_a_supervisor_whose_start_fails_again_and_again_has_no_endless_trace(watch: Watch) -> None:
    scribe = child(broken_after_the_first(40), name="s")
    inner = Supervisor("inner", scribe, intensity=Intensity(2, per=1000))
    async with Supervisor("app", inner, intensity=FOR_EVER, tracing=watch.provider) as app:
        await app.find(scribe).send(Scribe.crash)
        await at_rest()
    assert max(len(spans) for spans in traces(watch.received())) < 30
    restarts = [span for span in watch.received() if span.name.startswith("restart ")]
    assert len(restarts) > 20
    crash = watch.one("process Scribe.crash")
    begun = [spans[0] for spans in traces(watch.received()) if spans[0].name.startswith("start ") and spans[0].links]
    assert len(begun) > 3
    assert {spans.links[-1].span_id for spans in begun} == {crash.span_id}


class Player:
    """Sends the ball back."""

    def __init__(self) -> None:
        self.other: Address[Player] | None = None
        self.scribe: Address[Scribe] | None = None

    def meet(self, other: Address[Player]) -> None:
        self.other = other

    async def hit(self, left: int) -> None:
        assert self.other is not None
        if left:
            await self.other.send(Player.hit, left - 1)

    async def pass_on(self, left: int) -> None:
        """By a call whose handler sends."""
        assert self.other is not None
        if left:
            await self.other.call(Player.return_to, current().address.strong(), left - 1)

    async def return_to(self, player: Address[Player], left: int) -> None:
        await player.send(Player.pass_on, left)

    async def hit_later(self, left: int) -> None:
        """By a task of the nursery, which lasts as long as the handler."""
        assert self.other is not None
        if left:
            done = anyio.Event()
            current().nursery.start_soon(self._send, self.other, left, done)
            await done.wait()

    async def _send(self, other: Address[Player], left: int, done: anyio.Event) -> None:
        await other.send(Player.hit_later, left - 1)
        done.set()


async def two(app: RunningSupervisor) -> Address[Player]:
    first, second = await app.start(Player, name="first"), await app.start(Player, name="second")
    await first.call(Player.meet, second)
    await second.call(Player.meet, first)
    return first


@pytest.mark.parametrize("handler", [Player.hit, Player.pass_on, Player.hit_later])
async def test_a_chain_of_sends_goes_on_in_another_trace_after_20_hops(watch: Watch, handler: Any) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        first = await two(app)
        await first.send(handler, 49)
        await at_rest()
    name = handler.__name__
    found = [spans for spans in traces(watch.received()) if any(span.name == f"process Player.{name}" for span in spans)]
    assert [sum(span.name == f"process Player.{name}" for span in spans) for spans in found] == [20, 21, 9]
    first_send = found[0][0]
    assert first_send.name == f"send Player.{name}"
    for before, after in itertools.pairwise(found):
        last = [span for span in before if span.name == f"send Player.{name}"][-1]
        assert last.attributes[key.HOPS] == 20
        root = after[0]
        assert (root.name, root.parent_id) == (f"process Player.{name}", "")
        assert [link.span_id for link in root.links] == [last.span_id, first_send.span_id]


async def test_a_chain_says_which_hop_it_is_from_the_second_on(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        await (await two(app)).send(Player.hit, 3)
        await at_rest()
    assert [span.attributes.get(key.HOPS) for span in watch.named("process Player.hit")] == [None, 2, 3, 4]


class Poller:
    """Starts loops in its nursery."""

    def __init__(self, scribe: Address[Scribe]) -> None:
        self.scribe = scribe
        self.spans: list[trace.SpanContext] = []

    def begin(self) -> None:
        current().nursery.start_soon(self._loop)

    async def begin_and_stay(self) -> None:
        current().nursery.start_soon(self._loop)
        await anyio.sleep(2.5)

    async def _loop(self) -> None:
        while True:
            await anyio.sleep(1)
            self.spans.append(trace.get_current_span().get_span_context())
            await self.scribe.call(Scribe.note, "a")
            await self.scribe.send(Scribe.note_at_once, "b")

    async def fail_after(self, seconds: float) -> None:
        current().nursery.start_soon(self._fail, seconds)

    async def _fail(self, seconds: float) -> NoReturn:
        await anyio.sleep(seconds)
        raise Boom("in the loop")


async def test_what_a_loop_calls_and_sends_after_its_handler_begins_traces_with_a_link(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        poller = await app.start(Poller, scribe)
        await poller.send(Poller.begin)
        await anyio.sleep(3.5)
    begin = watch.one("process Poller.begin")
    made = [*watch.named("call Scribe.note"), *watch.named("send Scribe.note_at_once")]
    assert len(made) == 6
    assert [(span.parent_id, [link.span_id for link in span.links]) for span in made] == [("", [begin.span_id])] * 6
    assert len({span.trace_id for span in made}) == 6


async def test_what_it_does_while_its_handler_lasts_is_below_that(watch: Watch) -> None:
    seen: list[trace.SpanContext] = []
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        poller = await app.start(Poller, scribe)
        await poller.send(Poller.begin_and_stay)
        await anyio.sleep(3.5)
        seen = await poller.call(lambda poller: poller.spans)
    begin = watch.one("process Poller.begin_and_stay")
    assert [span.parent_id for span in watch.named("call Scribe.note")] == [begin.span_id, begin.span_id, ""]
    # And so are spans of the task's own: what it has as its current span is the handler's, and then none.
    assert [context.is_valid for context in seen] == [True, True, False]
    assert {trace.format_span_id(context.span_id) for context in seen[:2]} == {begin.span_id}


async def test_spans_of_a_loops_own_are_no_part_of_its_handlers_trace_afterwards(watch: Watch) -> None:
    async def loop() -> None:
        for _ in range(2):
            await anyio.sleep(1)
            with watch.tracer.start_as_current_span("poll"):
                trace.get_current_span().set_attribute("polled", True)

    def begin(_: Scribe) -> None:
        current().nursery.start_soon(loop)
        trace.get_current_span().set_attribute("begun", True)

    async with Supervisor("app", tracing=watch.provider) as app:
        await (await app.start(Scribe)).send(begin)
        await anyio.sleep(3)
    assert [(span.parent_id, span.attributes) for span in watch.named("poll")] == [("", {"polled": True})] * 2
    assert watch.one("process Scribe.exec").attributes["begun"] is True


@pytest.mark.parametrize(("seconds", "below"), [(29.0, True), (31.0, False)])
async def test_the_decision_about_a_loop_is_below_its_handler_if_that_was_not_long_ago(
    watch: Watch, seconds: float, below: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(filtered := ActorFilter())
    async with Supervisor("app", tracing=watch.provider) as app:
        poller = await app.start(Poller, await app.start(Scribe))
        await poller.send(Poller.fail_after, seconds)
        await anyio.sleep(40)
    caplog.handler.removeFilter(filtered)
    handler, restart = watch.one("process Poller.fail_after"), watch.one("restart Poller")
    assert restart.parent_id == (handler.span_id if below else "")
    assert [link.span_id for link in restart.links] == [handler.span_id]
    assert (restart.status, [event.name for event in restart.events]) == ("ERROR", ["exception"])
    told = [vars(record) for record in caplog.records if record.name == "supervise" and record.levelno >= logging.WARNING]
    assert {record["span_id"] for record in told} == {handler.span_id}
    assert len(told) == 2


async def test_a_loop_that_was_begun_in_a_trace_that_is_not_sampled_has_traces_that_may_be() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(1.0), local_parent_not_sampled=ALWAYS_OFF), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(kept))
    unsampled = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False, trace_flags=trace.TraceFlags(0)))
    async with Supervisor("app", tracing=provider) as app:
        poller = await app.start(Poller, await app.start(Scribe))
        with trace.use_span(unsampled):
            await poller.send(Poller.begin)
        await anyio.sleep(2.5)
    names = [span.name for span in kept.get_finished_spans()]
    assert "process Poller.begin" not in names
    assert names.count("call Scribe.note") == 2


class Clock:
    def __init__(self, scribe: Address[Scribe]) -> None:
        self.scribe = scribe

    def begin(self) -> None:
        current().every(1, Clock.tick)

    async def tick(self) -> None:
        await self.scribe.send(Scribe.note_at_once, trace.get_current_span().is_recording())


async def test_ticks_have_no_span_unless_they_are_asked_for_and_what_they_send_has(watch: Watch) -> None:
    async with DynamicSupervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        await (await app.start(Clock, scribe)).call(Clock.begin)
        await anyio.sleep(2.5)
        assert await scribe.call(lambda scribe: scribe.log) == [False, False]
    assert watch.named("process Clock.tick") == []
    assert [span.parent_id for span in watch.named("send Scribe.note_at_once")] == ["", ""]


async def test_a_tick_that_crashes_without_a_span_is_red_on_its_decision(watch: Watch) -> None:
    class Bad:
        def begin(self) -> None:
            current().every(1, Bad.tick)

        async def tick(self) -> NoReturn:
            raise Boom("at a tick")

    async with Supervisor("app", tracing=watch.provider) as app:
        await (await app.start(Bad)).call(Bad.begin)
        await anyio.sleep(1.5)
    restart = watch.one("restart Bad")
    assert (restart.parent_id, restart.status, restart.description) == ("", "ERROR", "at a tick")
    assert watch.named("start Bad")[1].parent_id == restart.span_id


async def test_a_soak_has_no_long_trace() -> None:
    """Failing restarts, a ball that is hit once a second, timers, and loops in a nursery, for 150 s."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    began: dict[int, float] = {}
    ended: dict[int, float] = {}
    counts: defaultdict[int, int] = defaultdict(int)

    class InVirtualTime(SimpleSpanProcessor):
        """The clock of spans is the real one: what counts here is the loop's."""

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            began.setdefault(span.context.trace_id, anyio.current_time())

        def on_end(self, span: ReadableSpan) -> None:
            assert span.context is not None
            ended[span.context.trace_id] = anyio.current_time()
            counts[span.context.trace_id] += 1

    provider.add_span_processor(InVirtualTime(kept))

    class Slow(Player):
        async def hit(self, left: int) -> None:
            await anyio.sleep(1)
            await super().hit(left)

    class Shaky(Poller):
        starts = 0

        def __init__(self, scribe: Address[Scribe]) -> None:
            super().__init__(scribe)
            Shaky.starts += 1
            if Shaky.starts % 8:
                raise Boom("it doesn't start")

        async def loop_and_fail(self) -> None:
            current().every(0.5, Shaky.begin, id="begin")
            current().nursery.start_soon(self._fail, 10.0)

    restart = Restart.permanent(wait=wait_fixed(0.5))
    async with Supervisor("app", intensity=FOR_EVER, tracing=provider) as app:
        scribe = await app.start(Scribe)
        first, second = await app.start(Slow, name="first"), await app.start(Slow, name="second")
        await first.call(Player.meet, second)
        await second.call(Player.meet, first)
        await first.send(Player.hit, 1000)
        await (await app.start(Clock, scribe)).call(Clock.begin)
        Shaky.starts = 7
        await app.start(Shaky, scribe, name="shaky", restart=restart, on_tree_started=Shaky.loop_and_fail)
        await anyio.sleep(150)
    assert len(counts) > 200
    assert max(counts.values()) <= 200
    assert max(ended[each] - began[each] for each in counts) <= 45
    assert sum(counts.values()) > 1000
