"""Timers: messages that an actor sends to itself, once or again and again.

Look for: a timer's message is handled in its turn, like any other, so nothing runs beside the handlers. Starting `idle` again
replaces the one before, which is how a session notices that nobody talks to it any more. The timers are gone with the
incarnation: after the crash, the next one starts its own.
"""

import sys

import anyio

from supervise import Supervisor, current


class Session:
    def __init__(self, expired: anyio.Event) -> None:
        self.expired = expired
        self.beats = 0
        current().every(0.02, Session.beat)
        current().after(0.1, Session.expire, id="idle")

    def beat(self) -> None:
        self.beats += 1

    def say(self, words: str) -> None:
        if words == "crash":
            raise ValueError(words)
        current().after(0.1, Session.expire, id="idle")

    def expire(self) -> None:
        print(f"life {current().incarnation}: nobody said anything, {'some' if self.beats else 'no'} heartbeats")
        current().timers.cancel("idle")  # what is cancelled, or over, can be cancelled again
        self.expired.set()


async def main() -> None:
    expired = anyio.Event()
    async with Supervisor("app") as app:
        session = await app.start(Session, expired)
        for words in ("hello", "crash", "hello again"):
            await session.send(Session.say, words)
        await expired.wait()
        left = await session.call(lambda _: len(current().timers))
        print(f"timers that still run: {left}")
        assert left == 1  # the heartbeat


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
