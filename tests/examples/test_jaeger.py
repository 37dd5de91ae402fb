"""examples/jaeger: what its README says can be typed, and what it names exists.

Tested: its commands run, with a collector of our own in Jaeger's place; its tags are keys of `supervise.spans.attributes`;
Jaeger is reached from this machine only, under the addresses that the README names.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from supervise.spans import attributes
from tests.collector import Collector

ROOT = Path(__file__).parents[2]
README = (ROOT / "examples" / "jaeger" / "README.md").read_text(encoding="utf-8")
COMPOSE = (ROOT / "examples" / "jaeger" / "compose.yaml").read_text(encoding="utf-8")
GUARD = 90.0


def test_its_commands_can_be_typed(tmp_path: Path) -> None:
    shown = re.findall(r"^    (supervise .*)$", README, re.MULTILINE) + re.findall(
        r"`(supervise (?:demo|columns) .*?)`", README
    )
    assert [command.split()[1] for command in shown] == ["demo", "demo", "columns"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"}
    with Collector() as collector:
        for command in shown:
            arguments = shlex.split(command.replace("http://127.0.0.1:4318", collector.endpoint))[1:]
            done = subprocess.run(
                [sys.executable, "-m", "supervise.cli.main", *arguments],
                cwd=tmp_path,
                env=environment,
                text=True,
                capture_output=True,
                timeout=GUARD,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), command
    assert "chat/rooms/lobby" in (tmp_path / "chat.html").read_text(encoding="utf-8")


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
