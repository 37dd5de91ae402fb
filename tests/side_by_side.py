"""Tests that wait for processes, several at a time: they all begin with the first of them in their module.

They make no threads of their own: each test of the suite looks whether one is left, and would see those of its neighbours.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pytest

AT_ONCE = 4  # each takes a second of a processor to begin

Begun = dict[str, "Future[None]"]


def side_by_side(check: Callable[..., None]) -> Callable[..., None]:
    """Make a function of its own parameters alone, no fixtures, a test that runs beside others."""

    def test(*, request: pytest.FixtureRequest, begun: Begun, **_: Any) -> None:
        begun[request.node.nodeid].result()

    own = inspect.signature(check).parameters.values()
    ours = [one for one in inspect.signature(test).parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    test.__dict__.update(__signature__=inspect.Signature([*ours, *named]), check=check)
    test.__name__, test.__qualname__, test.__module__ = check.__name__, check.__qualname__, check.__module__
    return test


@pytest.fixture(scope="module")
def begun(request: pytest.FixtureRequest) -> Iterator[Begun]:
    """All tests of the module that were chosen, by their ids."""
    chosen = cast("list[Any]", request.session.items)
    module: object = cast("Any", request).module
    ours = [one for one in chosen if one.module is module and hasattr(one.function, "check")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            one.nodeid: pool.submit(one.function.check, **(one.callspec.params if hasattr(one, "callspec") else {}))
            for one in ours
        }
