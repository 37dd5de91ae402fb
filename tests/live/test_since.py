"""Since when a message is in hand, as it is told of one actor: that is a lower bound, also between two surveys."""

from __future__ import annotations

import anyio

from supervise import Supervisor, child
from supervise.live import Client

from .served import live


class Worker:
    def __init__(self) -> None:
        self.go_on = anyio.Event()

    async def wait(self) -> None:
        await self.go_on.wait()

    async def hold(self) -> None:
        await anyio.sleep_forever()


def test_of_another_message_than_the_last_survey_saw_it_is_another_instant() -> None:
    made: list[Worker] = []

    def make() -> Worker:
        made.append(Worker())
        return made[0]

    with live(Supervisor("app", child(make, name="a", stop_within=0))) as tree:
        client = Client(tree.url)
        tree.send("a", Worker.wait)
        [_, row] = client.snapshot()["rows"]
        assert row["hand"] == ["Worker.wait"]
        assert client.actor("a")["row"]["hand_since"] == row["hand_since"]
        tree.send("a", Worker.hold)
        tree.portal.call(made[0].go_on.set)
        now = client.actor("a")["row"]
        assert now["hand"] == ["Worker.hold"]
        assert now["hand_since"] > row["hand_since"]
