"""A watchdog: a thread that says who blocks the event loop, and who waits for what never comes.

Look for: the report calls something that blocks the thread, and so stops every actor. The watchdog's own thread sees it, and
names the actor, the message and the line. The import waits for an answer that isn't coming: the loop is well, and the
watchdog says what the handler awaits. Only the import has a `handler_deadline`, so it is crashed and restarted.
"""

import logging
import sys
import threading

import anyio

from supervise import ActorCrashed, Supervisor
from supervise.events import Blocked, Stuck
from supervise.telemetry import Watchdog


class Told:
    """What the watchdog told; it is called in the watchdog's thread."""

    def __init__(self) -> None:
        self.findings: list[Blocked | Stuck] = []
        self.one = threading.Event()

    def tell(self, finding: Blocked | Stuck) -> None:
        ours = [frame.function for frame in finding.stack if frame.file == __file__]
        print(f"{type(finding).__name__}: {finding.path} #{finding.incarnation}, {finding.message}, in {ours[-1]}")
        self.findings.append(finding)
        self.one.set()


class Report:
    async def write(self, told: Told) -> str:
        told.one.wait(10)  # a blocking call in a handler: nothing else runs, until somebody has noticed
        return "written"


class Import:
    async def read(self) -> str:
        await self.next_line()
        return "read"

    async def next_line(self) -> None:
        await anyio.sleep_forever()


async def main() -> None:
    logging.getLogger("supervise").setLevel(logging.CRITICAL)  # each finding is a log record, too, with the whole stack
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # in its debug mode asyncio grumbles, afterwards
    told = Told()
    async with Supervisor("app") as app:
        report = await app.start(Report)
        reader = await app.start(Import, handler_deadline=1.0)
        async with Watchdog(app, blocked_after=0.2, stuck_after=0.2, listener=told.tell):
            print(await report.call(Report.write, told))
            try:
                await reader.call(Import.read)
            except ActorCrashed as crash:
                print(crash)
        print(await app.ping())
        assert [(type(finding), finding.path) for finding in told.findings] == [(Blocked, "app/report"), (Stuck, "app/import")]


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
