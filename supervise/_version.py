"""Which version of the package runs: what pyproject.toml says, which is the one place that it is written in.

Nothing of it is read before somebody asks for `supervise.__version__`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "supervise-actors"
UNKNOWN: Final = "0+unknown"  # a copy of the bare package; versions can be compared with it


@cache
def version() -> str:
    """A checkout's own, whatever is installed beside it; else that of the distribution; `0+unknown` if there is neither."""
    return _of_checkout(Path(__file__).parents[1] / "pyproject.toml") or _of_distribution() or UNKNOWN


def _of_checkout(file: Path) -> str | None:
    import tomllib

    try:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        return str(project["version"]) if project["name"] == DISTRIBUTION else None
    except (OSError, ValueError, LookupError, TypeError):  # there is none, or it is that of who has copied the package
        return None


def _of_distribution() -> str | None:
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except (metadata.PackageNotFoundError, LookupError):  # a damaged one may have no version
        return None
