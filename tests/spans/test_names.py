"""What spans say of who it was: names, ids, counts, who asked, and where a trace goes on.

Tested: supervisors and functions are shown with their names, and each span with the actor's id; a restart says which one it is
of its child, and how many are in the window; an actor that ends by itself has a link to the message that asked; what a person
does is a span, with the stop and the start below it, also where it fails; what is published is linked to from where it is read;
and host and process stand in the resource, unless a variable says otherwise.
"""

from __future__ import annotations

import os
import socket

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    Address,
    ChildRunning,
    ChildStartFailed,
    DynamicSupervisor,
    Intensity,
    Restart,
    Supervisor,
    child,
    current,
    pool,
    task,
)
from supervise.spans import attributes as key
from supervise.telemetry import tracing
from supervise.testing.virtual_time import at_rest
from tests.collector import Collector
from tests.doubles import Boom, Gate, Scribe

from .watch import Watch

pytestmark = pytest.mark.anyio


async def poll() -> None:
    await anyio.sleep_forever()


async def test_supervisors_and_functions_are_shown_with_their_names(watch: Watch) -> None:
    tree = Supervisor(
        "app", child(task(poll)), Supervisor("inner"), DynamicSupervisor("sessions"), pool(Scribe, size=1, name="jobs"),
        tracing=watch.provider,
    )  # fmt: skip
    async with tree:
        pass
    starts = {span.name for span in watch.received() if span.name.startswith("start ")}
    assert starts == {
        "start Supervisor app",
        "start task poll",
        "start Supervisor inner",
        "start DynamicSupervisor sessions",
        "start Pool jobs",
        "start Scribe",
    }
    assert {span.name.replace("stop ", "start ") for span in watch.received() if span.name.startswith("stop ")} == starts
    types = {span.name: span.attributes["supervise.actor.type"] for span in watch.received() if span.name.startswith("start ")}
    assert (types["start Supervisor inner"], types["start task poll"]) == ("Supervisor", "Task")


async def test_a_decision_about_a_function_names_it(watch: Watch) -> None:
    async def fail() -> None:
        await anyio.sleep(1)
        raise Boom("polling")

    async with Supervisor("app", child(task(fail)), tracing=watch.provider):
        await anyio.sleep(1.5)
    assert watch.one("restart task fail").description == "polling"


async def test_each_span_of_an_actor_has_its_id(watch: Watch) -> None:
    scribe_id = 0
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, name="s")
        scribe_id = scribe.id
        await scribe.call(Scribe.note, "a")
        await scribe.send(Scribe.crash)
        await at_rest()
        await app.terminate_child("s")
    spans = [span for span in watch.received() if not span.name.endswith("Supervisor app")]
    assert {span.name.split()[0] for span in spans} == {"start", "call", "process", "send", "drop", "restart", "stop"}
    assert [(span.name, span.attributes.get(key.ACTOR_ID)) for span in spans] == [(span.name, scribe_id) for span in spans]


async def test_a_restart_says_which_one_of_its_child_it_is_and_how_full_the_window_is(watch: Watch) -> None:
    async with Supervisor("app", intensity=Intensity(5, per=10), tracing=watch.provider) as app:
        first, second = await app.start(Scribe, name="first"), await app.start(Scribe, name="second")
        for scribe in (first, second, first):
            await scribe.send(Scribe.crash)
            await at_rest()
        await anyio.sleep(20)
        await first.send(Scribe.crash)
        await at_rest()
    said = [
        tuple(span.attributes[each] for each in (key.RESTART_NUMBER, key.RESTART_USED, key.RESTART_ALLOWED))
        for span in watch.named("restart Scribe")
    ]
    assert said == [(1, 1, 5), (1, 2, 5), (2, 3, 5), (3, 1, 5)]


class Quitter:
    def quit(self) -> None:
        current().stop()


async def test_an_actor_that_ends_by_itself_is_linked_to_the_message_that_asked(watch: Watch) -> None:
    async with DynamicSupervisor("app", tracing=watch.provider) as app:
        quitter = await app.start(Quitter, restart="transient")
        await quitter.send(Quitter.quit)
        await at_rest()
        other = await app.start(Scribe, restart="transient")
        with watch.tracer.start_as_current_span("asks"):
            await other.stop()
    assert [link.span_id for link in watch.one("stop Quitter").links] == [watch.one("process Quitter.quit").span_id]
    assert [link.span_id for link in watch.one("stop Scribe").links] == [watch.one("asks").span_id]


async def test_what_a_person_does_is_a_span_and_the_restart_is_below_it(watch: Watch) -> None:
    async with Supervisor("app", child(Scribe), tracing=watch.provider) as app:
        with watch.tracer.start_as_current_span("console"):
            assert await app.operator("ada").restart("scribe")
    asked, console = watch.one("operator restart Scribe"), watch.one("console")
    assert (asked.parent_id, asked.status) == (console.span_id, "UNSET")
    assert asked.attributes.items() >= {key.OPERATOR: "ada", key.REASON: "restart it", key.ACTOR_PATH: "app/scribe"}.items()
    below = {span.name: span for span in watch.received() if span.parent_id == asked.span_id}
    assert {*below} == {"stop Scribe", "start Scribe"}
    assert below["start Scribe"].attributes[key.START_REASON] == "restart"


async def test_one_that_waits_for_its_backoff_is_started_below_the_person_with_a_link_to_the_decision(watch: Watch) -> None:
    patient = child(Scribe, restart=Restart.permanent(wait=wait_fixed(60)))
    async with Supervisor("app", patient, tracing=watch.provider) as app:
        await app.find(patient).send(Scribe.crash)
        await at_rest()
        await app.operator("ada").restart("scribe")
        await at_rest()
    start = watch.named("start Scribe")[1]
    assert start.parent_id == watch.one("operator restart Scribe").span_id
    assert [link.span_id for link in start.links] == [watch.one("restart Scribe").span_id]


async def test_each_thing_that_a_person_does_has_a_span(watch: Watch) -> None:
    jobs = pool(Scribe, size=1, name="jobs")
    async with Supervisor("app", child(Scribe), jobs, tracing=watch.provider) as app:
        ada = app.operator("ada")
        ada.pause("scribe")
        ada.resume("scribe")
        await ada.stop("scribe")
        await ada.start("scribe")
        await ada.change("scribe", restart="transient")
        await ada.resize(jobs, 2)
        await ada.change_intensity(Intensity(9, per=9))
    asked = [span.name for span in watch.received() if span.name.startswith("operator ")]
    assert asked == [
        "operator pause Scribe",
        "operator resume Scribe",
        "operator stop Scribe",
        "operator start Scribe",
        "operator change Scribe",
        "operator resize Pool jobs",
        "operator change Supervisor app",
    ]
    below = {span.name for span in watch.received() if span.parent_id == watch.one("operator start Scribe").span_id}
    assert below == {"start Scribe"}
    assert watch.named("stop Scribe")[0].parent_id == watch.one("operator stop Scribe").span_id


async def test_what_a_person_asks_for_in_vain_is_red_and_later_starts_are_not_below_it(watch: Watch) -> None:
    well = True

    def make() -> Scribe:
        if not well:
            raise Boom("no pen")
        return Scribe()

    async with Supervisor("app", child(make, name="s"), tracing=watch.provider) as app:
        well = False
        with pytest.raises(ChildStartFailed):
            await app.operator("ada").restart("s")
        well = True
        await app.restart_child("s")
    asked = watch.one("operator restart Scribe")
    assert (asked.status, asked.attributes["error.type"].rpartition(".")[2]) == ("ERROR", "ChildStartFailed")
    assert watch.named("start Scribe")[-1].parent_id == ""


async def test_what_was_not_started_for_a_person_is_not_below_that_person_when_it_starts_later(watch: Watch) -> None:
    async with Supervisor("app", child(Scribe), tracing=watch.provider) as app:
        with pytest.raises(ChildRunning):
            await app.operator("ada").start("scribe")
        await app.find("scribe").send(Scribe.crash)
        await at_rest()
    assert watch.named("start Scribe")[1].parent_id == watch.one("restart Scribe").span_id


class Market:
    def tick(self, price: int) -> None:
        current().publish(price)


class Broker:
    def __init__(self, market: Address[Market], gate: Gate) -> None:
        self.market = market
        self.gate = gate
        self.prices: list[int] = []

    async def begin(self) -> None:
        subscription = self.market.subscribe(int)
        await subscription.__aenter__()
        current().read(subscription, Broker.price)

    def price(self, price: int) -> None:
        self.prices.append(price)


async def test_what_is_published_is_linked_to_where_it_is_handled(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        market = await app.start(Market)
        broker = await app.start(Broker, market, Gate())
        await broker.call(Broker.begin)
        for price in (1, 2):
            await market.send(Market.tick, price)
        await at_rest()
        assert await broker.call(lambda broker: broker.prices) == [1, 2]
    published, read = watch.named("process Market.tick"), watch.named("process Broker.price")
    assert [[link.span_id for link in span.links] for span in read] == [[span.span_id] for span in published]
    assert [(span.parent_id, span.attributes[key.TRIGGER]) for span in read] == [("", "stream")] * 2


def test_the_resource_says_host_and_process_unless_a_variable_does(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=elsewhere,service.version=3")
        found = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
        with found.provider.get_tracer("tests").start_as_current_span("a"):
            pass
        found.close()
        monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES")
        found = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
        with found.provider.get_tracer("tests").start_as_current_span("b"):
            pass
        found.close()
    said, by_itself = collector.named("a").resource, collector.named("b").resource
    assert (said["host.name"], said["process.pid"], said["service.name"]) == ("elsewhere", os.getpid(), "shop")
    assert said["service.version"] == "3"
    assert (by_itself["host.name"], by_itself["process.pid"]) == (socket.gethostname(), os.getpid())
