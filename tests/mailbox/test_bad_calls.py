"""A call that doesn't fit the handler's signature: its caller's error, like an unknown handler.

Tested (SEMANTICS 44, 46): calls and sends, of plain, async and concurrent handlers; what is the handler's own error.
"""

from __future__ import annotations

import functools
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import ActorCrashed, BadCall, ChildNotFound, Supervisor, child, concurrent
from supervise.events import DeadLetter, Event, Expected, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom

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
        with pytest.raises(BadCall, match=r"Clerk\.file\('a', shelf=2\) doesn't fit: it takes \(self, paper: .*drawer"):
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
    (event,) = [event for event in said if isinstance(event, Expected)]
    assert event.isolated
    assert str(event) == "app/clerk #1: Clerk.tear() raised Boom: torn; it is isolated, so the actor lives on"


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
