"""The surface is pinned: what is public is public on purpose, stands in one place, and says what it does."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import pydoc
import re
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest

import supervise
import supervise_strategies
from supervise import _version

from .house import FACES, loaded

# fmt: off
PINNED = [
    "Account", "ActorCrashed", "ActorRestarting", "ActorStopped", "Address", "AddressLike", "AdminError",
    "AutoShutdown", "CallCycle", "CallError", "Child", "ChildAlreadyPresent", "ChildAlreadyStarted",
    "ChildCount", "ChildInfo", "ChildNotFound", "ChildOptions", "ChildRestarting", "ChildRunning",
    "ChildStartFailed", "ChildState", "ChildUnstoppable", "Crashed", "Current", "Decision",
    "DynamicSupervisor", "TreeEnded", "ExitKind", "ExitReason", "Ended", "Factory", "GaveUp", "IgnoreStart",
    "ImmortalLoopWarning", "Intensity", "InvalidSpec", "MailboxClosed", "MailboxFull", "Message",
    "NoActor", "NotAHandler", "NotForDynamic", "Nursery", "OpenMailbox", "Recipient", "Recorder", "Restart",
    "RunningSupervisor", "SendError", "StartFailed", "StartLate", "Strategy", "StrategyError", "SuperviseError",
    "Supervisor", "SupervisorNotRunning", "Task", "Timer", "Timers", "TooManyChildren", "UnknownHandler", "Unsupervised",
    "WeakAddress", "WouldDeadlock", "child", "current", "open_mailbox",
    "FromThread", "MessageDropped", "MessageQueue", "Throttle", "concurrent",
    "task",
    "Down", "HandlerLate", "Monitor", "Pong", "SubscriberTooSlow", "Subscription",
    "ChildAmbiguous", "ChildTemporary", "Explanation", "Operator",
    "BadCall", "CallTimeout", "Checkpoint", "Redeliver", "SendTimeout", "Undelivered", "checkpointed",
    "redelivered", "ref", "Pool", "pool", "ReplyStream", "WrongLoop", "WrongProcess", "WrongThread",
    "BadMessage", "BadReply", "CallTooDeep", "ConnectionLost", "NotServed", "Origin", "OutcomeUnknown", "ProtocolError",
    "RemoteError", "TooLarge",
]
# fmt: on


def test_the_names_of_supervise_are_pinned() -> None:
    assert sorted(supervise.__all__) == sorted(PINNED)


def test_the_version_is_that_of_pyproject_and_nobody_waits_for_it() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert supervise.__version__ == pyproject["project"]["version"]
    assert not hasattr(supervise, "__versoin__")
    assert not {"supervise._version", "tomllib"}.intersection(loaded("import supervise"))


def test_the_version_of_a_distribution_counts_where_there_is_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "pyproject.toml"
    assert _version._of_checkout(there) is None
    for text in ("[project]\nname = 'shop'\nversion = '7'", "[project]\nname = 'supervise-actors'", "no toml", "project = 1"):
        there.write_text(text, encoding="utf-8")
        assert _version._of_checkout(there) is None
    there.write_bytes(b"\xff")
    assert _version._of_checkout(there) is None

    monkeypatch.setattr(_version, "_of_checkout", dict[Path, str]().get)
    uncached = cast("Any", _version.version).__wrapped__
    monkeypatch.setattr(importlib.metadata, "version", {"supervise-actors": "1.2"}.__getitem__)
    assert uncached() == "1.2"
    monkeypatch.setattr(importlib.metadata, "version", dict[str, str]().__getitem__)
    assert uncached() == "0+unknown"


# Where else a program may import from, and what. README's table has the same modules.
# fmt: off
PATHS: dict[str, set[str]] = {
    "supervise.events": {
        "AddressDropped", "Admitted", "Asked", "Blocked", "DeadLetter", "Decided", "Event", "Raised", "Refused", "Frame",
        "Late", "LinkDown", "LinkUp", "Listener", "Lost", "Overran", "Started", "Starting", "StartFailed", "Stopped", "Stuck",
        "as_dict",
    },
    "supervise.telemetry": {
        "ActorFilter", "JsonFormatter", "Metrics", "Spans", "Tracing", "Watchdog", "configure", "json_handler", "logs",
    },
    "supervise.health": {
        "ChildHealth", "Endpoint", "Health", "Readiness", "ServiceManager", "health", "readiness", "serve",
    },
    "supervise.live": {"CantServe", "Client", "Found", "LiveError", "NoTree", "Served", "WrongFolder", "serve", "trees"},
    "supervise.testing": {
        "Chaos", "FakeAddress", "FakeNetwork", "Heard", "Holder", "NotSurvived", "Recording", "Sabotage", "Sent", "Strike",
        "Trap", "assert_story", "at_rest", "call", "chaos", "crash_on", "holders", "record", "settle", "survives",
        "virtual_time", "watch_addresses",
    },
    "supervise.testing.contract": {
        "AddressContract", "LocalAddressContract", "QueueContract", "RemoteAddressContract", "Specimen", "SpecimenApi",
    },
    "supervise.adapters.asyncio_task": {"AsyncioTask", "asyncio_task"},
    "supervise.adapters.own_thread": {"own_thread"},
    "supervise.adapters.process": {"PortTaken", "Process", "ProcessFailed", "process"},
    "supervise.adapters.pykka": {"Reference", "actor", "reference"},
    "supervise.adapters.runnable": {"runnable"},
    "supervise.adapters.service": {"Service", "service"},
    "supervise.adapters.starlette": {"lifespan"},
    "supervise.adapters.thread": {"Thread", "thread"},
    "supervise.adapters.uvicorn": {"Server", "ServerFailed", "server"},
    "supervise.remote": {
        "Admission", "Admit", "Caller", "Choose", "Connects", "Credentials", "Limits", "Listens", "Passing", "Peer",
        "Topic", "connect", "dial", "gate", "relay", "topic",
    },
    "supervise.wire": {"Interface", "RemoteAddress", "RemoteSubscription", "Served", "WireFormat"},
    "supervise_strategies": {
        "Action", "AdminError", "Answers", "AutoShutdown", "Backoff", "CancelStart", "Cause", "ChildAlreadyPresent",
        "ChildAlreadyStarted", "ChildAmbiguous", "ChildCount", "ChildInfo", "ChildNotFound", "ChildRestarting",
        "ChildRunning", "ChildSpec", "ChildStartFailed", "ChildState", "ChildTemporary", "ChildUnstoppable", "Close",
        "Decision", "Directive", "Done", "ExitKind", "ExitReason", "Explanation", "Forget",
        "ImmortalLoopWarning", "Intensity", "InvalidSpec", "NotForDynamic", "Overran", "PassUp", "Phase", "Ready",
        "Redeliver", "Reply", "Report", "Restart", "RestartType", "RestartWindow", "Start", "Stop", "StopMode", "Strategy",
        "StrategyError", "Supervision", "SupervisorNotRunning", "SupervisorSpec", "TooManyChildren", "Waits",
        "WakeAt",
        "explain",
    },
}
# fmt: on
README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", sorted(PATHS))
def test_the_public_import_paths_are_pinned(module: str) -> None:
    found = importlib.import_module(module)
    assert not [name for name in PATHS[module] if not hasattr(found, name)]
    if hasattr(found, "__all__"):
        assert set(found.__all__) == PATHS[module]


def test_the_table_of_modules_names_each_public_path() -> None:
    table = README.partition("## Where to import from")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| `")]
    named = {module.strip("`") for module, _ in rows}
    wild = {module: "supervise.adapters.*" for module in PATHS if module.startswith("supervise.adapters.")}
    inside = {"supervise.testing.contract": "supervise.testing"}
    assert named == {"supervise"} | {(wild | inside).get(module, module) for module in PATHS}


def test_each_adapter_has_a_public_path_or_is_a_part_of_others() -> None:
    there = {path.stem for path in Path(supervise.__file__).parent.glob("adapters/*.py")} - {
        "__init__",
        "facade",
        "handoff",
        "pykka_reference",
    }
    assert there == {module.rpartition(".")[2] for module in PATHS if module.startswith("supervise.adapters.")}


def test_examples_and_readme_import_from_public_paths_alone() -> None:
    examples = (Path(__file__).parents[1] / "examples").rglob("*.py")
    blocks = "\n".join(re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
    texts = {path.name: path.read_text(encoding="utf-8") for path in examples} | {"README": blocks}
    for name, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            assert not isinstance(node, ast.Import) or not any(a.name.startswith("supervise.") for a in node.names)
            if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] not in FACES:
                continue
            if name == "chat.py" and node.module == "supervise.cli.chat":  # it serves what `supervise demo` crashes
                continue
            there = PATHS | {"supervise": set(supervise.__all__)}
            strange = {alias.name for alias in node.names} - there.get(node.module or "", set())
            assert not strange, f"{name} imports {strange} from {node.module}"


def test_what_both_packages_export_is_one_and_the_same_object() -> None:
    for name in set(supervise.__all__) & set(supervise_strategies.__all__):
        assert getattr(supervise, name) is getattr(supervise_strategies, name)


@pytest.mark.parametrize("package", [supervise, supervise_strategies])
def test_nothing_public_is_missing_from_all(package: object) -> None:
    public = {n for n, v in vars(package).items() if not n.startswith("_") and not inspect.ismodule(v)}
    assert public == set(vars(package)["__all__"])


@pytest.mark.parametrize("name", sorted(set(supervise.__all__) | set(supervise_strategies.__all__)))
def test_every_public_name_and_method_teaches_its_contract(name: str) -> None:
    found = getattr(supervise, name, None) or getattr(supervise_strategies, name)
    assert inspect.getdoc(found) or not (inspect.isclass(found) or inspect.isfunction(found)), f"{name} has no docstring"
    if inspect.isclass(found):
        for method_name, method in vars(found).items():
            if inspect.isfunction(method) and not method_name.startswith("_"):
                assert inspect.getdoc(method), f"{name}.{method_name} has no docstring"


def own_members(found: type) -> dict[str, str]:
    """What `help()` says of each public method and property of a class, inherited ones of ours included; by qualified name."""
    texts: dict[str, str] = {}
    for kind in found.__mro__:
        if kind.__module__.partition(".")[0] in ("supervise", "supervise_strategies"):
            for name, member in vars(kind).items():
                function = getattr(member, "fget", None) or getattr(member, "__func__", member)
                if not name.startswith("_") and inspect.isfunction(function):
                    texts[f"{kind.__name__}.{name}"] = inspect.getdoc(function) or ""
    return texts


@pytest.mark.parametrize("name", sorted(name for name in supervise.__all__ if inspect.isclass(getattr(supervise, name))))
def test_the_first_line_of_each_method_says_what_it_does(name: str) -> None:
    for member, text in own_members(getattr(supervise, name)).items():
        first, _, more = text.partition("\n")
        assert first.endswith("."), f"{member}: {first!r} is no whole sentence"
        assert len(first) <= 88, f"{member}: {len(first)} columns"
        assert not more or more.startswith("\n"), f"{member}: its second line is blank"
        assert not first.startswith("See "), f"{member} only says where to look"


def test_the_members_that_are_looked_at_are_those_that_help_shows() -> None:
    members = own_members(supervise.Address)
    assert {"Address.clone", "_AnyAddress.call", "ControlView.pause", "MailboxView.path"} <= set(members)
    assert "Restart.permanent" in own_members(supervise.Restart)


def texts_of(option: str, thing: object) -> list[str]:
    """What stands behind the name of an option in help(); annotations, which stand there too, are quoted."""
    shown = [line.lstrip(" |").partition(": ") for line in pydoc.plain(pydoc.render_doc(thing)).splitlines()]
    return [text for name, colon, text in shown if name == option and colon and not text.startswith("'")]


@pytest.mark.parametrize(
    "function", [supervise.child, supervise.RunningSupervisor.start, supervise.RunningSupervisor.start_task]
)
def test_help_shows_each_option_of_a_child_with_its_text(function: object) -> None:
    for option in supervise.ChildOptions.__annotations__:
        texts = texts_of(option, function)
        assert len(texts) == 1, f"{option} stands {len(texts)} times in help()"
        assert len(texts[0]) > 10


@pytest.mark.parametrize("function", [supervise.child, supervise.pool])
def test_the_options_of_a_child_stand_before_the_example_of_whatever_takes_them(function: object) -> None:
    text, options, rest = (inspect.getdoc(function) or "").partition("\n\nOptions:\n")
    assert text
    assert options
    assert ">>>" not in text
    assert "ChildOptions" not in rest  # which has an example of its own


def test_help_shows_each_option_of_a_supervisor_with_its_text() -> None:
    for option in set(inspect.signature(supervise.Supervisor.__init__).parameters) - {"self", "name", "children"}:
        texts = texts_of(option, supervise.Supervisor)
        assert len(texts) == 1, f"{option} stands {len(texts)} times in help()"
        assert len(texts[0]) > 10
    assert len(texts_of("max_children", supervise.DynamicSupervisor)) == 1


def test_help_shows_each_option_of_an_open_mailbox_with_its_text() -> None:
    for option in set(inspect.signature(supervise.open_mailbox).parameters) - {"kind"}:
        texts = texts_of(option, supervise.open_mailbox)
        assert len(texts) == 1, f"{option} stands {len(texts)} times in help()"
        assert len(texts[0]) > 10


@pytest.mark.parametrize("name", ["Account", "ChildInfo", "Decision", "Redeliver", "Restart", "Recorder", "Undelivered"])
def test_what_help_says_of_a_field_is_of_one_that_is_there(name: str) -> None:
    """A line of its own for each field that isn't plain by its name: pydoc has no other place for them."""
    record = getattr(supervise, name)
    prose, _, _ = (inspect.getdoc(record) or "").partition("\n\n>>> ")
    named = re.findall(r"^(\w+): ", prose, re.MULTILINE)
    assert len(named) > 1
    assert set(named) <= set(record.__annotations__)
