"""`python -m tests.live.pictures [FOLDER]`: the pictures of the guide, of a small shop that really runs.

It writes `live-page.png` and `live-top.png`, for which Chromium and Textual are needed. Default: `examples/guide`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from anyio.from_thread import start_blocking_portal

from supervise.cli.top.app import Top
from supervise.live import Client, Served, serve
from tests.browser import Browser, chromium
from tests.house import ROOT

from .shown import at_work

GUIDE: Final = ROOT / "examples" / "guide"
SIZE: Final = (1200, 520)
CELLS: Final = (120, 26)
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


def terminal(served: Served, file: Path) -> None:
    """What `supervise top` shows; Textual draws it as SVG, which a browser makes a picture of."""
    drawn = asyncio.run(_drawn(served))
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)
    assert size is not None
    program = chromium()
    assert program is not None
    with TemporaryDirectory(prefix="live-") as folder, Browser(program) as browser:
        svg = Path(folder) / "top.svg"
        svg.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL), encoding="utf-8")
        with browser.page(round(float(size[1])), round(float(size[2]))) as shown:
            shown.open(svg.as_uri())
            shown.picture(file)


async def _drawn(served: Served) -> str:
    def connect(_: str | None) -> Client:
        return Client(served.socket)

    top = Top(connect, str(served.socket), ())
    async with top.run_test(size=CELLS) as pilot:
        looks = set[int]()
        while len(looks) < LOOKS:
            await pilot.pause(0.1)
            looks.add(top.table.head.get("seq", 0))
        return top.export_screenshot(title="supervise top")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.live.pictures", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=GUIDE)
    folder: Path = parser.parse_args(arguments).folder
    with TemporaryDirectory(prefix="live-") as runtime:
        os.environ["XDG_RUNTIME_DIR"] = runtime
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(shop()) as served:
            page(served, folder / "live-page.png")
            terminal(served, folder / "live-top.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
