"""Logs through structlog: whose record it is, in your own and in the library's, crashes included. `pip install structlog`.

Look for: `logs.context()` is merged into what structlog's loggers say. The library's records are those of `logging`: an
`ActorFilter` on the handler says whose they are (which may be another actor than the one in whose task they are written), and
structlog's formatter takes that over with the traceback. Nothing has to know the library but this set-up.
"""

import io
import json
import logging
import sys

import anyio
import structlog

from supervise import Supervisor, child
from supervise.telemetry import ActorFilter, logs

FIELDS = ["actor", "actor_id", "incarnation", "trace_id", "span_id"]


def add_context(_logger: object, _method: str, said: structlog.types.EventDict) -> structlog.types.EventDict:
    return {**logs.context(), **said}


def configure(stream: io.StringIO) -> None:
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, add_context, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder(FIELDS)],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(ActorFilter())
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.INFO)


class Orders:
    async def place(self, item: str) -> None:
        structlog.get_logger().info("an order", item=item)
        if item == "plum":
            raise LookupError(item)


async def main() -> None:
    written = io.StringIO()
    configure(written)
    async with Supervisor("app", orders := child(Orders)) as app:
        for item in ("tea", "plum"):
            await app.find(orders).send(Orders.place, item)
        await app.find(orders).call(Orders.place, "milk")
    records = [json.loads(line) for line in written.getvalue().splitlines()]
    for record in records:
        print(record["level"], record["actor"], record["incarnation"], record["event"][:40])
    [crash] = [record for record in records if record["level"] == "error"]
    assert (crash["actor"], crash["incarnation"]) == ("app/orders", 1)
    assert crash["exception"].endswith("LookupError: plum")


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
