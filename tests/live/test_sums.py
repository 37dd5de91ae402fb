"""The sums over all actors, which stand in the head of what is told, and by type."""

from __future__ import annotations

import pytest

from supervise import Supervisor, pool
from supervise.live.survey import Survey

pytestmark = pytest.mark.anyio


class Worker:
    async def work(self) -> None: ...


async def test_what_a_pool_handles_is_counted_once() -> None:
    async with Supervisor("app", pool(Worker, name="jobs", size=2)) as app:
        for _ in range(10):
            await app.find("jobs").call(Worker.work)
        survey = Survey(app._branch)
        while not survey.go_on():
            pass
        [sums] = survey.sums.values()
        assert (sums.type, sums.accepted, sums.handled) == ("Worker", 10, 10)
        assert sum(row.handled for row in survey.rows if row.path.startswith("app/jobs/")) == 10
        assert sums.actors == 2, "the workers: a pool is no actor itself"
