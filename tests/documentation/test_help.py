"""`help()` of every public name: its first line says what it does, and its example runs.

Tested: the first line of each docstring, an example in each, and that it prints what stands there, on both backends.

An example is written as at the prompt of `python -m asyncio`, where `await` and `async with` need no function. All that
`supervise` and the module itself export is imported there. It runs in virtual time, but for what waits for a thread, a process
or a socket.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import logging
import re
import traceback
from typing import Any, Final

import pytest

from tests.real_clock import on_both
from tests.test_public_api import PATHS

from .public import PUBLIC, Public

REAL_CLOCK: Final[dict[str, str]] = {
    "supervise.FromThread": "another thread",
    "supervise.Recorder": "a record is written in a thread",
    "supervise.WrongLoop": "loops in another thread",
    "supervise.WrongThread": "another thread",
    "supervise.telemetry.Watchdog": "its thread looks at the loop every so many seconds of the real clock",
    "supervise.health.serve": "a request comes by a socket, which the clock would jump over",
    "supervise.live.Client": "it waits in a thread for what comes by a socket",
    "supervise.live.serve": "its thread answers by a socket",
    "supervise.live.trees": "serving begins and ends with a thread",
    "supervise.testing.virtual_time": "a thread runs a loop of its own",
    "supervise.adapters.own_thread.own_thread": "its methods run in a thread",
    "supervise.adapters.process.PortTaken": "a look at a port is a connection",
    "supervise.adapters.process.Process": "a process runs beside the clock",
    "supervise.adapters.process.ProcessFailed": "a process runs beside the clock",
    "supervise.adapters.process.process": "a process runs beside the clock",
    "supervise.adapters.pykka.Reference": "pykka's actors are threads",
    "supervise.adapters.pykka.actor": "pykka's actors are threads",
    "supervise.adapters.pykka.reference": "pykka's actors are threads",
    "supervise.adapters.thread.Thread": "its function runs in a thread",
    "supervise.adapters.thread.thread": "its function runs in a thread",
    "supervise.adapters.uvicorn.Server": "it listens on a port",
    "supervise.adapters.uvicorn.ServerFailed": "it listens on a port",
    "supervise.adapters.uvicorn.server": "it listens on a port",
}
"""Whose examples can't run in virtual time, and why."""
ONE_BACKEND: Final[dict[str, tuple[str, str]]] = {
    "supervise.adapters.asyncio_task.AsyncioTask": ("asyncio", "trio has no such tasks"),
    "supervise.adapters.asyncio_task.asyncio_task": ("asyncio", "trio has no such tasks"),
    "supervise.adapters.uvicorn.Server": ("asyncio", "uvicorn runs on nothing else"),
    "supervise.adapters.uvicorn.ServerFailed": ("asyncio", "uvicorn runs on nothing else"),
    "supervise.adapters.uvicorn.server": ("asyncio", "uvicorn runs on nothing else"),
}
"""Whose examples run on one backend alone: on which, and why."""
SCREEN: Final = 88
"""Columns that the first line may have: with pydoc's indentation it fits on a terminal of 100."""
FLAGS: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
TAUGHT: Final = [one for one in PUBLIC if one.has_own_help]
WITH_EXAMPLE: Final = [one for one in TAUGHT if ">>>" in one.help]
MODULES: Final = [Public(module, module, importlib.import_module(module)) for module in PATHS]
BESIDE: Final = [one for one in TAUGHT if inspect.isclass(one.thing) and one.module != "supervise"]
"""The classes outside of the package's face, whose methods and properties are looked at, too."""


async def play(public: Public) -> None:
    """What a reader would type, line by line; fails at the first that prints something else."""
    printed = doctest.OutputChecker()
    names: dict[str, Any] = {"__name__": "__main__"}
    for module in ("supervise", public.module):
        exec(f"from {module} import *", names)
    names.update({public.name: public.thing, public.name.partition(".")[0]: public.thing})
    for example in doctest.DocTestParser().get_examples(public.help, str(public)):
        code = compile(example.source, f"<help of {public}>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        said = io.StringIO()
        error: BaseException | None = None
        with contextlib.redirect_stdout(said):
            try:
                result = eval(code, names)
                if inspect.iscoroutine(result):
                    await result
            except Exception as raised:
                error = raised
        if error is not None and example.exc_msg is None:
            raise error
        got, want = said.getvalue(), example.want
        if error is not None:  # with or without the name of its module
            got, want = "".join(traceback.format_exception_only(error)), example.exc_msg or ""
            got, want = (re.sub(r"^[\w.]+\.(?=\w+[:\n])", "", text) for text in (got, want))
        assert printed.check_output(want, got, FLAGS), f"{public}, of\n{example.source}printed\n{got}and not\n{want}"
        assert example.exc_msg is None or error is not None, f"{public}: {example.source} raised nothing"


@pytest.mark.parametrize("public", TAUGHT, ids=str)
def test_the_first_line_says_what_it_does(public: Public) -> None:
    first, _, more = public.help.partition("\n")
    assert first.endswith((".", ":")), f"{public}: {first!r} is no whole sentence"
    assert len(first) <= SCREEN, f"{public}: {len(first)} columns"
    assert not more or more.startswith("\n"), f"{public}: its second line is blank"


@pytest.mark.parametrize("public", TAUGHT, ids=str)
def test_there_is_an_example_that_shows_something(public: Public) -> None:
    examples = doctest.DocTestParser().get_examples(public.help, str(public))
    assert any(example.want or example.exc_msg for example in examples), f"help({public}) shows nothing that runs"


@pytest.mark.anyio
@pytest.mark.parametrize("public", [one for one in WITH_EXAMPLE if str(one) not in REAL_CLOCK], ids=str)
async def test_an_example_runs(public: Public, anyio_backend_name: str, caplog: pytest.LogCaptureFixture) -> None:
    only = ONE_BACKEND.get(str(public))
    if only is None or only[0] == anyio_backend_name:
        caplog.set_level(logging.CRITICAL, "supervise")
        await play(public)


@pytest.mark.anyio
@on_both
@pytest.mark.parametrize("public", [one for one in WITH_EXAMPLE if str(one) in REAL_CLOCK], ids=str)
async def test_an_example_runs_on_the_real_clock(
    public: Public, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    only = ONE_BACKEND.get(str(public))
    if only is None or only[0] == anyio_backend_name:
        caplog.set_level(logging.CRITICAL, "supervise")
        await play(public)


def test_each_exception_is_an_example() -> None:
    assert {*REAL_CLOCK, *ONE_BACKEND} <= {str(one) for one in WITH_EXAMPLE}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_says_what_is_in_it(module: Public) -> None:
    first, _, more = module.help.partition("\n")
    assert first.endswith("."), f"{module.name}: {first!r} is no whole sentence"
    assert len(first) <= SCREEN, f"{module.name}: {len(first)} columns"
    assert not more or more.startswith("\n"), f"{module.name}: its second line is blank"


@pytest.mark.anyio
async def test_an_example_of_a_module_runs() -> None:
    for module in MODULES:
        await play(module)


@pytest.mark.parametrize("public", BESIDE, ids=str)
def test_the_first_line_on_a_method_says_what_it_does(public: Public) -> None:
    for name, method in inspect.getmembers_static(public.thing, lambda found: not inspect.isclass(found)):
        owner = next((cls for cls in public.thing.__mro__ if name in vars(cls)), object)
        if name.startswith(("_", "test_")) or not owner.__module__.startswith("supervise"):
            continue
        if isinstance(method, property | classmethod | staticmethod) or inspect.isfunction(method):
            first, _, more = (inspect.getdoc(getattr(public.thing, name)) or "").partition("\n")
            assert first.endswith((".", ":")), f"{public}.{name}: {first!r} is no whole sentence"
            assert len(first) <= SCREEN + 4, f"{public}.{name}: {len(first)} columns"
            assert not more or more.startswith("\n"), f"{public}.{name}: its second line is blank"
