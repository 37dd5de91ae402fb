"""Streams: of rows and events to who watches, and of log records to who follows; nothing of it runs while nobody looks.

Tested: all rows first, then those that changed and those that are gone; events with who, level and trace, and how many were
missed; a crash shows as an event at once; the loop blocked and free again; a tree that ends, a server that ends; records by
actor; what listens while somebody watches, and what is left when nobody does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from opentelemetry.sdk.trace import TracerProvider

from supervise import DynamicSupervisor, RunningSupervisor, Supervisor, child
from supervise.live import Client, LiveError, NoTree, serve
from supervise.live import feed as feeds
from supervise.live import lookout as lookouts
from supervise.live.event_feed import KEPT, EventFeed
from supervise.live.feed import Feeds
from supervise.telemetry import Spans
from supervise.tree.branch import BranchPlace
from tests.real_clock import on_the_real_clock

from .asked import Frames, Gate, ask, following, told, until

pytestmark = [pytest.mark.anyio, on_the_real_clock]
log = logging.getLogger("shop")


class Echo:
    async def echo(self, text: str) -> str:
        log.warning("echo %s", text)
        return text

    async def boom(self, text: str) -> None:
        raise ValueError(text)

    async def block(self, gate: Gate) -> None:
        gate.block()


@asynccontextmanager
async def watched(every: float = 0.25) -> AsyncGenerator[tuple[RunningSupervisor, Client, Frames, dict[str, Any]]]:
    async with Supervisor("app", child(Echo, name="echo"), DynamicSupervisor("rooms")) as app, serve(app) as at:
        client = Client(at.socket)
        frames = client.stream(every=every)
        kind, whole = await following(frames)
        assert kind == "snapshot"
        try:
            yield app, client, frames, whole
        finally:
            await ask(frames.close)


async def test_all_rows_first_and_then_what_has_changed() -> None:
    async with watched() as (app, _, frames, whole):
        assert [row["path"] for row in whole["rows"]] == ["app", "app/echo", "app/rooms"]
        await app.supervisor("rooms").start(Echo, name="a")
        change = await told(frames, lambda data: data["rows"])
        assert [row["path"] for row in change["rows"]] == ["app/rooms", "app/rooms/a"]
        assert change["seq"] > whole["seq"]
        await app.find("echo").call(Echo.echo, "x")
        change = await told(frames, lambda data: data["rows"])
        assert [(row["path"], row["handled"]) for row in change["rows"]] == [("app/echo", 1)]
        await app.supervisor("rooms").terminate_child(app.find("rooms/a"))
        change = await told(frames, lambda data: data["gone"])
        assert change["gone"] == ["app/rooms/a"]


async def test_a_crash_is_told_at_once_with_what_followed() -> None:
    async with watched(every=1000) as (app, _, frames, _):  # no survey comes meanwhile
        await app.find("echo").send(Echo.boom, "secret")
        change = await told(frames, lambda data: len(data["events"]) > 3)
        assert [event["event"] for event in change["events"]] == ["DeadLetter", "Stopped", "Decided", "Started"] or [
            event["event"] for event in change["events"]
        ] == ["DeadLetter", "Lost", "Stopped", "Decided", "Started"]
        crash = next(event for event in change["events"] if event["event"] == "Stopped")
        assert (crash["path"], crash["level"], crash["life"]) == ("app/echo", "ERROR", 1)
        assert crash["text"].startswith("app/echo #1 ended: crashed (ValueError: secret) in Echo.boom (")
        assert change["missed"] == 0


async def test_events_of_a_message_that_is_traced_say_its_trace() -> None:
    spans = Spans(TracerProvider())
    async with Supervisor("app", child(Echo, name="echo"), tracing=spans) as app, serve(app) as at:
        frames = Client(at.socket).stream(every=0.25)
        await following(frames)
        with spans.provider.get_tracer("test").start_as_current_span("test") as span:
            await app.find("echo").send(Echo.boom, "x")
        change = await told(frames, lambda data: any(event["event"] == "Decided" for event in data["events"]))
        trace_id = f"{span.get_span_context().trace_id:032x}"
        traces = {event["event"]: event.get("trace") for event in change["events"]}
        assert (traces["Stopped"], traces["Decided"]) == (trace_id, trace_id)
        await ask(frames.close)


async def test_a_part_is_watched_alone() -> None:
    async with watched() as (app, client, _, _):
        part = client.stream(under="rooms", every=0.25)
        _, whole = await following(part)
        assert [row["path"] for row in whole["rows"]] == ["app/rooms"]
        await app.operator("ada").restart("echo")
        await app.supervisor("rooms").start(Echo, name="a")
        change = await told(part, lambda data: data["events"])
        assert {event["path"] for event in change["events"]} == {"app/rooms/a"}
        await ask(part.close)


async def test_a_blocked_loop_is_told_with_function_and_line_and_that_it_is_free_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookouts, "BLOCKED_AFTER", 0.2)
    async with watched() as (app, client, frames, _):
        gate, found = Gate(), dict[str, Any]()

        def look() -> None:
            try:
                change = until(frames, lambda data: data["loop"]["blocked"] and data["loop"]["blocked"]["for"] >= 0.5)
                found["stream"] = change["loop"]["blocked"]
                found["snapshot"] = client.snapshot()
                try:
                    client.actor("echo")
                except LiveError as error:
                    found["actor"] = error
            finally:
                gate.open()

        looking = threading.Thread(target=look)
        looking.start()
        await app.find("echo").call(Echo.block, gate)
        await ask(looking.join)
        blocked = found["stream"]
        assert (blocked["path"], blocked["life"], blocked["handler"]) == ("app/echo", 1, "Echo.block")
        assert blocked["where"].startswith("Gate.block (")
        assert blocked["stack"][0].startswith("Echo.block (")
        assert found["snapshot"]["loop"]["blocked"]["for"] >= 0.5
        assert [row["path"] for row in found["snapshot"]["rows"]] == ["app", "app/echo", "app/rooms"]  # as they last were
        assert "the event loop is blocked for " in str(found["actor"])
        change = await told(frames, lambda data: data["loop"]["blocked"] is None)
        assert change["tree"]["live"]


async def test_the_end_of_the_tree_is_told_and_the_end_of_the_server_ends_the_stream() -> None:
    description = Supervisor("app", child(Echo, name="echo"))
    async with serve(description) as at:
        client = Client(at.socket)
        frames = client.stream(every=0.25)
        assert (await following(frames))[1]["tree"]["why"] == ["app isn't running"]
        async with description:
            assert (await told(frames, lambda data: data["tree"]["ready"]))["rows"]
        await told(frames, lambda data: not data["tree"]["live"])
        async with description as app:  # and once more
            await told(frames, lambda data: data["tree"]["ready"])
            await app.operator("ada").restart("echo")
            change = await told(frames, lambda data: data["events"])
            assert change["events"][0]["event"] == "Asked"
    with pytest.raises((StopIteration, NoTree, RuntimeError)):
        await told(frames, lambda _: False)


async def test_nothing_listens_and_no_thread_looks_while_nobody_watches() -> None:
    async with Supervisor("app", child(Echo, name="echo")) as app, serve(app) as at:
        bus = app._branch.tree.bus
        assert bus._listeners == ()
        client = Client(at.socket)
        await ask(client.snapshot)
        assert bus._listeners == ()
        frames = client.stream(every=0.25)
        await following(frames)
        assert len(bus._listeners) == 1
        assert any(thread.name.startswith("sampler") for thread in threading.enumerate())
        await ask(frames.close)
        while bus._listeners or any(thread.name.startswith("sampler") for thread in threading.enumerate()):
            await anyio.lowlevel.checkpoint()
        before = app._branch.tree.backend.now()
        seq = (await ask(client.snapshot))["seq"]
        assert (await ask(client.snapshot))["seq"] - seq <= 1
        assert before
    assert not any("app" in thread.name for thread in threading.enumerate())


async def test_records_of_an_actor_are_followed_and_those_of_others_arent() -> None:
    async with watched() as (app, client, _, _):
        records = client.logs(under="echo")
        everything = client.logs()
        heard: dict[str, list[dict[str, Any]]] = {"echo": [], "all": []}

        def follow(name: str, stream: Frames, number: int) -> None:
            for _ in range(number):
                heard[name].append(next(stream)[1])

        async with anyio.create_task_group() as group:
            group.start_soon(ask, follow, "echo", records, 2)
            group.start_soon(ask, follow, "all", everything, 3)
            while len(logging.getLogger().handlers) < 2 + len(_before):
                await anyio.lowlevel.checkpoint()
            log.warning("outside")
            await app.find("echo").call(Echo.echo, "x")
            await app.find("echo").send(Echo.boom, "x")
        assert [record["text"] for record in heard["all"]][:2] == ["outside", "echo x"]
        assert [(record["path"], record["life"], record["level"], record["logger"]) for record in heard["echo"]] == [
            ("app/echo", 1, "WARNING", "shop"),
            ("app/echo", 0, "WARNING", "supervise"),
        ]
        for stream in (records, everything):
            await ask(stream.close)
        while len(logging.getLogger().handlers) > len(_before):
            await anyio.lowlevel.checkpoint()


_before: list[logging.Handler] = []


@pytest.fixture(autouse=True)
def handlers() -> None:
    _before[:] = logging.getLogger().handlers


async def test_who_is_slow_is_told_how_many_events_were_missed() -> None:
    async with Supervisor("app", child(Echo, name="echo")) as app:
        feed = EventFeed()
        feed.listen(app._branch)
        await app.operator("ada").restart("echo")
        first, missed, number = feed.since(0, "")
        assert (len(first), missed, number) == (3, 0, 3)
        for _ in range(KEPT):
            app.operator("ada").pause("echo")
        app.operator("ada").resume("echo")
        later, missed, last = feed.since(number, "")
        assert (len(later), missed, last) == (KEPT, 1, KEPT + 4)
        assert feed.since(last, "") == ([], 0, last)
        feed.stop()
        app.operator("ada").resume("echo")
        assert feed.since(last, "") == ([], 0, last)


async def test_a_fault_of_ours_in_a_look_is_said_once_and_who_watches_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched() as (app, _, frames, _):
        surveys, broken = Feeds.branch, list[str]()

        def breaks(feeds: Feeds, under: str) -> BranchPlace:
            if len(broken) < 3:
                broken.append(under)
                raise LookupError("a bug")
            return surveys(feeds, under)

        monkeypatch.setattr(Feeds, "branch", breaks)
        await app.find("echo").call(Echo.echo, "x")
        change = await told(frames, lambda data: data["rows"])
        assert [row["path"] for row in change["rows"]] == ["app/echo"]
        assert [record.getMessage() for record in caplog.records].count("the live view of app can't look") == 1


async def test_who_is_refused_takes_no_watchers_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Supervisor("app", child(Echo, name="echo")) as app, serve(app) as at:
        client = Client(at.socket)
        monkeypatch.setattr(feeds, "IDLE", 0)
        for _ in range(feeds.WATCHERS + 1):
            with pytest.raises(LiveError) as refused:
                await following(client.stream(under="rooms"))
            assert refused.value.status == 429
        monkeypatch.undo()
        frames = client.stream()
        assert (await following(frames))[0] == "snapshot"
        await ask(frames.close)
