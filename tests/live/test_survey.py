"""A survey in slices, what is kept of many actors, and what the board makes of repeated looks.

Tested: no slice is longer than it may be but for one row; what changes between slices; the worst of many, and sums by type; who
is idle isn't among them; a row whose own class raises; since when a message is in hand, or waits, as lower bounds under all
orders; rows that change, stay, and go; a client that has missed too much.
"""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import DynamicSupervisor, Supervisor, child
from supervise.live import board as boards
from supervise.live.board import Board, encoded
from supervise.live.row import FIELDS, Row
from supervise.live.survey import Survey
from supervise.tree.branch import BranchPlace

pytestmark = pytest.mark.anyio


class Echo:
    async def echo(self, text: str) -> str:
        return text


class Other:
    async def boom(self) -> None:
        raise ValueError


def whole(survey: Survey) -> Survey:
    while not survey.go_on():
        pass
    return survey


async def test_a_slice_of_no_time_is_a_few_rows_and_what_comes_meanwhile_is_seen() -> None:
    async with DynamicSupervisor("app") as app:
        for number in range(40):
            await app.start(Echo, name=str(number))
        survey = Survey(app._branch)
        assert not survey.go_on(0.0)
        slices = 1
        await app.terminate_child(app.find("39"))
        while not survey.go_on(0.0):
            slices += 1
        assert slices == 5
        assert [row.path for row in survey.rows] == ["app", *(f"app/{number}" for number in range(40))]
        assert survey.rows[-1].state == "stopped"  # it was there when the walk began


async def test_what_was_seen_doesnt_hold_the_tree() -> None:
    async with Supervisor("app", Supervisor("below", child(Echo, name="a"))) as app:
        survey = whole(Survey(app._branch))
        assert survey.rows
        assert not any(isinstance(value, BranchPlace) for value in vars(survey).values())
        assert survey._walk.gi_frame is None  # type: ignore[attr-defined]  # it is a generator


async def test_of_many_the_worst_have_rows_and_all_are_summed() -> None:
    async with DynamicSupervisor("app") as app:
        for number in range(30):
            await app.start(Echo, name=f"echo{number}")
        others = [await app.start(Other, name=f"other{number}", restart="transient") for number in range(3)]
        for other in others[:2]:
            await other.send(Other.boom)
        await others[0].send(Other.boom)
        await others[0].ping()
        app.operator("ada").pause("echo7")
        await app.find("echo9").call(Echo.echo, "x")
        survey = whole(Survey(app._branch, most=20, worst=3))
        assert survey.is_cut
        assert [row.path for row in survey.rows] == ["app", "app/echo7", "app/other0", "app/other1"]
        assert {kind: (sums.actors, sums.restarts, sums.handled) for kind, sums in survey.sums.items()} == {
            "Echo": (30, 0, 1),
            "Other": (3, 3, 0),
        }
        assert not whole(Survey(app._branch, most=33, worst=3)).is_cut


async def test_who_is_down_is_named_and_who_is_optional_only_degrades() -> None:
    async with Supervisor("app", child(Echo, name="a"), child(Echo, name="b", required=False)) as app:
        for name in ("a", "b"):
            await app.operator("ada").stop(name)
        survey = whole(Survey(app._branch))
        assert (survey.down, survey.degraded) == (["app/a is stopped"], True)


async def test_a_row_that_cant_be_had_is_told_as_that() -> None:
    class Odd(list[Any]):
        popleft: Any = None
        appendleft: Any = None

        def __len__(self) -> int:
            raise RuntimeError("no length")

    async with Supervisor("app", child(Echo, name="a")) as app:
        place = app._branch.places["a"]
        place.mailbox.queue = Odd()  # type: ignore[union-attr]  # it has a mailbox
        survey = whole(Survey(app._branch))
        place.mailbox.queue = __import__("collections").deque()  # type: ignore[union-attr]  # the same
        assert survey.rows[1].path == "app/a"
        assert survey.rows[1].error == "it can't be looked at: RuntimeError"


async def test_a_row_as_json_has_what_isnt_usual_and_all_fields_are_told_in_order() -> None:
    assert Row("a").as_dict() == {"path": "a"}
    full = Row._make(object() for _ in FIELDS)
    assert tuple(full.as_dict()) == FIELDS


# -- the board -------------------------------------------------------------------------------------------------------------


class Looked:
    """A survey that is over."""

    def __init__(self, at: float, *rows: Row) -> None:
        self.rows = [*rows]
        self.at = at


async def looked(board: Board, at: float, *rows: Row) -> dict[str, Row]:
    survey: Any = Looked(at, *rows)
    await board.take(survey, {})
    return {seen.row.path: seen.row for seen in board.all()}


async def test_since_when_a_message_is_in_hand_is_the_first_look_at_which_it_must_have_been_there() -> None:
    board = Board()
    rows = [
        Row("a", hand=("f",), accepted=1),
        Row("a", hand=("f",), accepted=5, queued=4),
        Row("a", hand=("f",), accepted=5, handled=1, queued=3),  # the next one
        Row("a", hand=("f",), accepted=5, handled=1, queued=3),
        Row("a", hand=("f",), accepted=5, handled=1, queued=3, life=2),  # in hand of the next life
        Row("a", accepted=5, handled=5, life=2),
        Row("a", hand=("f",), accepted=6, handled=5, life=2),
    ]
    since = [(await looked(board, float(at), row))["a"].hand_since for at, row in enumerate(rows, 1)]
    assert since == [1, 1, 3, 3, 5, None, 7]


async def test_since_when_the_oldest_message_waits_holds_in_whatever_order_they_are_taken() -> None:
    board = Board()
    rows = [
        Row("a", accepted=10, queued=5),  # 10 came until 1; 5 are out
        Row("a", accepted=20, queued=11),  # 9 are out: one of the first 10 waits
        Row("a", accepted=20, queued=10),  # 10 are out: maybe all of those
        Row("a", accepted=20, queued=1),  # 19 are out: one of the 20 that came until 3 waits
        Row("a", accepted=20, queued=0),
        Row("a", accepted=21, queued=1),
    ]
    since = [(await looked(board, float(at), row))["a"].oldest_since for at, row in enumerate(rows, 1)]
    assert since == [1, 1, 3, 3, None, 6]


async def test_what_changed_and_what_is_gone_since_a_survey() -> None:
    board = Board()
    await looked(board, 1.0, Row("a"), Row("b"))
    await looked(board, 2.0, Row("a"), Row("b", restarts=1), Row("c"))
    await looked(board, 3.0, Row("c"), Row("a"))

    def since(seq: int) -> tuple[list[str], list[str]]:
        found = board.since(seq)
        assert found is not None
        return sorted(seen.row.path for seen in found[0]), sorted(found[1])

    assert since(0) == (["a", "c"], ["b"])
    assert since(1) == (["c"], ["b"])
    assert since(2) == ([], ["b"])
    assert since(3) == ([], [])
    assert [seen.row.path for seen in board.all()] == ["c", "a"]
    await looked(board, 4.0, Row("c"), Row("b"))
    assert since(2) == (["b"], ["a"])  # it is back
    assert json.loads(await encoded(board.all())) == [{"path": "c"}, {"path": "b"}]


async def test_who_has_missed_more_than_is_remembered_gets_all_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "GONE", 3)
    board = Board()
    await looked(board, 1.0, *(Row(str(number)) for number in range(5)))
    await looked(board, 2.0, Row("0"), Row("1"))
    assert board.since(1) is not None
    await looked(board, 3.0, Row("0"))
    assert board.since(1) is None
    assert board.since(2) is not None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # as the server's own loop is
async def test_many_rows_are_encoded_with_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "REST", 0)
    board = Board()
    await looked(board, 1.0, *(Row(str(number)) for number in range(120)))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        await encoded(board.all())
        group.cancel_scope.cancel()
    assert turns >= 2
