"""What a greeting doesn't take: frames out of order, what is too large, what it is misused for; and a token is in no text.

Tested: each kind in each state; GOODBYE in each; a HELLO and a table with wrong things in them; what is our own fault is
`InvalidSpec`, or `RuntimeError`, and never the connection's.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any, Final

import pytest

from supervise.errors import ProtocolError
from supervise.remote.greeting import Greeted, Met, Refused, Step
from supervise.wire.bodies import Goodbye, encode_body
from supervise.wire.frames import Frame, Kind
from supervise.wire.table import Entry, Serves, Table
from supervise_strategies import text
from supervise_strategies.errors import InvalidSpec

from .sides import PAGES, SIZES, STOCK, Machine, answering, carried, dialing, hello_of


def strangers() -> Machine:
    return answering()


def dialed() -> Machine:
    here = dialing()
    here.begin()
    return here


def admitted() -> Machine:
    gate = answering()
    gate.take(hello_of({}))
    gate.admit()
    return gate


def answered() -> Machine:
    here = dialed()
    here.take(hello_of({}))
    return here


STATES: Final[dict[Callable[[], Machine], set[Kind]]] = {
    strangers: {Kind.HELLO},
    dialed: {Kind.HELLO},
    admitted: {Kind.SERVES, Kind.READY},
    answered: {Kind.SERVES, Kind.READY},
}
FRAMES: Final = {
    Kind.HELLO: hello_of({}),
    Kind.SERVES: Table([PAGES]).frames()[0],
    Kind.GOODBYE: Frame(Kind.GOODBYE, body=b"\x80"),
    Kind.CALL: Frame(Kind.CALL, 1, depth=1, above=(b"12345678",)),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", Kind)
def test_only_the_next_frame_may_come(state: Callable[[], Machine], kind: Kind) -> None:
    machine, frame = state(), FRAMES.get(kind, Frame(kind, 1, 1, b"\x80"))
    if kind in {*STATES[state], Kind.PING, Kind.GOODBYE}:
        machine.take(frame)
        return
    with pytest.raises(ProtocolError, match=rf"^order: {kind.name} from the (gate|dialing side), and .* is to come$") as caught:
        machine.take(frame)
    assert caught.value.rule == "order"
    assert machine.over
    assert machine.take(frame) == Step()


@pytest.mark.parametrize("state", STATES)
def test_whoever_says_goodbye_ends_it(state: Callable[[], Machine]) -> None:
    machine = state()
    why = "\x1b[2Jgo\n" * 100
    step = machine.take(Frame(Kind.GOODBYE, body=encode_body(Goodbye(why=why))))
    assert step.frames == ()
    assert isinstance(step.fact, Refused)
    assert (step.fact.versions, step.fact.ours) == (None, False)
    assert step.fact.why.startswith("\\x1b[2Jgo\\n")
    assert step.fact.why.isprintable()
    assert len(step.fact.why) <= 1000
    assert machine.over


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        ("map", {"versions": [2, 1]}),
        ("map", {"link": b"short"}),
        ("map", {"limits": {}}),
        ("map", {"token": 5}),
        ("limits", {"limits": {**SIZES, "frame": 32767}}),
        ("limits", {"limits": {**SIZES, "send_bytes": 65536}}),
    ],
)
@pytest.mark.parametrize("state", [strangers, dialed])
def test_a_hello_with_wrong_things_in_it_breaks_a_rule(state: Callable[[], Machine], rule: str, more: dict[str, Any]) -> None:
    machine = state()
    with pytest.raises(ProtocolError) as caught:
        machine.take(hello_of(more))
    assert caught.value.rule == rule
    assert machine.over


@pytest.mark.parametrize("state", [admitted, answered])
def test_a_table_that_is_too_large_breaks_a_rule(state: Callable[[], Machine]) -> None:
    machine = state()
    part = Serves("shop", "f", tuple(Entry(f"k{n}", b"12345678", "x" * 15_000) for n in range(4)), more=True)
    with pytest.raises(ProtocolError, match="table: more than 1048576 bytes"):
        for _ in range(20):
            machine.take(Frame(Kind.SERVES, body=encode_body(part)))
    machine = state()
    part = Serves("shop", "f", tuple(Entry(f"k{n}", b"12345678", "") for n in range(1001)))
    with pytest.raises(ProtocolError, match="table: more than 10000 entries"):
        for _ in range(10):
            machine.take(Frame(Kind.SERVES, body=encode_body(part)))


@pytest.mark.parametrize("state", [admitted, answered])
def test_a_table_that_ends_in_between_breaks_a_rule(state: Callable[[], Machine]) -> None:
    machine = state()
    machine.take(Frame(Kind.SERVES, body=encode_body(Serves("shop", "f", more=True))))
    with pytest.raises(ProtocolError, match="table: READY where 'shop' goes on"):
        machine.take(Frame(Kind.READY))
    assert machine.over


# -- what a machine is misused for -------------------------------------------------------------------------------------------


def test_nothing_is_taken_while_the_gate_asks_or_after_it_has_met() -> None:
    gate = answering()
    with pytest.raises(RuntimeError, match="nobody is to be admitted: HELLO is to come"):
        gate.admit()
    gate.take(hello_of({}))
    with pytest.raises(RuntimeError, match=r"admit\(\) or refuse\(\) is to be called"):
        gate.take(Frame(Kind.PING, 1))
    gate.admit()
    with pytest.raises(RuntimeError, match="nobody is to be admitted: SERVES or READY"):
        gate.admit()
    gate.take(Frame(Kind.READY))
    with pytest.raises(RuntimeError, match="frames are the link's"):
        gate.take(Frame(Kind.PING, 1))
    assert gate.refuse() == Step()


@pytest.mark.parametrize("names", [["stok"], "stocks", ["stock", "shop", ""]])
def test_nobody_is_admitted_to_what_isnt_served(names: Any) -> None:
    gate = answering()
    gate.take(hello_of({}))
    with pytest.raises(InvalidSpec) as caught:
        gate.admit(names)
    assert (caught.value.who, caught.value.field) == ("admit", "names")
    assert carried(gate.admit("stock"))[1] == Table([STOCK]).frames()[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x" * 201},
        {"token": "secret" * 1000},
        {"token": "secret\ud800"},
        {"uses": ["x"] * 1001},
        {"uses": ["𝔘" * 200] * 100},
        {"versions": (2, 1)},
        {"versions": (0, 1)},
        {"versions": "1"},
        {"versions": (1, 2**70)},
        {"uses": 5},
        {"token": object()},
    ],
)
def test_what_the_other_side_could_not_take_is_refused_here(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec) as caught:
        dialing(**wrong)
    assert (caught.value.who, caught.value.field) == ("greeting", "hello")
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_table_that_cannot_cross_is_the_fault_of_who_serves_it() -> None:
    wrong = Table([Serves("shop", "f", (Entry("k", b"12345678", "x" * 20_000),))])
    with pytest.raises(InvalidSpec):
        dialing(wrong)
    gate = answering(wrong)
    gate.take(hello_of({}))
    with pytest.raises(InvalidSpec):
        gate.admit()
    assert isinstance(gate.refuse().fact, Refused)


# -- tokens ------------------------------------------------------------------------------------------------------------------


def test_a_token_is_in_no_text(caplog: pytest.LogCaptureFixture) -> None:
    here, gate = dialing(), answering()
    begun = here.begin()
    greeted = gate.take(begun.frames[0])
    assert isinstance(greeted.fact, Greeted)
    assert greeted.fact.hello.token == "secret"
    facts = [gate.admit(), *map(gate.take, begun.frames[1:])]
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%s %r", begun, [greeted, *facts])
    shown = (
        caplog.text
        + text.shown(greeted.fact.hello, 1000)
        + repr((here, gate, begun, greeted, facts, begun.frames[0], greeted.fact.hello.__rich_repr__()))
    )
    assert "secret" not in shown
    assert "token=<hidden>" in shown


def test_a_token_is_kept_no_longer_than_it_is_used() -> None:
    here, gate = dialing(), answering()
    step = here.begin()
    assert here.begin() == Step()
    assert here._hello.token is None
    gate.take(step.frames[0])
    assert gate._theirs is not None
    assert gate._theirs.token is None
    gate.admit()
    fact = [gate.take(frame) for frame in step.frames[1:]][-1].fact
    assert isinstance(fact, Met)
    assert fact.hello.token is None
