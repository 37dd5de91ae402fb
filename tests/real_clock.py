"""The backends of tests that can't run in virtual time: what they wait for is a thread, a socket or the collector.

These are the tests that run on uvloop, too; the summary counts them. Its virtual time (`tree/jumping_uvloop.py`) is for plays.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Final

import pytest

_no_uvloop: Final = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="uvloop isn't installed: it has no wheel for this Python or platform"
)
_OF_ITSELF: Final[dict[str, Any]] = {}
BACKENDS: Final[list[Any]] = [
    pytest.param(("asyncio", _OF_ITSELF), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop", marks=_no_uvloop),
    pytest.param(("trio", _OF_ITSELF), id="trio"),
]
on_the_real_clock: Final = pytest.mark.parametrize("anyio_backend", BACKENDS)
on_both: Final = pytest.mark.parametrize("anyio_backend", [BACKENDS[0], BACKENDS[2]])
"""For what the loop's make has nothing to do with, and what takes long."""
