"""`supervise top --once`: the table as plain text, once, with its rates."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final, TextIO

from supervise.live.table import Table, lines

if TYPE_CHECKING:
    from supervise.live.client import Client

PATIENCE: Final = 3
"""Parts of a stream after which it is shown as it is: a loop that is blocked lets no second look be taken."""


def show(client: Client, every: float) -> int:
    """Look twice, since rates are of the time in between."""
    table = Table()
    for number, (kind, data) in enumerate(client.stream(every=every), 1):
        before = table.seen
        table.apply(kind, data)
        if (number > 1 and table.seen > before) or table.blocked or number >= PATIENCE or not table.tree.get("live"):
            break
    client.hang_up()
    write(lines(table, shutil.get_terminal_size((120, 24)).columns, ascii=not is_unicode(sys.stdout)), sys.stdout)
    return 0


def is_unicode(out: TextIO) -> bool:
    """Whether it takes the signs that we draw with."""
    return (out.encoding or "").lower().replace("-", "").startswith("utf")


def write(texts: list[str], out: TextIO) -> None:
    """Print them; a reader that has seen enough, as `head` has, is no error."""
    if reconfigure := getattr(out, "reconfigure", None):
        reconfigure(errors="replace")
    try:
        for text in texts:
            print(text, file=out)
        out.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
