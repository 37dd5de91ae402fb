"""What crosses needs msgspec where it is imported, and says how to get it; `import supervise` neither needs nor loads it."""

from __future__ import annotations

import pytest

from tests.adapters.test_extras import python
from tests.house import MODULES, imports, is_in, loaded, source_of

MODULES_OF_THE_ROOM = sorted(module for module in MODULES if is_in(module, "supervise.wire"))


@pytest.mark.parametrize(
    "module",
    ["supervise.wire", "supervise.wire.interface", "supervise.wire.codec", "supervise.remote", "supervise.remote.dial"],
)
def test_without_msgspec_it_says_how_to_get_it(module: str) -> None:
    code = f"""
import sys
sys.modules["msgspec"] = None
try:
    import {module}
except ImportError as error:
    print(error)
"""
    room = ".".join(module.split(".")[:2])
    assert python(code) == f"{room} needs msgspec: pip install msgspec"


def test_supervise_alone_loads_neither_msgspec_nor_this_room() -> None:
    for statement in ("import supervise", "import supervise.testing, supervise.telemetry, supervise.live.server"):
        assert not [
            module for module in loaded(statement) if module.startswith(("msgspec", "supervise.wire", "supervise.remote"))
        ]


@pytest.mark.parametrize("module", MODULES_OF_THE_ROOM)
def test_nothing_here_reads_a_socket_a_clock_or_waits(module: str) -> None:
    tops = {found.module.partition(".")[0] for found in imports(module, source_of(module)) if not found.typing_only}
    assert not tops & {"anyio", "asyncio", "trio", "socket", "ssl", "select", "threading", "time"}
