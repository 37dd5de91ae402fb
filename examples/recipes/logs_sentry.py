"""Crashes in Sentry, once each, with their actor. `pip install sentry-sdk`.

Look for: nothing has to be called. Sentry's own integration takes each ERROR record, and a crash is one, with its exception, so
that the same crash is one issue. `before_send` adds whose it was. Losses and restarts are breadcrumbs of the next event. Here a
transport keeps what would be sent.
"""

import sys
from typing import Any, ClassVar

import anyio
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from sentry_sdk.types import Event, Hint

from supervise import Supervisor, child
from supervise.telemetry import logs


class Kept(Transport):
    events: ClassVar = list[Event]()

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)


def say_whose(event: Event, hint: Hint) -> Event:
    whose = logs.context(hint.get("log_record"))
    event["tags"] = {"actor": whose["actor"], "incarnation": whose["incarnation"], **event.get("tags", {})}
    return event


class Orders:
    async def place(self, item: str) -> None:
        if item == "plum":
            raise LookupError(item)


async def main() -> None:
    sentry_sdk.init("http://key@127.0.0.1:9/1", transport=Kept, before_send=say_whose)
    async with Supervisor("app", orders := child(Orders)) as app:
        for item in ("tea", "plum", "plum"):
            await app.find(orders).send(Orders.place, item)
        await app.find(orders).call(Orders.place, "milk")
    crash: Any
    [crash] = Kept.events
    print(crash["level"], crash["tags"], crash["logentry"]["message"])
    [raised] = crash["exception"]["values"]
    assert (raised["type"], raised["value"]) == ("LookupError", "plum")
    assert raised["stacktrace"]["frames"][-1]["function"] == "place"
    assert crash["breadcrumbs"]["values"][-1]["message"].startswith("app/orders: Orders.place(str) is lost")


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
