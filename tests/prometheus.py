"""A real Prometheus, where one is installed: on loopback, with a folder of its own, for as long as a block lasts."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.house import ROOT

GUARD = 60.0  # seconds after which what hangs is given up
EXAMPLES = ROOT / "examples" / "observability"
SCRAPES = EXAMPLES / "prometheus.yml"
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="there is no prometheus and promtool on PATH: Debian's package `prometheus` has them",
)


class Prometheus:
    """Scrapes one target, as the example's configuration says, but more often."""

    def __init__(self, folder: Path, target: str, *, every: str = "200ms") -> None:
        config = SCRAPES.read_text(encoding="utf-8")
        assert config.count('"127.0.0.1:9464"') == config.count("scrape_interval: 5s") == 1
        config = config.replace('"127.0.0.1:9464"', f'"{target}"').replace("scrape_interval: 5s", f"scrape_interval: {every}")
        (folder / "prometheus.yml").write_text(config, encoding="utf-8")
        self._url = f"http://127.0.0.1:{free_port()}"
        self._deadline = time.monotonic() + GUARD
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self._url.removeprefix('http://')}",
                "--log.level=warn",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def until_it_looks(self, health: str) -> None:
        """Wait until it has tried to scrape its target, which is `up` or `down`."""
        while [target["health"] for target in self.ask("targets")["activeTargets"]] != [health]:
            self._wait(f"says that its target is {health}")

    def until_there_is(self, query: str) -> list[Any]:
        """Wait until a query is answered by at least one number, and say all."""
        while not (found := numbers(self.ask("query", query=query)["result"])):
            self._wait(f"answers {query}")
        return found

    def over(self, query: str, since: float, until: float) -> list[Any]:
        """The numbers that answer a query, at every tenth of a second between two instants of the clock."""
        return numbers(self.ask("query_range", query=query, start=f"{since}", end=f"{until}", step="0.1")["result"])

    def ask(self, what: str, **parameters: str) -> Any:
        """Its HTTP API. AssertionError, with its own words, for what it doesn't understand."""
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        while True:
            try:
                with urllib.request.urlopen(url, timeout=GUARD) as answer:
                    return json.load(answer)["data"]
            except urllib.error.HTTPError as error:
                if error.code != 503:  # it is starting
                    raise AssertionError(f"{parameters}: {error.read().decode()}") from error
            except OSError:
                pass
            self._wait("answers")

    def _wait(self, what_for: str) -> None:
        if self._process.poll() is not None or time.monotonic() > self._deadline:
            raise AssertionError(f"it never {what_for}: {(self._folder / 'log').read_text(encoding='utf-8')}")
        time.sleep(0.05)


def numbers(result: list[Any]) -> list[Any]:
    """What is a number, of all series that a query is answered by."""
    values = [value for series in result for _, value in series.get("values", [series.get("value")])]
    return [float(value) for value in values if value != "NaN"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
