"""The description of a supervisor, as a value."""

from __future__ import annotations

import pytest

from supervise import (
    DynamicSupervisor,
    Supervisor,
    child,
)
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio


async def test_a_description_prints_as_the_tree_that_it_is() -> None:
    tree = Supervisor(
        "app",
        child(Scribe, name="db", restart="transient"),
        DynamicSupervisor("conns", max_children=7),
        strategy="rest_for_one",
    )
    assert str(tree).split("\n") == [
        "app  [rest_for_one, 3 in 5 s]",
        "  db  transient",
        "  conns  [dynamic, 3 in 5 s, at most 7 children]",
    ]
