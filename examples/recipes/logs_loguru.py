"""Logs through loguru: whose record it is, in your own and in the library's, crashes included. `pip install loguru`.

Look for: a patcher merges `logs.context()` into the `extra` of what loguru's logger says. The library's records are those of
`logging`: a handler hands them on with their traceback, with `logs.context(record)`, and with the place that they are about, as
the line of yours that crashed.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING

import anyio
from loguru import logger

from supervise import Supervisor, child
from supervise.telemetry import logs

if TYPE_CHECKING:
    from loguru import Record

FORMAT = "{level} {extra[actor]} #{extra[incarnation]} {function}: {message}"


def add_context(record: Record) -> None:
    record["extra"] = {**logs.context(), **record["extra"]}


class HandOn(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        def place(said: Record) -> None:
            said["name"], said["function"], said["line"] = record.module, record.funcName, record.lineno

        of_whom = logger.bind(**logs.context(record)).patch(place)
        of_whom.opt(exception=record.exc_info).log(record.levelname, "{}", record.getMessage())


def configure(stream: io.StringIO) -> None:
    logger.remove()
    logger.configure(patcher=add_context)
    logger.add(stream, format=FORMAT, level="INFO")
    logging.basicConfig(handlers=[HandOn()], level=logging.INFO)


class Orders:
    async def place(self, item: str) -> None:
        logger.info("an order: {}", item)
        if item == "plum":
            raise LookupError(item)


async def main() -> None:
    written = io.StringIO()
    configure(written)
    async with Supervisor("app", orders := child(Orders)) as app:
        for item in ("tea", "plum"):
            await app.find(orders).send(Orders.place, item)
        await app.find(orders).call(Orders.place, "milk")
    lines = [line for line in written.getvalue().splitlines() if " #" in line]
    for line in lines:
        print(line[:60])
    assert any(line.startswith("ERROR app/orders #1 Orders.place: app/orders #1 ended: crashed (LookupError") for line in lines)
    assert "\nLookupError: plum" in written.getvalue()


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
