"""The three files of the page on Kubernetes and systemd are valid, true, and fit each other.

Tested: the manifest by Kubernetes' own types, in Python and in `kubectl`; the unit by its keys and values, and by
`systemd-analyze`; the Dockerfile by a parser; that all three name the same program, ports and folder, and give it the time that
it may take; that the command of each serves, is stopped in order, also as process 1; the table of exit statuses.
"""

from __future__ import annotations

import configparser
import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from supervise.cli import main as command
from supervise.cli.ending import HURRY, LAST_DELIVERY
from supervise.tree.place import UNSTOPPABLE_AFTER
from tests.house import ROOT

from .page import GUIDE, Page
from .programs import ENVIRONMENT, HANG_GUARD, files_before, until, write

PAGE: Final = Page(GUIDE / "kubernetes-and-systemd.md")
FILES: Final = files_before(PAGE, len(PAGE.blocks))
LEFT_BEHIND: Final = UNSTOPPABLE_AFTER + HURRY
"""Seconds after the budget, in which what was cancelled may still end."""
# fmt: off
KNOWN: Final = {
    "Unit": {"Description", "Documentation", "Wants", "Requires", "After", "StartLimitIntervalSec", "StartLimitBurst"},
    "Service": {
        "Type", "NotifyAccess", "User", "Group", "DynamicUser", "WorkingDirectory", "StateDirectory", "Environment",
        "EnvironmentFile", "ExecStart", "TimeoutStartSec", "TimeoutStopSec", "WatchdogSec", "KillMode", "KillSignal", "Restart",
        "RestartSec", "RestartPreventExitStatus", "SuccessExitStatus", "NoNewPrivileges", "PrivateTmp", "ProtectSystem",
    },
    "Install": {"WantedBy", "RequiredBy", "Alias"},
}
# fmt: on
VALUES: Final = {
    "Type": r"simple|exec|forking|oneshot|notify|notify-reload|idle",
    "KillMode": r"control-group|mixed|process|none",
    "Restart": r"no|always|on-success|on-failure|on-abnormal|on-abort|on-watchdog",
    "ProtectSystem": r"yes|no|full|strict",
    r"\w+Sec": r"\d+|\d+(s|min|h)|infinity",
    r"StartLimitBurst|RestartPreventExitStatus": r"\d+",
    r"NoNewPrivileges|PrivateTmp": r"yes|no",
    r"ExecStart|WorkingDirectory": r"/.*",
}


# -- the manifest -------------------------------------------------------------------------------------------------------


def deployment(text: str = FILES["deployment.yaml"]) -> Any:
    return pytest.importorskip("yaml", reason="reads the manifest: the extra [recipes]").safe_load(text)


def pod() -> Any:
    return deployment()["spec"]["template"]["spec"]


def container() -> Any:
    [found] = pod()["containers"]
    return found


def is_a(kind: type, value: object) -> bool:
    """As isinstance(), of which a type checker would conclude that it knows nothing of what is inside."""
    return isinstance(value, kind)


def amiss(value: Any, kind: str, models: Any, where: str = "") -> Generator[str]:
    """What isn't of that type of Kubernetes' API, with its place."""
    if within := re.fullmatch(r"[Ll]ist\[(.*)\]", kind):
        if not is_a(list, value):
            yield f"{where}: {value!r} is no list"
            return
        for number, item in enumerate(value):
            yield from amiss(item, within[1], models, f"{where}[{number}]")
    elif within := re.fullmatch(r"dict\(str, (.*)\)|Dict\[str, (.*)\]", kind):  # by their version
        if not is_a(dict, value):
            yield f"{where}: {value!r} is no mapping"
            return
        for key, item in value.items():
            yield from amiss(item, within[1] or within[2], models, f"{where}.{key}")
    elif kind in ("str", "int", "bool", "float"):
        if type(value).__name__ != kind:
            yield f"{where}: {value!r} is no {kind}"
    elif kind == "object":  # a number, or a text: a port, a quantity
        if not isinstance(value, int | str):
            yield f"{where}: {value!r} is neither a number nor a text"
    else:
        model = getattr(models, kind)
        names = {there: here for here, there in model.attribute_map.items()}
        if not is_a(dict, value):
            yield f"{where}: {value!r} is no {kind}"
            return
        for key, item in value.items():
            if key not in names:
                yield f"{where}: {kind} has no {key!r}"
            else:
                yield from amiss(item, model.openapi_types[names[key]], models, f"{where}.{key}")


def wrong_in(manifest: Any) -> list[str]:
    models = pytest.importorskip("kubernetes", reason="has the types of its API: the extra [recipes]").client
    return [*amiss(manifest, "V1Deployment", models)]


def test_the_manifest_has_only_what_kubernetes_knows() -> None:
    assert wrong_in(deployment()) == []


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("replicas: 2", "replica: 2", ".spec: V1DeploymentSpec has no 'replica'"),
        ("replicas: 2", "replicas: two", ".spec.replicas: 'two' is no int"),
        ("periodSeconds: 10", "period: 10", ".spec.template.spec.containers[0].livenessProbe: V1Probe has no 'period'"),
        ("matchLabels: {app: shop}", "matchLabels: [shop]", ".spec.selector.matchLabels: ['shop'] is no mapping"),
        ("memory: 256Mi", "memory: 256", ".spec.template.spec.containers[0].resources.limits.memory: 256 is no str"),
        ("args: [--health", "args: --health #", ".spec.template.spec.containers[0].args: '--health' is no list"),
    ],
)
def test_what_kubernetes_does_not_know_would_be_seen(right: str, wrong: str, complaint: str) -> None:
    assert FILES["deployment.yaml"].count(right) == 1
    assert wrong_in(deployment(FILES["deployment.yaml"].replace(right, wrong))) == [complaint]


def test_kubectl_decodes_it_and_loses_nothing(tmp_path: Path) -> None:
    """`--local` asks no server: it decodes by the types of Kubernetes itself, and leaves out what they don't have."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl isn't here")
    (tmp_path / "deployment.yaml").write_text(FILES["deployment.yaml"], encoding="utf-8")
    set_image = [
        kubectl,
        "set",
        "image",
        "--local",
        "-f",
        "deployment.yaml",
        "shop=registry.example.org/shop:1.0.1",
        "-o",
        "json",
    ]
    done = subprocess.run(
        set_image, cwd=tmp_path, env=ENVIRONMENT | {"KUBECONFIG": "/dev/null"}, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert there["spec"]["template"]["spec"]["containers"][0].pop("image").endswith(":1.0.1")
    here = deployment()
    here["spec"]["template"]["spec"]["containers"][0].pop("image")
    assert [*lost(here, there)] == []


def lost(here: Any, there: Any, where: str = "") -> Generator[str]:
    """What stands here and not there; what has been filled in there doesn't matter."""
    if is_a(dict, here):
        for key, item in here.items():
            if key in there:
                yield from lost(item, there[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"
    elif is_a(list, here):
        for number, (one, other) in enumerate(zip(here, there, strict=True)):
            yield from lost(one, other, f"{where}[{number}]")
    elif here != there:
        yield f"{where}: {here!r} became {there!r}"


def test_what_belongs_together_in_the_manifest_is_the_same() -> None:
    spec, ports = deployment()["spec"], {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    flags = options(container()["args"])
    assert flags["--health"].endswith(f":{ports['health']}")
    assert flags["--metrics"].endswith(f":{ports['metrics']}")
    assert spec["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    probes = {name: probe["httpGet"] for name, probe in container().items() if name.endswith("Probe")}
    assert {probe["port"] for probe in probes.values()} == {"health"}
    paths = {"startupProbe": "/live", "livenessProbe": "/live", "readinessProbe": "/ready"}
    assert {name: probe["path"] for name, probe in probes.items()} == paths
    assert {mount["name"] for mount in container()["volumeMounts"]} == {volume["name"] for volume in pod()["volumes"]}


# -- the unit -----------------------------------------------------------------------------------------------------------


class Unit(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr  # keys are told apart by their case


def unit() -> Unit:
    found = Unit(delimiters="=", comment_prefixes="#", strict=True)
    found.read_string(FILES["shop.service"])
    return found


def test_the_unit_has_only_what_systemd_knows() -> None:
    found = unit()
    assert set(found.sections()) == set(KNOWN)
    for section in found.sections():
        for key, value in found[section].items():
            assert key in KNOWN[section], f"[{section}] has no {key}"
            for keys, pattern in VALUES.items():
                if re.fullmatch(keys, key):
                    assert re.fullmatch(pattern, value), f"{key}={value}"


def test_what_belongs_together_in_the_unit_is_the_same() -> None:
    service = unit()["Service"]
    environment = dict(part.split("=", 1) for part in shlex.split(service["Environment"]))
    assert environment == {"SUPERVISE_RECORDS": f"/var/lib/{service['StateDirectory']}", "PYTHONUNBUFFERED": "1"}
    assert service["ExecStart"].startswith(f"{service['WorkingDirectory']}/.venv/bin/supervise run shop:TREE ")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze isn't here")
@pytest.mark.parametrize("change", ["", "WatchdogSec=30\nWatchdog=1", "WatchdogSec=soon"])
def test_systemd_reads_it_without_a_complaint(change: str, tmp_path: Path) -> None:
    file = tmp_path / "shop.service"
    text = FILES["shop.service"].replace("/srv/shop/.venv/bin/supervise", sys.executable)  # which has to be there
    file.write_text(text.replace("WatchdogSec=30", change or "WatchdogSec=30"), encoding="utf-8")
    verify = ["systemd-analyze", "verify", "--man=no", "--generators=no", str(file)]
    done = subprocess.run(verify, text=True, capture_output=True, timeout=HANG_GUARD, check=False)
    complaints = [line for line in done.stderr.splitlines() if "shop.service" in line]
    assert bool(complaints) == bool(change), done.stderr
    assert done.returncode == 0, done.stderr


# -- the image ----------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    parse = pytest.importorskip("dockerfile_parse", reason="reads the Dockerfile: the extra [recipes]")
    parsed = parse.DockerfileParser(fileobj=io.BytesIO(FILES["Dockerfile"].encode())).structure
    return [(step["instruction"], step["value"]) for step in parsed if step["instruction"] != "COMMENT"]


def entry_point() -> list[str]:
    [(_, text)] = [step for step in instructions() if step[0] == "ENTRYPOINT"]
    words: list[str] = json.loads(text)  # the exec form is JSON; the form of a shell isn't
    return words


def test_the_dockerfile_runs_the_command_as_process_1_unprivileged() -> None:
    steps = instructions()
    names = [name for name, _ in steps]
    assert set(names) <= {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "EXPOSE", "USER", "ENTRYPOINT"}
    assert names[0] == "FROM"
    assert entry_point()[:2] == ["supervise", "run"]
    values = dict(steps)
    user = values["USER"]
    assert int(user) > 0
    assert names.index("USER") > max(number for number, name in enumerate(names) if name in ("RUN", "COPY"))
    assert any(name == "RUN" and f"--uid {user} " in value for name, value in steps)
    environment = dict(part.split("=", 1) for part in shlex.split(values["ENV"]))
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert [mount["mountPath"] for mount in container()["volumeMounts"]] == [environment["SUPERVISE_RECORDS"]]
    assert {int(port) for port in values["EXPOSE"].split()} == {port["containerPort"] for port in container()["ports"]}
    assert int(re.findall(r'"PORT", "(\d+)"', FILES["shop.py"])[0]) in {port["containerPort"] for port in container()["ports"]}
    assert {value.split()[0] for name, value in steps if name == "COPY"} == {"supervise", "shop.py"}
    [extras] = re.findall(r'"/opt/supervise\[([\w,]+)\]"', FILES["Dockerfile"])
    there = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {*extras.split(",")} <= {*there}


# -- all three ----------------------------------------------------------------------------------------------------------


def options(words: list[str]) -> dict[str, str]:
    return {words[n]: words[n + 1] for n in range(len(words) - 1) if words[n].startswith("--")}


def commands() -> dict[str, list[str]]:
    """What each level runs, without the program itself."""
    _, *of_the_unit = shlex.split(unit()["Service"]["ExecStart"])
    return {"kubernetes": [*entry_point()[1:], *container()["args"]], "systemd": of_the_unit}


def seconds(text: str) -> float:
    number, word = re.findall(r"(\d+)(\w*)", text)[0]
    return float(number) * {"": 1, "s": 1, "min": 60, "h": 3600}[word]


def test_the_time_to_stop_is_enough_on_both() -> None:
    pause = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    for level, given in (
        ("kubernetes", pod()["terminationGracePeriodSeconds"] - pause),
        ("systemd", seconds(unit()["Service"]["TimeoutStopSec"])),
    ):
        budget = float(options(commands()[level])["--shutdown-budget"])
        assert given >= budget + LEFT_BEHIND + LAST_DELIVERY, level


@contextmanager
def serving(folder: Path, words: list[str], *before: str) -> Generator[tuple[subprocess.Popen[str], int]]:
    """The command, on ports of its own, until its tree listens; with the port of its probes."""
    write(folder, FILES)
    here = [re.sub(r"^[\d.]+:\d+$", "127.0.0.1:0", word) for word in words]
    if "--health" not in here:
        here += ["--health", "127.0.0.1:0"]
    with subprocess.Popen(
        [*before, sys.executable, "-m", "supervise", *here],
        cwd=folder,
        env=ENVIRONMENT | {"PORT": "0", "SUPERVISE_RECORDS": str(folder)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process, int(until(process, r"health at http://127.0.0.1:(\d+)")[1])
        finally:
            process.kill()


def status_of(port: int, path: str) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=HANG_GUARD) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("level", ["kubernetes", "systemd"])
def test_the_command_serves_and_a_sigterm_stops_it_in_order(level: str, tmp_path: Path) -> None:
    with serving(tmp_path, commands()[level]) as (process, probes):
        until(process, "Uvicorn running")
        while status_of(probes, "/ready") != 200:
            pass  # it listens a moment before it is ready
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=HANG_GUARD)
        assert process.returncode == 0


def test_as_process_1_it_stops_in_order_at_a_sigterm(tmp_path: Path) -> None:
    alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nobody may make a namespace of processes here")
    with serving(tmp_path, commands()["kubernetes"], *alone) as (process, _):
        [first] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert re.search(r"^NSpid:\s+\d+\s+1$", Path(f"/proc/{first}/status").read_text(), re.MULTILINE)
        until(process, "Uvicorn running")
        subprocess.run(["kill", "-TERM", first], check=True)
        process.communicate(timeout=HANG_GUARD)
        assert process.returncode == 0


def test_a_start_that_waits_is_live_and_not_ready(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(
        "import anyio\nfrom supervise import Supervisor, child\n"
        "class Db:\n    async def __aenter__(self): await anyio.sleep_forever()\n    async def __aexit__(self, *_): ...\n"
        "TREE = Supervisor('shop', child(Db))\n"
    )
    with serving(tmp_path, ["run", "waits:TREE"]) as (process, probes):
        assert status_of(probes, "/ready") == 503
        while status_of(probes, "/live") != 200:
            pass  # until it has begun to start
        assert status_of(probes, "/ready") == 503
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=HANG_GUARD)
        assert process.returncode == 0


def test_the_table_of_exit_statuses_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["run", "--help"])
    told = capsys.readouterr().out
    table = PAGE.text.partition("| exit status of `supervise run` |")[2].partition("\n\n")[0]
    statuses = {int(row) for row in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert statuses == {0, 1, 2, 70, 128 + signal.SIGTERM}
    assert statuses - {143} == {int(status) for status in re.findall(r"^  (\d+) {2,}", told, re.MULTILINE)}
    assert "143 for SIGTERM" in told
    assert unit()["Service"]["RestartPreventExitStatus"] == "2"
