"""Exceptions whose own attributes lie or raise: the crash is decided as any other, and the exit hook is given the error.

Tested (SEMANTICS 65): raised by a handler, a task of the nursery, and by what is cancelled; neighbours live on.
"""

from __future__ import annotations

from typing import Any, NoReturn

import anyio
import pytest

from supervise import ActorCrashed, Intensity, Supervisor, child, current
from supervise.testing.virtual_time import at_rest
from tests.doubles import Outcomes, Scribe

pytestmark = pytest.mark.anyio


def _raises(*_: object) -> NoReturn:
    raise SystemExit(8)


def _none(_: object) -> int:
    return 0


def hostile(attribute: str) -> type[Exception]:
    if attribute == "empty":  # as a group of errors that is a container, and holds none
        return type("Hostile", (Exception,), {"__len__": _none})
    method = attribute.endswith(("bool__", "len__", "getattribute__"))
    return type("Hostile", (Exception,), {attribute: _raises if method else property(_raises)})


class Patient:
    def __init__(self, hooks: list[Any]) -> None:
        self._hooks = hooks

    async def __aenter__(self) -> Patient:
        return self

    async def __aexit__(self, kind: object, error: object, _: object) -> None:
        self._hooks.append((kind, error is not None))

    async def handler(self, kind: type[Exception]) -> None:
        raise kind("x")

    async def nursery(self, kind: type[Exception]) -> None:
        async def fail() -> None:
            raise kind("x")

        current().nursery.start_soon(fail)
        await anyio.sleep(100)

    async def cancelled(self, kind: type[Exception]) -> None:
        try:
            await anyio.sleep(100)
        finally:
            raise kind("late")

    def ok(self) -> int:
        return current().incarnation


@pytest.mark.parametrize("way", ["handler", "nursery", "cancelled"])
@pytest.mark.parametrize(
    "attribute", ["empty", "__bool__", "__len__", "__traceback__", "__cause__", "__context__", "__getattribute__"]
)
async def test_a_crash_is_decided_whatever_its_error_says_of_itself(
    attribute: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    hooks: list[Any] = []
    kind = hostile(attribute)
    children = child(Patient, hooks, name="patient"), child(Scribe, name="neighbour")
    async with Supervisor("app", *children, intensity=Intensity(100)) as app, anyio.create_task_group() as group:
        patient, outcomes = app.find("patient"), Outcomes(group)
        await outcomes.watch("call", patient.call(getattr(Patient, way), kind))
        await at_rest()
        if way == "cancelled":
            app.kill("patient")
        await at_rest()
        assert isinstance(outcomes.of["call"], ActorCrashed)
        assert await patient.call(Patient.ok) == 2
        assert [given for _, given in hooks] == [True]
        if way == "handler":
            assert hooks[0][0] is kind
        assert app.get_childspec("neighbour").incarnation == 1
        assert app.ended is None
    assert "a bug in supervise" not in caplog.text
