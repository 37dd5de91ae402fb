"""The greeting: each side learns who the other one is and what it serves; nobody learns anything before it is admitted.

Tested: both machines with each other, and each by hand, byte by byte; which version is spoken; a part of the table; what who
is refused is told.
"""

from __future__ import annotations

import pytest

from supervise.remote.greeting import Greeted, Met, Refused, Step
from supervise.remote.limits import Limits
from supervise.wire.bodies import Goodbye, decode_body
from supervise.wire.frames import GREETING, Frame, FrameReader, Kind, encode
from supervise.wire.table import Entry, Serves, Table
from tests.wire import by_hand

from .sides import GATE_LINK, LINK, PAGES, SHOP, SIZES, STOCK, answering, carried, dialing, hello_of, met, taken

# -- both sides --------------------------------------------------------------------------------------------------------------


def test_both_sides_meet() -> None:
    here, there = met(dialing(), answering())
    assert (here.hello.name, here.hello.life, here.hello.link, here.hello.uses) == ("gate", 1, GATE_LINK, ("pages",))
    assert (there.hello.name, there.hello.life, there.hello.link, there.hello.uses) == ("web", 3, LINK, ("shop",))
    assert here.version == there.version == 1
    assert here.theirs.interfaces == there.ours.interfaces == (SHOP, STOCK)
    assert there.theirs.interfaces == here.ours.interfaces == (PAGES,)
    assert here.theirs.index_of("stock.S.take", b"abcdefgh") == 1


def test_the_smaller_limits_hold_on_both_sides() -> None:
    here, there = met(dialing(limits=Limits(calls=5, write=1)), answering(limits=Limits(frame=32768, calls=9, write=2)))
    assert here.limits == Limits(calls=5, frame=32768, write=1)
    assert there.limits == Limits(calls=5, frame=32768, write=2)


def test_who_is_admitted_to_a_part_sees_that_part_alone() -> None:
    here, there = met(dialing(), answering(), ["stock"])
    assert here.theirs.interfaces == there.ours.interfaces == (STOCK,)
    assert here.theirs.index_of("stock.S.take", b"abcdefgh") == there.ours.index_of("stock.S.take", b"abcdefgh") == 0
    assert met(dialing(), answering(), [])[0].theirs.interfaces == ()


def test_one_name_need_not_be_in_a_list() -> None:
    _, there = met(dialing(uses="shop"), answering(), "shop")
    assert there.hello.uses == ("shop",)
    assert there.ours.interfaces == (SHOP,)


def test_a_table_may_be_longer_than_a_frame() -> None:
    large = Table([Serves("shop", "f", tuple(Entry(f"k{n}", b"12345678", "x" * 900) for n in range(1000)))])
    step = dialing(large).begin()
    assert len(step.frames) > 10
    assert max(len(encode(frame)) - 4 for frame in step.frames) <= GREETING
    assert met(dialing(large), answering())[1].theirs.interfaces == large.interfaces


@pytest.mark.parametrize(
    ("dials", "gate", "spoken"),
    [((1, 1), (1, 1), 1), ((1, 3), (2, 5), 3), ((2, 5), (1, 3), 3), ((1, 9), (4, 4), 4), ((3, 3), (1, 3), 3)],
)
def test_the_highest_version_in_common_is_spoken(dials: tuple[int, int], gate: tuple[int, int], spoken: int) -> None:
    assert [fact.version for fact in met(dialing(versions=dials), answering(versions=gate))] == [spoken, spoken]


@pytest.mark.parametrize(("dials", "gate"), [((1, 1), (2, 2)), ((4, 9), (1, 3))])
def test_without_a_version_in_common_the_gate_says_both_ranges(dials: tuple[int, int], gate: tuple[int, int]) -> None:
    here, there = dialing(versions=dials), answering(versions=gate)
    step = there.take(carried(here.begin())[0])
    text = f"no version in common: the gate speaks {gate[0]} to {gate[1]}, the dialing side {dials[0]} to {dials[1]}"
    assert step.fact == Refused(text, dials, ours=True)
    [told] = taken(here, carried(step))
    assert told == Step((), Refused(text, gate, ours=False))
    assert here.over
    assert there.over


def test_a_gate_that_answers_in_no_common_version_is_refused_by_the_dialing_side() -> None:
    here = dialing()
    here.begin()
    step = here.take(hello_of({"versions": [2, 7]}))
    text = "no version in common: the dialing side speaks 1 to 1, the gate 2 to 7"
    assert step.fact == Refused(text, (2, 7), ours=True)
    assert decode_body(Goodbye, step.frames[0].body) == Goodbye(why=text, versions=(1, 1))


def test_who_is_refused_is_told_why_and_the_versions_and_nothing_else() -> None:
    here, gate = dialing(), answering()
    gate.take(carried(here.begin())[0])
    step = gate.refuse("not on\nthe list")
    assert step.fact == Refused("not on\\nthe list", (1, 1), ours=True)
    assert [by_hand.unpack(frame.body) for frame in step.frames] == [{"why": "not on\nthe list", "versions": [1, 1]}]
    [told] = taken(here, carried(step))
    assert told.fact == Refused("not on\\nthe list", (1, 1), ours=False)
    assert taken(here, [Frame(Kind.PING, 1), Frame(Kind.READY)]) == []
    assert gate.refuse() == Step()


def test_a_gate_says_nothing_before_it_is_asked() -> None:
    gate = answering()
    assert [by_hand.unpack(frame.body) for frame in gate.refuse("too many").frames] == [{"why": "too many", "versions": [1, 1]}]
    gate = answering()
    assert gate.take(Frame(Kind.PING, 5)) == Step((Frame(Kind.PONG, 5),))
    assert gate.take(carried(dialing().begin())[0]).frames == ()


# -- by hand -----------------------------------------------------------------------------------------------------------------


def test_a_gate_meets_somebody_who_has_only_the_table() -> None:
    hello = {"versions": [1, 1], "link": LINK, "life": 3, "limits": SIZES, "token": "secret", "later": [1]}
    serves = {"interface": "pages", "format": "msgpack", "handlers": [["pages.P.show", b"87654321", "show(page: str) -> None"]]}
    gate, reader = answering(), FrameReader(GREETING)
    frames = reader.feed(by_hand.frame(0, 0, 0, by_hand.pack(hello)) + by_hand.frame(1, 0, 0, by_hand.pack(serves)))
    fact = gate.take(next(frames)).fact
    assert isinstance(fact, Greeted)
    assert (fact.hello.token, fact.hello.name, fact.hello.limits) == ("secret", "", Limits().sizes())
    told = by_hand.unframed(b"".join(map(encode, gate.admit(["stock"]).frames)))
    assert [(kind, by_hand.unpack(body) if body else None) for kind, _, _, body, *_ in told] == [
        (
            0,
            {
                "versions": [1, 1],
                "link": GATE_LINK,
                "life": 1,
                "limits": SIZES,
                "name": "gate",
                "token": None,
                "uses": ["pages"],
            },
        ),
        (
            1,
            {
                "interface": "stock",
                "format": "msgpack",
                "handlers": [["stock.S.take", b"abcdefgh", "take() -> int"]],
                "events": [["stock.Low", b"low low ", ""]],
                "more": False,
            },
        ),
        (2, None),
    ]
    assert [gate.take(frame) for frame in reader.feed(by_hand.frame(4, 9))] == [Step(), Step((Frame(Kind.PONG, 9),))]
    [step] = [gate.take(frame) for frame in reader.feed(by_hand.frame(2))]
    assert isinstance(step.fact, Met)
    assert step.fact.theirs.interfaces == (PAGES,)


def test_a_dialing_side_meets_a_gate_that_has_only_the_table() -> None:
    here, reader = dialing(), FrameReader(GREETING)
    told = by_hand.unframed(b"".join(map(encode, here.begin().frames)))
    assert [(kind, by_hand.unpack(body) if body else None) for kind, _, _, body, *_ in told] == [
        (0, {"versions": [1, 1], "link": LINK, "life": 3, "limits": SIZES, "name": "web", "token": "secret", "uses": ["shop"]}),
        (
            1,
            {
                "interface": "pages",
                "format": "msgpack",
                "handlers": [["pages.P.show", b"87654321", "show(page: str) -> None"]],
                "events": [],
                "more": False,
            },
        ),
        (2, None),
    ]
    hello = {"versions": [1, 2], "link": GATE_LINK, "life": 0, "limits": {**SIZES, "calls": 3}}
    answer = by_hand.frame(0, 0, 0, by_hand.pack(hello)) + by_hand.frame(2)
    facts = [here.take(frame).fact for frame in reader.feed(answer)]
    assert isinstance(facts[0], Greeted)
    assert isinstance(facts[1], Met)
    assert (facts[1].theirs.interfaces, facts[1].limits) == ((), Limits(calls=3))
