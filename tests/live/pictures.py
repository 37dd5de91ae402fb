"""`python -m tests.live.pictures [FOLDER]`: the pictures of the guide, of a small shop that really runs.

It writes `live-page.png`, for which Chromium is needed. Default: `examples/guide`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from anyio.from_thread import start_blocking_portal

from supervise.live import Served, serve
from tests.browser import Browser, chromium
from tests.house import ROOT

from .shown import at_work

GUIDE: Final = ROOT / "examples" / "guide"
SIZE: Final = (1200, 620)
LOOKS: Final = 8
"""Surveys until the picture is taken, so that rates have a past."""


@asynccontextmanager
async def shop() -> AsyncGenerator[Served]:
    async with at_work() as app, serve(app, "127.0.0.1:0", operate=True) as served:
        yield served


def page(served: Served, file: Path) -> None:
    """What a browser shows."""
    program = chromium()
    if program is None:
        raise SystemExit("there is no Chromium on PATH, and CHROMIUM names none")
    assert served.url is not None
    with Browser(program) as browser, browser.page(*SIZE) as shown:
        shown.open(served.url)
        shown.until(f"model.head?.seq > {LOOKS}")
        shown.settle()
        shown.picture(file)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.live.pictures", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=GUIDE)
    folder: Path = parser.parse_args(arguments).folder
    with TemporaryDirectory(prefix="live-") as runtime:
        os.environ["XDG_RUNTIME_DIR"] = runtime
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(shop()) as served:
            page(served, folder / "live-page.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
