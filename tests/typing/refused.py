"""What type checkers must refuse. A line that one of them accepts is an unused ignore, and so an error. Nothing is run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from supervise import Address, RunningSupervisor, Supervisor


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.total = start

    async def add(self, amount: int) -> int:
        return self.total + amount


class Clock:
    async def tick(self) -> None:
        pass


async def messages(counter: Address[Counter]) -> None:
    await counter.call(Counter.add)  # type: ignore[call-overload]  # an argument is missing
    await counter.call(Counter.add, "one")  # type: ignore[call-overload]  # a wrong argument
    await counter.call(Counter.add, 1, 2)  # type: ignore[call-overload]  # one too many
    await counter.call(Clock.tick)  # type: ignore[call-overload]  # another actor's handler
    await counter.send(Counter.add, "one")  # type: ignore[arg-type]
    await counter.send(Clock.tick)  # type: ignore[arg-type]
    counter.try_send(Counter.add)  # type: ignore[call-arg]
    await counter.options(on_restart="perhaps").call(Counter.add, 1)  # type: ignore[arg-type]


async def addresses(counter: Address[Counter]) -> Address[Clock]:
    return counter  # type: ignore[return-value]


async def starts(app: RunningSupervisor) -> None:
    await app.start(Counter, "ten")  # type: ignore[arg-type]
    await app.start(Counter, 1, 2)  # type: ignore[call-arg, arg-type]
    await app.start(Counter, nme="x")  # type: ignore[call-overload]
    Supervisor("app", strategy="one_for_some")  # type: ignore[arg-type]
    Supervisor("app", Counter)  # type: ignore[arg-type]
