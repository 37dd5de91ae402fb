"""`supervise postmortem`: a flight record as a story, for who comes after the crash.

Tested: a give-up that is read back names each crash, decision and loss, and no argument; waits; what is folded, and `--all`;
the newest record where none is named; files that are no records, or not whole; texts that a terminal would obey.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    CallTimeout,
    GaveUp,
    Intensity,
    MailboxFull,
    Recorder,
    Restart,
    RunningSupervisor,
    Supervisor,
    child,
)
from supervise.cli import postmortem
from supervise.cli.main import main
from supervise.testing import virtual_time
from supervise.tree.record import FORMAT, take

SECRET = "correct-horse-battery"
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


WHOLE: dict[str, Any] = {
    "format": FORMAT,
    "tree": "shop",
    "why": "asked for",
    "written": "",
    "process": 1,
    "python": "",
    "ended": "",
} | {
    "facts_left_out": False,
    "actors_left_out": 0,
    "actors_told": [],
    "account": {},
}
WAITED = {"fact": "waited", "at": "2026-01-01T00:00:00Z", "path": "shop/orders", "handler": "place", "why": "room"}


class Orders:
    async def place(self, item: str, by: str) -> NoReturn:
        raise KeyError(f"{by} wants {item}")

    async def refund(self, item: str) -> NoReturn:
        raise ValueError("no refunds today")

    async def note(self, text: str) -> None: ...


class Payments:
    async def __aenter__(self) -> Payments:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def pay(self, card: str) -> NoReturn:
        raise ConnectionError("the bank is down")

    async def check(self) -> None:
        await anyio.sleep(3600)


async def shop(folder: Path) -> Path:
    """Two actors crash in different ways, messages are lost and refused, somebody pauses one; in the end the tree gives up."""
    payments = child(Payments, name="payments", restart=Restart.permanent(wait=wait_fixed(4)), capacity=2)
    tree = Supervisor("shop", child(Orders, name="orders"), payments, intensity=Intensity(2, per=60), recorder=Recorder(folder))
    with pytest.raises(GaveUp) as caught:
        async with tree as app:
            orders, bank = app.find("orders"), app.find("payments")
            with pytest.raises(ActorCrashed):
                await orders.call(Orders.place, SECRET, by="ada")
            await bank.send(Payments.pay, SECRET)
            await anyio.sleep(1)
            await bank.send(Payments.check)
            await bank.send(Payments.pay, SECRET)
            with pytest.raises(MailboxFull):
                bank.try_send(Payments.pay, SECRET)
            app.operator("grace").pause("orders")
            app.operator("grace").resume("orders")
            await anyio.sleep(10)
            await orders.send(Orders.refund, SECRET)
            await orders.send(Orders.refund, SECRET)
            await orders.send(Orders.note, SECRET)
            await anyio.sleep_forever()
    assert caught.value.record is not None
    return caught.value.record


@on_both
def test_a_give_up_is_read_back_with_each_crash_decision_and_loss_and_no_argument(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = virtual_time.run(backend, shop, tmp_path)
    assert main(["postmortem", str(file)]) == 0
    said = capsys.readouterr().out
    for secret in (SECRET, "ada"):
        assert secret not in said
        assert secret not in file.read_text(encoding="utf-8")
    why, crashes, story, messages, waits, _ = (part.split("\n") for part in said.split("\n\n")[1:])
    here = Path(__file__)
    assert [line.partition(f" ({here}:")[0] for line in why] == [
        "Why it gave up:",
        "  shop/orders #3 ended with Orders.refund in hand: crashed (ValueError: no refunds today), in Orders.refund",
        "  shop decides: orders #3 ended: crashed (ValueError: no refunds today); permanent -> gives up: more than 2 restarts "
        "within 60 s",
    ]
    assert [line.strip().partition(f" ({here}:")[0] for line in crashes[1:]] == [
        "2 x ValueError at Orders.refund",
        "of shop/orders #2, shop/orders #3; last: ValueError: no refunds today",
        "1 x KeyError at Orders.place",
        "of shop/orders #1; last: KeyError: '<str> wants <str>'",
        "1 x ConnectionError at Payments.pay",
        "of shop/payments #1; last: ConnectionError: the bank is down",
    ]
    told = [line[2:].partition("  ")[2] for line in story[1:]]
    for expected in (
        "shop/orders #1 ended with Orders.place in hand: crashed (KeyError: '<str> wants <str>'), in Orders.place (",
        "    shop decides: orders #1 ended: crashed (KeyError: '<str> wants <str>'); permanent -> restart 1 of 2 within 60 s",
        "shop/orders #2 started",
        "shop/payments #1 ended with Payments.pay in hand: crashed (ConnectionError: the bank is down), in Payments.pay (",
        "    shop decides: payments #1 ended: crashed (ConnectionError: the bank is down); permanent -> restart 1, paced",
        "shop/payments: Payments.pay lost: in hand when a life ended",
        "shop/payments: Payments.pay refused: MailboxFull",
        "shop/orders: grace asks to pause",
        "shop/payments #2 started 4 s after the end of #1; 2 messages wait",
        "shop/orders #3 started",
        "    shop decides: orders #3 ended: crashed (ValueError: no refunds today); permanent -> gives up: more than 2 restar",
        "shop #1 ended: gave_up (child 'orders' ended: crashed (ValueError: no refunds today))",
        "shop/payments: Payments.pay lost: waiting when the actor was stopped",
        "shop/orders: Orders.note lost: waiting when the actor was stopped",
    ):
        assert any(line.startswith(expected) for line in told), f"{expected!r} in {said}"
    assert {line.strip() for line in messages[1:]} >= {
        "1 x Orders.place to shop/orders failed: its actor crashed with it in hand",
        "2 x Orders.refund to shop/orders lost: in hand when a life ended",
        "1 x Payments.pay to shop/payments refused: MailboxFull",
        "1 x Orders.note to shop/orders lost: waiting when the actor was stopped",
    }
    assert waits[1:] == ["  shop/payments: 2 messages wait for #2, for 4 s"]


async def crash_loop(folder: Path) -> Path:
    tree = Supervisor("shop", child(Orders, name="orders"), intensity=Intensity(300, per=1), recorder=Recorder(folder))
    with pytest.raises(GaveUp) as caught:
        async with tree as app:
            for _ in range(301):
                await app.find("orders").send(Orders.refund, SECRET)
            await anyio.sleep_forever()
    assert caught.value.record is not None
    return caught.value.record


def test_a_crash_loop_is_folded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = virtual_time.run("asyncio", crash_loop, tmp_path)
    assert main(["postmortem", str(file)]) == 0
    said = capsys.readouterr().out
    assert "and 2 starts and 199 ends more of its children within a second, 199 of them crashes" in said
    assert "301 x Orders.refund to shop/orders lost: in hand when a life ended" in said
    assert "(and 2 first starts: --all shows them)" in said
    assert main(["postmortem", "--all", str(file)]) == 0
    assert "shop/orders #1 started" in capsys.readouterr().out


def of_now(app: RunningSupervisor) -> dict[str, Any]:
    tree = app._branch.tree
    found: dict[str, Any] = json.loads(take(tree, "asked for").text())
    return found


async def at_work() -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with Supervisor("shop", child(Payments, name="payments")) as app:
        for _ in range(3):
            await app.find("payments").send(Payments.check)
        await anyio.sleep(1)
        found |= of_now(app)
    return found


def test_what_was_in_hand_and_waited_is_told() -> None:
    said = list(postmortem.story(virtual_time.run("asyncio", at_work)))
    assert said[-2:] == [
        "  all messages: 3 accepted, 2 queued, 1 in hand",
        "  shop/payments #1 running; in hand: Payments.check; 2 x Payments.check waiting",
    ]


async def deep(folder: Path) -> Path:
    """The give-up of an inner supervisor ends all; that of another one before didn't."""

    def branch(name: str) -> Supervisor:
        return Supervisor(name, child(Orders, name="orders"), intensity=Intensity(0, per=1))

    tree = Supervisor("shop", branch("north"), branch("south"), intensity=Intensity(1, per=60), recorder=Recorder(folder))
    with pytest.raises(GaveUp) as caught:
        async with tree as app:
            for name in ("north", "south"):
                await app.find(f"{name}/orders").send(Orders.refund, SECRET)
                await anyio.sleep(1)
    assert caught.value.record is not None
    return caught.value.record


def test_why_it_gave_up_is_told_from_the_crash_to_the_root(tmp_path: Path) -> None:
    record = json.loads(virtual_time.run("asyncio", deep, tmp_path).read_text(encoding="utf-8"))
    said = list(postmortem.story(record))
    begin = said.index("Why it gave up:")
    assert [line.partition(" ended")[0] for line in said[begin + 1 : said.index("", begin)]] == [
        "  shop/south/orders #1",
        "  shop/south decides: orders #1",
        "  shop decides: south #1",
    ]


class Moody:
    """Crashes at every other message."""

    tries = 0

    async def answer(self) -> int:
        Moody.tries += 1
        if Moody.tries % 2:
            raise ConnectionError("not yet")
        return Moody.tries

    async def late(self) -> NoReturn:
        await anyio.sleep(5)
        raise ConnectionError("too late")


async def tried_again() -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with Supervisor("shop", child(Moody, name="moody", redeliver=2)) as app:
        Moody.tries = 0
        assert await app.find("moody").call(Moody.answer) == 2
        with pytest.raises(CallTimeout):
            await app.find("moody").options(timeout=2).call(Moody.late)
        await anyio.sleep(10)
        found |= of_now(app)
    return found


@on_both
def test_a_call_that_was_tried_again_hasnt_failed_and_a_late_one_failed_once(backend: str) -> None:
    said = list(postmortem.story(virtual_time.run(backend, tried_again)))
    assert [line for line in said if " x Moody." in line and "failed" in line] == [
        "  1 x Moody.late to shop/moody failed: CallTimeout"
    ]


async def many(folder: Path) -> Path:
    orders = [child(Orders, name=f"orders-{number}") for number in range(30)]
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("shop", *orders, intensity=Intensity(0, per=1), recorder=Recorder(folder)) as app:
            await app.find("orders-7").send(Orders.refund, SECRET)
            await anyio.sleep_forever()
    assert caught.value.record is not None
    return caught.value.record


def test_that_all_are_stopped_after_the_end_is_one_line(tmp_path: Path) -> None:
    record = json.loads(virtual_time.run("asyncio", many, tmp_path).read_text(encoding="utf-8"))
    assert list(postmortem.story(record))[-2:] == [
        "  all messages: 1 accepted, 1 dead lettered",
        "  30 actors and supervisors, all stopped",
    ]


def test_what_was_on_another_day_is_told_with_it() -> None:
    told = {"fact": "told", "path": "shop", "text": "something"}
    record = WHOLE | {"written": "2026-01-02T00:00:01.000Z"}
    record["facts"] = [told | {"at": "2026-01-01T23:59:59.900Z"}, told | {"at": "2026-01-02T00:00:00.500Z"}]
    assert [line for line in postmortem.story(record) if "something" in line] == [
        "  2026-01-01 23:59:59.900  something",
        "  00:00:00.500  something",
    ]


def test_a_number_of_none_is_no_line() -> None:
    record = virtual_time.run("asyncio", at_work)
    more = {"at": record["written"], "fact": "more", "path": "shop", "until": record["written"]}
    record["facts"] += [more | {"starts": 0, "ends": 0, "crashes": 0}]
    assert not any("more of its children" in line for line in postmortem.story(record))


def test_the_newest_record_is_read_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUPERVISE_RECORDS", str(tmp_path / "none"))
    assert main(["postmortem"]) == 2
    assert f"there is no flight record in {tmp_path / 'none'}; name a file" in capsys.readouterr().err
    virtual_time.run("asyncio", crash_loop, tmp_path)
    monkeypatch.setenv("SUPERVISE_RECORDS", str(tmp_path))
    assert main(["postmortem"]) == 0
    assert capsys.readouterr().out.startswith("shop: flight record, as it gave up; ")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "it isn't JSON, or not whole"),
        ('{"format": "supervise flight', "it isn't JSON, or not whole"),
        ("[" * 100_000, "it isn't JSON, or not whole"),
        ("[]", "its format isn't"),
        ('{"format": "another"}', "its format isn't"),
        (json.dumps({"format": FORMAT}), "is no whole flight record: KeyError: 'facts'"),
        (json.dumps({"format": FORMAT, "facts": [3]}), "is no whole flight record: TypeError"),
        (json.dumps(WHOLE | {"facts": [WAITED | {"seconds": 10**400}]}), "is no whole flight record: OverflowError"),
    ],
)
def test_what_is_no_record_is_said(text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file.json"
    file.write_text(text)
    assert main(["postmortem", str(file)]) == 2
    assert complaint in capsys.readouterr().err


def test_a_file_that_cant_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["postmortem", str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err.endswith("none.json can't be read: No such file or directory\n")


def test_a_terminal_has_nothing_to_obey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = virtual_time.run("asyncio", at_work)
    found["facts"] += [{"at": found["written"], "fact": "told", "path": "shop", "text": "\x1b[2Jgone"}]
    file = tmp_path / "file.json"
    file.write_text(json.dumps(found))
    assert main(["postmortem", str(file)]) == 0
    assert r"\x1b[2Jgone" in capsys.readouterr().out
