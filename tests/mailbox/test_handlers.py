"""What can be called: how a handler is found on the live instance, what is run as it is, what is refused.

Tested:
- DESIGN 2, calling: dispatch by name, subclasses, protocols, overloads, plain callables, refusals
- SEMANTICS 15: an unknown handler isn't a crash, one that a handler meets itself is
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, overload

import anyio
import pytest

from supervise import ActorCrashed, Address, NotAHandler, Supervisor, UnknownHandler
from tests.doubles import Boom, Scribe


class Greeter:
    def __init__(self, greeting: str = "hello") -> None:
        self.greeting = greeting

    async def greet(self, name: str, *, mark: str = "!") -> str:
        return f"{self.greeting} {name}{mark}"

    def greet_at_once(self, name: str) -> str:
        return f"{self.greeting} {name}"

    def greet_later(self, name: str) -> Awaitable[str]:
        return self.greet(name)

    @staticmethod
    def static(name: str) -> str:
        return name

    @classmethod
    def on_class(cls, name: str) -> str:
        return name

    @property
    def shown(self) -> str:
        return self.greeting

    async def __whisper(self, name: str) -> str:
        return f"({self.greeting} {name})"

    whisper = __whisper

    @overload
    async def double(self, value: int) -> int: ...
    @overload
    async def double(self, value: str) -> str: ...
    async def double(self, value: Any) -> Any:
        return value * 2

    def stop_iteration(self) -> str:
        raise StopIteration("an iterator's")

    async def stop_iteration_later(self) -> str:
        raise StopIteration("an iterator's")


class Shouter(Greeter):
    async def greet(self, name: str, *, mark: str = "!") -> str:
        return (await super().greet(name, mark=mark)).upper()


class Mute(Greeter):
    greet = None  # type: ignore[assignment]


class Show(Protocol):
    async def show(self, width: int) -> str: ...


class Clock:
    async def show(self, width: int) -> str:
        return "12:00"[:width]


class Sign:
    async def show(self, width: int) -> str:
        return "exit"[:width]


def logged(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return ("logged", await function(*args, **kwargs))

    return wrapper


class Decorated:
    @logged
    async def work(self) -> int:
        return 1


class Twice:
    """A callable with a `__call__` of its own; equal to its like, so that it can't be hashed."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Twice)

    async def __call__(self, greeter: Greeter, name: str) -> str:
        return 2 * await greeter.greet(name)


async def rename(greeter: Greeter, greeting: str) -> str:
    greeter.greeting = greeting
    return greeting


@pytest.mark.anyio
async def test_positional_and_keyword_arguments_arrive_and_the_result_comes_back() -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter, "hi")
        assert await greeter.call(Greeter.greet, "bob", mark="?") == "hi bob?"
        assert await greeter.call(Greeter.greet_at_once, name="bob") == "hi bob"


@pytest.mark.anyio
async def test_a_plain_function_that_returns_an_awaitable_is_awaited() -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter)
        assert await greeter.call(Greeter.greet_later, "bob") == "hello bob!"


@pytest.mark.anyio
async def test_a_subclass_overrides_the_handler_that_its_base_names() -> None:
    async with Supervisor("app") as app:
        shouter: Address[Greeter] = await app.start(Shouter)
        assert await shouter.call(Greeter.greet, "bob") == "HELLO BOB!"
        assert await shouter.call(Greeter.greet_at_once, "bob") == "hello bob"


@pytest.mark.anyio
async def test_addresses_of_unlike_classes_are_called_through_one_protocol() -> None:
    async with Supervisor("app") as app:
        shown: list[Address[Show]] = [await app.start(Clock), await app.start(Sign)]
        assert [await address.call(Show.show, 3) for address in shown] == ["12:", "exi"]


@pytest.mark.anyio
async def test_an_overloaded_handler_runs_its_implementation() -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter)
        number: int = await greeter.call(Greeter.double, 2)
        text: str = await greeter.call(Greeter.double, "ab")
        assert (number, text) == (4, "abab")


@pytest.mark.anyio
async def test_a_decorated_handler_keeps_its_name_and_its_decoration() -> None:
    async with Supervisor("app") as app:
        decorated = await app.start(Decorated)
        assert await decorated.call(Decorated.work) == ("logged", 1)


@pytest.mark.anyio
async def test_a_handler_with_a_private_name_is_found() -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter)
        assert await greeter.call(Greeter.whisper, "bob") == "(hello bob)"
        shouter = await app.start(Shouter)
        assert await shouter.call(Greeter.whisper, "bob") == "(hello bob)"


@pytest.mark.anyio
async def test_any_other_callable_runs_in_the_actors_turn_with_the_instance_first() -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter)
        assert await greeter.call(rename, "hey") == "hey"
        assert await greeter.call(lambda instance: instance.greeting) == "hey"
        assert await greeter.call(functools.partial(rename, greeting="yo")) == "yo"
        assert await greeter.call(functools.partial(functools.partial(rename), greeting="oi")) == "oi"

        async def local(instance: Greeter, times: int) -> str:
            return instance.greeting * times

        assert await greeter.call(local, 2) == "oioi"


@pytest.mark.anyio
async def test_a_callable_object_runs_even_if_it_has_no_hash() -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter)
        assert await greeter.call(Twice(), "bob") == "hello bob!hello bob!"
        assert app.get_childspec("greeter").incarnation == 1


class Shelf:
    def __len__(self) -> int:
        return 7


@pytest.mark.anyio
async def test_a_builtin_function_of_a_module_is_a_plain_callable() -> None:
    async with Supervisor("app") as app:
        shelf = await app.start(Shelf)
        assert await shelf.call(len) == 7


@pytest.mark.anyio
async def test_a_plain_callable_waits_for_its_turn() -> None:
    log: list[str] = []

    async def slowly(scribe: Scribe) -> None:
        log.append("in")
        await anyio.sleep(1)
        log.append("out")

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        for _ in range(2):
            await scribe.send(slowly)
        await scribe.call(slowly)
    assert log == ["in", "out"] * 3


async def by_call(greeter: Address[Greeter], handler: Any) -> None:
    await greeter.call(handler)


async def by_send(greeter: Address[Greeter], handler: Any) -> None:
    await greeter.send(handler)


async def by_try_send(greeter: Address[Greeter], handler: Any) -> None:
    greeter.try_send(handler)


REFUSED = [
    pytest.param(Greeter().greet, "Greeter.greet", id="a bound method"),
    pytest.param(Greeter.on_class, "Greeter.on_class", id="a class method"),
    pytest.param(Greeter, "Greeter.method", id="a class"),
    pytest.param(staticmethod(rename), "a plain function of the class", id="a staticmethod object"),
    pytest.param(Greeter.shown, "a plain function of the class", id="a property"),
    pytest.param("greet", "isn't callable", id="a name"),
    pytest.param("".join, "isn't callable|bound", id="a bound builtin"),
]


@pytest.mark.anyio
@pytest.mark.parametrize("way", [by_call, by_send, by_try_send])
@pytest.mark.parametrize(("handler", "cure"), REFUSED)
async def test_what_cant_be_a_handler_is_refused_at_once_with_the_cure(handler: Any, cure: str, way: Any) -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter)
        with pytest.raises(NotAHandler, match=cure) as refused:
            await way(greeter, handler)
        assert isinstance(refused.value, TypeError)
        assert greeter.account().accepted == 0


@pytest.mark.anyio
@pytest.mark.parametrize("handler", [Greeter.greet, Greeter.static, Scribe.note, Show.show], ids=lambda h: h.__qualname__)
async def test_a_handler_that_the_live_class_lacks_is_unknown_and_the_actor_lives_on(handler: Any) -> None:
    async with Supervisor("app") as app:
        mute: Address[Any] = await app.start(Mute)
        with pytest.raises(UnknownHandler, match=handler.__qualname__):
            await mute.call(handler, 1)
        await mute.send(handler, 1)
        assert await mute.call(Greeter.greet_at_once, "bob") == "hello bob"
        assert app.get_childspec("mute").incarnation == 1
        account = mute.account()
        assert (account.failed, account.dead_lettered, account.handled) == (1, 1, 1)
        assert account.balanced
        (letter,) = app.dead_letters()
        assert letter.message.startswith(handler.__qualname__)
        assert "no handler" in letter.why


@pytest.mark.anyio
async def test_an_unknown_handler_that_a_handler_meets_itself_crashes_it() -> None:
    async def ask(greeter: Greeter, other: Address[Any]) -> None:
        await other.call(Scribe.note, 1)

    async with Supervisor("app") as app:
        greeter, other = await app.start(Greeter), await app.start(Greeter)
        with pytest.raises(ActorCrashed) as crashed:
            await greeter.call(ask, other)
        assert isinstance(crashed.value.__cause__, UnknownHandler)
        assert app.get_childspec("greeter").incarnation == 2
        assert app.get_childspec("greeter-2").incarnation == 1


@pytest.mark.anyio
@pytest.mark.parametrize("handler", [Greeter.stop_iteration, Greeter.stop_iteration_later])
async def test_a_handler_that_raises_stop_iteration_crashes_like_any_other(handler: Any) -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter)
        with pytest.raises(ActorCrashed, match="StopIteration"):
            await greeter.call(handler)
        assert await greeter.call(Greeter.greet_at_once, "bob") == "hello bob"


@pytest.mark.anyio
async def test_an_expected_stop_iteration_reaches_the_caller_inside_a_runtime_error() -> None:
    async with Supervisor("app") as app:
        greeter = await app.start(Greeter, expects=(StopIteration,))
        with pytest.raises(RuntimeError, match="StopIteration") as raised:
            await greeter.call(Greeter.stop_iteration)
        assert isinstance(raised.value.__cause__, StopIteration)
        assert app.get_childspec("greeter").incarnation == 1


@pytest.mark.anyio
async def test_a_handler_that_raises_generator_exit_crashes_like_any_other() -> None:
    async def leave(_: Scribe) -> None:
        raise GeneratorExit

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        with pytest.raises(ActorCrashed, match="GeneratorExit"):
            await scribe.call(leave)
        assert await scribe.call(Scribe.note, 1) == 1


@pytest.mark.anyio
async def test_handlers_found_once_are_found_on_the_next_instance_too() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        for _ in range(3):
            assert await scribe.call(Scribe.note, 1) == 1
            with pytest.raises(ActorCrashed) as crashed:
                await scribe.call(Scribe.crash)
            assert isinstance(crashed.value.__cause__, Boom)
