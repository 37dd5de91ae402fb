"""A provider whose spans a collector receives, for each test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collector import Collector

from .watch import Watch


@pytest.fixture
def watch() -> Iterator[Watch]:
    with Collector() as collector:
        watch = Watch(collector)
        yield watch
        watch.close()
