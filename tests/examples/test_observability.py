"""examples/observability: the dashboard shows what is exported, and all is reached under the addresses that are named.

Tested: the queries of the dashboard and of the README name series, and labels, that a scrape really finds; where there is a
Prometheus, it answers them with data, while a tree is busy and over the length of a demo, and then says that it is gone;
promtool has no complaint; the commands of the README run; each file that is mounted is there; nothing listens elsewhere than on
loopback.

A real Prometheus takes 6 s. What is exported doesn't depend on the backend, so in short a busy tree runs on trio alone, and the
demo on asyncio. What this leaves out, each of them on the other one:

    HYPOTHESIS_PROFILE=long pytest tests/examples/test_observability.py
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.test_run import GUARD
from tests.cli.test_run_metrics import scraped, serving
from tests.collector import Collector
from tests.house import ROOT
from tests.long_form import on
from tests.prometheus import EXAMPLES, SCRAPES, Prometheus, free_port, needs_prometheus

README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
COMPOSE = (EXAMPLES / "compose.yaml").read_text(encoding="utf-8")
DASHBOARD: Any = json.loads((EXAMPLES / "dashboard.json").read_text(encoding="utf-8"))
TRAFFIC = ("tests.telemetry.traffic:TREE", "--metrics-durations", "--log-level", "critical")
WINDOWS = {"$__rate_interval": "2s", "$__range": "1m", "[5m]": "[2s]", "$job": ".*", "$type": ".*"}


def shown() -> list[str]:
    """The queries of the dashboard."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def advised() -> list[str]:
    """Those of the README, without their limits, which a tree that is well doesn't reach."""
    return [re.sub(r" [<>=]+ [\d.]+$", "", query) for query in re.findall(r"^\| [^|]+ \| `(.+)` \|$", README, re.MULTILINE)]


def concrete(query: str) -> str:
    for variable, value in WINDOWS.items():
        query = query.replace(variable, value)
    assert "$" not in query
    return query


# What a scrape has when all else is there.
LAST: Final = (r'error_type="ValueError",le', r'supervise_actor_failures_total\{[^}]*error_type="ValueError"')


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """The labels of each series that a scrape finds."""
    with serving(*TRAFFIC) as (_, url):
        text = ""
        while not all(re.search(each, text) for each in LAST):  # a handler ends before its actor does
            text = scraped(url)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_there_are_queries() -> None:
    assert len(shown()) > 15
    assert len(advised()) == 5


@pytest.mark.parametrize("query", [*shown(), *advised()])
def test_a_query_names_series_and_labels_that_are_exported(query: str, exported: dict[str, set[str]]) -> None:
    named = re.findall(r"\b((?:supervise|messaging)_\w+)(?=[\[{)])", re.sub(r"by \([^)]*\)", "", query))
    assert named
    labels: set[str] = {"job"}  # which Prometheus adds
    for name in named:
        assert name in exported
        labels |= exported[name]
    wanted = re.findall(r"(\w+)=~?\"", query) + [
        label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")
    ]
    assert set(wanted) <= labels


def test_what_a_legend_shows_is_there() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= set(re.findall(r"\w+", target["expr"]))


def test_each_series_that_is_exported_is_on_the_dashboard(exported: dict[str, set[str]]) -> None:
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported if name.startswith(("supervise", "messaging"))}
    queries = " ".join(shown())
    assert [name for name in ours if name not in queries] == []


@needs_prometheus
@on("trio")
def test_a_real_prometheus_answers_each_query_with_data_while_a_tree_is_busy(backend: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        _, url = stack.enter_context(serving(*TRAFFIC, "--backend", backend))
        prometheus = stack.enter_context(Prometheus(tmp_path, url.split("/")[2]))
        prometheus.until_it_looks("up")
        found = {query: prometheus.until_there_is(concrete(query)) for query in [*shown(), *advised()]}
        for what in ("restarts_total", "failures_total", "rejections_total", "dead_letters_total", "accepted_total"):
            asked = [query for query in found if what in query]
            assert asked
            for query in asked:
                assert max(found[query]) > 0, query
        (ready,) = [query for query in shown() if "tree_ready" in query]
        assert found[ready] == [1.0]
        for variable in DASHBOARD["templating"]["list"]:
            asks = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
            assert asks is not None
            series, label = asks.groups()
            assert prometheus.until_there_is(f"count by ({label}) ({series}{{{label}!=''}})")


@needs_prometheus
def test_a_program_that_is_gone_is_told_by_what_prometheus_says_alone(tmp_path: Path) -> None:
    (gone,) = re.findall(r"`(up\{.+?)`", README)
    with ExitStack() as stack:
        with serving(*TRAFFIC) as (_, url):
            prometheus = stack.enter_context(Prometheus(tmp_path, url.split("/")[2]))
            for query in advised():
                prometheus.until_there_is(concrete(query))
            assert prometheus.ask("query", query=gone)["result"] == []
        assert prometheus.until_there_is(gone) == [0.0]
        assert prometheus.ask("query", query="supervise_tree_ready")["result"] == []


@needs_prometheus
@on("asyncio")
def test_a_real_prometheus_has_the_whole_demo(backend: str, tmp_path: Path) -> None:
    where = f"127.0.0.1:{free_port()}"
    with Prometheus(tmp_path, where, every="100ms") as prometheus:
        prometheus.until_it_looks("down")  # it scrapes, and nobody is there yet
        began = time.time()
        done = run("demo", "--backend", backend, "--metrics", where, "--metrics-durations")
        assert (done.returncode, done.stderr) == (0, f"supervise: metrics at http://{where}/metrics\n")
        ended = time.time()
        for query in [*shown(), *advised()]:
            assert prometheus.over(concrete(query), began, ended), query
        rooms = prometheus.over('sum(supervise_mailbox_accepted_total{supervise_actor_type="Room"})', began, ended)
        assert rooms == sorted(rooms)
        assert rooms[-1] > 0


@needs_prometheus
def test_promtool_has_no_complaint() -> None:
    with serving(*TRAFFIC) as (_, url):
        while "messaging_process_duration_seconds_bucket" not in (text := scraped(url)):
            pass
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=GUARD, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    checked = subprocess.run(
        ["promtool", "check", "config", str(SCRAPES)], capture_output=True, text=True, timeout=GUARD, check=False
    )
    assert checked.returncode == 0, checked.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"}
    command = [sys.executable, "-m", "supervise.cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=GUARD * 3, check=False)


def test_its_commands_can_be_typed() -> None:
    serve = shlex.split(re.findall(r"^    supervise (.*)$", README, re.MULTILINE)[0])
    assert serve[:2] == ["run", "supervise.cli.chat:TREE"]
    assert serve[2:] == ["--metrics", "127.0.0.1:9464", "--metrics-durations", "--otlp", "http://127.0.0.1:4318"]
    with Collector() as collector, serving(serve[1], "--metrics-durations", "--otlp", collector.endpoint) as (_, url):
        while "supervise_actor_status" not in scraped(url):
            pass
    (demo,) = re.findall(r"`supervise (demo .*)`", README)
    done = run(*shlex.split(demo.replace(":9464", f":{free_port()}")))
    assert done.returncode == 0, done.stderr
    (config,) = re.findall(r"`prometheus --config\.file=(\S+)`", README)
    assert ROOT / config == SCRAPES


def test_all_that_is_mounted_is_there_and_only_loopback_is_listened_on() -> None:
    mounted = re.findall(r"- \./(\S+?):/", COMPOSE)
    assert len(mounted) == 4
    assert [name for name in mounted if not (EXAMPLES / name).is_file()] == []
    ports = re.findall(r'- "([\d.]+):(\d+):\2"', COMPOSE)
    hosts = COMPOSE.count("network_mode: host")
    listening = re.findall(r"--web\.listen-address=([\d.]+):(\d+)", COMPOSE) + re.findall(r"HTTP_ADDR: (\S+)()", COMPOSE)
    assert len(listening) == hosts == 2
    assert {address for address, _ in [*ports, *listening]} == {"127.0.0.1"}
    sources = (EXAMPLES / "grafana" / "datasources.yml").read_text(encoding="utf-8")
    known = {f"http://127.0.0.1:{port}" for _, port in [*ports, *listening] if port} | {"http://127.0.0.1:3000"}
    assert set(re.findall(r"http://[\d.:]+\d", sources + README)) <= known
    assert "uid: prometheus\n" in sources
    assert {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())} == {
        "prometheus"
    }


def test_the_dashboard_is_one_that_grafana_can_lay_out() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
