"""Logs as `json_handler` writes them, made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TRACE = "0af7651916cd43dd8448eb211c80319c"


def record(second: float, actor: str | None, message: str, **more: Any) -> str:
    """One line; `more` is added to it, or stands instead of what it would say."""
    whole = {"time": f"2026-03-01T10:00:{second:09.6f}+00:00", "level": "INFO", "message": message, **more}
    return json.dumps(whole | ({} if actor is None else {"actor": actor})) + "\n"


def started(second: float, actor: str, incarnation: int = 1) -> str:
    message = f"{actor} #{incarnation} started"
    return record(second, actor, message, level="DEBUG", incarnation=incarnation, event={"event": "Started"})


def log(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "app.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


STORY = (
    record(1, "app/a", "hello", incarnation=1),
    record(2.25, "app/b", "in b", incarnation=1),
    record(3, "app/a", "app/a #1 ended: crashed (Boom)", incarnation=1, level="WARNING"),
    record(4, None, "outside"),
)
