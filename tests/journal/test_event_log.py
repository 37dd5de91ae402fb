"""What on-call reads without a collector: the crash, once, with its traceback and cause; what was lost; and no flood.

Tested, from the side of who reads:
- TRACING 4.8: an ERROR with traceback and cause for each crash and failed start; constant templates; the user's own line as a
  record's location; the same crash again in one line; the limit of a supervisor, and the number of what wasn't written
- SEMANTICS 45, 52, 55, 56: what the texts name; no argument in them unless asked for
- `on_crash=`; loggers that `logging.config` disables; handlers that format later; exceptions that can't be formatted
"""

from __future__ import annotations

import gc
import io
import logging
import logging.config
import logging.handlers
import queue
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import anyio
import pytest

from supervise import (
    Address,
    BadCall,
    CallTimeout,
    DynamicSupervisor,
    IgnoreStart,
    Intensity,
    InvalidSpec,
    Supervisor,
    child,
    concurrent,
    current,
    open_mailbox,
)
from supervise.events import Decided, Event, Frame, Lost, Raised, StartFailed, Stopped
from supervise.frame import place_of
from supervise.journal.budget import RECORDS, SUMMARY, TRACEBACKS, Budget
from supervise.journal.event_log import EventLog, write_event
from supervise.testing.virtual_time import at_rest
from supervise_strategies import ChildStartFailed
from supervise_strategies.exit_reason import ExitKind, ExitReason
from tests.doubles import Boom, Scribe, fill, raised_in

CRASH = ExitReason(ExitKind.CRASHED, "Boom: no")
MANY = Intensity(100_000)


class Records(logging.Handler):
    """Those of the logger `supervise`, with what a stream would have been given."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[logging.LogRecord] = []
        self.written: list[str] = []
        self.with_traceback: list[bool] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.with_traceback.append(bool(record.exc_info))
        self.written.append(self.format(record))
        self.all.append(record)

    @property
    def crashes(self) -> list[logging.LogRecord]:
        return [record for record in self.all if record.msg == Stopped.template and "ended: crashed" in record.getMessage()]

    def saying(self, text: str) -> list[str]:
        return [line for line in self.written if text in line]


@pytest.fixture
def records() -> Iterator[Records]:
    heard, logger = Records(), logging.getLogger("supervise")
    heard.setFormatter(logging.Formatter("%(levelname)s %(filename)s:%(funcName)s %(message)s"))
    before = logger.level
    logger.addHandler(heard)
    logger.setLevel(logging.WARNING)
    yield heard
    logger.removeHandler(heard)
    logger.setLevel(before)


def deepest(row: dict[str, int]) -> int:
    return row["price"]


class Importer:
    async def load(self, row: dict[str, int]) -> None:
        try:
            deepest(row)
        except KeyError as error:
            raise ValueError("bad row") from error

    @concurrent(isolate=True)
    async def load_alone(self, row: dict[str, int]) -> None:
        await self.load(row)

    async def exec(self, function: Callable[[], object]) -> None:
        function()


class NeverReady:
    def __init__(self) -> None:
        deepest({})


def compiled(number: int) -> Callable[[], None]:
    """A function that raises in a file of its own, so that each is another crash."""
    names: dict[str, Any] = {"Boom": Boom}
    exec(compile("def strike():\n    raise Boom('no')\n", f"/app/plugin_{number}.py", "exec"), names)
    strike: Callable[[], None] = names["strike"]
    return strike


# -- the crash ---------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_crash_is_one_error_with_its_traceback_and_its_cause(records: Records) -> None:
    async with Supervisor("app") as app:
        await (await app.start(Importer, restart="permanent")).send(Importer.load, {})
        await at_rest()
    [record] = [record for record in records.all if record.levelno >= logging.ERROR]
    [told] = records.saying("Traceback")
    assert told.startswith(
        "ERROR test_event_log.py:Importer.load app/importer #1 ended: crashed (ValueError: bad row) in Importer."
    )
    for word in ("in deepest", "KeyError: 'price'", "direct cause", "\nValueError: bad row"):
        assert told.count(word) == 1, word
    assert "supervise/actor/" not in told  # it begins at the user's first line
    assert (record.pathname, record.funcName) == (__file__, "Importer.load")
    decided = [record for record in records.all if "-> restart 1" in record.getMessage()]
    assert [record.levelname for record in decided] == ["WARNING"]


class Validating:
    async def check(self, *errors: Exception) -> None:
        raise ExceptionGroup("not valid", errors)

    async def check_deeply(self, *errors: Exception) -> None:
        raise ExceptionGroup("not valid", [ExceptionGroup("a part of it", errors)])


@pytest.mark.anyio
@pytest.mark.parametrize("handler", [Validating.check, Validating.check_deeply])
@pytest.mark.parametrize("errors", [(Boom("one"),), (Boom("one"), Boom("two"))], ids=len)
async def test_a_group_of_what_was_never_raised_is_told_with_the_line_that_raised_it(
    handler: Any, errors: tuple[Exception, ...], records: Records
) -> None:
    async with Supervisor("app") as app:
        await (await app.start(Validating)).send(handler, *errors)
        await at_rest()
    [record] = [record for record in records.all if record.levelno >= logging.ERROR]
    [told] = records.saying("Traceback")
    where = raised_in(handler, 1)
    assert f" in {where}" in record.getMessage()
    assert (record.pathname, record.funcName) == (__file__, handler.__qualname__)
    assert f'File "{__file__}", line {record.lineno}, in {handler.__name__}\n' in told
    assert all(f"Boom: {error}" in told for error in errors)


@pytest.mark.anyio
async def test_so_is_a_start_that_fails(records: Records) -> None:
    async with Supervisor("app") as app:
        with pytest.raises(ChildStartFailed):
            await app.start(NeverReady)
    [told] = records.saying("Traceback")
    assert told.startswith(
        "ERROR test_event_log.py:deepest app/neverready #1 failed to start: crashed (KeyError: 'price') in deep"
    )
    assert "in __init__" in told


@pytest.mark.anyio
async def test_what_nobody_gets_is_told_with_the_users_own_line(records: Records) -> None:
    async with Supervisor("app") as app:
        importer = await app.start(Importer, concurrency=3, expects=(KeyError,))
        await importer.send(Importer.exec, lambda: None)
        await importer.send(Importer.load_alone, {})
        await at_rest()  # they run beside each other, and trio begins with either
        await importer.send(Importer.exec, partial(deepest, {}))
        await at_rest()
    alone, expected = records.all
    text = alone.getMessage()
    assert text.startswith("app/importer #1: Importer.load_alone(dict) raised ValueError: bad row in Importer.load (")
    assert text.endswith(f"{__file__}:{alone.lineno}); it is isolated, so the actor lives on")
    assert (alone.pathname, alone.funcName, alone.levelno) == (__file__, "Importer.load", logging.WARNING)
    assert f"raised the expected KeyError: 'price' in deepest ({__file__}:{expected.lineno})" in expected.getMessage()


@pytest.mark.anyio
async def test_of_a_flood_of_them_ten_a_second_are_told(records: Records) -> None:
    async with Supervisor("app") as app:
        importer = await app.start(Importer)
        for _ in range(100):
            await importer.send(Importer.load_alone, {})
        await at_rest()
    assert len(records.saying(" in Importer.load (")) == RECORDS
    assert len(records.saying("and 90 more")) == 1
    assert records.saying("90 errors that nobody got")


@pytest.mark.anyio
async def test_a_kill_is_a_warning_without_a_traceback(records: Records) -> None:
    async with Supervisor("app") as app:
        await app.start(Scribe, restart="permanent")
        app.kill("scribe")
        await at_rest()
    assert [record.levelname for record in records.all] == ["WARNING", "WARNING"]
    assert not any(records.with_traceback)


@pytest.mark.anyio
async def test_supervision_by_hand_logs_its_crashes_in_the_same_way(records: Records) -> None:
    mailbox, address = open_mailbox(Importer)
    for _ in range(2):
        await address.send(Importer.load, {})
        await mailbox.run(Importer)
    first, again = records.crashes
    assert (first.exc_text or "").count("KeyError: 'price'") == 1
    assert again.exc_text is None
    assert again.getMessage().endswith("the same crash as before, 2 times within 10 minutes")


@pytest.mark.anyio
async def test_the_same_crash_is_told_with_its_traceback_once_in_ten_minutes_whoever_has_it(records: Records) -> None:
    async with Supervisor("app", intensity=MANY) as app:
        importers = [await app.start(Importer, name=name, restart="permanent") for name in ("a", "b")]
        for importer in (*importers, *importers):
            await importer.send(Importer.load, {})
            await at_rest()
        assert records.with_traceback.count(True) == 1
        assert [record.getMessage().partition("; ")[2] for record in records.crashes] == [
            "",
            *(f"the same crash as before, {number} times within 10 minutes" for number in (2, 3, 4)),
        ]
        assert {record.pathname for record in records.crashes} == {__file__}
        assert [record.levelname for record in records.crashes] == ["ERROR", *["WARNING"] * 3]
        await importers[0].send(Importer.exec, compiled(1))
        await at_rest()
        assert records.with_traceback.count(True) == 2
        await anyio.sleep(601)
        await importers[1].send(Importer.load, {})
        await at_rest()
        assert records.with_traceback.count(True) == 3


@pytest.mark.anyio
async def test_without_a_line_of_the_users_only_crashes_of_one_actor_are_taken_for_the_same(records: Records) -> None:
    """As of programs that end: two that fail for reasons of their own aren't one."""

    async def ends() -> None:
        current()._incarnation.fail(Boom("of the library alone"))

    async with Supervisor("app") as app:
        for name in ("db", "mail"):
            await app.start_task(ends, name=name, restart="temporary")
        await at_rest()
        told = [record for record in records.crashes if "the same crash as before" not in record.getMessage()]
        assert [record.getMessage().split()[0] for record in told] == ["app/db", "app/mail"]
        assert {record.levelname for record in told} == {"ERROR"}


@pytest.mark.anyio
async def test_a_line_that_dataclasses_has_made_is_nobodys(records: Records) -> None:
    @dataclass
    class Order:
        what: str

        def __post_init__(self) -> None:
            raise Boom(self.what)

    def place(_: Scribe, what: str) -> Order:
        return Order(what)

    frames = [Frame("user.py", 3, "place"), Frame("<string>", 4, "__create_fn__.<locals>.__init__")]
    assert place_of(frames) == frames[0]
    assert place_of([Frame("<string>", 1, "a_program_of_the_command_line")]) is not None
    async with Supervisor("app", child(Scribe, name="scribe")) as app:
        await app.find("scribe").send(place, "tea")
        await app.find("scribe").ping()
    assert "in test_a_line_that_dataclasses_has_made_is_nobodys.<locals>.Order.__post_init__" in records.crashes[0].getMessage()


@pytest.mark.anyio
async def test_a_record_keeps_no_exception_though_it_is_kept(records: Records) -> None:
    crashed: list[weakref.ref[BaseException]] = []

    def keep(error: BaseException, event: Event) -> None:
        crashed.append(weakref.ref(error))

    late = logging.handlers.MemoryHandler(100, flushLevel=logging.CRITICAL)
    logging.getLogger("supervise").addHandler(late)
    try:
        async with Supervisor("app", on_crash=keep) as app:
            await (await app.start(Scribe)).send(Scribe.crash)
            await at_rest()
    finally:
        logging.getLogger("supervise").removeHandler(late)
    gc.collect()
    assert [error() for error in crashed] == [None]
    assert [record.exc_info for record in records.crashes] == [None]
    stream = io.StringIO()
    late.setTarget(logging.StreamHandler(stream))
    late.flush()
    assert "tests.doubles.Boom: boom" in stream.getvalue()


@pytest.mark.anyio
async def test_it_passes_through_a_queue(records: Records) -> None:
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(waiting)
    logging.getLogger("supervise").addHandler(handler)
    try:
        async with Supervisor("app") as app:
            await (await app.start(Importer)).send(Importer.load, {})
            await at_rest()
    finally:
        logging.getLogger("supervise").removeHandler(handler)
    passed = [waiting.get(block=False) for _ in range(waiting.qsize())]
    assert sum("KeyError: 'price'" in record.getMessage() for record in passed) == 1


class Cagey(Exception):
    """Can't be formatted."""

    @property
    def __cause__(self) -> NoReturn:  # type: ignore[override]  # it is hostile
        raise SystemExit("no")


class Careless:
    async def crash(self) -> None:
        raise Cagey("inside")


@pytest.mark.anyio
async def test_an_exception_that_cant_be_formatted_is_told_as_far_as_it_can_be(
    records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Supervisor("app") as app:
        await (await app.start(Careless)).send(Careless.crash)
        await at_rest()
    assert capsys.readouterr().err == ""
    [told] = records.saying("in crash")
    assert "Cagey: inside <its traceback can't be formatted: SystemExit>" in told


class Verbose:
    async def crash(self, text: str) -> None:
        raise Boom(text)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "is_given"),
    [("x" * 5_000, True), ("x\n" * 5_000, True), ("m\udce4rz", True), ("x" * 2_000_000, False)],
    ids=["line", "lines", "half a character", "huge"],
)
async def test_a_long_traceback_is_cut_where_it_is_written_and_whole_for_who_takes_the_exception(
    text: str, is_given: bool, records: Records, tmp_path: Path
) -> None:
    """As Sentry does, which has one issue for all crashes without one. Only what would fill a disk is kept from it."""
    file = logging.FileHandler(tmp_path / "app.log", encoding="utf-8")
    logging.getLogger("supervise").addHandler(file)
    try:
        async with Supervisor("app") as app:
            await (await app.start(Verbose)).send(Verbose.crash, text)
            await at_rest()
    finally:
        logging.getLogger("supervise").removeHandler(file)
        file.close()
    assert any(records.with_traceback) is is_given
    written = (tmp_path / "app.log").read_text(encoding="utf-8")
    for told in written, *records.saying("Traceback"):
        assert "raise Boom(text)" in told
        assert len(told) < 10_000


# -- templates ---------------------------------------------------------------------------------------------------------------


def test_the_template_of_a_class_of_events_is_constant(records: Records) -> None:
    log = EventLog()
    for path, number in (("app/a", 1), ("app/b", 2)):
        log.tell(Stopped(path, number, CRASH, number, None, (Frame("a.py", number, "A.b"),), f"{number}", number), None)
        log.tell(Lost(path, number, "A.b(1)" * number, "gone", "keep it", more=number > 1), None)
        log.tell(Raised(path, number, "A.b(1)", "Boom: 100 %", "expected"), None)
    templates = [record.msg for record in records.all]
    assert len(set(templates)) == 3
    assert templates == [*templates[:3], *templates[:3]]
    assert records.written[-1].endswith("app/b #2: A.b(1) raised the expected Boom: 100 %")


# -- no flood ----------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_crash_loop_writes_ten_records_a_second_one_number_and_each_traceback_once(records: Records) -> None:
    strikes = [compiled(number) for number in range(7)]
    async with Supervisor("app", intensity=MANY) as app:
        importer = await app.start(Importer, restart="permanent")
        for number in range(1_000):
            await importer.send(Importer.exec, strikes[number % 7])
            await at_rest()
        assert records.with_traceback.count(True) == 7
        assert len(records.all) == 7 + RECORDS
        await anyio.sleep(SUMMARY + 1)
        assert len(records.all) == 7 + RECORDS + 1
        last = records.all[-1]
        assert (last.levelname, last.getMessage()) == ("WARNING", "app: and 1,984 more in 10 s: 992 ends, 992 decisions")
        await importer.send(Importer.exec, strikes[0])
        await at_rest()
        assert records.all[-2].getMessage().endswith("the same crash as before, 144 times within 10 minutes")
    assert sum("more in" in line for line in records.written) == 1


@pytest.mark.anyio
async def test_what_wasnt_written_is_told_at_the_latest_as_the_tree_ends(records: Records) -> None:
    async with Supervisor("app", intensity=MANY) as app:
        scribe = await app.start(Scribe, restart="permanent")
        for _ in range(20):
            await scribe.send(Scribe.crash)
            await at_rest()
        await anyio.sleep(2)
    [number] = records.saying("app: and ")
    assert number.endswith("app: and 30 more in 2 s: 15 ends, 15 decisions")


@pytest.mark.anyio
async def test_each_supervisor_has_its_own_limit_and_a_give_up_is_never_left_out(records: Records) -> None:
    quiet = Supervisor("quiet", child(Scribe, name="a"), restart="temporary")
    loud = Supervisor("loud", child(Scribe, name="b"), intensity=Intensity(50), restart="temporary")
    async with Supervisor("app", quiet, loud) as app:
        for _ in range(51):
            await app.find("loud/b").send(Scribe.crash)
            await at_rest()
        assert sum("gives up" in line for line in records.written if line.startswith("ERROR")) == 1
        before = len(records.all)
        await app.find("quiet/a").send(Scribe.crash)
        await at_rest()
        told = [record.getMessage() for record in records.all[before:]]
        assert any(line.startswith("app/quiet/a #1 ended") for line in told)
        assert any(line.startswith("app/quiet: a #1 ended") for line in told)


@pytest.mark.anyio
async def test_who_wants_debug_gets_them_all(records: Records) -> None:
    logging.getLogger("supervise").setLevel(logging.DEBUG)
    async with Supervisor("app", intensity=MANY) as app:
        scribe = await app.start(Scribe, restart="permanent")
        for _ in range(50):
            await scribe.send(Scribe.crash)
            await at_rest()
    ended = [record.levelname for record in records.all if record.msg == Stopped.template and "crashed" in record.getMessage()]
    assert len(ended) == 50
    assert ended.count("DEBUG") > 40


@pytest.mark.anyio
async def test_tracebacks_have_a_limit_too(records: Records) -> None:
    async with Supervisor("app", intensity=MANY) as app:
        importer = await app.start(Importer, restart="permanent")
        for number in range(2 * TRACEBACKS):
            await importer.send(Importer.exec, compiled(number))
            await at_rest()
    assert records.with_traceback.count(True) <= TRACEBACKS + RECORDS


def test_supervision_by_hand_tells_the_number_with_a_later_record(records: Records) -> None:
    now = [0.0]
    log = EventLog(lambda: now[0])
    lost = Lost("app/a", 1, "A.b()", "gone", "keep it")
    for _ in range(RECORDS + 5):
        log.tell(lost, None)
    assert len(records.all) == RECORDS
    now[0] = SUMMARY - 1
    log.tell(lost, None)
    assert len(records.all) == RECORDS + 1
    now[0] = SUMMARY
    log.tell(lost, None)
    assert [record.getMessage() for record in records.all[-2:]] == ["app: and 5 more in 10 s: 5 losses", str(lost)]
    log.end()
    assert len(records.all) == RECORDS + 3


@pytest.mark.anyio
async def test_a_number_that_cant_be_written_harms_nobody(records: Records, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(record: logging.LogRecord) -> bool:
        if "more in" in record.getMessage():
            raise Boom
        return True

    records.addFilter(fail)
    async with Supervisor("app", intensity=MANY) as app:
        scribe = await app.start(Scribe, restart="permanent")
        for _ in range(2):
            for _ in range(20):
                await scribe.send(Scribe.crash)
                await at_rest()
            await anyio.sleep(SUMMARY + 1)
        assert await scribe.call(Scribe.note, 1) == 1
    assert capsys.readouterr().err.count("a record is lost, as a handler of the log raised Boom") == 2


def test_only_so_many_supervisors_are_remembered_and_none_is_forgotten_in_silence(records: Records) -> None:
    now = [0.0]
    log = EventLog(lambda: now[0])
    for number in range(1_500):
        for _ in range(11 if number == 3 else 1):
            log.tell(Lost(f"app/s{number}/a", 1, "A.b()", "gone", "keep it"), None)
    assert len(log._budgets) == 1_000
    assert records.saying("app/s3: and 1 more in 0 s: 1 losses")
    now[0] = 2.0
    log.tell(Lost("app/new/a", 1, "A.b()", "gone", "keep it"), None)
    assert len(log._budgets) == 1


def test_a_budget_holds_in_any_second() -> None:
    budget, spent = Budget(), [number / 100 for number in range(1_000)]
    spent = [now for now in spent if budget.spend(now)]
    assert len(spent) >= 95
    assert all(sum(now <= other < now + 1.0 for other in spent) <= RECORDS for now in spent)


# -- loggers that are disabled, or closed ------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_configuration_that_disables_loggers_doesnt_silence_a_crash(records: Records) -> None:
    others = [
        each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger) and not each.disabled
    ]
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    assert logging.getLogger("supervise").disabled
    try:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe, restart="permanent")
            await scribe.send(Scribe.crash)
            await at_rest()
            app.kill("scribe")
            await at_rest()
    finally:
        for other in others:
            other.disabled = False
    assert [record.levelname for record in records.all] == ["ERROR"]
    assert "Traceback" in records.written[0]


@pytest.mark.anyio
async def test_a_level_or_a_filter_of_the_users_does(records: Records) -> None:
    logger = logging.getLogger("supervise")
    logger.disabled = True
    logger.setLevel(logging.CRITICAL)
    try:
        async with Supervisor("app") as app:
            await (await app.start(Scribe)).send(Scribe.crash)
            await at_rest()
            logger.setLevel(logging.WARNING)
            logger.addFilter(refuses)
            await (await app.start(Scribe)).send(Scribe.crash)
            await at_rest()
    finally:
        logger.disabled = False
        logger.removeFilter(refuses)
    assert records.all == []


def refuses(record: logging.LogRecord) -> bool:
    return False


# -- on_crash ----------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_on_crash_is_given_each_exception_and_the_event(records: Records) -> None:
    given: list[tuple[str, BaseException, str, int]] = []

    def note(error: BaseException, event: Event) -> None:
        assert isinstance(event, Stopped | StartFailed)
        given.append((type(event).__name__, error, event.path, event.incarnation))

    logging.getLogger("supervise").setLevel(logging.CRITICAL)
    errors = [Boom(str(number)) for number in range(30)]

    async def crash(_: Scribe, error: Boom) -> None:
        raise error

    async with Supervisor("app", DynamicSupervisor("below", intensity=MANY), on_crash=note) as app:
        scribe = await app.supervisor("below").start(Scribe, restart="permanent")
        for error in errors:
            await scribe.send(crash, error)
            await at_rest()
        app.kill("below/scribe")
        await at_rest()
        with pytest.raises(ChildStartFailed):
            await app.start(NeverReady)
    assert given[:-1] == [("Stopped", error, "app/below/scribe", n) for n, error in enumerate(errors, 1)]
    assert given[-1][0] == "StartFailed"


def unwanted() -> Scribe:
    raise IgnoreStart


@pytest.mark.anyio
async def test_a_start_that_isnt_wanted_is_no_crash(records: Records) -> None:
    told: list[str] = []
    async with Supervisor("app", on_crash=lambda error, event: told.append(event.path)) as app:
        await app.start(unwanted, name="unwanted")
    assert told == []
    assert [record.levelname for record in records.all] == ["WARNING"]
    assert not any(records.with_traceback)


@pytest.mark.anyio
async def test_what_on_crash_raises_is_logged_and_nobody_is_harmed(records: Records) -> None:
    apps: list[Any] = []
    told: list[str] = []

    def rude(error: BaseException, event: Event) -> None:
        told.append(event.path)
        if event.path == "app/scribe":
            apps[0].find("other").try_send(Scribe.crash)
        raise Boom("in the hook")

    async with Supervisor("app", child(Scribe), child(Scribe, name="other"), on_crash=rude) as app:
        apps.append(app)
        await app.find("scribe").send(Scribe.crash)
        await at_rest()
        assert await app.find("scribe").call(Scribe.note, 1) == 1
    assert told == ["app/scribe", "app/other"]
    assert any("on_crash=" in line and "in the hook" in line for line in records.saying("Traceback"))


@pytest.mark.anyio
async def test_a_keyboard_interrupt_in_on_crash_passes_up(records: Records) -> None:
    def strike(error: BaseException, event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with Supervisor("app", child(Scribe), on_crash=strike) as app:
            await app.find("scribe").send(Scribe.crash)
            await anyio.sleep(5)


def test_options_of_the_log_are_checked_and_are_for_the_root() -> None:
    wrong: Any = 3
    with pytest.raises(InvalidSpec, match=r"on_crash=3.*a function of an exception and an event"):
        Supervisor("app", on_crash=wrong)
    with pytest.raises(InvalidSpec, match=r"log_arguments=3.*True or False"):
        Supervisor("app", log_arguments=wrong)
    with pytest.raises(InvalidSpec, match=r"on_crash.*give it to the root"):
        Supervisor("app", Supervisor("below", on_crash=print))
    with pytest.raises(InvalidSpec, match=r"log_arguments.*say it at the root"):
        Supervisor("app", DynamicSupervisor("below", log_arguments=True))


# -- arguments ---------------------------------------------------------------------------------------------------------------

SECRET = "4711-0815"


async def lose_everything(app: Any, scribe: Address[Scribe]) -> list[BaseException]:
    """A message of each fate; the errors that its sender got."""
    errors: list[BaseException] = []
    gate = await fill(scribe, SECRET)
    await scribe.send(Scribe.note, SECRET)  # which is one too many
    misfit: Any = Scribe.crash
    for late in (scribe.options(timeout=0.1).call(Scribe.note, SECRET), scribe.call(misfit, SECRET, SECRET)):
        try:
            await late
        except Exception as error:
            errors.append(error)
        gate.open()
    await scribe.send(Scribe.crash, text=SECRET)
    await at_rest()
    await fill(scribe, SECRET, SECRET)
    await app.terminate_child("scribe")
    return errors


@pytest.mark.anyio
@pytest.mark.parametrize("shown", [False, True])
async def test_no_argument_is_in_a_record_an_event_a_dead_letter_or_an_error(records: Records, shown: bool) -> None:
    logging.getLogger("supervise").setLevel(logging.DEBUG)
    events: list[Event] = []
    errors: list[BaseException] = []
    letters: list[str] = []
    scribes = child(Scribe, capacity=1, overflow="drop_oldest", restart="permanent", handler_deadline=30.0)
    async with Supervisor("app", scribes, listener=events.append, log_arguments=shown) as app:
        errors += await lose_everything(app, app.find("scribe"))
        letters += [str(letter) for letter in app.dead_letters()]
    assert [type(error) for error in errors] == [CallTimeout, BadCall]
    texts = {
        "records": records.written,
        "events": [repr(event) for event in events if "Boom" not in repr(event)],
        "dead letters": [letter for letter in letters if "Boom" not in letter],
        "errors": [str(error) for error in errors[:1]],
    }
    if not shown:
        texts["records"] = [text for text in texts["records"] if "Boom" not in text]
        texts["errors"] = [str(error) for error in errors]
    for what, found in texts.items():
        assert found
        assert any(SECRET in text for text in found) == shown, what
    assert any(("Scribe.note('4711-0815')" if shown else "Scribe.note(str)") in letter for letter in letters)


def test_a_listener_that_asks_for_nothing_costs_no_record(records: Records) -> None:
    write_event(Decided("app/a", "app", decision()), logging.DEBUG)
    assert records.written == [
        "DEBUG event_log.py:_write app: a #1 ended: crashed (Boom: no); permanent -> restart 1 of 3 within 5 s"
    ]


def decision() -> Any:
    from supervise_strategies.directives import Action, Decision

    return Decision(Action.RESTART, "a", 1, CRASH, "permanent", 1, 3, 5.0, 0.0, ("a",), 0.0)
