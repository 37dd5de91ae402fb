"""The way that the data goes is as short as the README says, and nothing on it goes up but through a protocol.

Tested: a send enters two files; a crash goes through the rooms in the README's order; what is called in a room further up is
the owner of an incarnation, which the actor's room declares, and who is woken.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from supervise.actor.owner import Owner
from supervise.testing import virtual_time

from .walk import one_crash, one_send, walk

SLEEPER = {"done", "set_result"}
"""What a mailbox calls to wake its actor, as it would a future."""
RUN = {"_run", "_ended"}
"""What a backend was given to run as a task."""
README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_send_goes_from_the_address_to_the_loop(backend: str) -> None:
    found = virtual_time.run(backend, partial(walk, one_send))
    ways = [file for file in found.files if not file.startswith("supervise/_backends/")]
    # An actor that sleeps is woken, and handed to whoever runs those that have no task, who makes its handler's first step.
    assert [*dict.fromkeys(ways)] == [
        "supervise/address/address.py",
        "supervise/actor/incarnation.py",
        "supervise/actor/run_queue.py",
        "supervise/actor/first_step.py",
    ]
    assert {step.function for step in found.up} <= SLEEPER | RUN


def test_a_crash_goes_the_way_that_the_readme_shows(backend: str) -> None:
    told = README.partition("prints every step")[2].partition("\n\n")[0]
    way = [
        part if part.startswith("supervise_strategies/") else f"supervise/{part}"
        for part in re.findall(r"`([\w/]+\.py)`", told)
    ]
    assert len(way) > 5
    walked = iter(virtual_time.run(backend, partial(walk, one_crash)).files)
    assert [file for file in way if file not in walked] == []  # each is looked for behind the one before it


def test_what_is_called_further_up_is_an_owner(backend: str) -> None:
    found = virtual_time.run(backend, partial(walk, one_crash))
    place = "supervise/tree/place.py"
    of_an_owner = {step.function for step in found.up if (step.by.split("/")[1], step.to) == ("actor", place)}
    assert of_an_owner <= set(vars(Owner))
    assert of_an_owner
    assert {step.function for step in found.up} - of_an_owner <= SLEEPER | RUN
