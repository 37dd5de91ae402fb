"""Dead letters: an accepted message that no handler will finish is counted, told to listeners, and kept as text.

Look for: the two ways in which a message dies here, in hand at a crash and in the queue at a stop; each letter says which. A
caller is always told. When it was, a crash leaves no letter; what was never begun is one all the same. The account says what
became of every message, and always balances.
"""

import sys

import anyio

from supervise import ActorCrashed, ActorStopped, Supervisor, current
from supervise.events import DeadLetter, Event


class Printer:
    def __init__(self) -> None:
        self.pages = 0

    async def print(self, page: str) -> None:
        if page == "jam":
            raise OSError("paper jam")
        self.pages += 1

    async def run_out_of_paper(self, now: anyio.Event) -> None:
        await now.wait()
        current().stop(shutdown="no paper")  # an orderly end, after which a transient child stays stopped


async def main() -> None:
    def tell(event: Event) -> None:
        if isinstance(event, DeadLetter):
            print(f"dead letter {event.message}: {event.why}")

    async with Supervisor("app", listener=tell, log_arguments=True) as app:  # else a text holds the types of what was sent
        printer = await app.start(Printer, restart="transient")
        await printer.send(Printer.print, "jam")  # in hand at the crash, and nobody can be told
        await printer.send(Printer.print, "page 1")  # waits, and is handled by the next life
        try:
            await printer.call(Printer.print, "jam")
        except ActorCrashed as crash:
            print(f"the caller was told: {crash.__cause__}")

        now = anyio.Event()
        await printer.send(Printer.run_out_of_paper, now)
        await printer.send(Printer.print, "page 2")  # waits at the stop
        now.set()
        try:
            await printer.call(Printer.print, "page 3")
        except ActorStopped as stopped:
            print(f"the caller was told: {stopped}")

        account = app.account()
        print(account)
        letters = [letter.message for letter in app.dead_letters()]  # the last 100; dead_letter_count counts all
        assert letters == ["Printer.print('jam')", "Printer.print('page 2')", "Printer.print('page 3')"]
        assert account.balanced
        assert (account.handled, account.failed, account.dead_lettered) == (2, 1, 3)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
