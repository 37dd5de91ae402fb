"""Spans, whatever stands in exceptions, names and callables: all that is known arrives, and an actor does as without them.

Tested: a traceback arrives whole or cut, whatever the exception's text is, as an event and as a log record; no name and
no path keeps a span from arriving; a callable that can't be kept in a table has spans; what callables, factories and their
metaclasses raise when they are asked for their names harms nobody, also where durations are measured; nor does a current span
that raises.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan

from supervise import ActorCrashed, Intensity, Supervisor, child, pool
from supervise.spans import attributes as key
from supervise.spans import lost_spans
from supervise.spans.error_recording import LONGEST, SIGNALS
from supervise.telemetry.metrics import Metrics
from tests.doubles import Boom, Scribe
from tests.hostile import rude

from .watch import Watch

pytestmark = pytest.mark.anyio

MIB: Final = 1 << 20


def deep(levels: int) -> NoReturn:
    if levels:
        deep2(levels - 1)
    raise ValueError("deep")


def deep2(levels: int) -> NoReturn:
    deep(levels)


def raise_it(error: BaseException) -> NoReturn:
    raise error


RAISED: Final[dict[str, tuple[Callable[[], NoReturn], str]]] = {
    "long": (lambda: raise_it(ValueError("x" * MIB)), "x…"),
    "many lines": (lambda: raise_it(ValueError("x\n" * MIB + "the end")), "\nthe end"),
    "deep": (lambda: deep(200), "\nValueError: deep"),
    "half a character": (lambda: raise_it(ValueError("no file m\udce4rz.csv")), "\nValueError: no file m\\udce4rz.csv"),
    "its text raises": (lambda: raise_it(rude(Exception, on="__str__")()), "\ntests.hostile.Rude: <exception str() failed>"),
    "its class raises": (
        lambda: raise_it(rude(Exception, on="__class__")()),
        "\nRude <its traceback can't be formatted: SystemExit>",
    ),
}


class Fragile:
    def go(self, strike: Callable[[], NoReturn]) -> None:
        strike()


@pytest.mark.parametrize("name", RAISED)
async def test_a_traceback_arrives_and_is_bounded(watch: Watch, name: str) -> None:
    strike, end = RAISED[name]
    async with Supervisor("app", child(Fragile), tracing=watch.provider) as app:
        with pytest.raises(ActorCrashed):
            await app.find("fragile").call(Fragile.go, strike)
    [event] = watch.one("process Fragile.go").events
    text = event.attributes["exception.stacktrace"]
    assert f'"{__file__}"' in text
    assert text.endswith(end)
    assert len(text) <= LONGEST


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryLogRecordExporter]:
    kept = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK declares no types there
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    monkeypatch.setattr("opentelemetry._logs._internal._LOGGER_PROVIDER", provider)
    monkeypatch.setenv(SIGNALS, "logs")
    yield kept
    provider.shutdown()


@pytest.mark.parametrize("name", RAISED)
async def test_a_log_record_of_it_is_written_too_and_its_span_ends(
    watch: Watch, logged: InMemoryLogRecordExporter, name: str
) -> None:
    strike, end = RAISED[name]
    async with Supervisor("app", child(Fragile), tracing=watch.provider) as app:
        with pytest.raises(ActorCrashed):
            await app.find("fragile").call(Fragile.go, strike)
    [record] = (each.log_record for each in logged.get_finished_logs())
    told = dict(record.attributes or {})
    assert str(told["exception.stacktrace"]).endswith(end)
    assert sum(len(str(value)) for value in told.values()) <= LONGEST + 1000
    assert getattr(record, "exception", None) is None  # it would keep the frames
    span = watch.one("process Fragile.go")
    assert (span.status, span.events) == ("ERROR", [])
    assert (span.trace_id, span.span_id) == (f"{record.trace_id:032x}", f"{record.span_id:016x}")


async def test_a_span_ends_though_the_logs_provider_raises(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(LoggerProvider):
        def get_logger(self, *_: Any, **__: Any) -> NoReturn:
            raise OSError("no logger")

    monkeypatch.setattr("opentelemetry._logs._internal._LOGGER_PROVIDER", Broken(shutdown_on_exit=False))
    monkeypatch.setenv(SIGNALS, "logs")
    async with Supervisor("app", child(Scribe), tracing=watch.provider) as app:
        with pytest.raises(ActorCrashed):
            await app.find("scribe").call(Scribe.crash)
    assert watch.one("process Scribe.crash").attributes["error.type"] == "tests.doubles.Boom"


async def test_a_name_with_half_a_character_keeps_no_span_from_arriving(watch: Watch) -> None:
    def made() -> Scribe:
        return Odd()

    def odd(scribe: Scribe) -> None:
        raise ValueError

    class Odd(Scribe):
        pass

    made.__name__ = "made\udcff"
    odd.__name__, odd.__qualname__ = "odd\udcff\n", "Odd.odd\udcff\n"
    setattr(Odd, odd.__name__, odd)
    async with Supervisor("app\udcff", tracing=watch.provider) as app:
        scribe = await app.start(made, name="scribe\udcff\n")
        await app.operator("ada\udcff").restart("scribe\udcff\n")
        with pytest.raises(ActorCrashed):
            await scribe.call(odd)
        await scribe.call(Scribe.note, "a")
    spans = watch.received()
    path = r"app\udcff/scribe\udcff\n"
    names = {span.name for span in spans if span.attributes.get(key.ACTOR_PATH) == path}
    assert names >= {r"call Odd.odd\udcff\n", r"process Odd.odd\udcff\n", "restart Odd", "start Odd", "stop Odd"}
    assert {span.name for span in spans} >= {r"start Supervisor app\udcff", r"stop Supervisor app\udcff"}
    [restart] = [span for span in spans if span.name == "restart Odd"]
    assert restart.attributes[key.SUPERVISOR_PATH] == r"app\udcff"
    [asked] = [span for span in spans if span.name == "operator restart Odd"]
    assert asked.attributes[key.OPERATOR] == r"ada\udcff"


@dataclass
class Addition:
    """A callable that has no hash, as most of those with an equality."""

    by: int

    def __call__(self, scribe: Scribe) -> int:
        return len(scribe.log) + self.by


async def test_a_callable_without_a_hash_has_spans(
    watch: Watch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_spans, "_said_at", -math.inf)
    async with Supervisor("app", child(Scribe), tracing=watch.provider) as app:
        assert [await app.find("scribe").call(Addition(by)) for by in (1, 2)] == [1, 2]
    assert [span.name for span in watch.received() if span.name.endswith(".exec")] == [
        "call Scribe.exec",
        "process Scribe.exec",
        "call Scribe.exec",
        "process Scribe.exec",
    ]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


class Nameless:
    """A callable that raises when it is asked for anything that it hasn't got."""

    def __getattr__(self, name: str) -> NoReturn:
        raise SystemExit(name)

    def __call__(self, scribe: Scribe) -> int:
        return len(scribe.log)


class NamelessKind(type):
    """Of classes that don't say what they are called."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__name__", "__qualname__"):
            raise SystemExit(name)
        return super().__getattribute__(name)


class Shy(Scribe, metaclass=NamelessKind):
    pass


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("measured", [False, True])
async def test_what_has_no_name_works_as_without_telemetry(traced: bool, measured: bool) -> None:
    provider, meters = TracerProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)
    several = pool(Shy, size=2, name="several")
    async with Supervisor(
        "app",
        several,
        intensity=Intensity(0),
        tracing=provider if traced else False,
        metrics=Metrics(meters, durations=True) if measured else None,
    ) as app:
        shy = await app.start(Shy, name="shy")
        assert await shy.call(Nameless()) == 0
        assert await app.find(several).call(Nameless()) == 0
    provider.shutdown()
    meters.shutdown()


class Rude(NonRecordingSpan):
    """Somebody's own span, which raises whatever it is asked."""

    def __init__(self) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)

    def __getattribute__(self, name: str) -> NoReturn:
        raise Boom(name)


async def test_a_current_span_that_raises_harms_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_spans, "_said_at", -math.inf)
    provider = TracerProvider(shutdown_on_exit=False)
    token = context.attach(trace.set_span_in_context(Rude()))
    try:
        async with Supervisor("app", child(Scribe), tracing=provider) as app:
            scribe = app.find("scribe")
            other = await app.start(Scribe, name="other")
            for each in scribe, other:
                await each.send(Scribe.crash)
                assert await each.call(Scribe.note, "a") == 1
            await app.operator("ada").restart("other")
            assert await other.call(Scribe.note, "a") == 1
    finally:
        context.detach(token)
    assert caplog.text.count("spans are lost") == 1
    provider.shutdown()
