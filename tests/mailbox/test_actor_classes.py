"""Classes of actors that can't be hashed, and classes that nobody holds any more (SEMANTICS 61, 65)."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from supervise import Address, NotAHandler, Supervisor, UnknownHandler
from supervise.mailbox.handler import _tables


class Equal(type):
    def __eq__(cls, other: object) -> bool:
        return cls is other


class Raising(type):
    def __hash__(cls) -> int:
        raise SystemExit

    def __eq__(cls, other: object) -> bool:
        raise SystemExit

    def __repr__(cls) -> str:
        raise SystemExit


@pytest.mark.anyio
@pytest.mark.parametrize("meta", [Equal, Raising])
async def test_a_class_without_a_hash_is_an_actor_like_any_other(meta: type) -> None:
    async def work(self: Any, number: int) -> int:
        return number

    async def crash(self: Any) -> None:
        raise ValueError(self)

    work.__qualname__, crash.__qualname__ = "Strange.work", "Strange.crash"
    strange: Any = meta("Strange", (), {"work": work, "crash": crash})
    async with Supervisor("app") as app:
        actor: Address[Any] = await app.start(lambda: strange(), name="strange")
        assert [await actor.call(work, number) for number in (1, 2)] == [1, 2]
        await actor.send(crash)
        assert await actor.call(work, 3) == 3
        with pytest.raises(UnknownHandler, match="Strange has no handler 'note'"):
            await actor.call(Note.note)
        assert app.get_childspec("strange").incarnation == 2


class Note:
    def note(self) -> None:
        """It is asked for where it isn't."""


class HashRaises:
    """A handler that names a class, as a function does."""

    def __init__(self, raises: type[BaseException]) -> None:
        self.raises = raises
        self.__name__, self.__qualname__ = "note", "Note.note"

    def __hash__(self) -> int:
        raise self.raises

    def __call__(self, actor: object) -> None:
        raise AssertionError("the function of the class is run, not this")


@pytest.mark.anyio
@pytest.mark.parametrize("raises", [TypeError, ValueError, RecursionError])
async def test_a_handler_whose_hash_raises_is_run_like_any_other(raises: type[BaseException]) -> None:
    async with Supervisor("app") as app:
        note: Address[Any] = await app.start(Note)
        for _ in range(2):
            await note.call(HashRaises(raises))
        assert (note.account().handled, app.get_childspec("note").incarnation) == (2, 1)


class Nameless:
    """A callable whose names raise."""

    def __getattr__(self, name: str) -> Any:
        raise SystemExit

    def __repr__(self) -> str:
        raise SystemExit

    def __call__(self, actor: object) -> str:
        return "ran"


@pytest.mark.anyio
async def test_a_callable_whose_names_raise_runs_and_one_that_cant_be_called_is_refused() -> None:
    async with Supervisor("app") as app:
        note: Address[Any] = await app.start(Note)
        mute: Any = type("Mute", (), {"__repr__": Nameless.__repr__})()
        assert await note.call(Nameless()) == "ran"
        await note.send(Nameless())
        with pytest.raises(NotAHandler, match="its repr\\(\\) raised SystemExit> isn't callable"):
            await note.call(mute)
        assert app.get_childspec("note").incarnation == 1


def local_class() -> type:
    class Local:
        """Its method holds it: by the cell that `super()` needs."""

        def __init__(self) -> None:
            super().__init__()

        async def work(self) -> type:
            return __class__  # type: ignore[name-defined,no-any-return]

    return Local


@pytest.mark.anyio
async def test_classes_made_in_a_function_are_collected_when_their_actors_are_gone() -> None:
    seen: list[weakref.ref[type]] = []
    before = len(_tables)
    async with Supervisor("app") as app:
        for _ in range(1000):
            kind: Any = local_class()
            actor: Address[Any] = await app.start(kind, name="local", restart="temporary")
            assert await actor.call(kind.work) is kind
            seen.append(weakref.ref(kind))
            await actor.stop()
            del kind, actor
        gc.collect()
        assert len(_tables) <= before
    gc.collect()
    assert [ref for ref in seen if ref() is not None] == []
