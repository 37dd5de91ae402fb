"""Streams of many items leave nothing. The long form is `python -m tests.actor.streams --items 1000000`."""

from __future__ import annotations

import pytest

from tests.actor import streams


@pytest.mark.anyio
async def test_memory_doesnt_grow_with_the_items_of_a_stream_and_nothing_is_left() -> None:
    assert await streams.run(20_000) == []
