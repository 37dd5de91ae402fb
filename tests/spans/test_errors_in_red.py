"""Red where it is red: the spans of a story in which actors crash in ten ways, beside others who do their work.

Tested: the trace of each crash holds one exception, on a span with status ERROR; no other trace holds either; an error that is
an answer is red on no span.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from supervise.spans import attributes as key
from tests.crash_story import KINDS, ROOT, play
from tests.real_clock import BACKENDS


@pytest.fixture(scope="module", params=BACKENDS)
def spans(request: pytest.FixtureRequest) -> tuple[ReadableSpan, ...]:
    """All that the story leaves."""
    backend, options = request.param
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    anyio.run(play, provider, backend=backend, backend_options=options)
    return kept.get_finished_spans()


def traces_with(spans: tuple[ReadableSpan, ...], looked_for: Callable[[ReadableSpan], bool]) -> set[int]:
    return {span.context.trace_id for span in spans if span.context is not None and looked_for(span)}


def decides(span: ReadableSpan, kind: str | None = None) -> bool:
    """Each crash has one decision, whatever else is recorded of it."""
    path = (span.attributes or {}).get(key.ACTOR_PATH)
    return span.name.startswith("restart ") and (kind is None or path == f"{ROOT}/{kind}")


def is_red(span: ReadableSpan) -> bool:
    return not span.status.is_unset


def holds_an_exception(span: ReadableSpan) -> bool:
    return any(event.name == "exception" for event in span.events)


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_is_recorded_once_on_a_span_that_is_red(spans: tuple[ReadableSpan, ...], kind: str) -> None:
    [trace_id] = traces_with(spans, lambda span: decides(span, kind))
    within = [span for span in spans if span.context is not None and span.context.trace_id == trace_id]
    [recorded] = filter(holds_an_exception, within)
    assert is_red(recorded)


def test_what_was_late_its_call_and_the_decision_are_one_trace(spans: tuple[ReadableSpan, ...]) -> None:
    [decided] = traces_with(spans, lambda span: decides(span, "late"))
    assert traces_with(spans, lambda span: span.name in ("call Fragile.hang", "process Fragile.hang")) == {decided}


@pytest.mark.parametrize("who", ["clerk", "teller"])
def test_an_error_that_is_an_answer_is_red_on_neither_span(spans: tuple[ReadableSpan, ...], who: str) -> None:
    asked = [span for span in spans if (span.attributes or {}).get(key.ACTOR_PATH) == f"{ROOT}/{who}"]
    answered = [span for span in asked if span.name.endswith(" Clerk.look_up")]
    assert len(answered) == 2 * (len(KINDS) + 1)
    assert not any(map(is_red, answered))


def test_the_traces_of_crashes_are_red_and_no_others(spans: tuple[ReadableSpan, ...]) -> None:
    crashes = traces_with(spans, decides)
    assert len(crashes) == len(KINDS)
    assert traces_with(spans, is_red) == crashes
