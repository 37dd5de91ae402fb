"""A streamed reply: items of an async generator, one at a time, read in a block.

Tested: SEMANTICS 81, with 20, 61 and 80 as far as they speak of streams: the items and their buffer, which handlers there are,
the block and who leaves it, and how it is entered. Ends are in `test_ends_of_streams.py`, cycles through a reader in
`test_cycles_of_streams.py`, each event at each moment in `test_streams_at_each_moment.py`, many items in `test_many_items.py`.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial, partialmethod, singledispatchmethod
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    Address,
    BadCall,
    InvalidSpec,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    NotAHandler,
    Restart,
    SendTimeout,
    Supervisor,
    UnknownHandler,
    child,
    concurrent,
    current,
)
from supervise.adapters import own_thread
from supervise.testing.virtual_time import at_rest
from tests.actor.streamers import OFTEN, Model, read, take
from tests.doubles import Boom, Gate, Outcomes, turn_by_turn_until

pytestmark = pytest.mark.anyio


# -- the items ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [Model.numbers, Model.by_the_second, Model.beside])
async def test_each_item_crosses_in_order_and_the_end_ends_the_loop(handler: Any) -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        for many in (0, 1, 15, 16, 17, 300):
            assert await read(model, handler, many) == [*range(many)]
        assert model.account() == (6, 6, 0, 0, 0, 0, 0)


async def test_keyword_arguments_and_an_asynchronous_comprehension() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(Model.numbers, many=3) as numbers:
            assert [number async for number in numbers] == [0, 1, 2]
            assert [number async for number in numbers] == []  # it has ended
            with pytest.raises(StopAsyncIteration):
                await anext(numbers)


@pytest.mark.parametrize("buffer", [1, 2, 16, 500])
async def test_the_generator_waits_for_its_reader_when_the_buffer_is_full(buffer: int) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app:
        model: Address[Model] = app.find("model")
        async with model.options(buffer=buffer).stream_from(Model.numbers) as numbers:
            await at_rest()
            assert log == [*range(buffer - 1)]  # it stands at its last yield
            for taken in range(1, 40):
                assert await anext(numbers) == taken - 1
                await at_rest()
                assert log == [*range(buffer - 1 + taken)]


async def test_an_item_crosses_as_soon_as_it_is_there() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(Model.by_the_second, 3) as numbers:
            begun = anyio.current_time()
            seen = [(number, anyio.current_time() - begun) async for number in numbers]
        assert seen == [(0, 1), (1, 2), (2, 3)]


async def test_it_runs_in_the_actors_turn_and_is_closed_in_its_task() -> None:
    tasks: list[Any] = []
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        own: int = await model.call(lambda _: anyio.get_current_task().id)
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            async with model.stream_from(Model.where, tasks) as places:
                assert await anext(places) == ("app/model", 1)
                await outcomes.watch("behind", model.call(Model.note, 1))
                await at_rest()
                assert outcomes.of == {}
                begun = anyio.current_time()
            assert anyio.current_time() - begun == 1  # the block has waited for its end
            assert tasks == [own, own]
            await at_rest()
            assert outcomes.of == {"behind": 1}


async def test_a_concurrent_one_holds_up_nobody() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(Model.beside) as first, model.stream_from(Model.beside) as second:
            assert (await take(first, 3), await take(second, 2)) == ([0, 1, 2], [0, 1])
            await at_rest()
            assert await model.call(Model.note, "meanwhile") == 1
            async with model.stream_from(Model.beside) as third:
                with anyio.move_on_after(1) as scope:
                    await anext(third)
                assert scope.cancelled_caught  # there are two places
        assert model.account() == (4, 3, 0, 0, 1, 0, 0)


async def test_a_run_lets_others_run() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        turns: list[int] = []
        longest = 0

        async def count_turns() -> None:
            while True:
                turns.append(0)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(count_turns)
            for buffer in (1000, 16):
                async with model.options(buffer=buffer).stream_from(Model.numbers, 2000) as numbers:
                    seen, run = 0, 0
                    async for _ in numbers:
                        run = run + 1 if len(turns) == seen else 1
                        longest, seen = max(longest, run), len(turns)
            group.cancel_scope.cancel()
        assert 1 < longest <= 256  # on trio those that are ready run in any order


async def test_a_reader_of_what_is_there_lets_others_run() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        turns: list[int] = []

        async def count_turns() -> None:
            while True:
                turns.append(0)
                await anyio.lowlevel.checkpoint()

        async with model.options(buffer=1000).stream_from(Model.numbers) as numbers, anyio.create_task_group() as group:
            await at_rest()
            group.start_soon(count_turns)
            await anyio.lowlevel.checkpoint()
            before = len(turns)
            await take(numbers, 300)
            assert len(turns) > before
            group.cancel_scope.cancel()


async def test_a_generator_that_never_awaits_lets_others_run() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app:
        model: Address[Model] = app.find("model")
        async with model.options(buffer=10_000).stream_from(Model.numbers):
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            assert len(log) <= 256


# -- which handlers ----------------------------------------------------------------------------------------------------------


def traced(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Shapes:
    async def plain(self, number: int) -> AsyncIterator[str]:
        yield f"plain {number} {current().path}"

    @traced
    async def wrapped(self, number: int) -> AsyncIterator[str]:
        yield f"wrapped {number} {current().path}"

    @singledispatchmethod
    async def dispatched(self, number: int) -> AsyncIterator[str]:
        yield f"dispatched {number} {current().path}"

    partly = partialmethod(plain)

    async def __private(self, number: int) -> AsyncIterator[str]:
        yield f"private {number} {current().path}"

    private = __private

    def abstract(self, number: int) -> AsyncIterator[str]:
        raise NotImplementedError

    # what can't be read

    async def coroutine(self, number: int) -> int:
        return number

    def lines(self, number: int) -> Any:
        yield number

    def handed_back(self, number: int) -> AsyncIterator[str]:
        return self.plain(number)

    @asynccontextmanager
    async def managed(self, number: int) -> AsyncGenerator[str]:
        yield "managed"

    nothing: Any = None


class Below(Shapes):
    async def plain(self, number: int) -> AsyncIterator[str]:
        yield f"below {number} {current().path}"

    async def abstract(self, number: int) -> AsyncIterator[str]:
        yield f"abstract {number} {current().path}"


async def free(actor: Shapes, number: int) -> AsyncIterator[str]:
    yield f"free {number} {current().path}"


async def turned_around(number: int, actor: Shapes) -> AsyncIterator[str]:
    yield f"turned {number} {current().path}"


class Callable_:
    async def __call__(self, actor: Shapes, number: int) -> AsyncIterator[str]:
        yield f"object {number} {current().path}"


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (Shapes.plain, "plain"), (Shapes.wrapped, "wrapped"), (Shapes.dispatched, "dispatched"), (Shapes.partly, "plain"),
        (Shapes.private, "private"), (free, "free"), (Callable_(), "object"), (partial(free), "free"),
    ],
)  # fmt: skip
async def test_what_an_actor_can_be_asked_to_stream(handler: Any, said: str) -> None:
    async with Supervisor("app", child(Shapes)) as app:
        shapes: Address[Any] = app.find("shapes")
        for _ in range(2):
            assert await read(shapes, handler, 3) == [f"{said} 3 app/shapes"]
        assert shapes.account().handled == 2


@pytest.mark.parametrize(("handler", "said"), [(Shapes.plain, "below"), (Shapes.abstract, "abstract")])
async def test_a_subclass_overrides_what_is_read_by_the_name_of_its_base(handler: Any, said: str) -> None:
    async with Supervisor("app", child(Below, name="shapes")) as app:
        assert await read(app.find("shapes"), handler, 3) == [f"{said} 3 app/shapes"]


async def test_an_attribute_that_is_replaced_is_run_by_the_next_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    async def patched(self: Shapes, number: int) -> AsyncIterator[str]:
        yield "patched"

    handler = Shapes.plain
    async with Supervisor("app", child(Shapes)) as app:
        assert await read(app.find("shapes"), handler, 3) == ["plain 3 app/shapes"]
        monkeypatch.setattr(Shapes, "plain", patched)
        assert await read(app.find("shapes"), handler, 3) == ["patched"]


def collected(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any) -> list[Any]:
        return [item async for item in function(*args)]

    return wrapper


@collected
async def collects(_: object, number: int) -> AsyncIterator[int]:
    yield number


def no_handler_of_a_class(_: object, __: int) -> int:
    return 1


NOT_STREAMED: list[Any] = [
    Shapes.coroutine, Shapes.lines, Shapes.abstract, Shapes.handed_back, len, no_handler_of_a_class, collects,
]  # fmt: skip


@pytest.mark.parametrize("handler", NOT_STREAMED)
async def test_what_isnt_an_async_generator_is_refused_with_the_cure(handler: Any) -> None:
    async with Supervisor("app", child(Shapes)) as app:
        shapes: Address[Any] = app.find("shapes")
        with pytest.raises(NotAHandler, match=r"app/shapes: handler=.* isn't an async generator function.*: use call"):
            await read(shapes, handler, 3)
        assert app.get_childspec("shapes").incarnation == 1
        assert shapes.account() == (1, 0, 1, 0, 0, 0, 0)


async def test_what_a_decorator_has_made_of_one_is_told() -> None:
    async with Supervisor("app", child(Shapes)) as app:
        shapes: Address[Any] = app.find("shapes")
        with pytest.raises(NotAHandler, match=r"app/shapes: handler=Shapes.managed returned .*, so stream_from has nothing"):
            await read(shapes, Shapes.managed, 3)
        assert app.get_childspec("shapes").incarnation == 1


@pytest.mark.parametrize("handler", [Model.numbers, Model.beside])
async def test_a_call_and_a_send_of_one_that_yields_name_stream_from(handler: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app:
        model: Address[Any] = app.find("model")
        for _ in range(2):
            with pytest.raises(NotAHandler, match=r"yields, and its body would run in its caller's task.*stream_from"):
                await model.call(handler, 1)
        await model.send(handler, 1)
        await at_rest()
        assert log == []
        [letter] = app.dead_letters()
        assert "stream_from" in letter.why
        assert app.get_childspec("model").incarnation == 1


async def test_a_call_between_streams_runs_its_own_handler() -> None:
    async with Supervisor("app", child(Shapes)) as app:
        shapes: Address[Any] = app.find("shapes")
        async with anyio.create_task_group() as group:  # in one batch
            outcomes = Outcomes(group)
            gate = Gate()
            await outcomes.watch("gate", shapes.call(lambda _: gate.walk_through()))
            await gate.reached.wait()
            for n in range(3):
                await outcomes.watch(n, read(shapes, Shapes.plain, n))
                await outcomes.watch(-1 - n, shapes.call(Shapes.coroutine, n))
            gate.open()
            await at_rest()
            read_there: dict[Any, Any] = {n: [f"plain {n} app/shapes"] for n in range(3)}
            assert outcomes.of == {"gate": None, -1: 0, -2: 1, -3: 2, **read_there}


async def test_unknown_handlers_and_misfits_are_told_as_of_a_call() -> None:
    class Other:
        async def elsewhere(self) -> AsyncIterator[int]:
            yield 1

    async def cant_begin(self: Model, number: int) -> AsyncIterator[int]:
        raise TypeError("cant_begin() takes no joke")
        yield 1

    async with Supervisor("app", child(Model)) as app:
        model: Address[Any] = app.find("model")
        with pytest.raises(UnknownHandler, match="Model has no handler 'elsewhere'"):
            await read(model, Other.elsewhere)
        for handler in (Model.numbers, Model.beside):
            with pytest.raises(
                BadCall, match=rf"app/model: {handler.__qualname__}\(int, int, int\) doesn't fit: it takes \(self, "
            ):
                await read(model, handler, 1, 2, 3)
        for nonsense in ("numbers", Model().numbers, Model):
            with pytest.raises(NotAHandler):
                await read(model, nonsense)
        assert app.get_childspec("model").incarnation == 1
        with pytest.raises(ActorCrashed, match="takes no joke"):
            await read(model, cant_begin, 1)


def test_concurrent_still_refuses_what_isnt_async() -> None:
    def lines() -> Any:
        yield 1

    with pytest.raises(TypeError, match=r"@concurrent on .*lines: only an `async def` handler"):
        concurrent(lines)


async def test_the_names_of_a_stream_are_those_of_its_handler() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        model.pause()
        async with model.stream_from(Model.numbers, 7):
            [message] = model.peek()
            assert message.handler is Model.numbers
            assert str(message) == "Model.numbers(7)"


async def test_a_blocking_class_with_async_generators_belongs_in_the_loop() -> None:
    with pytest.raises(InvalidSpec, match="numbers is an async generator function, so it belongs in the loop"):
        own_thread.own_thread(type("Blocking", (), {"numbers": Model.numbers}))


# -- the block ---------------------------------------------------------------------------------------------------------------


async def test_leaving_the_block_closes_the_generator_and_waits_for_its_end() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app, anyio.create_task_group() as group:
        model: Address[Model] = app.find("model")
        gate, left = Gate(), anyio.Event()

        async def leave() -> None:
            async with model.stream_from(Model.held_in_finally, gate) as items:
                await anext(items)
            assert log == ["closed"]
            assert model.account() == (1, 1, 0, 0, 0, 0, 0)
            left.set()

        group.start_soon(leave)
        await gate.reached.wait()
        await anyio.sleep(10)
        assert not left.is_set()
        assert model.account().in_hand == 1
        gate.open()


async def test_a_generator_at_work_is_closed_at_its_next_yield() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app:
        begun = anyio.current_time()
        async with app.find("model").stream_from(Model.by_the_second) as numbers:
            await anext(numbers)
            await anyio.sleep(0.5)
        assert anyio.current_time() - begun == 2
        assert log == ["closed"]


@pytest.mark.parametrize("by", ["the view", "the child"])
@pytest.mark.parametrize("way", ["leaves", "is cancelled"])
@pytest.mark.parametrize("handler", [Model.by_the_second, Model.by_the_second_beside])
async def test_on_cancel_takes_along_a_generator_at_work(by: str, way: str, handler: Any) -> None:
    log: list[Any] = []
    rule: Any = {"on_cancel": "cancel"} if by == "the child" else {}
    async with Supervisor("app", child(Model, log, **rule)) as app:
        model: Address[Model] = app.find("model")
        view = model.options(on_cancel="cancel") if by == "the view" else model
        begun = anyio.current_time()
        with anyio.move_on_after(1.5 if way == "is cancelled" else math.inf):
            async with view.stream_from(handler) as numbers:
                await anext(numbers)
                await anyio.sleep(0.5 if way == "leaves" else math.inf)
        await at_rest()
        assert anyio.current_time() - begun == 1.5
        assert log == ["cancelled"]
        assert model.account() == (1, 0, 0, 0, 1, 0, 0)
        assert app.get_childspec("model").incarnation == 1
        assert await read(model, Model.numbers, 2) == [0, 1]


async def test_on_cancel_doesnt_cancel_one_that_waits_for_its_reader() -> None:
    tasks: list[Any] = []
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        async with model.options(on_cancel="cancel").stream_from(Model.where, tasks) as places:
            await anext(places)
            await at_rest()
        assert len(tasks) == 2  # its `finally` could await


async def test_leaving_before_the_generator_has_begun_takes_the_message_back() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app:
        model: Address[Model] = app.find("model")
        gate = Gate()
        await model.send(Model.hold, gate)
        await gate.reached.wait()
        async with model.stream_from(Model.numbers):
            pass
        gate.open()
        await model.call(Model.note, 1)
        assert log == [1]
        assert model.account() == (3, 2, 0, 0, 1, 0, 0)


async def test_one_beside_its_actor_that_is_left_before_its_task_has_run_doesnt_begin() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(Model.beside):
            await turn_by_turn_until(lambda: model.account().in_hand == 1)
        await at_rest()
        assert "closed" not in log
        assert model.account().balanced


@pytest.mark.parametrize("error", [Boom("mine"), KeyError(1)])
async def test_what_the_body_raises_passes_unchanged(error: Exception) -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        for handler in (Model.numbers, Model.crashes_when_closed):
            with pytest.raises(type(error)) as caught:
                async with model.stream_from(handler) as numbers:
                    await anext(numbers)
                    raise error
            assert caught.value is error


@pytest.mark.parametrize("handler", [Model.crashes_when_closed, Model.yields_when_closed])
async def test_what_a_generator_raises_as_it_is_closed_is_a_crash_and_told_to_who_leaves(handler: Any) -> None:
    async with Supervisor("app", child(Model), intensity=OFTEN) as app:
        model: Address[Model] = app.find("model")
        with pytest.raises(ActorCrashed, match=r"as it was closed|ignored GeneratorExit"):
            async with model.stream_from(handler) as items:
                await anext(items)
        assert app.get_childspec("model").incarnation == 2
        assert model.account() == (1, 0, 1, 0, 0, 0, 0)
        gc.collect()


@pytest.mark.parametrize("words", [1, 3])
@pytest.mark.parametrize("way", ["leaves", "stop"])
async def test_a_generator_that_yields_as_it_is_closed_is_closed_in_its_actors_task_all_the_same(words: int, way: str) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log), intensity=OFTEN) as app:
        model: Address[Model] = app.find("model")
        with pytest.raises(ActorCrashed, match=f"ignored GeneratorExit, and yielded {words} more"):
            async with model.stream_from(Model.yields_a_last_word, words) as items:
                await anext(items)
                if way == "stop":
                    await app.operator("ada").restart("model")
                    async for _ in items:
                        pass
        assert log == [*["told again"] * words, "closed"]
        assert model.account() == (1, 0, 1, 0, 0, 0, 0)


async def test_a_crash_before_the_reader_left_is_none_of_its_affair() -> None:
    async with Supervisor("app", child(Model)) as app:
        async with app.find("model").stream_from(Model.numbers, 3, Boom("later")) as numbers:
            assert await anext(numbers) == 0
            await at_rest()


async def test_a_reader_that_is_cancelled_closes_the_generator_and_doesnt_wait() -> None:
    tasks: list[Any] = []
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        begun = anyio.current_time()
        with anyio.move_on_after(1) as scope:
            async with model.stream_from(Model.where, tasks) as places:
                async for _ in places:
                    await anyio.sleep(0.1)
        assert scope.cancelled_caught
        assert anyio.current_time() - begun == 1
        assert await model.call(Model.note, 1) == 1
        assert len(tasks) == 2
        assert model.account() == (2, 2, 0, 0, 0, 0, 0)


async def test_who_is_cancelled_while_it_leaves_waits_no_longer() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        gate = Gate()
        with anyio.move_on_after(1) as scope:
            async with model.stream_from(Model.held_in_finally, gate) as items:
                await anext(items)
        assert scope.cancelled_caught
        gate.open()
        await at_rest()
        assert model.account() == (1, 1, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_native_cancellation_is_the_same() -> None:
    tasks: list[Any] = []
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")

        async def read_slowly() -> None:
            async with model.stream_from(Model.where, tasks) as places:
                async for _ in places:
                    await asyncio.sleep(1)

        reader = asyncio.create_task(read_slowly())
        await asyncio.sleep(0.1)
        reader.cancel()
        begun = anyio.current_time()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert anyio.current_time() == begun
        await model.call(Model.note, 1)
        assert len(tasks) == 2


async def test_a_wait_for_one_item_can_be_given_up_and_nothing_is_lost() -> None:
    async with Supervisor("app", child(Model)) as app:
        got: list[int] = []
        async with app.find("model").stream_from(Model.by_the_second, 5) as numbers:
            while len(got) < 5:
                with anyio.move_on_after(0.3):
                    got.append(await anext(numbers))
        assert got == [0, 1, 2, 3, 4]


async def test_the_items_are_read_in_the_block_alone() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        stream: Any = model.stream_from(Model.numbers, 3)
        with pytest.raises(TypeError, match=r"the stream of Model.numbers\(3\) is read in a block.*`async with"):
            async for _ in stream:
                pass
        async with stream as numbers:
            assert await anext(numbers) == 0
        with pytest.raises(RuntimeError, match=r"app/model: the stream of Model.numbers was closed when its block was left"):
            await anext(numbers)
        with pytest.raises(RuntimeError, match=r"the stream of Model.numbers\(3\) was entered before"):
            async with stream:
                pass


async def test_any_task_may_read_but_only_one_at_once() -> None:
    async with Supervisor("app", child(Model)) as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        async with app.find("model").stream_from(Model.by_the_second) as numbers:
            await outcomes.watch("other", anext(numbers))
            with pytest.raises(anyio.BusyResourceError):
                await anext(numbers)
            await anyio.sleep(1)
            await at_rest()
            assert outcomes.of == {"other": 0}
            assert await anext(numbers) == 1
            await outcomes.watch("left", anext(numbers))
        await at_rest()
        assert isinstance(outcomes.of["left"], RuntimeError)
        assert "when its block was left" in str(outcomes.of["left"])


async def test_another_task_may_leave_the_block() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app, anyio.create_task_group() as group:
        stream = app.find("model").stream_from(Model.numbers)
        numbers = await stream.__aenter__()
        await anext(numbers)
        outcomes = Outcomes(group)
        await outcomes.watch("left", stream.__aexit__(None, None, None))
        await at_rest()
        assert outcomes.of == {"left": None}
        assert log[-1] == "closed"
        await stream.__aexit__(None, None, None)


# -- entering ----------------------------------------------------------------------------------------------------------------


async def test_it_is_entered_when_the_message_is_in_and_read_when_the_actor_comes_to_it() -> None:
    async with Supervisor("app", child(Model)) as app, anyio.create_task_group() as group:
        model: Address[Model] = app.find("model")
        model.pause()
        outcomes = Outcomes(group)
        async with model.stream_from(Model.numbers, 2) as numbers:
            assert len(model) == 1
            await outcomes.watch("first", anext(numbers))
            await at_rest()
            assert outcomes.of == {}
            model.resume()
            await at_rest()
            assert outcomes.of == {"first": 0}


async def test_a_full_mailbox_makes_it_wait_and_who_gives_up_was_never_accepted() -> None:
    async with Supervisor("app", child(Model, capacity=1)) as app, anyio.create_task_group() as group:
        model: Address[Model] = app.find("model")
        gate = Gate()
        await model.send(Model.hold, gate)
        await gate.reached.wait()
        await model.send(Model.note, 1)
        with anyio.move_on_after(1) as scope:
            async with model.stream_from(Model.numbers, 3):
                pytest.fail("there is no room")
        assert scope.cancelled_caught
        with pytest.raises(SendTimeout):
            async with model.options(timeout=1).stream_from(Model.numbers, 3):
                pytest.fail("there is no room")
        assert model.account().accepted == 2
        outcomes = Outcomes(group)
        await outcomes.watch("read", read(model, Model.numbers, 3))
        gate.open()
        await at_rest()
        assert outcomes.of == {"read": [0, 1, 2]}


@pytest.mark.parametrize("moment", ["is restarting", "waited for room"])
async def test_on_restart_fail_is_told_at_the_block(moment: str) -> None:
    async with Supervisor("app", child(Model, capacity=1, restart=Restart.permanent(wait=wait_fixed(9)))) as app:
        model: Address[Model] = app.find("model")
        async with anyio.create_task_group() as group:
            outcomes, gate = Outcomes(group), Gate()
            await model.send(Model.hold, gate)
            await gate.reached.wait()
            await model.send(Model.crash)
            if moment == "waited for room":  # it is given to it, and then the actor crashes
                await outcomes.watch("stream", read(model.options(on_restart="fail"), Model.numbers, 1))
            gate.open()
            await at_rest()
            if moment == "is restarting":
                await outcomes.watch("stream", read(model.options(on_restart="fail"), Model.numbers, 1))
                await at_rest()
            assert isinstance(outcomes.of["stream"], ActorRestarting)
        assert model.account().balanced
        assert model._mailbox.extras.fail_fast == 0


@pytest.mark.parametrize(
    ("overflow", "error"), [("reject", MailboxFull), ("drop_newest", MessageDropped), ("drop_oldest", None)]
)
async def test_overflow_policies_say_what_they_say_of_a_call(overflow: Any, error: type[Exception] | None) -> None:
    async with Supervisor("app", child(Model, capacity=1, overflow=overflow)) as app:
        model: Address[Model] = app.find("model")
        gate = Gate()
        await model.send(Model.hold, gate)
        await gate.reached.wait()
        async with model.stream_from(Model.numbers, 3) as numbers:
            if error is None:
                await model.send(Model.note, 1)
                gate.open()
                with pytest.raises(MessageDropped):
                    await anext(numbers)
            else:
                with pytest.raises(error):
                    async with model.stream_from(Model.numbers, 3):
                        pytest.fail("there is no room")
                gate.open()
        await at_rest()
        account = model.account()
        assert account.balanced
        assert (account.queued, account.in_hand) == (0, 0)


async def test_a_stopped_actor_and_a_closed_address_refuse_at_the_block() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        clone = model.clone()
        clone.close()
        with pytest.raises(MailboxClosed):
            await read(clone, Model.numbers, 1)
        await app.terminate_child("model")
        with pytest.raises(ActorStopped) as caught:
            async with model.stream_from(Model.numbers, 1):
                pytest.fail("it is stopped")
        assert str(caught.value.message) == "Model.numbers(1)"
        await app.restart_child("model")
        assert await read(model.weak, Model.numbers, 1) == [0]
        await app.terminate_child("model")
        await app.delete_child("model")
        with pytest.raises(MailboxClosed):
            await read(model, Model.numbers, 1)


@pytest.mark.parametrize("way", ["drop", "take", "stop"])
async def test_what_is_taken_out_of_the_queue_is_told_to_its_reader(way: str) -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        model.pause()
        async with model.stream_from(Model.numbers, 1) as numbers:
            if way == "drop":
                assert model.drop(lambda message: message.handler is Model.numbers) == 1
            elif way == "take":
                [message] = model.take(lambda _: True)
                assert message == (Model.numbers, (1,), {})
            else:
                await app.terminate_child("model")
            with pytest.raises(ActorStopped if way == "stop" else MessageDropped):
                await anext(numbers)
        assert model.account() == (1, 0, 0, 1, 0, 0, 0)


async def test_a_recipient_and_a_lane_and_a_weak_address_stream_too() -> None:
    async with Supervisor("app", child(Model, lanes=("urgent", "normal"))) as app:
        model: Address[Model] = app.find("model")
        async with model.recipient(Model.numbers).stream_from(3) as numbers:
            assert await take(numbers, 3) == [0, 1, 2]
        model.pause()
        async with model.options(lane="urgent").weak.stream_from(Model.numbers, 3) as urgent:
            model.resume()
            assert await take(urgent, 3) == [0, 1, 2]


@pytest.mark.parametrize("buffer", [0, -1, True, 1.5, math.inf, math.nan, "16"])
async def test_a_buffer_is_a_whole_number_of_items(buffer: Any) -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        for address in (model, model.weak):
            with pytest.raises(InvalidSpec, match=r"options of 'app/model': buffer=.*a whole number, 1 or more"):
                address.options(buffer=buffer)
