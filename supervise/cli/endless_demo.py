"""`supervise demo --live`: the chat server, talked to and crashed until Ctrl-C, for whoever wants to see the page first."""

from __future__ import annotations

import itertools
import logging
import signal
from contextlib import suppress

import anyio

from supervise.live import CantServe, WrongFolder, serve
from supervise.tree.running import RunningSupervisor

from . import chat
from .demo import Client, sabotage
from .listening import WrongAddress
from .telemetry import Telemetry

NICKS = ("ann", "bob", "cy", "dee", "eve", "fay", "gus", "hal")
ROOMS = ("lobby", "kitchen", "attic")
PAUSE = 0.05  # seconds between two lines of a client
CALM = 4.0  # seconds between two crashes


class Guest(Client):
    """A client that keeps nothing of what it hears."""

    def _hear(self, line: str) -> None:
        if line.startswith("OK "):
            self.is_in()

    def tell(self, text: str) -> None:
        """It is disconnected each few seconds, and the page tells of it."""


def main(backend: str, telemetry: Telemetry, where: str) -> int:
    """Run it. The exit status is 0 after Ctrl-C."""
    logging.getLogger().addHandler(logging.NullHandler())  # what happens is to be seen in the page
    telemetry.open("chat")
    anyio.run(_play, telemetry, where, backend=backend)
    return 0


async def _play(telemetry: Telemetry, where: str) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as asked:
        async with telemetry.applied(chat.tree()) as app:
            try:
                async with serve(app, where, operate=True) as served, anyio.create_task_group() as group:
                    print(f"the page: {served.url}\nin another terminal: supervise top\nCtrl-C ends it", flush=True)
                    group.start_soon(_talk, app)
                    await anext(aiter(asked))
                    group.cancel_scope.cancel()
            except (CantServe, WrongFolder) as error:
                raise WrongAddress(f"--live: {error}") from error
    print("\nit was stopped in order")


async def _talk(app: RunningSupervisor) -> None:
    port = await app.find("listener").call(chat.Listener.port)
    guests = [Guest(nick, ROOMS[number % len(ROOMS)]) for number, nick in enumerate(NICKS)]
    async with anyio.create_task_group() as group:
        for guest in guests:
            group.start_soon(guest.stay, port)
            group.start_soon(_chat, guest)
        await _crash(app)


async def _chat(guest: Guest) -> None:
    for number in itertools.count():
        await anyio.sleep(PAUSE)
        if guest.times_connected:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it is crashed just now, and connects again
                await guest.say(f"line {number}")
            guest.said.clear()


async def _crash(app: RunningSupervisor) -> None:
    """Now a room, now the connection of somebody in it, for ever."""
    for room in itertools.cycle(ROOMS):
        await anyio.sleep(CALM)
        await app.supervisor(chat.ROOMS).find(room).send(sabotage)
        await anyio.sleep(CALM)
        members = await app.find(chat.REGISTRY).call(chat.Registry.members, room)
        if members:
            await members[0].connection.send(sabotage)
