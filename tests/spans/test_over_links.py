"""A message that leaves for another process, and one that comes from there, are one trace; what carries them isn't in it.

Tested: calls and sends, two trees as two processes; a linked send; what is excluded; a tree that only measures; a traceparent
that says nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from supervise import Address, Supervisor, child
from supervise.mailbox.envelope import MessageOptions
from supervise.mailbox.foreign_reply import ForeignReply
from supervise.mailbox.hops import Hops
from supervise.spans.contexts import NOTHING, context_of, has_span
from supervise.telemetry import Spans
from supervise.telemetry.durations import TimedActors
from supervise.testing.virtual_time import at_rest
from tests.mailbox.test_hops import Slot

from .watch import Watch

pytestmark = pytest.mark.anyio


class Api:
    """An interface: nobody runs it."""

    async def place(self) -> str:
        return ""


class Orders:
    async def place(self) -> str:
        return "placed"


class Link:
    """Carries what comes to it to the far address, as a link would."""

    def __init__(self, far: Address[Any], trail: list[str]) -> None:
        self._far = far
        self._trail = trail

    async def carry(self, traceparent: str, call: bool) -> None:
        self._trail.append(traceparent)
        mailbox = self._far._mailbox.mailbox
        instrument = mailbox.instrument
        span = None if instrument is None else instrument.arrives(traceparent, call=call)
        reply: ForeignReply | None = Slot(mailbox) if call else None
        hops = None if reply is None else Hops(1, (), reply)
        await mailbox.post(Orders.place, (), {}, reply, MessageOptions(span=span, hops=hops))


class Web:
    def __init__(self, link: Address[Link]) -> None:
        self.link = link

    async def serve(self, call: bool) -> None:
        mailbox = self.link._mailbox.mailbox
        instrument = mailbox.instrument
        assert instrument is not None
        with instrument.departs(Api.place, mailbox.turn, call=call) as span:
            await mailbox.post(Link.carry, (span.traceparent, call), {}, None, MessageOptions(span=span))
            await at_rest()


async def played(watch: Watch, *, call: bool, near: Any = None, far: Any = None) -> list[str]:
    """A web shop that asks for orders over a link; what stood on the wire."""
    orders, trail = child(Orders), list[str]()
    async with Supervisor("stock", orders, tracing=far or Spans(watch.provider)) as stock:
        link = child(Link, stock.find(orders), trail, name="link")
        async with Supervisor("web", link, tracing=near or Spans(watch.provider)) as web:
            shop = await web.start(Web, web.find(link))
            await shop.call(Web.serve, call)
    return trail


async def test_a_call_is_one_trace_and_nothing_of_the_link_is_in_it(watch: Watch) -> None:
    (traceparent,) = await played(watch, call=True)
    call, process = watch.one("call Api.place"), watch.one("process Orders.place")
    serve = watch.one("process Web.serve")
    assert (call.kind, process.kind) == ("CLIENT", "SERVER")
    assert (call.parent_id, process.parent_id) == (serve.span_id, call.span_id)
    assert len({span.trace_id for span in (serve, call, process)}) == 1
    assert traceparent.startswith(f"00-{call.trace_id}-{call.span_id}-0")
    assert not [span.name for span in watch.received() if "carry" in span.name]
    assert call.attributes["rpc.method"] == "Api/place"


async def test_a_send_is_one_trace_or_two_that_are_linked(watch: Watch) -> None:
    await played(watch, call=False)
    sent, process = watch.one("send Api.place"), watch.one("process Orders.place")
    assert (sent.kind, process.kind, process.parent_id) == ("PRODUCER", "CONSUMER", sent.span_id)


async def test_a_send_with_a_link_begins_a_trace_of_its_own(watch: Watch) -> None:
    await played(watch, call=False, far=Spans(watch.provider, send_links="link"))
    sent, process = watch.one("send Api.place"), watch.one("process Orders.place")
    assert not process.parent_id
    assert process.trace_id != sent.trace_id
    assert [link.span_id for link in process.links] == [sent.span_id]


async def test_excluded_at_its_sender_it_stands_below_what_is_around_it(watch: Watch) -> None:
    await played(watch, call=True, near=Spans(watch.provider, exclude=["Api.*"]))
    assert watch.named("call Api.place") == []
    assert watch.one("process Orders.place").parent_id == watch.one("process Web.serve").span_id


async def test_a_tree_that_makes_no_spans_carries_none(watch: Watch) -> None:
    (traceparent,) = await played(watch, call=True, near=TimedActors(_no_durations()))
    assert traceparent == ""
    assert not watch.one("process Orders.place").parent_id


def _no_durations() -> Any:
    class Nothing:
        def finder(self, life: Any, find: Any) -> Any:
            return find

    return Nothing()


@pytest.mark.parametrize(
    "said", ["", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01", "00-1-2-3", "é" * 55]
)
async def test_what_says_nothing_begins_a_trace(said: str) -> None:
    assert not has_span(context_of(said))
    assert context_of("") is NOTHING
