"""One actor's detail: what it costs who is looked at, and by which clock it is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from supervise import Supervisor, child
from supervise.live import Client, serve
from supervise.live import detail as details
from tests.real_clock import on_the_real_clock

from .asked import ask

pytestmark = [pytest.mark.anyio, on_the_real_clock]


class Idle:
    """It has nothing to do."""


async def test_its_instant_is_of_the_trees_clock_though_no_survey_was_taken(runtime: Path) -> None:
    tree = Supervisor("app", child(Idle, name="idle"))
    async with tree as app, serve(app, runtime / "app.sock"):
        client = Client(runtime / "app.sock")
        before = app._branch.tree.backend.now()
        assert before - 0.001 <= (await ask(client.actor, "idle"))["at"] <= app._branch.tree.backend.now()


async def test_an_explanation_is_made_again_only_when_it_has_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    made: list[str] = []

    def explained(_: object, path: str) -> str:
        nonlocal now
        made.append(path)
        now += 0.1  # as of a child with thousands of siblings
        return f"{path}, {len(made)}"

    monkeypatch.setattr(details, "_explained", explained)
    monkeypatch.setattr(details, "time", SimpleNamespace(perf_counter=lambda: now))
    explanations = details.Explanations()
    async with Supervisor("app") as app:
        assert explanations.of(app, "a") == "a, 1"
        now += 9.9
        assert explanations.of(app, "a") == "a, 1"
        now += 0.2
        assert explanations.of(app, "a") == "a, 2"
        assert explanations.of(app, "b") == "b, 3"  # another one has never been told
    assert made == ["a", "a", "b"]
