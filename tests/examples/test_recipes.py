"""Each recipe runs on its own, against the real thing that it is about, and shows what it says.

Tested: status, stderr and output of each, on each backend that it takes; that nobody crashes but who is meant to, at the stop
neither; what was in hand at a stop is answered; its last line asserts; it is short, says what to look for, and what has to be
installed; the index lists it. Without the package that it is about it is skipped.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tempfile
from pathlib import Path

import pytest

from tests.side_by_side import begun, side_by_side

from .scripts import ROOT, backends, run

__all__ = ("begun",)

FOLDER = ROOT / "examples" / "recipes"
RECIPES = sorted(FOLDER.glob("*.py"))
LIMIT = 80  # lines that count
# Where a package is found under another name than that by which it is installed.
INSTALLED_AS = {"grpc": "grpcio", "paho": "paho-mqtt", "sentry_sdk": "sentry-sdk"}
OURS = {"anyio", "supervise", "tenacity"}
SHOWN = {
    "consumer": r"(sends mail \d: \d\n)+done: \['mail 1', 'mail 3'.*\]; buried: \['mail two'\]; restarts: 1\n",
    "database_pool": r"an answer: CHECK constraint failed.*\nafter a crash: \[0, 1, 2, .*, 19\]  cached: 8\n",
    "logs_loguru": r"(INFO app/orders #1 place: .*\n){2}WARNING .*\nERROR app/orders #1 Orders.place: .*\n.*\nINFO .*milk\n",
    "logs_rich": r"tracebacks: 1  crashes: 2\n",
    "logs_sentry": r"error \{'actor': 'app/orders', 'incarnation': 1\} %s .*\n",
    "logs_structlog": r"(info app/orders 1 .*\n){2}warning .*\nerror app/orders 1 .*\nwarning .*\ninfo app/orders 2 an order\n",
    "grpc_server": r"tea: 2 .*\nplum: NOT_FOUND, .*\nthe connection: UNAVAILABLE, .*\ntea: 1 .*\ntea: 0 .*\n",
    "mqtt_client": r"\[20\.1, .*, 20\.5\]\n",
    "multiprocessing_worker": r"an answer: .*division.* by zero\nafter a crash: 100\n",
    "process_pool": r"0 ZeroDivisionError: .*\n1 1\.000\n2 0\.500\n3 ActorCrashed: .* BrokenProcessPool.*\n(\d 0\.\d+\n){4}",
    "web_aiohttp": r"tea: 200  plum: 404\nas the database goes away: \{.*503: \d+.*\}  then: 200\n",
}

LOGS = {"logs_loguru", "logs_rich", "logs_structlog"}  # these show on stdout what else would be on stderr

# Who crashes, and how often.
CRASHES = {
    "consumer": ("worker", {1}),
    "database_pool": ("pool", {1}),
    "grpc_server": ("stock", {1}),
    "logs_sentry": ("orders", {2}),
    "mqtt_client": ("thermometer", {2, 3}),  # the last connection may be lost before the stop, or not
    "multiprocessing_worker": ("worker", {1}),
    "process_pool": ("cpu", {2}),  # the bad job is tried twice
    "web_aiohttp": ("stock", {1}),
}


def third_party(script: Path) -> list[str]:
    """The packages that it imports and that aren't ours, nor what we need."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return sorted({name.split(".")[0] for name in named} - OURS - sys.stdlib_module_names)


def missing(script: Path) -> str:
    """The packages that it needs and that aren't installed."""
    lacking = [package for package in third_party(script) if importlib.util.find_spec(package) is None]
    return ", ".join(INSTALLED_AS.get(package, package) for package in lacking)


def unless_it_lacks(script: Path) -> pytest.MarkDecorator:
    lacks = missing(script)
    return pytest.mark.skipif(bool(lacks), reason=f"{script.name} is about {lacks}, which isn't installed")


def runs() -> list[object]:
    found: list[object] = []
    for script in RECIPES:
        skipped = unless_it_lacks(script)
        found += [pytest.param(script, each, id="-".join((script.stem, *each)), marks=skipped) for each in backends(script)]
    return found


@pytest.mark.parametrize(("script", "arguments"), runs())
@side_by_side
def test_runs_without_a_failure_or_a_warning_and_shows_what_it_says(script: Path, arguments: tuple[str, ...]) -> None:
    said = run(script, arguments)
    assert re.fullmatch(SHOWN[script.stem], said.out), said.out
    if script.stem in LOGS:
        return
    crashed = re.findall(r"^app/(\w+)[\w/]* #\d+ ended: crashed", said.err, re.MULTILINE)
    name, times = CRASHES[script.stem]
    assert set(crashed) == {name}, said.err
    assert len(crashed) in times, said.err


STOP = """
import asyncio
from examples.recipes.{recipe} import *

class Slow(Stock):
    async def take(self, item):
        in_hand.set()
        await asyncio.sleep(0.3)  # the stop begins meanwhile
        return await super().take(item)

async def check():
    global in_hand
    in_hand = asyncio.Event()
    stock = child(Slow, {{"tea": 3}})
    {check}
    print("answered:", await answer)

asyncio.run(check())
"""
IN_HAND = {
    "grpc_server": """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = child(service(Api, ref(stock), port, start=Api.start, stop=Api.stop, wait=Api.wait))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        async with Supervisor("app", stock, api):
            answer = asyncio.ensure_future(channel.unary_unary("/Stock/Take")(b"tea", timeout=10))
            await in_hand.wait()
        await asyncio.wait([answer])""",
    "web_aiohttp": """
    http = child(service(Web, ref(stock), 0, start=Web.start, stop=Web.stop))
    async with ClientSession() as client:
        async with Supervisor("app", stock, http) as app:
            port = (await app.find(http).instance()).port
            async def ask():
                async with client.post(f"http://127.0.0.1:{port}/items/tea/take") as answer:
                    return await answer.read()
            answer = asyncio.ensure_future(ask())
            await in_hand.wait()
        await asyncio.wait([answer])""",
}


@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=unless_it_lacks(FOLDER / f"{name}.py")) for name in sorted(IN_HAND)]
)
@side_by_side
def test_what_is_in_hand_at_a_stop_is_answered(recipe: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "program.py")
        program.write_text(STOP.format(recipe=recipe, check=IN_HAND[recipe].strip()), encoding="utf-8")
        assert run(program, ()).out == "answered: b'2'\n"


@pytest.mark.parametrize("script", RECIPES, ids=lambda script: script.stem)
def test_is_short_says_what_to_look_for_and_what_it_needs(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) < LIMIT
    said = ast.get_docstring(ast.parse(text)) or ""
    assert "Look for:" in said
    assert re.findall(r"`pip install ([\w-]+)`", said) == [INSTALLED_AS.get(name, name) for name in third_party(script)]


@pytest.mark.parametrize("script", RECIPES, ids=lambda script: script.stem)
def test_ends_with_an_assertion(script: Path) -> None:
    module = ast.parse(script.read_text(encoding="utf-8"))
    [main] = [part for part in module.body if isinstance(part, ast.AsyncFunctionDef) and part.name == "main"]
    last: ast.stmt = main.body[-1]
    while isinstance(last, ast.AsyncWith | ast.With):
        last = last.body[-1]
    assert isinstance(last, ast.Assert)


def test_the_index_lists_each_and_nothing_else() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| \[(\w+\.py)\]\((\w+\.py)\) \|", index, re.MULTILINE)
    assert [name for name, _ in rows] == [link for _, link in rows]
    assert sorted(name for name, _ in rows) == [script.name for script in RECIPES]
    assert {script.stem for script in RECIPES} == set(SHOWN)


def test_what_they_need_is_in_an_extra_that_the_tests_do_without() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.search(r"^recipes = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    assert extra is not None
    needed = {INSTALLED_AS.get(name, name) for script in RECIPES for name in third_party(script)}
    checks_deployment = {"kubernetes", "dockerfile-parse"}  # the guide's manifest and image
    assert set(re.findall(r'"([\w-]+)', extra[1])) == needed | checks_deployment
