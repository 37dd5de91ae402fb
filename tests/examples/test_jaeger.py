"""examples/jaeger: what its README says can be typed, and what it names exists.

Tested: its commands run, with a collector of our own in Jaeger's place; its tags are keys of `supervise.spans.attributes`;
Jaeger is reached from this machine only, under the addresses that the README names. With a real Jaeger, where there is one:
each search finds what the README says, a crash looks as it is drawn there, and there are the edges that it names.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

from supervise.spans import attributes
from tests.collector import Collector
from tests.jaeger import Jaeger
from tests.span_tree import span_tree

ROOT = Path(__file__).parents[2]
README = (ROOT / "examples" / "jaeger" / "README.md").read_text(encoding="utf-8")
COMPOSE = (ROOT / "examples" / "jaeger" / "compose.yaml").read_text(encoding="utf-8")
GUARD = 90.0


def commands() -> list[str]:
    return re.findall(r"^ *(supervise .*)$", README, re.MULTILINE) + re.findall(r"`(supervise (?:demo|columns) .*?)`", README)


def type_it(command: str, endpoint: str, folder: Path) -> None:
    """As a reader does, but for the port."""
    done = subprocess.run(
        [sys.executable, "-m", "supervise.cli.main", *shlex.split(command.replace("http://127.0.0.1:4318", endpoint))[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"},
        text=True,
        capture_output=True,
        timeout=GUARD,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), command


def test_its_commands_can_be_typed(tmp_path: Path) -> None:
    shown = commands()
    assert [command.split()[1] for command in shown] == ["demo", "demo", "demo", "columns"]
    with Collector() as collector:
        for command in shown:
            type_it(command, collector.endpoint, tmp_path)
    assert "chat/rooms/lobby" in (tmp_path / "chat.html").read_text(encoding="utf-8")


def test_each_search_finds_what_it_says_and_a_crash_looks_as_drawn(jaeger: Jaeger, tmp_path: Path) -> None:
    type_it(commands()[0], jaeger.endpoint, tmp_path)
    assert len(jaeger.traces("chat", error="true")) == 6
    searches = re.findall(r"^ *\| .* \| (all|`[^`]+`) \| `([^`]+)` \| (\d+)( or more)? \|$", README, re.MULTILINE)
    assert len(searches) == 5
    for operation, tags, number, or_more in searches:
        asked = {name.replace(".", "__"): value for name, _, value in (tag.partition("=") for tag in tags.split())}
        found = len(jaeger.traces("chat", None if operation == "all" else operation.strip("`"), **asked))
        assert found >= int(number) if or_more else found == int(number), (operation, tags, found)
    said = [trace for trace in jaeger.traces("chat", "restart Room") if trace.spans[0].name == "send Room.say"]
    drawn = {re.sub(r"  [A-Z].*| *! exception\n", "", span_tree(trace.spans)) for trace in said}
    assert drawn == {textwrap.dedent(re.findall(r"^ *send Room\.say\n(?: +\w+ [\w.]+\n)+", README, re.MULTILINE)[0]).rstrip()}


def test_the_edges_that_it_names_are_there(jaeger: Jaeger, tmp_path: Path) -> None:
    [command] = [command for command in commands() if "--actor-services" in command]
    type_it(command, jaeger.endpoint, tmp_path)
    named = set(re.findall(r"`(chat/\w+)` -> `(chat/\w+)`", README))
    assert len(named) == 3
    assert named | {("chat/Supervisor", "chat/Room")} <= jaeger.edges()
    assert {service for edge in named for service in edge} <= jaeger.services()


def test_its_tags_are_ours() -> None:
    keys = {value for value in vars(attributes).values() if isinstance(value, str)}
    named = set(re.findall(r"`(supervise\.(?:actor|mailbox|supervisor|restart|start|stop)\.[a-z.]+)", README))
    assert attributes.ACTOR_PATH in named
    assert named <= keys


def test_jaeger_is_reached_from_this_machine_only_and_under_the_addresses_that_are_named() -> None:
    ports = re.findall(r'- "([\d.]+):(\d+):\2"', COMPOSE)
    assert len(ports) == COMPOSE.count('- "')
    assert {address for address, _ in ports} == {"127.0.0.1"}
    assert {f"http://{address}:{port}" for address, port in ports} == set(re.findall(r"http://[\d.:]+\d", README))
