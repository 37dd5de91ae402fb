"""Whether an actor survives a restart.

Tested: what a restart loses is said in words, by answer and by attribute; what keeps it (a checkpoint, a snapshot, a table
outside); what makes it crash, and what doesn't; a child that doesn't come back, and why; errors of `before` and of `after`;
several answers; what is left behind, whatever happens; that the options of a child count; hostile values; other clocks and
other kinds of actors; bad input.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from tenacity import retry_if_not_exception_type, wait_fixed

from supervise import (
    ActorCrashed,
    BadCall,
    IgnoreStart,
    Intensity,
    InvalidSpec,
    Message,
    NotAHandler,
    Restart,
    Supervisor,
    UnknownHandler,
    checkpointed,
    child,
    current,
)
from supervise.adapters.own_thread import own_thread
from supervise.adapters.service import service
from supervise.testing import NotSurvived, call, survives
from tests.doubles import Boom
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio


class Cart:
    def __init__(self) -> None:
        self.content: list[str] = []
        self.lock = anyio.Lock()  # whose text is another one in each life

    async def add(self, item: str) -> None:
        if item == "bomb":
            raise Boom(item)
        self.content.append(item)

    async def items(self) -> list[str]:
        return self.content

    async def count(self) -> int:
        return len(self.content)

    async def first(self) -> str:
        return self.content[0]


class Kept(Cart):
    """Hands over what it holds, and begins with it."""

    def __init__(self) -> None:
        super().__init__()
        last = current().last_checkpoint
        if last is not None:
            self.content = [*last.value]

    async def add(self, item: str) -> None:
        await super().add(item)
        current().checkpoint([*self.content])


TEA = [call(Cart.add, "tea")]
BOMB = call(Cart.add, "bomb")
ITEMS = call(Cart.items)
loosely: Any = survives  # for what a type checker refuses


async def fails(factory: Any, **asked: Any) -> NotSurvived:
    with pytest.raises(NotSurvived) as failed:
        await loosely(factory, **({"before": TEA, "after": ITEMS} | asked))
    return failed.value


# -- what is lost -------------------------------------------------------------------------------------------------------------


async def test_what_the_restart_lost_is_said_by_answer_and_by_attribute() -> None:
    failed = await fails(Cart, crash=BOMB)
    assert isinstance(failed, AssertionError)
    assert str(failed) == (
        "Cart doesn't survive a restart: Cart.items() is ['tea'] without the crash, and [] after it.\n"
        "  lost: content: ['tea'] -> []\n"
        "  cure: current().checkpoint(value), or @checkpointed on a snapshot(), keeps what the next life needs"
    )
    assert failed.lost == {"content": ("['tea']", "[]")}
    assert failed.decision is None


@pytest.mark.parametrize("crash", [BOMB, None, Boom, Boom("on purpose"), OSError])
async def test_an_actor_that_hands_over_what_it_holds_survives_and_the_answer_is_returned(crash: Any) -> None:
    assert await survives(Kept, before=TEA, crash=crash, after=ITEMS) == ["tea"]


async def test_each_of_several_answers_is_compared() -> None:
    assert await survives(Kept, before=TEA, crash=BOMB, after=[ITEMS, call(Cart.count)]) == [["tea"], 1]
    failed = await fails(Cart, after=[call(Cart.count), call(Cart.add, "cup"), ITEMS])
    assert str(failed).startswith(
        "Cart doesn't survive a restart: Cart.count() is 1 without the crash, and 0 after it.\n"
        "  and: Cart.items() is ['tea', 'cup'] without the crash, and ['cup'] after it.\n"
        "  lost: content: ['tea'] -> []\n"
    )


async def test_a_single_call_is_as_good_as_a_list_of_one() -> None:
    assert await survives(Kept, before=call(Cart.add, item="tea"), after=(ITEMS,)) == [["tea"]]


async def test_attributes_in_slots_in_objects_and_gone_ones() -> None:
    class Basket:
        def __init__(self) -> None:
            self.content: list[str] = []
            self.lid = SimpleNamespace(open=False)

    class Slotted:
        __slots__ = ("__secret", "basket", "unset")

        def __init__(self) -> None:
            self.basket = Basket()
            self.__secret = 1

        async def add(self, item: str) -> None:
            self.basket.content.append(item)
            self.basket.lid.open = True
            self.unset = item
            self.__secret += 1

        async def count(self) -> int:
            return self.__secret

    failed = await fails(Slotted, before=call(Slotted.add, "tea"), after=call(Slotted.count))
    assert failed.lost == {
        "basket.content": ("['tea']", "[]"),
        "basket.lid": ("namespace(open=True)", "namespace(open=False)"),
        "unset": ("'tea'", "(not there)"),
        "_Slotted__secret": ("2", "1"),
    }


async def test_many_attributes_are_counted_and_long_texts_are_cut() -> None:
    class Wide:
        def __init__(self) -> None:
            self.fill("")

        def fill(self, text: str) -> None:
            for number in range(30):
                setattr(self, f"field_{number}", text)

        async def is_full(self) -> bool:
            return bool(vars(self)["field_0"])

    failed = await fails(Wide, before=call(Wide.fill, "x" * 10_000), after=call(Wide.is_full))
    assert len(failed.lost) == 30
    assert str(failed).count("  lost: ") == 11
    assert "  lost: 20 more\n" in str(failed)
    assert max(map(len, str(failed).splitlines())) < 200


async def test_what_is_lost_elsewhere_is_said_to_be_nowhere() -> None:
    lives: list[int] = []

    class Elsewhere:
        def __init__(self) -> None:
            lives.append(1)

        async def ask(self) -> int:
            return len(lives)

    text = str(await fails(Elsewhere, before=(), after=call(Elsewhere.ask), reset=lives.clear))
    assert "  its attributes are alike in both lives\n" in text


# -- what keeps it ------------------------------------------------------------------------------------------------------------


class Snapped(Cart):
    def __init__(self) -> None:
        super().__init__()
        last = current().last_checkpoint
        self.content = [] if last is None else last.value

    @checkpointed(every=10)
    def snapshot(self) -> list[str]:
        return [*self.content]


async def test_time_passes_before_the_crash_where_a_snapshot_has_to_be_taken() -> None:
    assert await survives(Snapped, before=TEA, crash=BOMB, after=ITEMS, crash_after=11) == ["tea"]
    assert "no snapshot() was taken before the crash: crash_after= waits" in str(await fails(Snapped, crash=BOMB))


async def test_a_checkpoint_that_no_factory_looks_at_is_named() -> None:
    class Deaf(Cart):
        async def add(self, item: str) -> None:
            await super().add(item)
            current().checkpoint([*self.content])

    assert "the last checkpoint is ['tea'] of #1: what isn't in it is lost" in str(await fails(Deaf, crash=BOMB))


class Shelf:
    def __init__(self, table: dict[str, int]) -> None:
        self.table = table

    async def put(self, item: str) -> int:
        self.table[item] = self.table.get(item, 0) + 1
        return self.table[item]

    async def show(self) -> dict[str, int]:
        return {**self.table}


async def test_what_is_outside_is_made_new_for_each_of_the_two() -> None:
    table: dict[str, int] = {}
    asked: Any = {"before": call(Shelf.put, "tea"), "after": call(Shelf.show)}

    async def empty() -> None:
        table.clear()

    for reset in (table.clear, empty):
        assert await survives(child(Shelf, table), reset=reset, **asked) == {"tea": 1}
    text = str(await fails(child(Shelf, table), **asked))
    assert "Shelf.show() is {'tea': 2} without the crash, and {'tea': 3} after it" in text
    assert "already before the crash the two lives differ in table: {'tea': 2} -> {'tea': 3}: what is outside of" in text


async def test_what_reset_raises_is_raised() -> None:
    def bad() -> None:
        raise Boom("reset")

    with pytest.raises(Boom, match="reset"):
        await survives(Kept, after=ITEMS, reset=bad)


# -- what doesn't crash it ------------------------------------------------------------------------------------------------


async def test_a_call_that_returns_is_no_crash() -> None:
    assert str(await fails(Kept, crash=call(Cart.add, "cup"))) == (
        "Kept wasn't restarted: Cart.add('cup') returns None, and it lives on. crash= takes what crashes it"
    )


@pytest.mark.parametrize("options", [{"expects": (Boom,)}, {"on_error": "reply"}])
async def test_an_answer_is_no_crash(options: Any) -> None:
    text = str(await fails(child(Kept, **options), crash=BOMB))
    assert "Kept wasn't restarted: Cart.add('bomb') raises Boom: bomb to its caller, and it lives on" in text


async def test_a_crash_on_purpose_is_a_send_so_that_it_is_one_where_all_errors_are_replies() -> None:
    assert await survives(child(Kept, on_error="reply"), before=TEA, after=ITEMS) == ["tea"]


async def test_a_crash_on_purpose_that_the_child_expects_is_none() -> None:
    well = child(Kept, expects=retry_if_not_exception_type(ConnectionError))
    text = str(await fails(well))
    assert text.startswith("Kept wasn't restarted: Sabotage: on purpose is an answer by its expects=, and it lives on.")
    assert await survives(well, before=TEA, crash=ConnectionError, after=ITEMS) == ["tea"]


async def test_a_task_that_the_handler_begins_may_be_what_crashes() -> None:
    class Brooding(Kept):
        async def brood(self) -> None:
            async def fail() -> None:
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                raise Boom("later")

            current().nursery.start_soon(fail)

    assert await survives(Brooding, before=TEA, crash=call(Brooding.brood), after=ITEMS) == ["tea"]


# -- no next life ---------------------------------------------------------------------------------------------------------


class Once(Kept):
    lives = 0

    def __init__(self, error: Exception) -> None:
        super().__init__()
        Once.lives += 1
        if Once.lives > 1:
            raise error


def _new() -> None:
    Once.lives = 0


LIMIT = Intensity(0, per=1)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"restart": "temporary"}, "temporary: never restarted -> not restarted"),
        ({"quarantine": 1}, "quarantine=1: 1 crash in a row of one kind -> not restarted"),
        ({"limit": LIMIT}, "its own limit"),
        ({"limit": LIMIT, "on_limit": "escalate"}, "gives up"),
        ({"restart": "temporary", "significant": True}, "shuts down"),
    ],
)
async def test_a_child_that_is_not_restarted_is_told_with_the_decision(options: Any, why: str) -> None:
    failed = await fails(child(Kept, **options), crash=BOMB)
    head, _, rest = str(failed).partition("\n")
    assert head == "Kept doesn't come back after Cart.add('bomb')."
    assert "Boom: bomb" in rest
    assert why in rest
    assert failed.decision is not None
    assert str(failed.decision) in rest


async def test_a_next_life_that_never_starts_is_told_with_the_decision() -> None:
    peace = [False]

    def make() -> Once:
        if peace[0]:  # the first of the two lives is over
            return Once(Boom("no start"))
        return Once(Boom("never"))

    def reset() -> None:
        _new()
        peace[0] = Once.lives > 0

    text = str(await fails(child(make), reset=reset))
    assert text.startswith("Once doesn't come back after a crash with Sabotage: on purpose.\n  ")
    assert "gives up: more than 3 restarts within 5 s" in text


async def test_a_next_life_that_ignores_its_start() -> None:
    failed = await fails(child(Once, IgnoreStart("enough")), reset=_new)
    assert str(failed).startswith("Once doesn't come back after a crash with Sabotage: on purpose.")


async def test_an_end_by_itself_after_which_nothing_comes() -> None:
    class Quitter(Kept):
        async def quit(self) -> None:
            current().stop()

    quit = call(Quitter.quit)
    assert "normal" in str(await fails(child(Quitter, restart="transient"), crash=quit))
    assert await survives(Quitter, before=TEA, crash=quit, after=ITEMS) == ["tea"]  # a restart is a restart


async def test_the_intensity_of_its_supervisor_can_be_said() -> None:
    assert "gives up: more than 0 restarts" in str(await fails(Kept, crash=BOMB, intensity=Intensity(0, per=1)))


# -- the child's options count --------------------------------------------------------------------------------------------


async def test_what_was_in_hand_is_tried_again_if_the_child_says_so() -> None:
    class Shaky(Kept):
        async def add(self, item: str) -> None:
            if item == "pot" and current().attempt == 1:
                raise Boom(item)
            await super().add(item)

    pot = call(Cart.add, "pot")
    assert await survives(child(Shaky, redeliver=1), before=TEA, crash=pot, after=call(Cart.first)) == "tea"
    answers = await survives(child(Shaky, redeliver=1), before=TEA, crash=Boom, after=[pot, ITEMS])
    assert answers == [None, ["tea", "pot"]]
    assert await survives(child(Kept, redeliver=2), before=TEA, crash=BOMB, after=ITEMS) == ["tea"]


async def test_a_crash_on_purpose_is_one_crash_though_what_was_in_hand_is_tried_again() -> None:
    lives: list[int] = []

    class Counted(Kept):
        def __init__(self) -> None:
            super().__init__()
            lives.append(current().incarnation)

    assert await survives(child(Counted, redeliver=3), before=TEA, after=ITEMS) == ["tea"]
    assert lives == [1, 1, 2]


async def test_handlers_that_run_beside_each_other() -> None:
    assert await survives(child(Kept, concurrency=3), before=TEA, crash=BOMB, after=ITEMS) == ["tea"]


async def test_a_backoff_is_waited_for() -> None:
    begun = anyio.current_time()
    slow = child(Kept, restart=Restart.permanent(wait=wait_fixed(3600)))
    assert await survives(slow, before=TEA, crash=BOMB, after=ITEMS) == ["tea"]
    assert anyio.current_time() - begun == pytest.approx(3600)


async def test_hooks_run_in_both_lives() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def live() -> AsyncGenerator[Kept]:
        log.append("enter")
        try:
            yield Kept()
        finally:
            log.append("exit")

    await survives(live, before=TEA, after=ITEMS)
    assert log == ["enter", "exit"] * 3


# -- errors ----------------------------------------------------------------------------------------------------------------


async def test_what_before_raises_is_raised_as_it_is() -> None:
    with pytest.raises(ActorCrashed) as crashed:
        await survives(child(Kept, limit=LIMIT, on_limit="escalate"), before=[*TEA, BOMB], after=ITEMS)
    assert isinstance(crashed.value.__cause__, Boom)
    error = Boom("answer")

    async def answer(_: Kept) -> None:
        raise error

    with pytest.raises(Boom) as raised:
        await survives(child(Kept, expects=(Boom,)), before=call(answer), after=ITEMS)
    assert raised.value is error


async def test_what_a_start_raises_is_raised_as_it_is() -> None:
    def make() -> Kept:
        raise Boom("start")

    with pytest.raises(Exception, match="start") as raised:
        await survives(make, after=ITEMS)
    assert isinstance(raised.value.__cause__, Boom)


async def test_errors_of_after_are_compared_by_type_and_text() -> None:
    first = call(Cart.first)
    error = await survives(child(Cart, expects=(IndexError,)), crash=Boom, after=first)
    assert isinstance(error, IndexError)
    text = str(await fails(child(Cart, expects=(IndexError,)), crash=Boom, after=first))
    assert "Cart.first() is 'tea' without the crash, and raises IndexError: list index out of range after it" in text


async def test_a_crash_by_after_is_compared_by_what_it_crashed_with() -> None:
    crashed = await survives(Cart, crash=Boom, after=call(Cart.first))
    assert isinstance(crashed, ActorCrashed)
    text = str(await fails(Cart, crash=Boom, after=call(Cart.first)))
    assert "and crashes it with IndexError: list index out of range after it" in text


@pytest.mark.parametrize("where", ["before", "crash", "after"])
@pytest.mark.parametrize(
    ("asked", "error"), [(call(Shelf.put, "tea"), UnknownHandler), (Message(Cart.items, (1,), {}), BadCall)]
)
async def test_a_call_that_cannot_be_is_the_fault_of_the_test(where: str, asked: Any, error: Any) -> None:
    with pytest.raises(error):
        await loosely(Cart, **({"after": ITEMS} | {where: asked}))


# -- hostile values --------------------------------------------------------------------------------------------------------


class Hostile:
    def __repr__(self) -> str:
        raise Boom("repr")

    def __eq__(self, other: object) -> bool:
        raise Boom("eq")

    __hash__ = None  # type: ignore[assignment]


async def test_values_whose_methods_raise() -> None:
    class Fortress(Cart):
        def __init__(self) -> None:
            super().__init__()
            self.guard = Hostile()

        async def guards(self) -> Any:
            return self.guard

    text = str(await fails(Fortress, crash=BOMB))
    assert "lost: content: ['tea'] -> []" in text
    assert "guard" not in text
    text = str(await fails(Fortress, crash=BOMB, after=call(Fortress.guards)))
    assert text == "Fortress: what Fortress.guards() returns can't be compared (Boom: eq): have it return what can be"


async def test_values_that_look_alike_and_are_not_equal() -> None:
    class Thing:
        def __repr__(self) -> str:
            return "thing"

    class Maker(Cart):
        async def make(self) -> Thing:
            return Thing()

    text = str(await fails(Maker, after=call(Maker.make)))
    assert "is thing without the crash, and thing after it, which look alike and aren't equal by ==" in text


@pytest.mark.parametrize("error", [Boom("dict"), AttributeError("dict")])
async def test_an_actor_whose_dict_is_a_property_that_raises(error: Exception) -> None:
    class Closed(Kept):
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise error

    assert await survives(Closed, before=TEA, crash=BOMB, after=ITEMS) == ["tea"]


# -- where it runs, and what it leaves -------------------------------------------------------------------------------------


async def test_a_test_that_is_cancelled_leaves_nothing() -> None:
    ended: list[str] = []

    class Slow(Kept):
        async def __aenter__(self) -> Slow:
            return self

        async def __aexit__(self, *_: object) -> None:
            ended.append("exit")

        async def hang(self) -> None:
            await anyio.sleep_forever()

    with anyio.move_on_after(10) as scope:
        await survives(Slow, before=call(Slow.hang), after=ITEMS)
    assert scope.cancelled_caught
    assert ended == ["exit"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_runs_without_pytest_and_on_the_real_clock(backend: str) -> None:
    async def main() -> Any:
        return await survives(Kept, before=TEA, crash=BOMB, after=ITEMS, crash_after=0.001)

    assert anyio.run(main, backend=backend) == ["tea"]


@on_the_real_clock
async def test_an_object_in_a_thread_of_its_own(tmp_path: Any) -> None:
    rows = call(_Db.rows)
    for path, kept in ((":memory:", False), (str(tmp_path / "db"), True)):
        db = child(own_thread(_Db, path))
        asked: Any = {"before": [call(_Db.make), call(_Db.put, 1)], "after": rows}
        if kept:
            assert await survives(db, reset=lambda: (tmp_path / "db").unlink(missing_ok=True), **asked) == [(1,)]
        else:
            assert "_Db.rows() is [(1,)] without the crash, and raises OperationalError: no such table" in str(
                await fails(db, **asked)
            )


class _Db:
    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)

    def make(self) -> None:
        self._db.execute("create table if not exists t (n)")

    def put(self, number: int) -> None:
        self._db.execute("insert into t values (?)", (number,))

    def rows(self) -> list[Any]:
        return self._db.execute("select n from t").fetchall()

    def close(self) -> None:
        self._db.close()


async def test_a_service_is_stopped_and_started() -> None:
    log: list[str] = []

    class Pool(Kept):
        def start(self) -> None:
            log.append("start")

        def stop(self) -> None:
            log.append("stop")

    factory = service(Pool, start=Pool.start, stop=Pool.stop)
    assert await survives(factory, before=TEA, after=ITEMS) == ["tea"]
    assert log == ["start", "stop"] * 3


# -- bad input --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"before": Cart.add}, "before"),
        ({"before": [Cart.add]}, "before"),
        ({"after": Cart.items}, "after"),
        ({"after": []}, "after"),
        ({"crash": Cart.add}, "crash"),
        ({"crash": SystemExit()}, "crash"),
        ({"crash": KeyboardInterrupt}, "crash"),
        ({"crash": UnicodeDecodeError}, "crash"),
        ({"crash_after": -1}, "crash_after"),
        ({"crash_after": True}, "crash_after"),
        ({"crash_after": "1"}, "crash_after"),
        ({"reset": 3}, "reset"),
        ({"intensity": 3}, "intensity"),
    ],
)
async def test_what_cannot_be_meant_is_refused(asked: Any, named: str) -> None:
    with pytest.raises(InvalidSpec, match=rf"{named}="):
        await loosely(Cart, **({"after": ITEMS} | asked))


async def test_a_whole_tree_is_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"one actor: a factory, or child\(factory, …\)"):
        await loosely(Supervisor("app"), after=ITEMS)
    with pytest.raises(InvalidSpec, match="factory"):
        await loosely(3, after=ITEMS)


async def test_a_call_is_a_message() -> None:
    assert (call(Cart.add, "tea").handler, str(call(Cart.add, item="tea"))) == (Cart.add, "Cart.add(item='tea')")
    with pytest.raises(NotAHandler):
        call(Cart().items)  # type: ignore[arg-type]
    with pytest.raises(NotAHandler):
        call(Cart)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
