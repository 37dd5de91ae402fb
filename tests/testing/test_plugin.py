"""The pytest plugin, in fresh processes, as users have it.

Tested: installed, it changes nothing for a suite that doesn't ask for its fixtures, and imports neither supervise nor trio;
with `virtual_backend` a suite runs in virtual time on both backends, and a deadlock fails; without trio installed, trio's half
is skipped; `nothing_left_over` finds what is left; the entry point is the one that is tested here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANG_GUARD = 120  # seconds; each takes two
ENTRY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]["pytest11"]

LOADED = """
import json, pathlib, sys

def test_what_is_loaded(pytestconfig, request):
    fixtures = sorted(request.session._fixturemanager._getautousenames(request.node))
    plugins = sorted(name for name, _ in pytestconfig.pluginmanager.list_name_plugin())
    pathlib.Path("loaded.json").write_text(json.dumps([sorted(sys.modules), fixtures, plugins]))
"""

CONFTEST = """
import pytest

@pytest.fixture
def anyio_backend(virtual_backend):
    return virtual_backend
"""

SUITE = """
import anyio, pytest

pytestmark = pytest.mark.anyio

async def test_a_year_passes_at_once():
    began = anyio.current_time()
    await anyio.sleep(365 * 86400)
    assert anyio.current_time() - began == pytest.approx(365 * 86400)

async def test_a_lost_wake_up():
    await anyio.Event().wait()

class TestInAClass:
    async def test_a_lost_wake_up(self):
        await anyio.Event().wait()

def test_without_a_loop():
    pass
"""

LEFT = """
import asyncio, anyio, pytest, trio

async def leave(name):
    spawn = trio.lowlevel.spawn_system_task if name == "trio" else asyncio.get_running_loop().create_task
    kept.append(spawn(anyio.sleep_forever) if name == "trio" else spawn(anyio.sleep_forever()))

kept = []

@pytest.mark.anyio
@pytest.mark.usefixtures("nothing_left_over")
async def test_asked(anyio_backend_name):
    await leave(anyio_backend_name)

@pytest.mark.anyio
async def test_not_asked(anyio_backend_name):
    await leave(anyio_backend_name)

@pytest.mark.usefixtures("nothing_left_over")
def test_without_a_loop():
    pass
"""


def run(folder: Path, *options: str, **files: str) -> str:
    """pytest in a folder of its own, without this project's configuration, with the plugin as an installed entry point."""
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    info = folder / "supervise_pytest_test-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: supervise-pytest-test\nVersion: 1\n", encoding="utf-8")
    lines = [f"{name} = {value}" for name, value in ENTRY.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (folder, ROOT, ROOT / "strategies")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "--tb=line", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_GUARD,
        check=False,
    )
    return done.stdout + done.stderr


def results(output: str) -> dict[str, str]:
    return {test: result for result, test in re.findall(r"^(PASSED|FAILED|ERROR) \S+?::(\S+)", output, re.MULTILINE)}


def test_the_entry_point_has_the_modules_name_so_that_it_is_never_loaded_twice() -> None:
    assert ENTRY == {"supervise_pytest": "supervise_pytest"}


def test_a_suite_that_asks_for_nothing_gets_nothing(tmp_path: Path) -> None:
    seen: dict[bool, tuple[list[str], list[str], list[str]]] = {}
    for with_plugin in (True, False):
        options = ["-p", "no:hypothesispytest", "-p", "no:anyio", *([] if with_plugin else ["-p", "no:supervise_pytest"])]
        output = run(tmp_path, *options, test_loaded=LOADED)
        assert results(output) == {"test_what_is_loaded": "PASSED"}, output
        seen[with_plugin] = tuple(json.loads((tmp_path / "loaded.json").read_text(encoding="utf-8")))
    modules, fixtures, plugins = seen[True]
    assert "supervise_pytest" in plugins, "it isn't there: this proves nothing"
    assert set(modules) - set(seen[False][0]) == {"supervise_pytest"}
    assert not [name for name in modules if name.split(".")[0] in ("supervise", "supervise_strategies", "trio", "anyio")]
    assert fixtures == seen[False][1], "a fixture that nobody asked for"


def test_a_suite_in_virtual_time_on_both_backends(tmp_path: Path) -> None:
    output = run(tmp_path, conftest=CONFTEST, test_suite=SUITE)
    assert results(output) == {
        "test_a_year_passes_at_once[asyncio]": "PASSED",
        "test_a_year_passes_at_once[trio]": "PASSED",
        "test_a_lost_wake_up[asyncio]": "FAILED",
        "test_a_lost_wake_up[trio]": "FAILED",
        "TestInAClass::test_a_lost_wake_up[asyncio]": "FAILED",
        "TestInAClass::test_a_lost_wake_up[trio]": "FAILED",
        "test_without_a_loop": "PASSED",
    }, output
    assert output.count("TimeoutError") >= 4, output


def test_without_trio_its_half_is_skipped(tmp_path: Path) -> None:
    trio = "raise ModuleNotFoundError('No module named trio', name='trio')"
    output = run(tmp_path, "-k", "year or without", conftest=CONFTEST, test_suite=SUITE, trio=trio)
    assert results(output) == {"test_a_year_passes_at_once[asyncio]": "PASSED", "test_without_a_loop": "PASSED"}, output
    assert "trio isn't installed: pip install trio" in output


def test_what_is_left_over_is_an_error_for_whoever_asks(tmp_path: Path) -> None:
    output = run(tmp_path, conftest=CONFTEST, test_left=LEFT)
    assert results(output) == {
        "test_asked[asyncio]": "ERROR",
        "test_asked[trio]": "ERROR",
        "test_not_asked[asyncio]": "PASSED",
        "test_not_asked[trio]": "PASSED",
        "test_without_a_loop": "PASSED",
    }, output
