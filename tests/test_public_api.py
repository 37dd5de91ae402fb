"""The surface is pinned: what is public is public on purpose, stands in one place, and says what it does."""

from __future__ import annotations

import inspect
import pydoc

import pytest

import supervise
import supervise_strategies

# fmt: off
PINNED = [
    "Account", "ActorCrashed", "ActorRestarting", "ActorStopped", "Address", "AddressLike", "AdminError",
    "AutoShutdown", "CallCycle", "CallError", "Child", "ChildAlreadyPresent", "ChildAlreadyStarted",
    "ChildCount", "ChildInfo", "ChildNotFound", "ChildOptions", "ChildRestarting", "ChildRunning",
    "ChildStartFailed", "ChildState", "ChildUnstoppable", "Crashed", "Current", "Decision",
    "DynamicSupervisor", "TreeEnded", "ExitKind", "ExitReason", "Ended", "Factory", "GaveUp", "IgnoreStart",
    "ImmortalLoopWarning", "Intensity", "InvalidSpec", "MailboxClosed", "MailboxFull", "Message",
    "NoActor", "NotAHandler", "NotForDynamic", "Nursery", "OpenMailbox", "Recipient", "Restart",
    "RunningSupervisor", "SendError", "StartFailed", "Strategy", "StrategyError", "SuperviseError",
    "Supervisor", "SupervisorNotRunning", "Task", "Timer", "Timers", "TooManyChildren", "UnknownHandler", "Unsupervised",
    "WeakAddress", "WouldDeadlock", "child", "current", "open_mailbox",
    "FromThread", "MessageDropped", "MessageQueue", "Throttle", "concurrent",
    "task",
    "Down", "HandlerLate", "Monitor", "Pong", "SubscriberTooSlow", "Subscription",
    "ChildTemporary", "Explanation", "Operator",
]
# fmt: on


def test_the_names_of_supervise_are_pinned() -> None:
    assert sorted(supervise.__all__) == sorted(PINNED)


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


def shown_by_help(thing: object) -> list[str]:
    return [line.lstrip(" |") for line in pydoc.plain(pydoc.render_doc(thing)).splitlines()]


@pytest.mark.parametrize(
    "function", [supervise.child, supervise.RunningSupervisor.start, supervise.RunningSupervisor.start_task]
)
def test_help_shows_each_option_of_a_child_with_its_text(function: object) -> None:
    shown = shown_by_help(function)
    for option in supervise.ChildOptions.__annotations__:
        texts = [line.partition(": ")[2] for line in shown if line.startswith(f"{option}: ")]
        assert len(texts) == 1, f"{option} stands {len(texts)} times in help()"
        assert len(texts[0]) > 10


def test_help_shows_each_option_of_a_supervisor_with_its_text() -> None:
    shown = shown_by_help(supervise.Supervisor)
    for option in set(inspect.signature(supervise.Supervisor.__init__).parameters) - {"self", "name", "children"}:
        texts = [line.partition(": ")[2] for line in shown if line.startswith(f"{option}: ")]
        assert len(texts) == 1, f"{option} stands {len(texts)} times in help()"
        assert len(texts[0]) > 10
    assert any(line.startswith("max_children: ") for line in shown_by_help(supervise.DynamicSupervisor))
