"""What a flight recorder keeps: plain facts, no argument of any message, and floods as numbers.

Tested: what stands in a text instead of an argument, however it is written or cut, or changes; that what comes in floods is one
fact a second; that starts and ends beyond a hundred a second are counted, but neither a crash among them nor a give-up is; what
is told of a call; and what `NO_FACTS` keeps.
"""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, NoReturn

import pytest

from supervise.errors import CallTimeout, MailboxFull
from supervise.events import Asked, Blocked, Late, Raised, Started, Stuck
from supervise.journal import redaction
from supervise.journal.facts import (
    DECIDED,
    ENDED,
    FAILED,
    LIVES,
    LONG,
    LOST,
    MORE,
    NO_FACTS,
    STARTED,
    TOGETHER,
    WAITED,
    Facts,
    Lives,
)
from supervise.journal.redaction import redacted
from supervise_strategies.directives import Action, Decision
from supervise_strategies.exit_reason import NORMAL, crashed
from supervise_strategies.text import LONG as MOST_CHARACTERS
from supervise_strategies.text import one_line
from tests.doubles import Boom


@dataclass
class Order:
    item: str


class Slim:
    __slots__ = ("_never", "item")

    def __init__(self, item: str) -> None:
        self.item = item


class Pair(NamedTuple):
    item: str
    number: int


class Odd:
    def __repr__(self) -> NoReturn:
        raise Boom("in a repr")


@pytest.mark.parametrize(
    ("text", "args", "said"),
    [
        ("no tea", ("tea",), "no <str>"),
        ("'tea'", ("tea",), "'<str>'"),
        ("steamed", ("tea",), "steamed"),  # too short to be found inside of a word
        ("a teapot-full", ("teapot",), "a <str>-full"),
        ("teapots", ("teapot",), "<str>s"),
        ("7 of 17", (7,), "<int> of 17"),
        ("7", (7,), "<int>"),
        ("1712", (17,), "1712"),
        ("it's", ("it's",), "<str>"),
        ('"it\'s"', ("it's",), '"<str>"'),
        ("no a\\nb here", ("a\nb",), "no <str> here"),
        ("bad b'key-4711'", (b"key-4711",), "bad <bytes>"),
        ("can't take Order(item='teapot')", (Order("teapot"),), "can't take <Order>"),
        ("can't take teapot", (Order("teapot"),), "can't take <str>"),
        ("can't take teapot", (Slim("teapot"),), "can't take <str>"),
        ("can't take teapot", (Pair("teapot", 1),), "can't take <str>"),
        ("can't take teapot", (["teapot"],), "can't take <str>"),
        ("can't take teapot of ada", ({"ada": "teapot"},), "can't take <str> of <str>"),
        ("True, None and False", (True, None, False, ""), "True, None and False"),
        ("nothing of it", (Odd(),), "nothing of it"),
        ("3.25 %", (3.25,), "<float> %"),
        ("no alice smith", ("alice", "alice smith"), "no <str>"),  # the one is a part of the other
        ("no bobby@example.org", ({"name": "bobby", "mail": "bobby@example.org"},), "no <str>"),
        (
            "a {'k-1': 2}, no list",
            ("dict", {"k-1": 2}, "list"),
            "a <dict>, no <str>",
        ),  # and not what stands in the name of a type
        ("no alice", (deque(["alice"]),), "no <str>"),
        ("no alice", (OSError(2, "alice"),), "no <str>"),
        ("no alice", (partial(print, "alice"),), "no <str>"),
        ("no alice", (b"alice",), "no <bytes>"),
        ("no 'alice smith'", ('{"name": "alice smith"}',), "no '<str>'"),  # a piece that is quoted
        ("no user k-4711.", ("a user of key k-4711",), "no user <str>."),  # or is no common word
        ("no user 'k-4711'", (b"a user of key k-4711",), "no user '<bytes>'"),
    ],
)
def test_an_argument_in_a_text_is_its_type(text: str, args: tuple[Any, ...], said: str) -> None:
    assert redacted(text, args, {}) == said
    assert redacted(text, (), {f"a{n}": arg for n, arg in enumerate(args)}) == said


class Changing:
    """Asked for its text, it changes what it stands in."""

    def __init__(self, within: dict[object, object]) -> None:
        self._within = within

    def __repr__(self) -> str:
        self._within[f"more-{len(self._within)}"] = self.one_more = 1
        return "changing"


class Liar(type):
    def __getattribute__(cls, name: str) -> Any:
        raise Boom(name)


class Lied(metaclass=Liar):
    pass


class Unmapped(dict[str, str]):
    def __iter__(self) -> NoReturn:
        raise Boom("in a loop")

    keys = values = items = __iter__


def test_what_changes_or_lies_meanwhile_raises_nothing() -> None:
    within: dict[object, object] = {}
    within |= {1: Changing(within), 2: "teapot", 3: Changing(within)}
    for given in (within, Lied(), Lied, Unmapped(item="teapot"), [Changing(within)]):
        assert redacted("no teapot or changing", (given, "teapot"), {}).startswith("no <str> or ")
    assert len(within) > 3


def test_what_cant_be_looked_at_leaves_nothing_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> NoReturn:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr(redaction, "_parts", fails)
    assert redacted("no teapot", (["teapot"],), {}) == "…"


def test_an_argument_that_was_cut_with_its_text_is_found() -> None:
    secret = "correct horse battery staple " * 100
    text = one_line(f"no {secret}", MOST_CHARACTERS)
    assert text.endswith("…")
    assert redacted(text, (secret,), {}) == "no <str>…"
    assert redacted(text, (1, secret), {}) == "no <str>…"


def raised(depth: int, *args: object) -> Exception:
    def fail(left: int) -> NoReturn:
        if left:
            fail(left - 1)
        raise Boom(*args)

    try:
        fail(depth)
    except Boom as error:
        return error


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def text(make: Callable[..., str], *args: Any) -> str:
    return make(*args)


@pytest.fixture
def facts(clock: Clock) -> Facts:
    return Facts(clock, 1000, text)


def place(item: str) -> None: ...


def sorts(facts: Facts) -> list[str]:
    return [fact[1] for fact in facts.kept().facts]


def test_a_flood_of_losses_is_a_fact_a_second_with_a_number(clock: Clock, facts: Facts) -> None:
    for _ in range(1000):
        facts.lost("app", "orders", place, "full")
    facts.lost("app", "orders", place, "late")
    clock.now = TOGETHER
    facts.lost("app", "orders", place, "full")
    assert [(fact[0], *fact[2:6], fact[-1]) for fact in facts.kept().facts] == [
        (0.0, "app", "orders", "place", "full", 1000),
        (0.0, "app", "orders", "place", "late", 1),
        (1.0, "app", "orders", "place", "full", 1),
    ]


def test_failed_and_refused_messages_are_counted_by_their_error(facts: Facts) -> None:
    facts.refused("app", "orders", place, MailboxFull())
    facts.failed("app", "orders", place, CallTimeout())
    facts.timed_out("app", "orders", place, LONG)
    facts.timed_out("app", "orders", place, LONG / 2)
    assert [(fact[1], fact[-3], fact[-1]) for fact in facts.kept().facts if fact[1] != WAITED] == [
        ("refused", "MailboxFull", 1),
        ("failed", "CallTimeout", 3),
    ]
    assert sorts(facts).count(WAITED) == 1


def test_an_error_that_was_an_answer_is_known_by_its_type(facts: Facts) -> None:
    facts.raised("app", "orders", place, KeyError("tea"))
    facts.told(Raised("app/orders", 1, "place('tea')", "KeyError: 'tea'", "reply"))
    facts.told(Started("app/orders", 1))  # a fact of its own
    facts.told(Asked("app/orders", "ada", "pause"))
    [first, second] = facts.kept().facts
    assert first[1:6] == [FAILED, "app", "orders", "place", "KeyError"]
    assert second[4].who == "ada"


def decision(action: Action = Action.RESTART, child: str = "orders") -> Decision:
    return Decision(action, child, 1, NORMAL, "permanent", 1, 1, 1.0, 0.0, (child,), 0.0)


def decide(lives: Lives, made: Decision) -> None:
    """As a supervisor tells it."""
    if lives.muted != made.child or made.action is Action.GIVE_UP:
        lives.decided(made)
    else:
        lives.last = ()


def crash(lives: Lives, number: int, now: float = 0.0) -> None:
    error = raised(0, "tea")
    lives.ended(now, "orders", number, crashed(error), True, 3, error, (place, ("tea",), {}, None))
    decide(lives, decision())
    if lives.muted != "orders":  # as a place tells it
        lives.started(now, "orders", number + 1, 3)


def test_a_crash_is_three_facts_without_the_argument(facts: Facts) -> None:
    crash(facts.lives("app"), 1)
    [ended, decided, started] = facts.kept().facts
    assert ended[2:6] == ("app", "orders", 1, True)
    assert ended[7:11] == ("Boom: <str>", "place", False, 3)
    assert decided[4].action is Action.RESTART
    assert started == (0.0, STARTED, "app", "orders", 2, 3)


def test_a_crash_loop_is_told_a_hundred_times_a_second_and_then_counted(clock: Clock, facts: Facts) -> None:
    lives, other = facts.lives("app"), facts.lives("app/other")
    for number in range(1, 1001):
        crash(lives, number)
    crash(other, 1)
    found = facts.kept().facts
    told = LIVES + 1  # and the first one after these
    assert sorts(facts).count(ENDED) == told + 1
    [more] = [fact for fact in found if fact[1] == MORE]
    assert more[2:] == ["", "app", 0.0, 1, 1000 - told, 1000 - told]
    decide(lives, decision(Action.GIVE_UP))
    assert facts.kept().facts[-1][4].action is Action.GIVE_UP, "the one that counts most"
    crash(lives, 1001, now=TOGETHER)
    assert sorts(facts)[-3:] == ["ended", "decided", "started"]


def test_starts_at_once_are_counted_from_the_hundredth_on(facts: Facts) -> None:
    lives = facts.lives("app")
    for number in range(1000):
        lives.started(0.0, f"worker-{number}", 1, 3)
    assert sorts(facts).count(STARTED) == LIVES
    assert facts.kept().facts[-1][5] == 1000 - LIVES


def test_a_crash_is_told_while_many_start_and_stop(facts: Facts) -> None:
    lives = facts.lives("app")
    for number in range(1000):
        lives.started(0.0, f"worker-{number}", 1)
        lives.ended(0.0, f"worker-{number}", 1, NORMAL, True)
    crash(lives, 1)
    assert [fact[1] for fact in facts.kept().facts[-2:]] == [ENDED, DECIDED], "its start is one of the many"
    assert facts.kept().facts[-2][7] == "Boom: <str>"


def test_the_crash_that_leads_to_a_give_up_is_told_in_any_flood(facts: Facts) -> None:
    lives = facts.lives("app")
    for number in range(1, 1001):
        crash(lives, number)
    error = raised(0, "coffee")
    lives.ended(0.0, "orders", 1001, crashed(error), True, 3, error, (place, ("coffee",), {}, None))
    decide(lives, decision(Action.GIVE_UP))
    ended, decided = facts.kept().facts[-2:]
    assert (ended[1], ended[4], ended[7]) == (ENDED, 1001, "Boom: <str>")
    assert decided[4].action is Action.GIVE_UP
    [more] = [fact for fact in facts.kept().facts if fact[1] == MORE]
    assert more[6:] == [999 - LIVES, 999 - LIVES]


def test_a_crash_loop_hides_no_other_child_but_where_all_crash(facts: Facts) -> None:
    lives, error = facts.lives("app"), raised(0)
    for number in range(1, 501):
        crash(lives, number)
    for number in range(1, 1001):
        lives.ended(0.0, f"worker-{number}", 1, crashed(error), True, 0, error)
        decide(lives, decision(child=f"worker-{number}"))
    told = [fact[3] for fact in facts.kept().facts if fact[1] == ENDED and fact[3] != "orders"]
    assert told == [f"worker-{number}" for number in range(1, LIVES)]
    assert [fact[3] for fact in facts.kept().facts if fact[1] == DECIDED][-1] == f"worker-{LIVES - 1}"


def begin_again(lives: Lives) -> None:
    decide(lives, decision())


def crash_again(lives: Lives) -> None:
    crash(lives, 1002)


@pytest.mark.parametrize("after", [Lives.rest, begin_again, crash_again])
def test_a_counted_crash_isnt_kept(facts: Facts, after: Callable[[Lives], object]) -> None:
    lives = facts.lives("app")
    for number in range(1, 1001):
        crash(lives, number)
    error = raised(0, "tea")
    known = weakref.ref(error)
    lives.ended(0.0, "orders", 1001, crashed(error), True, 3, error, (place, ("tea",), {}, None))
    del error
    after(lives)
    gc.collect()
    assert known() is None


def test_the_same_text_may_hold_other_arguments(facts: Facts) -> None:
    said = "Conflict: alice and bobby"
    assert facts.redact(said, ("bobby",), {}) == "Conflict: alice and <str>"
    assert facts.redact(said, ("alice",), {}) == "Conflict: <str> and bobby"


def test_events_about_a_message_are_told_without_its_arguments(facts: Facts) -> None:
    text = "Orders.place('alice')"
    facts.told(Late("app/orders", 1, text, 2.0))
    facts.told(Stuck("app/orders", 1, text, 2.0))
    facts.told(Blocked("app/orders", 1, text, 2.0))
    facts.told(Blocked("app/orders", 1, None, 2.0))
    assert [fact[4].message for fact in facts.kept().facts] == ["Orders.place"] * 3 + [None]


@pytest.mark.parametrize(("settled", "called"), [("failed", True), ("given up", False), ("late", False), ("", False)])
def test_a_crash_tells_of_the_call_that_failed_by_it(facts: Facts, settled: str, called: bool) -> None:
    """And not of one that is tried again, or whose caller had gone."""
    reply, error = Future[object](), raised(0)
    match settled:
        case "failed":
            reply.set_exception(CallTimeout())
        case "given up":
            reply.cancel()
        case "late":
            reply.set_exception(TimeoutError())
        case _:
            pass
    facts.lives("app").ended(0.0, "orders", 1, crashed(error), True, 0, error, (place, (), {}, reply))
    assert facts.kept().facts[-1][9] is called


def test_only_the_last_facts_are_kept(clock: Clock) -> None:
    facts = Facts(clock, 10, str)
    assert not facts.kept().full
    for number in range(20):
        clock.now = float(number) * 2
        facts.lost("app", "orders", place, "full")
    kept = facts.kept()
    assert kept.full
    assert [fact[0] for fact in kept.facts] == [float(n) for n in range(20, 40, 2)]


def test_what_keeps_no_facts_keeps_none() -> None:
    lives = NO_FACTS.lives("app")
    crash(lives, 1)
    NO_FACTS.lost("app", "orders", place, LOST)
    NO_FACTS.failed("app", "orders", place, CallTimeout())
    NO_FACTS.refused("app", "orders", place, MailboxFull())
    NO_FACTS.timed_out("app", "orders", place, LONG)
    NO_FACTS.told(Asked("app/orders", "ada", "pause"))
    assert NO_FACTS.kept().facts == []
