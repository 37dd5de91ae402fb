"""What a served tree would tell, made by hand: frames of a stream, for tests that need no tree."""

from __future__ import annotations

from typing import Any

from supervise.live.table import Table


def row(path: str, **fields: Any) -> dict[str, Any]:
    return {"path": path, **fields}


def supervisor(path: str, **fields: Any) -> dict[str, Any]:
    return row(path, **{"kind": "supervisor", "type": "one_for_one", "limit": 3, **fields})


def head(seen: float, **fields: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "schema": 1,
        "at": seen,
        "seen": seen,
        "tree": {
            "name": "shop",
            "pid": 7,
            "up": 7200.0,
            "live": True,
            "ready": True,
            "degraded": False,
            "why": [],
            "ended": "",
        },
        "operate": True,
        "loop": {"lag": 0.002, "blocked": None},
        "cpu": 0.11,
        "totals": {"actors": 3, "queued": 5, "handled": 0, "failed": 0},
        "all": True,
    }
    return usual | fields


def snapshot(seen: float, *rows: dict[str, Any], **fields: Any) -> tuple[str, dict[str, Any]]:
    return "snapshot", {**head(seen, **fields), "rows": [*rows]}


def change(
    seen: float, *rows: dict[str, Any], gone: tuple[str, ...] = (), events: tuple[Any, ...] = (), missed: int = 0, **fields: Any
) -> tuple[str, dict[str, Any]]:
    more = {"rows": [*rows], "gone": [*gone], "events": [*events], "missed": missed}
    return "change", {**head(seen, **fields), **more}


def event(path: str, text: str, **fields: Any) -> dict[str, Any]:
    told = {"event": "Started", "path": path, "time": "2031-05-06T07:08:09.123Z", "level": "INFO", "text": text}
    return told | fields


def table_of(*frames: tuple[str, dict[str, Any]]) -> Table:
    table = Table()
    for kind, data in frames:
        table.apply(kind, data)
    return table


def shop(seen: float = 100.0, **fields: Any) -> tuple[str, dict[str, Any]]:
    """A small tree, in its order."""
    return snapshot(
        seen,
        supervisor("shop", limit=50, restarts=3),
        row("shop/db", type="Db", capacity=1000),
        supervisor("shop/rooms"),
        row("shop/rooms/a", type="Room", capacity=5),
        row("shop/rooms/b", type="Room"),
        row("shop/web", type="Web"),
        **fields,
    )


def paths(table: Table) -> list[str]:
    return [entry.row.path for entry, _ in table.shown()]
