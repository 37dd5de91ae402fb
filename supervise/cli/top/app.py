"""The terminal of one tree: what it keeps, which page is seen, and what an operator's keys do."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from textual.app import App
from textual.binding import Binding, BindingType
from textual.message import Message

from supervise.live.client import LiveError
from supervise.live.drawing import BAD, DIM, STRONG, Line, clean, span
from supervise.live.folder import Found
from supervise.live.table import Table

from .aside import aside
from .choice_page import ChoicePage
from .detail_page import DetailPage
from .events_page import EventsPage
from .help_page import HelpPage
from .listener import Listener, Source
from .page import Page
from .table_page import TablePage
from .types_page import TypesPage
from .waits_page import WaitsPage

TICK: Final = 1.0
"""Seconds after which times on the screen have changed."""
SAID: Final = 10.0
"""Seconds for which a message stands, unless a key is pressed."""


class Heard(Message):
    """One part of the stream."""

    def __init__(self, kind: str, data: dict[str, Any]) -> None:
        super().__init__()
        self.kind = kind
        self.data = data


class Lost(Message):
    """There is no stream now."""

    def __init__(self, why: str, pause: float) -> None:
        super().__init__()
        self.why = why
        self.pause = pause


class Top(App[None]):
    """`connect` makes a client of the tree that is meant."""

    CSS: ClassVar[str] = """
    Screen { layout: vertical; overflow: hidden; background: ansi_default; color: ansi_default; }
    Sheet { width: 100%; height: 1; background: ansi_default; color: ansi_default; }
    .body { height: 1fr; }
    """
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    AUTO_FOCUS: ClassVar[str | None] = ""
    ALLOW_SELECT: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "leave", priority=True, show=False)]

    def __init__(
        self,
        connect: Callable[[str | None], Source],
        where: str | None = None,
        among: tuple[Found, ...] = (),
        *,
        every: float = 1.0,
        who: str = "",
    ) -> None:
        super().__init__(ansi_color=True)
        self.title = "supervise top"
        self.every: float = every
        self.table: Table = Table()
        self.lost: str = ""
        """Why the tree isn't heard; nothing, if it is."""
        self.message: Line = []
        """What there is to say to the user, until the next key."""
        self._connect = connect
        self._where = where
        self._among = among
        self._who = who
        self._frozen: Table | None = None
        self._frozen_at = 0.0
        self._received = time.monotonic()
        self._listener: Listener | None = None
        self._said = 0.0

    # -- what is seen ------------------------------------------------------------------------------------------------

    @property
    def view(self) -> Table:
        """The table as it is drawn."""
        return self.table if self._frozen is None else self._frozen

    @property
    def is_frozen(self) -> bool:
        return self._frozen is not None

    @property
    def now(self) -> float:
        """The tree's clock, as far as it can be known here."""
        if self._frozen is not None:
            return self._frozen_at
        return self.table.at + time.monotonic() - self._received

    def source(self) -> Source:
        """A client of the tree, as of now."""
        return self._connect(self._where)

    def redraw(self) -> None:
        """Draw what has changed of the page that is seen."""
        if isinstance(self.screen, Page):
            self.screen.redraw()

    def say(self, line: Line) -> None:
        """A message for the user; an empty one takes it away."""
        self.message, self._said = line, time.monotonic()

    def _tick(self) -> None:
        if self.message and time.monotonic() - self._said > SAID:
            self.message = []
        self.redraw()

    # -- from the first to the last ----------------------------------------------------------------------------------

    async def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):  # the terminal is put back as it was, too
            with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
                loop.add_signal_handler(number, self.exit)
        self.set_interval(TICK, self._tick)
        if self._among:
            await self.push_screen(ChoicePage(self, self._among))
            return
        await self.push_screen(TablePage(self))
        self._listen()

    def choose(self, found: Found) -> None:
        """That one is shown, of several."""
        self._where = str(found.socket)
        self.push_screen(TablePage(self))
        self._listen()

    def _listen(self) -> None:
        self._listener = Listener(
            self.source,
            self.every,
            lambda kind, data: self.post_message(Heard(kind, data)),
            lambda why, pause: self.post_message(Lost(why, pause)),
        )
        self._listener.start()

    def action_leave(self) -> None:
        """End, in order."""
        self.exit()

    def on_unmount(self) -> None:
        if self._listener is not None:
            self._listener.stop()

    def on_heard(self, heard: Heard) -> None:
        self.table.apply(heard.kind, heard.data)
        self._received, self.lost = time.monotonic(), ""
        if not self.is_frozen:
            self.redraw()

    def on_lost(self, lost: Lost) -> None:
        self.lost = f"{clean(lost.why)}: trying again in {span(lost.pause)}"
        self.redraw()

    # -- keys that are everywhere the same ---------------------------------------------------------------------------

    def actions(self) -> Mapping[str, Callable[[], object]]:
        return {
            "q": self.exit,
            "escape": self._back,
            "question_mark": lambda: self._open(HelpPage),
            "w": lambda: self._open(WaitsPage),
            "y": lambda: self._open(TypesPage),
            "e": lambda: self._open(EventsPage),
            "f": self._freeze,
        }

    def detail(self, path: str) -> None:
        """Show all of one actor."""
        self.push_screen(DetailPage(self, path))

    def _open(self, kind: type[Page]) -> None:
        """A page; the one that is open is closed by the key that opens it."""
        if isinstance(self.screen, ChoicePage):
            return
        is_open = isinstance(self.screen, kind)
        while not isinstance(self.screen, TablePage):
            self.pop_screen()
        if not is_open:
            self.push_screen(kind(self))

    def _back(self) -> None:
        if not isinstance(self.screen, TablePage | ChoicePage):
            self.pop_screen()

    def _freeze(self) -> None:
        if self._frozen is None:
            self._frozen_at, self._frozen = self.now, self.table.copy()
        else:
            self._frozen = None

    # -- what an operator does ---------------------------------------------------------------------------------------

    def act(self, action: str, path: str, **change: str) -> None:
        """Ask the tree for it; what it answers is shown, whatever it is."""
        self.say([(f"{action} {clean(self.view.relative(path))} …", DIM)])
        self.run_worker(self._act(action, path, change), exit_on_error=True)

    async def _act(self, action: str, path: str, change: dict[str, str]) -> None:
        try:
            answer = await aside(lambda: self.source().act(action, path, who=self._who, **change))
            self.say([(clean(answer), STRONG)])
        except LiveError as error:
            self.say([(f"{action} {clean(self.view.relative(path))}: {clean(str(error))}", BAD)])
        self.redraw()
