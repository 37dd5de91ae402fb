"""A pool under load, in short: `python -m tests.tree.loads` is the long form, and says what is looked at. SEMANTICS 77."""

from __future__ import annotations

import pytest

from .loads import load


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [1, 2])
async def test_each_message_comes_to_what_the_policy_says(seed: int) -> None:
    seen = await load(2500, seed, check_each=97)
    assert seen["dead letters"] > 5
    assert seen["handled at a second or third try"] > 10
    assert seen["resized"] > 5
    assert seen["looks with a worker in backoff"] > 3
