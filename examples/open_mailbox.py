"""Supervision by hand: a mailbox without a supervisor, and a loop that decides what follows a crash.

Look for: the mailbox and its address are there before any actor. The loop is the whole supervisor. Nobody keeps this actor
alive but those who hold its address: when the last strong one is closed and the queue is empty, it ends.
"""

import sys

import anyio

from supervise import Address, Crashed, open_mailbox


class Divider:
    def __init__(self) -> None:
        self.divided = 0

    async def divide(self, a: int, b: int) -> float:
        self.divided += 1
        return a / b


async def ask(divider: Address[Divider], answers: list[float]) -> None:
    await divider.send(Divider.divide, 1, 0)
    answers.append(await divider.call(Divider.divide, 6, 3))
    divider.close()


async def main() -> None:
    answers: list[float] = []
    lives = 1
    mailbox, divider = open_mailbox(Divider)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, divider, answers)
        while isinstance(outcome := await mailbox.run(Divider), Crashed):
            print(f"life {lives} ended: {outcome.reason}")
            lives += 1
        print(f"life {lives} ended: {outcome.reason}; answers: {answers}")
    assert answers == [2.0]
    assert lives == 2


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
