"""What a handler raises: an answer to its caller, or the crash of its actor.

Tested:
- SEMANTICS 43: `on_error=`, and `expects=` as a predicate; both together; a caller who is gone; adapters
- A predicate is asked of each exception once, with spans, with durations, with both, and with neither; and what it was asked of
  isn't kept
- SEMANTICS 85: `on_error="reply"` on a concurrent handler is as on a plain one
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, cast

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from tenacity import retry_if_exception, retry_if_exception_type, retry_if_not_exception_type

from supervise import ActorCrashed, Address, InvalidSpec, Supervisor, child, concurrent, current
from supervise.adapters.runnable import runnable
from supervise.adapters.service import service
from supervise.events import DeadLetter, Event, Raised, Stopped
from supervise.telemetry import Metrics
from supervise.testing.virtual_time import at_rest
from supervise_strategies.answers import Answers
from tests.doubles import Boom, Gate, raised_in

pytestmark = pytest.mark.anyio


class Lost(ConnectionError):
    pass


class Db:
    async def query(self, error: BaseException | None) -> str:
        if error is not None:
            raise error
        return "rows"

    def query_at_once(self, error: BaseException) -> None:
        raise error

    @concurrent
    async def query_beside(self, error: BaseException) -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    async def query_behind(self, gate: Gate, error: BaseException) -> None:
        await gate.walk_through()
        raise error

    @concurrent
    async def query_behind_beside(self, gate: Gate, error: BaseException) -> None:
        await gate.walk_through()
        raise error

    async def begin(self, error: BaseException) -> None:
        current().nursery.start_soon(Db.query, self, error)

    async def later(self, error: BaseException) -> None:
        current().after(1, Db.query, error)


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("several", errors)


class Watched:
    """A tree with one Db, and what was said of it."""

    def __init__(self, **options: Any) -> None:
        self.events: list[Event] = []
        self.tree = Supervisor("app", child(Db, **options), listener=self.events.append)

    def of(self, kind: type) -> list[str]:
        return [str(event) for event in self.events if isinstance(event, kind)]


WAYS = [Db.query, Db.query_at_once, Db.query_beside]


@pytest.mark.parametrize("way", WAYS)
async def test_with_on_error_reply_a_call_gets_what_its_handler_raised_and_the_actor_lives_on(way: Any) -> None:
    watched = Watched(on_error="reply")
    async with watched.tree as app:
        db: Address[Any] = app.find("db")
        for error in (Boom("no"), group(Boom("no"), Lost("gone")), StopAsyncIteration()):
            with pytest.raises(type(error)) as raised:
                await db.call(way, error)
            assert raised.value is error
        assert await db.call(Db.query, None) == "rows"
        assert (db.account().failed, db.account().handled) == (3, 1)
    assert not watched.of(Raised)
    assert len(watched.of(Stopped)) == 2  # of the actor and the tree, at the end


@pytest.mark.parametrize("way", WAYS)
async def test_with_on_error_reply_what_a_send_raises_is_a_crash_as_ever(way: Any) -> None:
    async with Watched(on_error="reply").tree as app:
        await app.find("db").send(way, Boom("no"))
        await at_rest()
        assert app.get_childspec("db").incarnation == 2


async def test_with_on_error_reply_only_an_exception_of_a_handler_is_an_answer() -> None:
    class Odd(BaseException):
        pass

    async with Watched(on_error="reply").tree as app:
        db: Address[Any] = app.find("db")
        with pytest.raises(ActorCrashed):
            await db.call(Db.query, Odd())
        await db.call(Db.begin, Boom("in the nursery"))
        await at_rest()
        assert app.get_childspec("db").incarnation == 3


async def test_what_no_coroutine_can_raise_as_itself_is_a_crash() -> None:
    async def stops(_: Db) -> None:
        next(iter(()))

    async with Watched(on_error="reply").tree as app:
        db: Address[Any] = app.find("db")
        for lives, handler in enumerate((stops, lambda _: next(iter(()))), 2):
            with pytest.raises(ActorCrashed, match="StopIteration"):
                await db.call(handler)
            await at_rest()
            assert app.get_childspec("db").incarnation == lives
        with pytest.raises(RuntimeError, match="of its own"):
            await db.call(Db.query, RuntimeError("of its own"))


@pytest.mark.parametrize("cause", [StopIteration(), SystemExit(2), GeneratorExit()])
async def test_an_error_that_a_handler_itself_raises_from_one_of_these_is_an_answer(cause: BaseException) -> None:
    async def translates(_: Db) -> None:
        try:
            raise cause
        except BaseException as error:
            raise RuntimeError("no rows") from error

    async with Watched(on_error="reply").tree as app:
        with pytest.raises(RuntimeError, match="no rows"):
            await app.find("db").call(translates)
        assert app.restarts == 0


async def test_a_timers_message_is_a_send() -> None:
    async with Watched(on_error="reply").tree as app:
        await app.find("db").call(Db.later, Boom("late"))
        await anyio.sleep(2)
        assert app.get_childspec("db").incarnation == 2


async def test_with_both_calls_are_answered_and_expects_decides_sends() -> None:
    watched = Watched(on_error="reply", expects=(Boom,))
    async with watched.tree as app:
        db: Address[Any] = app.find("db")
        with pytest.raises(KeyError):
            await db.call(Db.query, KeyError("k"))
        await db.send(Db.query, Boom("said"))
        await at_rest()
        assert app.get_childspec("db").incarnation == 1
        assert watched.of(Raised) == [f"app/db #1: Db.query(Boom) raised the expected Boom: said in {raised_in(Db.query, 2)}"]
        await db.send(Db.query, KeyError("k"))
        await at_rest()
        assert app.get_childspec("db").incarnation == 2


@pytest.mark.parametrize("way", [Db.query_behind, Db.query_behind_beside])
async def test_an_answer_to_a_caller_who_is_gone_is_counted_as_failed_and_said(way: Any) -> None:
    watched = Watched(on_error="reply")
    async with watched.tree as app:
        db: Address[Any] = app.find("db")
        gate = Gate()
        with anyio.move_on_after(1):
            await db.call(way, gate, Boom("late"))
        gate.open()
        await at_rest()
        assert db.account().failed == 1
        (said,) = watched.of(Raised)
        where = raised_in(way, 2 + (way is Db.query_behind_beside))  # below its decorator
        assert said.endswith(f"raised Boom: late in {where}; on_error='reply', so the actor lives on; its caller has gone")
        assert app.get_childspec("db").incarnation == 1


async def test_an_answer_is_never_redelivered() -> None:
    async with Watched(on_error="reply", redeliver=3).tree as app:
        db: Address[Any] = app.find("db")
        with pytest.raises(Boom):
            await db.call(Db.query, Boom("no"))
        assert db.account()[:3] == (1, 0, 1)


# -- predicates ----------------------------------------------------------------------------------------------------------

_connection = retry_if_not_exception_type(ConnectionError)


def _not_lost(error: Exception) -> bool:
    return not isinstance(error, ConnectionError)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("expects", [_connection, _not_lost])
async def test_only_a_lost_connection_is_a_crash(way: Any, expects: Any) -> None:
    async with Watched(expects=expects).tree as app:
        db: Address[Any] = app.find("db")
        answers: list[Exception] = [ValueError("bad"), group(ValueError("bad"), KeyError("k"))]
        for error in answers:
            with pytest.raises(type(error)):
                await db.call(way, error)
            await db.send(way, error)
        await at_rest()
        assert app.get_childspec("db").incarnation == 1
        crashes: list[Exception] = [Lost("gone"), group(Lost("gone")), group(ValueError("bad"), Lost("gone"))]
        for lives, error in enumerate(crashes, 2):
            with pytest.raises(ActorCrashed):
                await db.call(way, error)
            await at_rest()
            assert app.get_childspec("db").incarnation == lives


def _is_os_error(error: Exception) -> bool:
    return isinstance(error, OSError)


# Each with what it says of ValueError, ConnectionError, KeyboardInterrupt inside a group, and a group of both of the first.
PREDICATES: list[tuple[Any, tuple[bool, bool, bool]]] = [
    (retry_if_exception_type(ValueError), (True, False, False)),
    (retry_if_exception_type(ValueError) | retry_if_exception_type(OSError), (True, True, True)),
    (retry_if_exception_type(OSError) & retry_if_exception_type(ValueError), (False, False, False)),
    (retry_if_exception(lambda error: isinstance(error, ValueError)), (True, False, False)),
    (_is_os_error, (False, True, False)),
    ((ValueError,), (True, False, False)),
    ((ExceptionGroup,), (False, False, True)),
]


@pytest.mark.parametrize(("expects", "matches"), PREDICATES)
def test_a_predicate_sees_each_exception_in_a_group_and_all_must_match(expects: Any, matches: tuple[bool, ...]) -> None:
    errors = (ValueError("v"), ConnectionError("c"), group(ConnectionError("c"), ExceptionGroup("", [ValueError("v")])))
    answers = Answers(expects)
    assert tuple(answers.judge(error, call=True).why == "expected" for error in errors) == matches


def test_a_predicate_sees_only_exceptions() -> None:
    def ask(error: BaseException) -> bool:
        assert isinstance(error, Exception)
        return True

    answers = Answers(ask)
    for error in (KeyboardInterrupt(), SystemExit(), BaseExceptionGroup("", [KeyboardInterrupt(), ValueError()])):
        assert answers.judge(error, call=True) == (None, None)


async def test_a_predicate_that_raises_does_not_match_and_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def ask(error: Exception) -> bool:
        raise Boom("in the predicate")

    async with Watched(expects=ask).tree as app:
        with pytest.raises(ActorCrashed) as raised:
            await app.find("db").call(Db.query, ValueError("v"))
        assert isinstance(raised.value.__cause__, ValueError)
        assert "app/db #1: its expects= raised Boom: in the predicate, and so matches nothing" in caplog.messages


WATCHED_BY = {"nobody": (False, False), "spans": (True, False), "durations": (False, True), "both": (True, True)}


def watched_by(whom: str) -> dict[str, Any]:
    """Options of a tree."""
    spans, durations = WATCHED_BY[whom]
    found: dict[str, Any] = {"tracing": TracerProvider() if spans else False}
    return found | ({"metrics": Metrics(MeterProvider(), durations=True)} if durations else {})


class Asked:
    """A predicate that counts; it expects what is a Boom."""

    def __init__(self) -> None:
        self.of: list[str] = []

    def __call__(self, error: Exception) -> bool:
        self.of.append(str(error))
        return type(error) is Boom


@pytest.mark.parametrize("whom", WATCHED_BY)
@pytest.mark.parametrize("way", WAYS)
async def test_a_predicate_is_asked_of_each_exception_once_whoever_watches(way: Any, whom: str) -> None:
    asked = Asked()
    async with Supervisor("app", child(Db, expects=asked), **watched_by(whom)) as app:
        db: Address[Any] = app.find("db")
        with pytest.raises(Boom):
            await db.call(way, Boom("a call"))
        await db.send(way, Boom("a send"))
        await at_rest()
        same = Boom("the same one again")
        for _ in range(2):
            with pytest.raises(Boom):
                await db.call(way, same)
        with pytest.raises(ActorCrashed):
            await db.call(way, ValueError("a crash"))
        await at_rest()
        await db.send(way, ValueError("of a send"))
        await at_rest()
        assert app.get_childspec("db").incarnation == 3
    assert asked.of == ["a call", "a send", *["the same one again"] * 2, "a crash", "of a send"]


@pytest.mark.parametrize("whom", WATCHED_BY)
async def test_handlers_that_raise_beside_each_other_are_each_asked_of_once(whom: str) -> None:
    asked = Asked()
    async with Supervisor("app", child(Db, expects=asked), **watched_by(whom)) as app:
        db: Address[Any] = app.find("db")
        gate = Gate()
        for number in range(3):
            await db.send(Db.query_behind_beside, gate, Boom(f"beside {number}"))
        await db.send(Db.query_behind, gate, Boom("in turn"))
        gate.open()
        await at_rest()
        assert db.account().failed == 4
    assert sorted(asked.of) == ["beside 0", "beside 1", "beside 2", "in turn"]


@pytest.mark.parametrize("whom", WATCHED_BY)
async def test_what_raises_in_a_predicate_is_logged_once(whom: str, caplog: pytest.LogCaptureFixture) -> None:
    def ask(error: Exception) -> bool:
        raise Boom("in the predicate")

    async with Supervisor("app", child(Db, expects=ask), **watched_by(whom)) as app:
        await app.find("db").send(Db.query, ValueError("v"))
        await at_rest()
    assert len([text for text in caplog.messages if "its expects= raised" in text]) == 1


@pytest.mark.parametrize("whom", WATCHED_BY)
async def test_no_exception_is_kept_once_it_is_judged(whom: str) -> None:
    def errors() -> list[BaseException]:
        gc.collect()
        return [each for each in gc.get_objects() if type(each) in (Boom, TypeError) and "to_be_forgotten" in str(each)]

    def misfit(_: Db, *, to_be_forgotten: int) -> None: ...

    async with Supervisor("app", child(Db, expects=Asked()), **watched_by(whom)) as app:
        db: Address[Any] = app.find("db")
        await db.send(Db.query, Boom("to_be_forgotten"))
        await db.send(Db.query_beside, Boom("to_be_forgotten"))
        await at_rest()
        await db.send(cast("Any", misfit))
        await at_rest()
        assert (app.get_childspec("db").incarnation, db.account().failed, db.account().dead_lettered) == (1, 2, 1)
        assert not errors()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
async def test_a_keyboard_interrupt_in_a_predicate_passes_up_and_sys_exit_does_not_match(interrupt: Any) -> None:
    def ask(error: Exception) -> bool:
        raise interrupt

    tree = Watched(expects=ask).tree
    if interrupt is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            async with tree as app:
                await app.find("db").send(Db.query, ValueError("v"))
                await app.wait()
        return
    async with tree as app:
        await app.find("db").send(Db.query, ValueError("v"))
        await at_rest()
        assert app.get_childspec("db").incarnation == 2


# -- what is refused, and what is the default ------------------------------------------------------------------------------


async def _ask(error: Exception) -> bool:
    return True


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"on_error": "ignore"}, r"child 'db': on_error='ignore'.*'crash' .* or 'reply'"),
    ({"expects": ValueError}, r"child 'db': expects=<class 'ValueError'>.*a tuple of exception classes"),
    ({"expects": [ValueError]}, r"a tuple of exception classes, e\.g\. \(KeyError,\); or a predicate"),
    ({"expects": _ask}, "it can't be awaited"),
    ({"expects": "ValueError"}, "or a predicate: retry_if_not_exception_type"),
]


@pytest.mark.parametrize(("options", "text"), REFUSED)
def test_what_can_never_work_is_refused(options: Any, text: str) -> None:
    with pytest.raises(InvalidSpec, match=text):
        child(Db, name="db", **options)


class Poller(Db):
    async def run(self) -> None:
        await anyio.sleep_forever()

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


def _nothing(_: Poller) -> None:
    pass


FACTORIES: list[Callable[[], Any]] = [
    lambda: runnable(Poller),
    lambda: service(Poller, start=_nothing, stop=_nothing),
]


@pytest.mark.parametrize("factory", FACTORIES)
async def test_adapters_of_code_that_raises_at_its_caller_reply(factory: Callable[[], Any]) -> None:
    async with Supervisor("app", child(factory(), name="db")) as app:
        with pytest.raises(Boom):
            await app.find("db").call(Db.query, Boom("no"))
        await app.find("db").send(Db.query, Boom("no"))
        await at_rest()
        assert app.get_childspec("db").incarnation == 2


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("options", [{"on_error": "crash"}, {"expects": (KeyError,)}, {"expects": ()}])
async def test_what_is_said_of_the_child_goes_before_its_adapter(factory: Callable[[], Any], options: Any) -> None:
    async with Supervisor("app", child(factory(), name="db", **options)) as app:
        with pytest.raises(ActorCrashed):
            await app.find("db").call(Db.query, Boom("no"))


async def test_what_was_answered_is_no_dead_letter() -> None:
    watched = Watched(on_error="reply")
    async with watched.tree as app:
        with pytest.raises(Boom):
            await app.find("db").call(Db.query, Boom("no"))
    assert not watched.of(DeadLetter)
