"""Which lane is next, by weights and by a function.

Tested: SEMANTICS 59, its second half: weights for all lanes, in proportion, an empty or held-up lane saves no credit; a
function of the lanes, which may raise or return anything; both are checked when they are described. And 37: a throttle
doesn't change the choice.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anyio
import pytest

from supervise import Address, InvalidSpec, Supervisor, Throttle, child, concurrent, current, open_mailbox
from supervise.mailbox.choice import Choosing
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate, Scribe, fill

pytestmark = pytest.mark.anyio
LANES = ("urgent", "normal", "bulk")


def life(_: Scribe) -> int:
    return current().incarnation


async def order_of(choice: Any, waiting: Mapping[str, int], lanes: tuple[str, ...] = LANES, **options: Any) -> str:
    """The first letters of the lanes, in the order in which they are served; all messages wait at first."""
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, lanes=lanes, choice=choice, **options)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe)
        for lane, many in waiting.items():
            for _ in range(many):
                await scribe.options(lane=lane).send(Scribe.note, lane[0])
        gate.open()
        await anyio.sleep(1000)
        assert scribe.account().balanced
    return "".join(log)


async def test_weights_serve_in_proportion_while_all_have_messages() -> None:
    order = await order_of({"urgent": 8, "normal": 2, "bulk": 1}, {"urgent": 80, "normal": 80, "bulk": 80})
    for begin in range(0, 99, 11):
        assert Counter(order[begin : begin + 11]) == {"u": 8, "n": 2, "b": 1}


async def test_weights_are_spread_evenly() -> None:
    assert (await order_of({"urgent": 3, "bulk": 1}, {"urgent": 9, "bulk": 3}, ("urgent", "bulk"))) == "uubu" * 3


async def test_equal_weights_are_turns() -> None:
    assert (await order_of(dict.fromkeys(LANES, 5), dict.fromkeys(LANES, 3))) == "unb" * 3


async def test_the_order_within_a_lane_stays_and_no_lane_starves() -> None:
    weights = {"urgent": 1000, "normal": 1, "bulk": 1}
    order = await order_of(weights, {"urgent": 2005, "normal": 1, "bulk": 1}, capacity=3000)
    assert order.index("n") < 1003
    assert order.index("b") < 1003


async def test_an_empty_lane_saves_no_credit() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, lanes=LANES, choice={"urgent": 1, "normal": 1, "bulk": 8})) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe)
        for _ in range(50):  # bulk has nothing meanwhile
            await scribe.options(lane="urgent").send(Scribe.note, "u")
        gate.open()
        await at_rest()
        log.clear()
        gate = await fill(scribe)  # by bulk, whose credit is then what one turn leaves
        for lane in LANES:
            for _ in range(20):
                await scribe.options(lane=lane).send(Scribe.note, lane[0])
        gate.open()
        await at_rest()
        assert Counter("".join(log)[:10]) == {"b": 8, "u": 1, "n": 1}


class Waiter(Scribe):
    @concurrent(limit=1)
    async def beside(self, gate: Gate) -> None:
        await gate.walk_through()


async def test_a_held_up_lane_saves_no_credit() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Waiter, log, lanes=LANES, choice={"urgent": 1, "normal": 1, "bulk": 8})) as app:
        waiter: Address[Waiter] = app.find("waiter")
        first, second = Gate(), Gate()
        second.open()
        await waiter.send(Waiter.beside, first)
        await waiter.send(Waiter.beside, second)
        for _ in range(20):
            await waiter.send(Waiter.note, "b")
        for _ in range(30):
            await waiter.options(lane="urgent").send(Waiter.note, "u")
            await waiter.options(lane="normal").send(Waiter.note, "n")
        await at_rest()
        assert Counter(log) == {"u": 30, "n": 30}  # bulk waits for a place
        log.clear()
        gate = Gate()
        await waiter.options(lane="urgent").send(Waiter.hold, gate)
        await gate.reached.wait()
        for _ in range(20):
            await waiter.options(lane="urgent").send(Waiter.note, "u")
            await waiter.options(lane="normal").send(Waiter.note, "n")
        first.open()
        await at_rest()
        gate.open()
        await at_rest()
        assert 6 <= Counter("".join(log)[:10])["b"] <= 8
        assert waiter.account().balanced


async def test_weights_are_copied_when_the_child_is_described() -> None:
    weights = {"urgent": 3, "bulk": 1}
    described = child(Scribe, lanes=("urgent", "bulk"), choice=weights)
    weights.clear()
    async with Supervisor("app", described) as app:
        assert await app.find(described).call(Scribe.note, "x") == 1


@pytest.mark.parametrize(
    ("choice", "lanes", "cure"),
    [
        ("random", LANES, "weights as"),
        (None, LANES, "weights as"),
        (3, LANES, "weights as"),
        (dict, LANES, "weights as"),
        ({"urgent": 8, "normal": 1}, LANES, "'urgent', 'normal', 'bulk'"),
        ({"urgent": 8, "normal": 1, "bulk": 1, "other": 1}, LANES, "a weight for each lane"),
        ({"urgent": 8, "normal": 1, "bulk": 0}, LANES, r"choice\['bulk'\]=0 is not valid: a whole number, 1 or more"),
        ({"urgent": 8, "normal": 1, "bulk": -1}, LANES, "whole number"),
        ({"urgent": 8, "normal": 1, "bulk": 1.5}, LANES, "whole number"),
        ({"urgent": 8, "normal": 1, "bulk": True}, LANES, "whole number"),
        ({"urgent": 8, "normal": 1, "bulk": float("inf")}, LANES, "whole number"),
        ({}, (), "lanes="),
        ({"scribe": 1}, (), "lanes="),
        (len, (), "lanes="),
    ],
)
async def test_a_choice_is_checked_when_it_is_described(choice: Any, lanes: tuple[str, ...], cure: str) -> None:
    with pytest.raises(InvalidSpec, match=cure):
        child(Scribe, lanes=lanes, choice=choice)
    with pytest.raises(InvalidSpec, match=cure):
        open_mailbox(Scribe, lanes=lanes, choice=choice)


async def test_a_choice_that_would_have_to_be_awaited_is_refused() -> None:
    async def later(waiting: Mapping[str, int]) -> str:
        return "urgent"

    with pytest.raises(InvalidSpec, match="can't be awaited"):
        child(Scribe, lanes=LANES, choice=later)  # type: ignore[arg-type, call-arg]


async def test_weights_that_cannot_be_read_are_refused() -> None:
    class Odd(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            raise OSError("no weights today")

        def __iter__(self) -> Iterator[str]:
            return iter(LANES)

        def __len__(self) -> int:
            return 3

    with pytest.raises(InvalidSpec, match="no weights today"):
        child(Scribe, lanes=LANES, choice=Odd())


async def test_a_function_is_asked_with_the_lanes_that_have_a_message_and_how_many_wait() -> None:
    asked: list[dict[str, int]] = []

    def longest(waiting: Mapping[str, int]) -> str:
        asked.append(dict(waiting))
        return max(waiting, key=lambda lane: waiting[lane])

    assert (await order_of(longest, {"urgent": 1, "bulk": 3})) == "bbub"
    assert asked[1:] == [{"urgent": 1, "bulk": 3}, {"urgent": 1, "bulk": 2}, {"urgent": 1, "bulk": 1}, {"bulk": 1}]
    assert list(asked[1]) == ["urgent", "bulk"]  # the most urgent first


async def test_what_a_function_is_given_it_cannot_change() -> None:
    errors: list[Exception] = []

    def greedy(waiting: Mapping[str, int]) -> str:
        try:
            waiting["bulk"] = 0  # type: ignore[index]
        except TypeError as error:
            errors.append(error)
        return next(iter(waiting))

    assert (await order_of(greedy, {"bulk": 1, "urgent": 1})) == "ub"
    assert len(errors) == 3


class Unlike(str):
    """A name that can't be looked up."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]


def raising(error: BaseException) -> Callable[[Mapping[str, int]], str]:
    def choose(waiting: Mapping[str, int]) -> str:
        raise error

    return choose


def returning(value: Any) -> Callable[[Mapping[str, int]], str]:
    return lambda waiting: value


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (raising(OSError("lost")), "raised OSError: lost"),
        (raising(SystemExit(3)), "raised SystemExit"),
        (raising(GeneratorExit()), "raised GeneratorExit"),
        (returning("other"), "returned something else"),
        (returning("normal"), "returned something else"),  # which is empty
        (returning(None), "returned something else"),
        (returning(0), "returned something else"),
        (returning(["bulk"]), "returned something else"),
        (returning(Unlike("bulk")), "raised TypeError"),
    ],
)
async def test_where_a_function_fails_the_strict_choice_stands_in_and_it_is_said_once_in_a_while(
    choice: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "supervise")
    assert (await order_of(choice, {"bulk": 5, "urgent": 5})) == "u" * 5 + "b" * 5
    records = [record.getMessage() for record in caplog.records if "choice=" in record.getMessage()]
    assert len(records) == 1
    assert said in records[0]
    assert "app/scribe" in records[0]


async def test_a_function_that_goes_on_failing_is_said_again_after_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "supervise")
    async with Supervisor("app", child(Scribe, lanes=LANES, choice=raising(OSError()))) as app:
        scribe: Address[Scribe] = app.find("scribe")
        for _ in range(7):
            await scribe.call(Scribe.note, "x")
            await anyio.sleep(20)
    assert len([record for record in caplog.records if "choice=" in record.getMessage()]) == 3


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_keyboard_interrupt_in_a_function_leaves_the_tree() -> None:
    with pytest.raises(KeyboardInterrupt):
        async with Supervisor("app", child(Scribe, lanes=LANES, choice=raising(KeyboardInterrupt()))) as app:
            scribe: Address[Scribe] = app.find("scribe")
            await scribe.send(Scribe.note, "x")
            await anyio.sleep(1)


async def test_a_function_may_take_out_what_it_was_to_choose_from() -> None:
    log: list[Any] = []
    addresses: list[Address[Scribe]] = []

    def choose(waiting: Mapping[str, int]) -> str:
        addresses[0].drop(lambda message: message.args == ("u",))
        return "urgent" if "urgent" in waiting else "bulk"

    async with Supervisor("app", child(Scribe, log, lanes=LANES, choice=choose)) as app:
        addresses.append(app.find("scribe"))
        scribe = addresses[0]
        gate = await fill(scribe)
        await scribe.options(lane="urgent").send(Scribe.note, "u")
        await scribe.send(Scribe.note, "b")
        gate.open()
        await at_rest()
        assert log == ["b"]
        assert await scribe.call(life) == 1
        assert scribe.account().balanced
        assert scribe.account().dead_lettered == 1


@pytest.mark.parametrize("choice", ["fair", dict.fromkeys(LANES, 1)])
async def test_a_throttle_does_not_change_the_choice(choice: Any) -> None:
    """A lane that was chosen before there was a token, and then not served, hasn't had its turn."""
    order = await order_of(choice, dict.fromkeys(LANES, 4), throttle=Throttle(rate=1))
    assert order == "unb" * 4


@pytest.mark.parametrize("choice", ["fair", {"urgent": 1, "normal": 3, "bulk": 8}, raising(OSError())])
async def test_what_begins_with_the_tree_comes_first_whatever_the_choice(choice: Any) -> None:
    log: list[Any] = []

    def hello(self: Scribe) -> None:
        self.log.append("hello")

    described = child(Scribe, log, on_tree_started=hello, lanes=LANES, choice=choice)
    async with Supervisor("app", described) as app:
        scribe = app.find(described)
        await at_rest()
        gate = await fill(scribe)
        for lane in LANES:
            await scribe.options(lane=lane).send(Scribe.note, lane)
        log.clear()
        app.kill("scribe")
        await at_rest()
        gate.open()
        assert log[0] == "hello"


async def test_a_mailbox_that_has_one_lane_or_the_strict_choice_keeps_no_state_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain and the strict path share one object, and a mailbox with one lane is never asked for each message."""
    asked: list[Choosing] = []
    plain, _ = open_mailbox(Scribe)
    strict, _ = open_mailbox(Scribe, lanes=LANES)
    assert plain._mailbox.extras.choosing is strict._mailbox.extras.choosing
    real = type(plain._mailbox.extras.choosing).next

    def counted(self: Any, *args: Any) -> Any:
        asked.append(self)
        return real(self, *args)

    monkeypatch.setattr(type(plain._mailbox.extras.choosing), "next", counted)
    async with Supervisor("app", child(Scribe)) as app:
        gate = await fill(app.find("scribe"), *range(50))
        gate.open()
        await at_rest()
        assert asked == []
    plain.close()
    strict.close()
