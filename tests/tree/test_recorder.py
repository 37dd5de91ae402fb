"""The flight recorder of a tree: what it writes, when, and that it harms nobody.

Tested, on both backends: a give-up's record names each crash, decision and loss, and no argument; `record()` when asked; files
for the owner alone, written aside, the last ones kept, at most 1 MiB; what can't be written is one WARNING; a disk that hangs;
options; nothing pinned; a start that gives up; a tree that says `recorder=False`.
"""

from __future__ import annotations

import _thread
import gc
import json
import logging
import os
import shutil
import stat
import threading
import weakref
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    CallTimeout,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    InvalidSpec,
    MailboxFull,
    Recorder,
    Restart,
    RunningSupervisor,
    Supervisor,
    child,
    current,
)
from supervise.tree import record, record_file, recorder
from supervise.tree.record import take
from supervise.tree.record_file import default_folder
from tests.doubles import Boom
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio

SECRET = "correct-horse-battery"


class Stock:
    async def take(self, item: object, number: int = 1) -> NoReturn:
        raise KeyError(item, number)

    async def put(self, item: str) -> None: ...

    async def think(self) -> None:
        await anyio.sleep(100)


def read(file: Path | None) -> dict[str, Any]:
    assert file is not None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def taken(app: RunningSupervisor) -> dict[str, Any]:
    """What would be written now, without the thread that does it, which virtual time doesn't wait for."""
    tree = app._branch.tree
    text = take(tree, "asked for").text()
    assert len(text) <= record.MOST_BYTES
    found: dict[str, Any] = json.loads(text)
    return found


def facts(found: dict[str, Any], sort: str) -> list[dict[str, Any]]:
    return [fact for fact in found["facts"] if fact["fact"] == sort]


async def give_up(folder: Path, calls: int = 1, **options: Any) -> GaveUp:
    """A tree gives up at the third crash, while messages wait."""
    with pytest.raises(GaveUp) as caught:
        async with Supervisor(
            "shop", child(Stock, name="stock"), intensity=Intensity(2, per=5), recorder=Recorder(folder), **options
        ) as app:
            stock = app.find("stock")
            for _ in range(5):
                await stock.send(Stock.take, SECRET, 4711)
            for _ in range(3):
                await stock.send(Stock.put, SECRET)
            await anyio.sleep_forever()
    return caught.value


async def test_a_give_up_is_recorded_with_each_crash_decision_and_loss_and_no_argument(tmp_path: Path) -> None:
    error = await give_up(tmp_path)
    assert error.record is not None
    assert error.record.parent == tmp_path
    assert error.__notes__ == [f"What led to it: supervise postmortem {error.record}"]
    text = error.record.read_text(encoding="utf-8")
    assert SECRET not in text
    assert "4711" not in text
    found = read(error.record)
    assert (found["tree"], found["why"], found["ended"]) == ("shop", "it gave up", "max_intensity")
    crashes = [fact for fact in facts(found, "ended") if fact["kind"] == "crashed"]
    assert [(fact["path"], fact["incarnation"], fact["handler"]) for fact in crashes] == [
        ("shop/stock", number, "Stock.take") for number in (1, 2, 3)
    ]
    assert {fact["detail"] for fact in crashes} == {"KeyError: ('<str>', <int>)"}
    assert all(fact["fingerprint"].startswith("KeyError at Stock.take (") for fact in crashes)
    assert [fact["waiting"] for fact in crashes] == [7, 6, 5]
    assert [fact["action"] for fact in facts(found, "decided")] == ["restart", "restart", "give_up"]
    lost = {(fact["handler"], fact["why"]): fact["number"] for fact in facts(found, "lost")}
    assert lost == {("Stock.take", "in_hand"): 3, ("Stock.take", "stopped"): 2, ("Stock.put", "stopped"): 3}
    assert [fact["kind"] for fact in facts(found, "ended") if fact["path"] == "shop"] == ["gave_up"]


async def test_it_is_written_without_any_log_and_is_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def known(file: Path | None) -> list[Any]:
        return [fact.get("fingerprint") for fact in facts(read(file), "ended")]

    loud = await give_up(tmp_path)
    with caplog.at_level(logging.CRITICAL + 1, "supervise"):
        silent = await give_up(tmp_path)
    assert known(silent.record) == known(loud.record)


async def test_a_tree_is_recorded_when_asked(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    async with Supervisor("shop", child(Stock, name="stock", capacity=2), recorder=Recorder(tmp_path)) as app:
        stock = app.find("stock")
        await stock.send(Stock.think)
        await anyio.sleep(1)
        await stock.send(Stock.put, SECRET)
        await stock.send(Stock.put, SECRET)
        with pytest.raises(MailboxFull):
            stock.try_send(Stock.put, SECRET)
        with pytest.raises(TimeoutError):
            await stock.options(timeout=3).send(Stock.put, SECRET)
        found |= taken(app)
    [row] = found["actors_told"]
    assert row["in_hand"] == ["Stock.think"]
    assert row["waiting"] == {"Stock.put": 2}
    assert {(fact["handler"], fact["why"]) for fact in facts(found, "refused")} == {
        ("Stock.put", "MailboxFull"),
        ("Stock.put", "SendTimeout"),
    }
    [waited] = facts(found, "waited")
    assert (waited["handler"], waited["why"], waited["seconds"]) == ("Stock.put", "room", 3.0)
    assert found["ended"] == ""
    assert SECRET not in json.dumps(found)


async def test_calls_that_failed_are_told(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    async with Supervisor("shop", child(Stock, name="stock"), recorder=Recorder(tmp_path)) as app:
        stock = app.find("stock")
        with pytest.raises(ActorCrashed):
            await stock.call(Stock.take, SECRET)
        with pytest.raises(CallTimeout):
            await stock.options(timeout=2).call(Stock.think)
        found |= taken(app)
    [crash] = facts(found, "ended")
    assert (crash["called"], crash["detail"]) == (True, "KeyError: ('<str>', 1)"), "1 is a default, and nobody sent it"
    [failed] = facts(found, "failed")
    assert (failed["handler"], failed["why"]) == ("Stock.think", "CallTimeout")


async def test_a_wait_for_the_next_life_is_seen(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    description = child(Stock, name="stock", restart=Restart.permanent(wait=wait_fixed(10)))
    async with Supervisor("shop", description, recorder=Recorder(tmp_path)) as app:
        await app.find("stock").send(Stock.take, SECRET)
        await app.find("stock").send(Stock.put, SECRET)
        await anyio.sleep(11)
        found |= taken(app)
    assert [fact["waiting"] for fact in facts(found, "started") if fact["incarnation"] == 2] == [1]
    assert [fact["delay"] for fact in facts(found, "decided")] == [10.0]


async def test_what_an_operator_did_is_a_fact(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    async with Supervisor("shop", child(Stock, name="stock"), recorder=Recorder(tmp_path)) as app:
        await app.operator("ada").restart("stock")
        found |= taken(app)
    [asked] = facts(found, "told")
    assert (asked["event"], asked["who"], asked["path"]) == ("Asked", "ada", "shop/stock")


async def test_only_a_root_that_gives_up_is_recorded(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    inner = Supervisor("inner", child(Stock, name="stock"), intensity=Intensity(0, per=5))
    async with Supervisor("shop", inner, recorder=Recorder(tmp_path)) as app:
        await app.find("inner/stock").send(Stock.take, SECRET)
        await anyio.sleep(1)
        found |= taken(app)
    assert SECRET not in json.dumps(found), "nor in the text of the give-up"
    assert [(fact["path"], fact["action"]) for fact in facts(found, "decided")] == [
        ("shop/inner/stock", "give_up"),
        ("shop/inner", "restart"),
    ]
    assert os.listdir(tmp_path) == []


async def test_no_argument_is_written_where_its_crash_was_only_counted(tmp_path: Path) -> None:
    with pytest.raises(GaveUp) as caught:
        async with Supervisor(
            "shop", child(Stock, name="stock"), intensity=Intensity(300, per=5), recorder=Recorder(tmp_path)
        ) as app:
            for number in range(302):
                await app.find("stock").send(Stock.take, f"{SECRET}-{number}")
            await anyio.sleep_forever()
    found = read(caught.value.record)
    [more] = facts(found, "more")
    assert more["crashes"] == 301 - len([fact for fact in facts(found, "ended") if fact["kind"] == "crashed"])
    assert facts(found, "decided")[-1]["action"] == "give_up"
    assert SECRET not in json.dumps(found)


async def test_no_argument_is_written_where_its_crash_is_forgotten(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    async with Supervisor("shop", child(Stock, name="stock"), recorder=Recorder(tmp_path, facts=2)) as app:
        await app.find("stock").send(Stock.take, SECRET)
        await anyio.sleep(1)
        found |= taken(app)
    assert [fact["fact"] for fact in found["facts"]] == ["decided", "started"]
    assert found["facts_left_out"] is True
    assert SECRET not in json.dumps(found)


@pytest.mark.parametrize("kept", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("give_up_as", ["gave_up", "shutdown"])
async def test_no_argument_is_written_in_the_text_of_a_give_up(tmp_path: Path, kept: int, give_up_as: Any) -> None:
    found: dict[str, Any] = {}
    inner = Supervisor("inner", child(Stock, name="stock"), intensity=Intensity(0, per=5), give_up_as=give_up_as)
    async with Supervisor("shop", Supervisor("mid", inner), recorder=Recorder(tmp_path, facts=kept)) as app:
        await app.find("mid/inner/stock").send(Stock.take, SECRET)
        await anyio.sleep(1)
        found |= taken(app)
    assert SECRET not in json.dumps(found)


class Broken:
    """It starts once."""

    begun = 0

    async def __aenter__(self) -> Broken:
        Broken.begun += 1
        if Broken.begun > 1:
            raise OSError("no database")
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def take(self, item: str) -> NoReturn:
        raise KeyError(item)


async def test_what_a_start_failed_by_is_told_up_to_the_root(tmp_path: Path) -> None:
    Broken.begun = 0
    inner = Supervisor("inner", child(Broken, name="stock"), intensity=Intensity(1, per=5))
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("shop", inner, intensity=Intensity(1, per=5), recorder=Recorder(tmp_path)) as app:
            await app.find("inner/stock").send(Broken.take, SECRET)
            await anyio.sleep_forever()
    found = read(caught.value.record)
    assert (
        facts(found, "ended")[-1]["detail"] == "child 'inner' ended: crashed (child 'stock' didn't start: OSError: no database)"
    )
    assert SECRET not in json.dumps(found)


class Desk:
    """Asks `stock` for what nobody has sent to itself."""

    async def order(self) -> None:
        await self._ask("stock", Stock.take, SECRET)

    async def forward(self) -> None:
        await self._ask("desk", Desk.order)

    async def all_together(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.order)

    async def _ask(self, whom: str, handler: Any, *args: Any) -> None:
        app: Any = current().supervisor()
        await app.find(whom).call(handler, *args)


@pytest.mark.parametrize("kept", [3, 100])
async def test_no_argument_is_written_in_the_crash_of_who_had_called(tmp_path: Path, kept: int) -> None:
    found: dict[str, Any] = {}
    children = (child(Stock, name="stock"), child(Desk, name="desk"), child(Desk, name="front"))
    async with Supervisor("shop", *children, intensity=Intensity(20, per=100), recorder=Recorder(tmp_path, facts=kept)) as app:
        for whom, handler in (("desk", Desk.order), ("front", Desk.forward), ("front", Desk.all_together)):
            await app.find(whom).send(handler)
            await anyio.sleep(1)
        found |= taken(app)
    assert SECRET not in json.dumps(found)
    last = facts(found, "ended")[-1]["detail"]
    what = "KeyError: ('<str>', 1)" if kept == 100 else "…"
    assert last == f"ExceptionGroup(ActorCrashed: shop/stock #3 crashed with Stock.take in hand: {what})"


class Changing:
    """Asked for its text, it changes what it stands in."""

    def __init__(self, within: dict[object, object]) -> None:
        self._within = within

    def __repr__(self) -> str:
        self._within[len(self._within)] = None
        return "changing"


async def test_an_argument_that_changes_as_its_text_is_asked_for_ends_nothing(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    within: dict[object, object] = {"item": SECRET}
    within |= {"first": Changing(within), "second": Changing(within)}
    async with Supervisor("shop", child(Stock, name="stock"), recorder=Recorder(tmp_path)) as app:
        await app.find("stock").send(Stock.take, within)
        await anyio.sleep(1)
        found |= taken(app)
    assert [fact["incarnation"] for fact in facts(found, "started") if fact["path"] == "shop/stock"] == [1, 2]
    assert SECRET not in json.dumps(found)


async def test_a_crash_right_after_the_start_of_many_is_told(tmp_path: Path) -> None:
    many = [child(Stock, name=f"stock-{number}") for number in range(400)]
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("shop", *many, intensity=Intensity(0, per=5), recorder=Recorder(tmp_path)) as app:
            await app.find("stock-7").send(Stock.take, SECRET)
            await anyio.sleep_forever()
    [crash] = [fact for fact in facts(read(caught.value.record), "ended") if fact["kind"] == "crashed"]
    assert (crash["path"], crash["detail"]) == ("shop/stock-7", "KeyError: ('<str>', 1)")


async def test_of_many_that_are_restarted_together_it_is_told_how_many(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    many = [child(Stock, name=f"stock-{number}") for number in range(30)]
    async with Supervisor("shop", *many, strategy="one_for_all", recorder=Recorder(tmp_path)) as app:
        await app.find("stock-0").send(Stock.take, SECRET)
        await anyio.sleep(1)
        found |= taken(app)
    [decided] = [fact for fact in facts(found, "decided") if fact["action"] == "restart"]
    assert decided["affected"] == 30
    assert decided["decision"].endswith(f" with {', '.join(f'stock-{number}' for number in range(1, 10))}, 20 more")


async def test_the_name_of_what_a_group_holds_is_known(tmp_path: Path) -> None:
    class Groups:
        async def crash(self) -> NoReturn:
            raise ExceptionGroup("several", [ExceptionGroup("one", [Boom()]), KeyError("x")])

    found: dict[str, Any] = {}
    async with Supervisor("shop", child(Groups, name="groups"), recorder=Recorder(tmp_path)) as app:
        await app.find("groups").send(Groups.crash)
        await anyio.sleep(1)
        found |= taken(app)
    [crash] = facts(found, "ended")
    assert crash["error"] == "Boom"
    assert crash["fingerprint"].startswith("Boom")


# -- files -----------------------------------------------------------------------------------------------------------------


@on_the_real_clock
async def test_a_record_is_for_its_owner_alone_and_the_last_twenty_stay(tmp_path: Path) -> None:
    folder, written, others = tmp_path / "not" / "there", list[Path](), ["shop-notes.json"]
    async with Supervisor("shop", recorder=Recorder(folder)) as app:
        first = await app.record()
        assert first is not None
        (folder / others[0]).write_text("{}")
        old, other = folder / f".{first.name}.part", folder / first.name.replace("shop", "shop-2")
        old.write_text("{")
        other.write_text("{}")
        os.utime(old, (0, 0))
        others.append(other.name)
        written += [file for _ in range(24) if (file := await app.record()) is not None]
    last = written[-1]
    assert stat.S_IMODE(last.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(os.listdir(folder)) == sorted([*others, *(file.name for file in written[-20:])])


async def test_a_record_has_at_most_a_mebibyte_and_the_newest_facts(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    long = "ж" * 150
    async with DynamicSupervisor("shop", recorder=Recorder(tmp_path)) as app:
        for number in range(10_000):
            app._branch.tree.bus.facts.waited("shop", long, lambda: None, str(number), 2.0)
        found |= taken(app)
    assert len(json.dumps(found, ensure_ascii=False).encode()) > 0.9 * record.MOST_BYTES
    assert found["facts_left_out"] is True
    assert found["facts"][-1]["why"] == "9999"


async def test_texts_that_no_encoder_takes_are_written(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    async with Supervisor("shop", recorder=Recorder(tmp_path)) as app:
        app._branch.tree.bus.facts.waited("shop", "\ud800 \x1b[2J \u2028", lambda: None, "x" * 10_000, 2.0)
        found |= taken(app)
    [odd] = facts(found, "waited")
    assert odd["why"].endswith("…")


async def test_a_line_that_is_too_long_is_cut_and_still_says_who(tmp_path: Path) -> None:
    def wordy(number: int) -> Any:
        async def handle(_: Stock) -> None:
            await anyio.sleep(10)

        handle.__name__ = handle.__qualname__ = f"{number}{'ж' * 190}"
        return handle

    found: dict[str, Any] = {}
    async with Supervisor("shop", child(Stock, name="ж" * 1000), recorder=Recorder(tmp_path)) as app:
        for number in range(11):
            await app.find("ж" * 1000).send(wordy(number))
        await anyio.sleep(1)
        found |= taken(app)
    [row] = found["actors_told"]
    assert row["path"].startswith("shop/жж")
    assert len(row["waiting"]) == record.NAMES


async def test_what_json_doesnt_know_is_told_by_its_repr(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    async with Supervisor("shop", recorder=Recorder(tmp_path)) as app:
        app._branch.tree.bus.facts.add((0.0, "waited", "", "shop", "f", Decimal("1.5"), 2.0))
        found |= taken(app)
    assert facts(found, "waited")[0]["why"] == "Decimal('1.5')"


async def test_what_cant_be_written_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    error = await give_up(blocked)
    assert error.record is None
    assert not hasattr(error, "__notes__")
    [said] = [entry for entry in caplog.records if "flight record" in entry.getMessage()]
    assert said.levelno == logging.WARNING
    assert said.getMessage().startswith(f"shop: its flight record can't be written to {blocked}: FileExistsError")


async def test_a_give_up_that_cant_be_written_names_no_older_record(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    with pytest.raises(GaveUp) as caught:
        async with Supervisor(
            "shop", child(Stock, name="stock"), intensity=Intensity(0, per=5), recorder=Recorder(folder)
        ) as app:
            tree = app._branch.tree
            assert tree.recorder is not None
            earlier = tree.recorder.record_at_end("asked for")
            assert earlier is not None
            shutil.rmtree(folder)
            folder.write_text("")
            await app.find("stock").send(Stock.take, SECRET)
            await anyio.sleep_forever()
    assert caught.value.record is None


def test_any_name_makes_a_file_and_the_newest_one_stays(tmp_path: Path) -> None:
    for name in ("𠮷" * 200, "x" * 1000, "../../up", "\ud800", "", "."):
        file = record_file.write(tmp_path, name, 0.0, b"{}", 1)
        assert file.parent == tmp_path
        assert file.read_bytes() == b"{}"
    later = record_file.write(tmp_path, "shop", 10.0, b"{}", 1)
    assert later.exists()
    earlier = record_file.write(tmp_path, "shop", 5.0, b"{}", 1)  # the clock was set back
    assert earlier.exists()
    assert not later.exists()


@on_the_real_clock
async def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    async with Supervisor("shop", recorder=Recorder(tmp_path)) as app:
        monkeypatch.setattr(os, "replace", full)
        assert await app.record() is None
    assert os.listdir(tmp_path) == []
    assert [entry.levelname for entry in caplog.records if "No space left" in entry.getMessage()] == ["WARNING"]


async def test_the_end_doesnt_wait_for_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released, written = threading.Event(), threading.Event()
    real = record_file.write

    def hang(*args: Any) -> Path:
        released.wait()
        try:
            return real(*args)
        finally:
            written.set()

    monkeypatch.setattr(recorder, "write", hang)
    monkeypatch.setattr(recorder, "PATIENCE", 0.0)
    error = await give_up(tmp_path)
    assert error.record is None
    assert os.listdir(tmp_path) == []
    released.set()
    assert written.wait(30)


async def test_without_a_thread_it_is_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", none)
    assert (await give_up(tmp_path)).record is not None


def test_where_records_are_written_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUPERVISE_RECORDS", "/records")
    assert default_folder() == Path("/records")
    monkeypatch.delenv("SUPERVISE_RECORDS")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "supervise"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # which its specification has ignored
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local" / "state" / "supervise"


# -- who asks for it -------------------------------------------------------------------------------------------------------


async def test_off_in_one_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISE_RECORDS", str(tmp_path))
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("shop", child(Stock, name="stock"), intensity=Intensity(0, per=5), recorder=False) as app:
            with pytest.raises(RuntimeError, match="recorder=False"):
                await app.record()
            await app.find("stock").send(Stock.take, SECRET)
            await anyio.sleep_forever()
    assert caught.value.record is None
    assert os.listdir(tmp_path) == []


@on_the_real_clock
async def test_an_actor_may_ask_for_it(tmp_path: Path) -> None:
    found: dict[str, Any] = {}

    class Scribe:
        async def write(self) -> Path | None:
            app: Any = current().supervisor()
            file: Path | None = await app.record()
            return file

    async with Supervisor("shop", child(Scribe, name="scribe"), recorder=Recorder(tmp_path)) as app:
        found |= read(await app.find("scribe").call(Scribe.write))
    assert [row["in_hand"] for row in found["actors_told"]] == [["Scribe.write"]]


@pytest.mark.parametrize(
    "given", [{"folder": 3}, {"folder": ""}, {"facts": 0}, {"facts": True}, {"facts": 1.5}, {"keep": 0}, {"keep": -1}]
)
def test_a_recorder_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    [option] = given
    with pytest.raises(InvalidSpec, match=option):
        Recorder(**given)


def test_a_recorder_stands_at_the_root() -> None:
    with pytest.raises(InvalidSpec, match="recorder"):
        Supervisor("app", recorder="yes")  # type: ignore[arg-type]  # which is what is tried
    with pytest.raises(InvalidSpec, match="say it at the root"):
        Supervisor("app", Supervisor("inner", recorder=False))


async def test_facts_pin_neither_actors_nor_messages_nor_exceptions(tmp_path: Path) -> None:
    class Thing:
        pass

    class Fragile:
        async def crash(self, thing: Thing) -> NoReturn:
            self.error = Boom(thing)
            seen.append(weakref.ref(self))
            seen.append(weakref.ref(self.error))
            raise self.error

    seen: list[weakref.ref[Any]] = []
    async with Supervisor("shop", recorder=Recorder(tmp_path)) as app:
        fragile = await app.start(Fragile, name="fragile", restart="temporary")
        thing = Thing()
        seen.append(weakref.ref(thing))
        with pytest.raises(ActorCrashed):
            await fragile.call(Fragile.crash, thing)
        del thing, fragile
        await anyio.sleep(1)
        gc.collect()
        assert [one() for one in seen] == [None, None, None]
        assert len(facts(taken(app), "ended")) == 1


async def test_the_last_of_many_crashes_at_a_stop_isnt_kept(tmp_path: Path) -> None:
    class Clumsy:
        async def __aenter__(self) -> Clumsy:
            return self

        async def __aexit__(self, *_: object) -> None:
            error = Boom()
            seen.append(weakref.ref(error))
            raise error

    seen: list[weakref.ref[Boom]] = []
    many = [child(Clumsy, name=f"clumsy-{number}") for number in range(300)]
    async with Supervisor("shop", *many, recorder=Recorder(tmp_path)) as app:
        pass
    gc.collect()
    assert len(seen) == 300
    assert [error for one in seen if (error := one()) is not None] == []
    assert len(facts(taken(app), "ended")) < 300
