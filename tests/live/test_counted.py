"""What rows and sums count: restarts that still count against a supervisor's limit, and each message of a pool once."""

from __future__ import annotations

import anyio
import pytest

from supervise import Intensity, Supervisor, child, pool
from supervise.live.survey import Survey
from supervise.tree.running import RunningSupervisor
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio


def survey_of(app: RunningSupervisor) -> Survey:
    survey = Survey(app._branch)
    assert survey.go_on(60.0)
    return survey


async def test_restarts_of_a_supervisor_are_those_that_count_now() -> None:
    tree = Supervisor("app", child(Scribe, name="scribe"), intensity=Intensity(5, per=10.0))
    async with tree as app:
        for _ in range(3):
            await app.find("scribe").send(Scribe.crash)
            await anyio.sleep(2.0)
        assert survey_of(app).rows[0].restarts == 3
        await anyio.sleep(5.0)
        assert survey_of(app).rows[0].restarts == 2
        await anyio.sleep(100.0)
        assert survey_of(app).rows[0].restarts == 0


async def test_the_messages_of_a_pool_are_counted_once_in_sums() -> None:
    async with Supervisor("app", pool(Scribe, size=3, name="scribes")) as app:
        for n in range(7):
            await app.find("scribes").call(Scribe.note, n)
        (sums,) = survey_of(app).sums.values()
        assert (sums.type, sums.actors, sums.handled, sums.accepted, sums.down) == ("Scribe", 3, 7, 7, 0)
