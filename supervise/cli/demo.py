"""`supervise demo`: the chat server over real TCP, crashed while its clients talk, with an account of every message."""

from __future__ import annotations

import logging
import time

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from supervise.events import DeadLetter, Decided, Event, Started, Stopped
from supervise.mailbox.account import Account
from supervise.tree.running import RunningSupervisor
from supervise_strategies.directives import Action

from . import chat
from .telemetry import Telemetry

ROOM = "lobby"
ROUNDS = 8
LINES = 12  # that each client says in a round
GUARD = 60.0  # seconds after which a demo that hangs is given up; it takes about one


class Client:
    """A scripted member: says lines, and keeps all that it hears."""

    def __init__(self, nick: str, room: str = ROOM) -> None:
        self.nick = nick
        self.room = room
        self.heard: list[str] = []
        self.said: list[str] = []
        self.times_connected: int = 0
        self.changed: anyio.Event = anyio.Event()
        self._stream: ByteStream | None = None
        self._pen = anyio.Lock()  # a stream takes one sender at a time

    async def stay(self, port: int) -> None:
        """Connect, join and listen; and again, whenever the connection ends."""
        while True:
            async with await anyio.connect_tcp("127.0.0.1", port) as self._stream:
                lines = BufferedByteReceiveStream(self._stream)
                await self._stream.send(f"NICK {self.nick}\nJOIN {self.room}\n".encode())
                try:
                    while True:
                        self._hear((await lines.receive_until(b"\n", 4096)).decode())
                except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                    self.tell(f"client {self.nick} was disconnected, and connects again")

    def is_in(self) -> None:
        """It has joined its room, once more."""
        self.times_connected += 1

    def tell(self, text: str) -> None:
        """Say what has become of it."""
        _tell(text)

    def _hear(self, line: str) -> None:
        if line.startswith("OK "):
            self.is_in()
        elif line.startswith("("):
            self.heard.append(line)
        self.changed.set()
        self.changed = anyio.Event()

    async def say(self, text: str) -> None:
        assert self._stream is not None
        async with self._pen:
            await self._stream.send(f"SAY {text}\n".encode())
        if text != "poison":
            self.said.append(f"({self.nick}) {text}")

    async def joined(self, times: int) -> None:
        """Wait until it has joined the room so many times."""
        while self.times_connected < times:
            await self.changed.wait()

    async def hears(self, lines: int) -> None:
        """Wait until it has heard so many lines."""
        while len(self.heard) < lines:
            await self.changed.wait()


class Story:
    """Prints what happens to the actors, and counts it."""

    def __init__(self) -> None:
        self.crashes: int = 0
        self.give_ups: int = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stopped) and event.reason.abnormal:
            self.crashes += 1
            _tell(f"{event.path} #{event.incarnation} crashed: {event.reason.detail}; {event.waiting} messages wait")
        elif isinstance(event, Decided) and event.decision.action is Action.GIVE_UP:
            self.give_ups += 1
        elif isinstance(event, Started) and event.incarnation > 1:
            _tell(f"{event.path} #{event.incarnation} took over, on the same address")
        elif isinstance(event, DeadLetter):
            _tell(f"{event.path}: {event.message} is a dead letter: {event.why}")


_begun = 0.0


def _tell(text: str) -> None:
    print(f"{time.monotonic() - _begun:6.2f} s  {text}", flush=True)


async def sabotage(_: object) -> None:
    """Run in an actor's own turn, as any callable can be: it holds up the actor for a while, and then crashes it."""
    await anyio.sleep(0.05)
    raise RuntimeError("sabotage")


def main(backend: str, telemetry: Telemetry) -> int:
    """Play the demo. The exit status is 0 if every message is accounted for, else 1."""
    global _begun
    _begun = time.monotonic()
    logging.getLogger().addHandler(logging.NullHandler())  # the story is told below, in its own words
    telemetry.open("chat")
    return anyio.run(_play, telemetry, backend=backend)


async def _play(telemetry: Telemetry) -> int:
    story = Story()
    clients = [Client(nick) for nick in ("ann", "bob", "cy")]
    poisoned, account = 0, Account()
    with anyio.fail_after(GUARD):
        async with telemetry.applied(chat.tree(listener=story)) as app:
            port = await app.find("listener").call(chat.Listener.port)
            _tell(f"chat listens on port {port}; {', '.join(c.nick for c in clients)} join room {ROOM!r}")
            async with anyio.create_task_group() as group:
                for client in clients:
                    group.start_soon(client.stay, port)
                for client in clients:
                    await client.joined(1)
                poisoned = await _talk(app, clients)
                group.cancel_scope.cancel()
            account = await _drained(app)
    return report(story, clients, poisoned, account)


async def _talk(app: RunningSupervisor, clients: list[Client]) -> int:
    """All talk at once, round after round; in each something crashes in the middle. The answer: how many lines were poison."""
    ann, bob, cy = clients
    rooms = app.supervisor(chat.ROOMS)
    poisoned = 0
    for number in range(ROUNDS):
        room = rooms.find(ROOM)
        async with anyio.create_task_group() as group:
            for client in clients:
                group.start_soon(_say_all, client, number)
            if number % 4 == 1:
                await room.send(sabotage)
            elif number % 4 == 2:
                await cy.say("poison")
                poisoned += 1
        said = sum(len(client.said) for client in clients)
        for client in (ann, cy):
            await client.hears(said)
        if number % 4 == 3:
            before = bob.times_connected
            members = await app.find(chat.REGISTRY).call(chat.Registry.members, ROOM)
            await next(m.connection for m in members if m.nick == bob.nick).send(sabotage)
            await bob.joined(before + 1)
    return poisoned


async def _say_all(client: Client, number: int) -> None:
    for i in range(LINES):
        await client.say(f"round {number}, line {i}")


async def _drained(app: RunningSupervisor) -> Account:
    """The account of the whole tree, once the goodbyes of the clients are handled too."""
    connections = app.supervisor(chat.CONNECTIONS)
    changed = anyio.Event()

    def note(_: Event) -> None:
        nonlocal changed
        changed.set()
        changed = anyio.Event()

    app.subscribe(note)
    while connections.count_children().specs:
        await changed.wait()
    await app.supervisor(chat.ROOMS).find(ROOM).call(chat.Room.leave, 0)
    return app.account()


def report(story: Story, clients: list[Client], poisoned: int, account: Account) -> int:
    said = [line for client in clients for line in client.said]
    print(f"\n{len(said)} lines were said, and {poisoned} more were poison; {story.crashes} crashes.")
    good = account.balanced and not account.queued and not account.in_hand and not story.give_ups
    for client in clients:
        heard = len(client.heard)
        if client.times_connected == 1:
            whole = sorted(client.heard) == sorted(said) and all(
                [line for line in client.heard if line.startswith(f"({other.nick})")] == other.said for other in clients
            )
            good = good and whole
            print(f"  {client.nick} heard {heard}: {'each once, in order' if whole else 'NOT what was said'}")
        else:
            print(
                f"  {client.nick} heard {heard}, over {client.times_connected} connections (some of it was said between them)"
            )
    print("\nThe account of every message that an actor accepted:")
    for name, count in account._asdict().items():
        print(f"  {name.replace('_', ' '):<14} {count:>6}")
    ends = sum(account) - account.accepted
    verdict = "balances" if good else "DOES NOT BALANCE"
    print(f"accepted {account.accepted} = {ends} accounted for: it {verdict}.")
    return 0 if good else 1
