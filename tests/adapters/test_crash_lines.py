"""The traceback of a crash begins at the user's own line, also where an adapter has called it.

Tested: the record of a crash of each adapter whose work is the user's; what an adapter raises itself keeps its lines.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pykka", reason="one of the adapters adapts it")

import pykka

from supervise import Factory
from supervise.adapters.own_thread import own_thread
from supervise.adapters.process import process
from supervise.adapters.pykka import actor
from supervise.adapters.runnable import runnable
from supervise.adapters.service import service
from supervise.adapters.thread import thread
from tests.doubles import Boom
from tests.real_clock import BACKENDS

from .promises import tree


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


pytestmark = pytest.mark.anyio


class Mine:
    async def run(self) -> None:
        raise Boom("mine")

    async def ask(self) -> None:
        raise Boom("mine")

    async def nothing(self) -> None: ...


class Blocking:
    def ask(self) -> None:
        raise Boom("mine")


class OfPykka(pykka.ThreadingActor):
    def ask(self) -> None:
        raise Boom("mine")


def work() -> None:
    raise Boom("mine")


CRASHES: list[tuple[str, Callable[[], Factory[Any]], Any]] = [
    ("service", partial(service, Mine, start=Mine.nothing, stop=Mine.nothing), Mine.ask),
    ("runnable", partial(runnable, Mine), None),
    ("own_thread", partial(own_thread, Blocking), Blocking.ask),
    ("pykka", partial(actor, OfPykka), OfPykka.ask),
    ("thread", partial(thread, work, stop=None), None),
]


def files_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Those of the lines of the traceback that was logged; the same crash again has none."""
    assert caplog.text.count("Traceback") == 1
    return re.findall(r'File "([^"]+)"', caplog.text)


@pytest.mark.parametrize(("make", "message"), [crash[1:] for crash in CRASHES], ids=[crash[0] for crash in CRASHES])
async def test_it_begins_at_the_users_own_line(make: Any, message: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "pykka")
    caplog.set_level(logging.ERROR, "supervise")  # which is the level of the handler, too
    async with tree(make()) as (_, address, witness):
        if message is not None:
            await address.send(message)
        await witness.ended()
    assert files_of(caplog) == [__file__]


async def test_a_start_that_fails_begins_there_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "supervise")
    with pytest.raises(Exception, match="mine"):
        async with tree(service(Mine, start=Mine.ask, stop=Mine.nothing)):
            raise AssertionError("it runs")
    assert files_of(caplog) == [__file__]


async def test_what_an_adapter_raises_itself_keeps_its_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "supervise")
    with pytest.raises(Exception, match="no_such_program"):
        async with tree(process(["/no_such_program"])):
            raise AssertionError("it runs")
    assert Path(files_of(caplog)[0]).parent.name == "adapters"
