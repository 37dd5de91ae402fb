"""Arguments and exceptions whose texts raise, or are huge: the actor restarts, and is told of in short lines (SEMANTICS 65)."""

from __future__ import annotations

import asyncio
import io
import logging
import tracemalloc
from typing import Any

import pytest

from supervise import Address, Intensity, Message, Supervisor
from supervise.message import outline
from tests.hostile import rude


class Desk:
    def fail(self, error: BaseException, *_: object) -> None:
        raise error

    def ok(self) -> str:
        return "ok"


RAISED: list[type[BaseException]] = [
    RuntimeError,
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
    RecursionError,
    MemoryError,
]


@pytest.mark.anyio
@pytest.mark.parametrize("raised", RAISED)
async def test_a_crash_is_told_whatever_its_texts_raise(raised: type[BaseException]) -> None:
    argument = rude(raises=raised, on="__repr__ __str__")()
    error = rude(Exception, raises=raised, on="__repr__ __str__")()
    async with Supervisor("app", intensity=Intensity(100), log_arguments=True) as app:
        desk = await app.start(Desk)
        deep: Any = ExceptionGroup("g", [error])
        for _ in range(500):
            deep = ExceptionGroup("g", [deep])
        for number, each in enumerate([error, ValueError(argument), KeyError(argument), deep], 1):
            await desk.send(Desk.fail, each, argument, [argument], {1: argument})
            assert await desk.call(Desk.ok) == "ok"
            assert app.get_childspec("desk").incarnation == number + 1
        said = [letter.message for letter in app.dead_letters()]
        assert len(said) == 4
        assert all(f"<Rude: its repr() raised {raised.__name__}>" in text for text in said)


@pytest.mark.anyio
async def test_no_line_of_a_crash_is_long_whatever_is_in_hand() -> None:
    out = io.StringIO()
    handler, log = logging.StreamHandler(out), logging.getLogger("supervise")
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.DEBUG)
    large: Any = "x" * 10**7
    try:
        async with Supervisor("app", log_arguments=True) as app:
            desk = await app.start(Desk)
            await desk.send(Desk.fail, ValueError(large.encode()), large, [large.encode()], {large: large})
            assert await desk.call(Desk.ok) == "ok"
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
    assert "crashed" in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) < 2000


@pytest.mark.anyio
async def test_the_dead_letters_of_large_messages_cost_no_copy_of_them() -> None:
    async with Supervisor("app") as app:
        desk: Address[Any] = await app.start(Desk)
        desk.pause()
        data: Any = b"x" * 2**20
        for _ in range(100):
            await desk.send(Desk.fail, data)
        tracemalloc.start()
        try:
            await app.terminate_child("desk")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < len(data)
        assert len(app.dead_letters()) == 100


@pytest.mark.anyio
async def test_a_message_that_is_looked_at_shows_itself_in_short() -> None:
    async with Supervisor("app") as app:
        desk: Address[Any] = await app.start(Desk)
        desk.pause()
        data: Any = b"x" * 10**6
        await desk.send(Desk.fail, data, rude(on="__repr__")())
        [message] = desk.peek()
        assert isinstance(message, Message)
        assert str(message).startswith("Desk.fail(b'xxx")
        assert repr(message) == f"<Message {message}>"
        assert len(str(message)) < 200
        desk.drop(lambda _: True)


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "place()"),
        ((1, "a", None, b"b", 2.5), {}, "place(int, str, NoneType, bytes, float)"),
        ((1, 2, 3, 4, 5, 6), {}, "place(int, int, int, int, int, …)"),
        ((type("Text", (str,), {})(),), {}, "place(Text)"),
        ((1,), {"by": "ada"}, "place(int, by=str)"),
    ],
)
def test_the_outline_of_a_message_has_types_alone(args: tuple[Any, ...], kwargs: dict[str, Any], said: str) -> None:
    def place(*_: object, **__: object) -> None: ...

    for _ in range(2):  # the second time it may be known
        assert outline(place, args, kwargs) == said


def test_the_outline_asks_no_class_for_its_hash() -> None:
    class Meta(type):
        def __hash__(cls) -> int:
            raise RuntimeError("no")

    odd: Any = Meta("Odd", (), {})
    assert outline(Desk.fail, (odd(),), {}) == "Desk.fail(Odd)"
