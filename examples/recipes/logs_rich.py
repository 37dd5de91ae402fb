"""Logs in the terminal, by rich. `pip install rich`.

Look for: `RichHandler` is a handler of `logging` like any other. A crash is shown once with the lines of your code around it,
and its causes; on the right stands your file, where it crashed. With `tracebacks_show_locals=True` it shows what your functions
held: arguments, too.
"""

import io
import logging
import sys

import anyio
from rich.console import Console
from rich.logging import RichHandler

from supervise import Supervisor, child


class Orders:
    async def place(self, item: str) -> None:
        try:
            {"tea": 3}[item]
        except KeyError as error:
            raise LookupError("no such item") from error


async def main() -> None:
    written = io.StringIO()
    console = Console(file=written, width=160, color_system=None)  # Console() writes to the terminal
    logging.basicConfig(format="%(message)s", handlers=[RichHandler(console=console, rich_tracebacks=True)], level=logging.INFO)
    async with Supervisor("app", orders := child(Orders)) as app:
        for item in ("tea", "plum", "plum"):
            await app.find(orders).send(Orders.place, item)
        await app.find(orders).call(Orders.place, "tea")
    told = written.getvalue()
    print("tracebacks:", told.count("direct cause"), " crashes:", told.count("ended: crashed (LookupError: no such item) in"))
    assert "logs_rich.py:" in told
    assert 'raise LookupError("no such item") from error' in told


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
