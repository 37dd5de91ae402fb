"""A call that doesn't fit the handler's signature: its caller's error, like an unknown handler.

Tested (SEMANTICS 44, 46): calls and sends, of plain, async and concurrent handlers; what is the handler's own error.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import ActorCrashed, BadCall, ChildNotFound, Supervisor, child, concurrent
from supervise.events import DeadLetter, Event, Raised, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, raised_in

pytestmark = pytest.mark.anyio


Registry: Any = dict
update: Any = Registry.update  # C functions, the first of them without a signature
get: Any = Registry.get


class Clerk:
    def file(self, paper: str, *, drawer: int = 1) -> str:
        return f"{paper} in {drawer}"

    async def look_up(self, paper: str) -> str:
        await anyio.lowlevel.checkpoint()
        return paper

    @concurrent
    async def copy(self, paper: str) -> str:
        return paper

    def calls_wrongly(self) -> str:
        return self.file()  # type: ignore[call-arg]

    def misuses_a_value(self, value: Any) -> int:
        return int(value)

    @concurrent(isolate=True)
    async def tear(self) -> None:
        raise Boom("torn")


def with_ink(method: Any) -> Any:
    """A decorator that gives an argument itself, which the signature of what it wraps still asks for."""

    @functools.wraps(method)
    def inked(self: Clerk, paper: str) -> str:
        written: str = method(self, paper, "blue")
        return written

    return inked


class Writer(Clerk):
    @with_ink
    def write(self, paper: Any, ink: str) -> str:
        return str(paper + ink)


def with_paper_of(method: Any) -> Any:
    """A decorator that asks for something else than what it wraps does."""

    @functools.wraps(method)
    def asked(self: Clerk, request: dict[str, Any]) -> str:
        filed: str = method(self, request["paper"] + " ", drawer=request["drawer"])
        return filed

    return asked


def timed(method: Any) -> Any:
    """A decorator that takes whatever it is given."""

    @functools.wraps(method)
    def measured(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return measured


def validated(method: Any) -> Any:
    """A decorator that says of itself what it takes, and isn't right."""

    def checked(self: Clerk, paper: Any, ink: str = "blue") -> str:
        return str(paper + ink)

    checked.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return checked


ARCHIVES: Any = None


def with_an_archive(method: Any) -> Any:
    """A decorator that adds an argument, and needs what isn't there yet."""

    @functools.wraps(method)
    def added(self: Clerk, *args: Any) -> Any:
        return method(self, ARCHIVES[0], *args)

    return added


class Archivist(Clerk):
    @with_paper_of
    def keep(self, paper: str, drawer: int) -> str:
        return self.file(paper, drawer=drawer)

    @timed
    @timed
    def weigh(self, paper: str) -> int:
        return len(paper)

    @validated
    def sign(self, paper: str, ink: str) -> str:
        return paper + ink

    @functools.singledispatchmethod
    def count(self, papers: Any, each: int) -> int:
        raise Boom(papers)

    @count.register
    def _(self, papers: int, each: int) -> int:
        return papers * each

    @count.register
    def _(self, papers: str, each: Any) -> int:
        return len(papers + each)

    @functools.singledispatchmethod
    def stamp(self, paper: Any) -> str:
        return f"{paper} stamped"

    @stamp.register
    def _(self, paper: int, date: str) -> str:
        return f"{paper} stamped on {date}"

    @functools.cache  # noqa: B019 - it is the kind of function that it makes that matters
    def weigh_once(self, paper: str) -> int:
        return len(paper)

    @with_an_archive
    def find(self, archive: Any, paper: str) -> str:
        return f"{paper} in {archive}"

    shelve = functools.partialmethod(Clerk.file, drawer=3)


def takes_nothing(_: Clerk) -> None: ...


async def test_a_call_that_doesnt_fit_is_the_callers_error_and_the_actor_lives_on() -> None:
    ends: list[Event] = []
    async with Supervisor("app", child(Clerk, name="clerk"), listener=ends.append) as app:
        clerk: Any = app.find("clerk")
        for call in (
            lambda: clerk.call(Clerk.file),
            lambda: clerk.call(Clerk.file, "a", "b"),
            lambda: clerk.call(Clerk.file, "a", shelf=2),
            lambda: clerk.call(Clerk.look_up),
            lambda: clerk.call(Clerk.copy, 1, 2),
            lambda: clerk.call(takes_nothing, 1),
        ):
            with pytest.raises(BadCall, match="doesn't fit: it takes") as refused:
                await call()  # type: ignore[no-untyped-call]
            assert isinstance(refused.value, TypeError)
        with pytest.raises(BadCall, match=r"Clerk\.file\(str, shelf=int\) doesn't fit: it takes \(self, paper: .*drawer"):
            await clerk.call(Clerk.file, "a", shelf=2)
        assert await clerk.call(Clerk.file, "a", drawer=3) == "a in 3"
        assert clerk.account() == (8, 1, 7, 0, 0, 0, 0)
    assert [str(event.reason) for event in ends if isinstance(event, Stopped) and event.path == "app/clerk"] == ["shutdown"]


async def test_a_send_that_doesnt_fit_is_a_dead_letter() -> None:
    letters: list[Event] = []
    async with Supervisor("app", child(Clerk, name="clerk"), listener=letters.append) as app:
        clerk: Any = app.find("clerk")
        await clerk.send(Clerk.file)
        assert await clerk.call(Clerk.look_up, "a") == "a"
        assert app.restarts == 0
    assert next(event.why for event in letters if isinstance(event, DeadLetter)).startswith("Clerk.file() doesn't fit")


@pytest.mark.parametrize("handler", [Clerk.calls_wrongly, Clerk.misuses_a_value])
async def test_a_type_error_of_the_handlers_own_is_a_crash(handler: Any) -> None:
    async with Supervisor("app", child(Clerk, name="clerk")) as app:
        with pytest.raises(ActorCrashed) as crashed:
            await app.find("clerk").call(handler, *([None] if handler is Clerk.misuses_a_value else []))
        assert type(crashed.value.__cause__) is TypeError


async def test_what_has_no_signature_cant_be_judged_so_its_error_is_an_ordinary_one() -> None:
    async with Supervisor("app", child(Registry, name="registry")) as app:
        registry: Any = app.find("registry")
        with pytest.raises(ActorCrashed):
            await registry.call(update, 1, 2, 3)
        assert await registry.call(get, "x") is None


async def test_a_bad_call_of_on_tree_started_is_a_crash() -> None:
    ends: list[Event] = []
    needs_a_paper: Any = Clerk.look_up
    one = child(Clerk, name="clerk", on_tree_started=needs_a_paper, restart="temporary")
    async with Supervisor("app", one, listener=ends.append):
        await at_rest()
    assert [event.reason.kind.value for event in ends if isinstance(event, Stopped) and event.path == "app/clerk"] == [
        "crashed"
    ]


async def test_the_default_of_a_parameter_may_have_a_hostile_text() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise SystemExit(3)

    def takes(_: Clerk, a: int, b: Any = Hostile()) -> None: ...  # noqa: B008

    async with Supervisor("app", child(Clerk, name="clerk")) as app:
        clerk: Any = app.find("clerk")
        with pytest.raises(BadCall, match="doesn't fit"):
            await clerk.call(takes)
        assert await clerk.ping() >= 0


async def test_an_unexpected_error_of_an_isolated_handler_is_not_said_to_be_expected() -> None:
    said: list[Event] = []
    async with Supervisor("app", child(Clerk, name="clerk"), listener=said.append) as app:
        await app.find("clerk").send(Clerk.tear)
        await at_rest()
    (event,) = [event for event in said if isinstance(event, Raised)]
    assert event.why == "isolated"
    where = raised_in(Clerk.tear, 2)  # below its decorator
    assert str(event) == f"app/clerk #1: Clerk.tear() raised Boom: torn in {where}; it is isolated, so the actor lives on"


async def test_child_not_found_names_the_children_that_are_there_now() -> None:
    async with Supervisor("app", child(Clerk, name="a"), child(Clerk, name="b")) as app:
        with pytest.raises(ChildNotFound, match="no child 'c' here; there are 'a', 'b'"):
            await app.terminate_child("c")
        with pytest.raises(ChildNotFound, match="there are 'a', 'b'"):
            app.get_childspec("c")
        await app.terminate_child("a")
        await app.delete_child("a")
        with pytest.raises(ChildNotFound, match="there is 'b'"):
            await app.restart_child("a")


async def test_what_a_decorated_handler_itself_raises_is_a_crash_though_its_arguments_come_from_the_decorator() -> None:
    async with Supervisor("app", child(Writer, name="writer")) as app:
        writer: Any = app.find("writer")
        assert await writer.call(Writer.write, "paper, ") == "paper, blue"
        with pytest.raises(ActorCrashed, match="TypeError"):
            await writer.call(Writer.write, 7)


KEEP: Any = Archivist.keep
WEIGH: Any = Archivist.weigh


@pytest.mark.parametrize(
    ("handler", "args"),
    [
        pytest.param(KEEP, (), id="what a decorator takes itself"),
        pytest.param(KEEP, (None, 1), id="what only the wrapped function would take"),
        pytest.param(WEIGH, (), id="behind decorators that take anything"),
        pytest.param(Archivist.shelve, (), id="a partialmethod"),
        pytest.param(Archivist.count, (1,), id="a singledispatchmethod"),
        pytest.param(Archivist.stamp, (1,), id="one of several that takes more than the first"),
        pytest.param(Archivist.weigh_once, (), id="a cache"),
        pytest.param(Archivist.weigh_once, ("a", "b"), id="too much for a cache"),
        pytest.param(functools.partial(Clerk.file, drawer=4), (), id="a partial function"),
        pytest.param(functools.partial(Clerk.file, drawer=4), (1, 2), id="too much for a partial function"),
    ],
)
async def test_what_a_decorated_or_partial_handler_doesnt_take_is_the_callers_error(handler: Any, args: Any) -> None:
    async with Supervisor("app", child(Archivist, name="archivist")) as app:
        archivist: Any = app.find("archivist")
        with pytest.raises(BadCall, match="doesn't fit"):
            await archivist.call(handler, *args)
        assert app.restarts == 0
        assert await archivist.call(Archivist.shelve, "a") == "a in 3"


@pytest.mark.parametrize(
    ("handler", "args"),
    [
        pytest.param(KEEP, ({"paper": 1, "drawer": 1},), id="in the decorator"),
        pytest.param(WEIGH, (1,), id="behind decorators that take anything"),
        pytest.param(Archivist.count, ("a", 1), id="in one of several"),
        pytest.param(Archivist.sign, (1,), id="in what says something wrong of itself"),
        pytest.param(Archivist.find, ("a",), id="in a decorator that adds an argument"),
        pytest.param(Archivist.weigh_once, (1,), id="behind a cache"),
    ],
)
async def test_what_a_decorated_handler_raises_is_a_crash_whatever_the_wrapped_one_takes(handler: Any, args: Any) -> None:
    async with Supervisor("app", child(Archivist, name="archivist")) as app:
        with pytest.raises(ActorCrashed) as crashed:
            await app.find("archivist").call(handler, *args)
        assert type(crashed.value.__cause__) is TypeError
