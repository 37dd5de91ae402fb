"""`supervise run --metrics` and `supervise demo --metrics`, in real processes, from the side of who scrapes.

Tested: Prometheus' text is served from the start to the end, on IPv6 too; it keeps nothing alive, and is read while the loop is
blocked; a port that is taken, addresses that aren't any, an exporter that isn't there, each one line with the cure, status 2;
metrics that the tree has of its own; nothing is imported that wasn't asked for.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry import metrics
from prometheus_client.parser import text_string_to_metric_families

from supervise.telemetry.prometheus import Prometheus
from tests.cli.test_run import GUARD, ROOT, on_both, running, until
from tests.cli.test_stop_in_traffic import number_after
from tests.house import loaded
from tests.side_by_side import begun, side_by_side

__all__ = ("begun",)
ANY = "127.0.0.1:0"


def scraped(url: str) -> str:
    with urllib.request.urlopen(url, timeout=GUARD) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain")
        text: bytes = answer.read()
        return text.decode()


def samples(text: str) -> dict[tuple[str, frozenset[str]], float]:
    """The numbers, by name and the values of their labels, without those that tell of the library."""
    return {
        (sample.name, frozenset(value for name, value in sample.labels.items() if value and not name.startswith("otel_"))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def url_of(process: subprocess.Popen[str]) -> str:
    port = number_after(process, r"^supervise: metrics at http://127.0.0.1:(\d+)/metrics$", "stderr")
    return f"http://127.0.0.1:{port}/metrics"


@contextmanager
def serving(tree: str, *arguments: str) -> Generator[tuple[subprocess.Popen[str], str], None, None]:
    with running(tree, *arguments, "--metrics", ANY) as process:
        yield process, url_of(process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=GUARD)
        assert process.returncode == 0


@on_both
@side_by_side
def test_metrics_are_served_until_the_end(backend: str) -> None:
    with serving("tests.cli.trees:ORDERLY", "--backend", backend) as (process, url):
        until(process, "start b")
        while (found := samples(scraped(url)))["supervise_tree_ready", frozenset()] != 1:
            pass
        assert found["supervise_actor_status", frozenset({"Loud", "running"})] == 2
        assert found["supervise_actor_restarts_total", frozenset({"Loud", "one_for_one"})] == 0
        assert "messaging_process_duration_seconds_count" not in {name for name, _ in found}
    with pytest.raises(OSError, match="refused"):
        scraped(url)


@on_both
@side_by_side
def test_durations_are_measured_for_who_asks(backend: str) -> None:
    with serving("tests.telemetry.traffic:TREE", "--backend", backend, "--metrics-durations") as (_, url):
        while ("messaging_process_duration_seconds_count", frozenset({"Worker", "supervise", "process"})) not in (
            found := samples(scraped(url))
        ):
            pass
        assert found["supervise_mailbox_wait_duration_seconds_count", frozenset({"Worker"})] > 0


@on_both
@side_by_side
def test_a_client_that_hangs_and_a_blocked_loop_keep_nothing(backend: str) -> None:
    with running("tests.cli.trees:SLOW", "--backend", backend, "--metrics", ANY, "--shutdown-budget", "0.1") as process:
        url = url_of(process)
        until(process, "start a")
        with socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))) as hanging:
            hanging.send(b"GET /met")
            assert "supervise_actor_status" in scraped(url)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=GUARD)
        assert process.returncode == 0


@side_by_side
def test_an_ipv6_address_stands_in_brackets() -> None:
    with running("tests.cli.trees:ORDERLY", "--metrics", "[::1]:0") as process:
        port = number_after(process, r"metrics at http://\[::1\]:(\d+)/metrics", "stderr")
        until(process, "start b")
        assert "supervise_tree_ready" in scraped(f"http://[::1]:{port}/metrics")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=GUARD)
        assert process.returncode == 0


@side_by_side
def test_a_port_that_is_taken_is_one_line_with_the_cure_and_status_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        with running("tests.cli.trees:ORDERLY", "--metrics", where) as process:
            out, err = process.communicate(timeout=GUARD)
    assert (process.returncode, out) == (2, "")
    assert err == (
        f"supervise: --metrics {where}: can't listen there (Address already in use): "
        "choose another port, or end what listens on this one\n"
    )


@pytest.mark.parametrize("where", ["9464", "localhost", ":9464", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", "::1:٣"])
@side_by_side
def test_what_is_no_address_is_one_line_with_the_cure_and_status_2(where: str) -> None:
    with running("tests.cli.trees:ORDERLY", "--metrics", where) as process:
        out, err = process.communicate(timeout=GUARD)
    assert (process.returncode, out) == (2, "")
    assert err == f"supervise: --metrics {where!r} isn't HOST:PORT: give both, e.g. --metrics 127.0.0.1:9464, or [::1]:9464\n"


@side_by_side
def test_durations_of_nothing_are_a_wrong_command() -> None:
    with running("tests.cli.trees:ORDERLY", "--metrics-durations") as process:
        _, err = process.communicate(timeout=GUARD)
    assert process.returncode == 2
    assert "--metrics-durations needs --metrics HOST:PORT" in err


def test_an_exporter_that_is_not_there_is_one_line_with_the_cure_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ModuleNotFoundError('No module named prometheus_client')")
    path = os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "strategies")))
    with running("tests.cli.trees:ORDERLY", "--metrics", ANY, PYTHONPATH=path) as process:
        out, err = process.communicate(timeout=GUARD)
    assert (process.returncode, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("supervise: --metrics: the exporter to Prometheus can't be imported")
    assert err.endswith("pip install opentelemetry-exporter-prometheus\n")


@side_by_side
def test_metrics_that_a_tree_has_of_its_own_are_served() -> None:
    with serving("tests.cli.observed:COUNTED") as (process, url):
        until(process, "start a")
        names = re.findall(r"^# TYPE (\S+)", scraped(url), re.MULTILINE)
        assert names.count("supervise_actor_status") == 1


@pytest.mark.parametrize(
    ("tree", "arguments", "said"),
    [
        (
            "tests.cli.observed:COUNTED_ELSEWHERE",
            (),
            "--metrics: app has metrics= of its own, for a provider that isn't served",
        ),
        ("tests.cli.observed:COUNTED", ("--metrics-durations",), "--metrics-durations: app has metrics= of its own"),
    ],
)
@side_by_side
def test_metrics_of_its_own_that_can_not_be_served_are_one_line_and_status_2(
    tree: str, arguments: tuple[str, ...], said: str
) -> None:
    with running(tree, "--metrics", ANY, *arguments) as process:
        out, err = process.communicate(timeout=GUARD)
    assert (process.returncode, out) == (2, "")
    assert said in err.splitlines()[-1]


def test_nothing_of_it_is_imported_for_who_does_not_ask() -> None:
    heavy = ("prometheus_client", "opentelemetry.exporter.prometheus", "wsgiref", "supervise.telemetry.prometheus")
    assert not [m for m in loaded("import supervise.cli.main, supervise.telemetry") if m.startswith(heavy)]
    assert "supervise.telemetry.metrics" not in loaded("import supervise.cli.main")


def test_it_can_be_closed_and_opened_again_on_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "set_meter_provider", id)  # that of this process stays as it is
    first = Prometheus("shop", "127.0.0.1", 0)
    first.provider.get_meter("shop").create_counter("sold").add(1)
    assert 'service_name="shop"' in scraped(f"http://127.0.0.1:{first.port}/metrics")
    first.close()
    second = Prometheus("shop", "127.0.0.1", first.port)
    try:
        assert scraped(f"http://127.0.0.1:{second.port}/metrics") == ""
    finally:
        second.close()
