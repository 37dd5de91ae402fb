"""A page: one whole screen of lines, with the tree's state above them, and the keys below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen

from supervise.live.alarms import alarm_line
from supervise.live.drawing import BAD, DIM, LOUD, PLAIN, STRONG, Line, clean, fitted
from supervise.live.picture import event_line, head_line

from .question import Confirmation, Entry, Question
from .sheet import Sheet

if TYPE_CHECKING:
    from .app import Top

WHEEL: Final = 3
"""Lines that a turn of the mouse's wheel moves."""
COMMON: Final = (("esc", "back"), ("f", "freeze"), ("?", "help"), ("q", "quit"))


class Page(Screen[None]):
    """The first line is of the tree, the second of its alarms; then a heading, the lines, a message, and the keys."""

    KEYS: ClassVar[tuple[tuple[str, str], ...]] = COMMON
    CURSOR: ClassVar[bool] = True
    """Whether one line is chosen, or they are only read."""

    def __init__(self, top: Top) -> None:
        super().__init__()
        self.top: Top = top
        self.cursor: int = 0
        """The line that is chosen, or the first one that is seen where none is."""
        self.first: int = 0
        self.question: Question | None = None
        self.above: Sheet = Sheet("head")
        self.alarm: Sheet = Sheet("alarm")
        self.heading: Sheet = Sheet("heading")
        self.body: Sheet = Sheet("body", "body")
        self.foot: Sheet = Sheet("foot")
        self.keys: Sheet = Sheet("keys")
        self.drawn: int = 0
        """Lines that were drawn since it was shown."""

    def compose(self) -> ComposeResult:
        yield from (self.above, self.alarm, self.heading, self.body, self.foot, self.keys)

    # -- what a page of one kind says --------------------------------------------------------------------------------

    def count(self) -> int:
        """The number of all its lines."""
        raise NotImplementedError

    def put_cursor(self, line: int, first: int | None = None) -> None:
        """Choose that line; `first` is the one that is seen first, if that is another one from now on."""
        self.cursor = line
        self.first = self.first if first is None else first

    def lines(self, first: int, number: int, width: int) -> tuple[Line, list[Line]]:
        """Its heading, and some of its lines."""
        raise NotImplementedError

    def path(self) -> str | None:
        """Of the actor that is chosen."""
        return None

    def prepare(self) -> None:
        """Look at what there is, before it is drawn."""

    def moved(self) -> None:
        """The user has chosen another line."""

    # -- drawing -----------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw what has changed."""
        width, height = self.size.width, self.body.size.height
        if not self.is_mounted or not width or not height:
            return
        self.prepare()
        count = self.count()
        self.cursor = max(0, min(self.cursor, count - 1 if self.CURSOR else count - height))
        if not self.CURSOR:
            self.first = self.cursor
        elif not self.first <= self.cursor < self.first + height:
            self.first = self.cursor if self.cursor < self.first else self.cursor - height + 1
        self.first = max(0, min(self.first, count - height))
        heading, lines = self.lines(self.first, height, width)
        cursor = self.cursor - self.first if self.CURSOR and count else None
        self.drawn += self.above.draw([self._above(width)])
        self.drawn += self.alarm.draw([self._alarm(width)])
        self.drawn += self.heading.draw([fitted(heading, width)])
        self.drawn += self.body.draw([fitted(line, width) for line in lines], cursor)
        self.drawn += self.foot.draw([self._foot(width)])
        self.drawn += self.keys.draw([self._keys(width)])

    def _above(self, width: int) -> Line:
        frozen: Line = [("FROZEN  ", STRONG)] if self.top.is_frozen else []
        return fitted([*frozen, *head_line(self.top.view, width - len("FROZEN  ") * bool(frozen))], width)

    def _alarm(self, width: int) -> Line:
        if self.top.lost:
            return fitted([(f"! {clean(self.top.lost)} ", LOUD)], width)
        return fitted(alarm_line(self.top.view, self.top.now), width)

    def _foot(self, width: int) -> Line:
        if self.question is not None:
            return fitted(self.question.line(), width)
        return fitted(self.top.message or event_line(self.top.view, width), width)

    def _keys(self, width: int) -> Line:
        """Where there is no room for all of them the last two stay: how to get help, and how to leave."""
        shown = [*self.KEYS]
        while len(shown) > 2 and sum(len(key) + len(name) + 3 for key, name in shown) > width + 2:
            del shown[-3]
        line: Line = []
        for key, name in shown:
            line += [(key, STRONG), (f" {name}  ", DIM)]
        return fitted(line, width)

    # -- keys --------------------------------------------------------------------------------------------------------

    def actions(self) -> Mapping[str, Callable[[], object]]:
        """What each key does, of those that aren't everywhere the same."""
        return {}

    def ask(self, question: Question) -> None:
        """It has the keys from now on."""
        self.question = question
        self.redraw()

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        self.press(event.key, event.character)

    def press(self, key: str, character: str | None) -> None:
        """One key."""
        self.top.say([])
        if (asked := self.question) is not None:
            if asked.press(key, character) and self.question is asked:
                self.question = None
        elif (action := self._action(key, character)) is not None:
            action()
        if self.is_current:
            self.redraw()

    def _action(self, key: str, character: str | None) -> Callable[[], object] | None:
        page = max(1, self.body.size.height - 1)
        moves = {
            "up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page, "ctrl+b": -page, "ctrl+f": page,
            "home": -self.count(), "end": self.count(),
        }  # fmt: skip
        if key in moves:
            return lambda: self.move(moves[key])
        own, everywhere = self.actions(), self.top.actions()
        for name in (key, character or ""):
            if name in own:
                return own[name]
            if name in everywhere:
                return everywhere[name]
        return None

    def move(self, lines: int) -> None:
        """Choose another line."""
        self.cursor = max(0, self.cursor + lines)
        if self.CURSOR:
            self.cursor = max(0, min(self.cursor, self.count() - 1))
            self.moved()

    def on_mouse_scroll_down(self) -> None:
        self.move(WHEEL)
        self.redraw()

    def on_mouse_scroll_up(self) -> None:
        self.move(-WHEEL)
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        if event.widget is self.body and self.CURSOR and self.question is None:
            self.move(self.first + event.y - self.cursor)
            self.redraw()

    def on_paste(self, event: events.Paste) -> None:
        if isinstance(self.question, Entry):
            self.question.paste(event.text)
            self.redraw()

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self.redraw)

    # -- an operator's actions ---------------------------------------------------------------------------------------

    def operations(self) -> Mapping[str, Callable[[], object]]:
        """Those on the actor that is chosen."""
        return {
            "r": lambda: self._asked("restart"),
            "x": lambda: self._asked("stop"),
            "a": lambda: self._at_once("start"),
            "p": self._pause,
            "c": self._change,
        }

    def _target(self) -> str | None:
        """Whom it would concern; None, with a word why, if that can't be done."""
        if not self.top.view.may_operate:
            self.top.say([("the tree is served without --operate: it can be looked at, and that is all", BAD)])
            return None
        path = self.path()
        if path is None:
            self.top.say([("no actor is chosen", BAD)])
        return path

    def _asked(self, action: str) -> None:
        if (path := self._target()) is not None:
            self.ask(Confirmation(f"{action} {self.top.view.relative(path)}", lambda: self.top.act(action, path)))

    def _at_once(self, action: str) -> None:
        if (path := self._target()) is not None:
            self.top.act(action, path)

    def _pause(self) -> None:
        entry = self.top.view.entries.get(self.path() or "")
        self._at_once("resume" if entry is not None and entry.row.paused else "pause")

    def _change(self) -> None:
        path = self._target()
        if path is None:
            return
        name = self.top.view.relative(path)
        label = f"change {clean(name)} (intensity=10/60 or restart=transient)"
        self.ask(Entry(label, done=lambda text: self._changed(path, text)))

    def _changed(self, path: str, text: str) -> None:
        change = {name: value for name, _, value in [part.partition("=") for part in text.split()]}
        if not text.strip():
            self.top.say([("nothing is changed", PLAIN)])
        elif not change.keys() <= {"intensity", "restart"}:
            self.top.say([("say intensity=RESTARTS/SECONDS, or restart=permanent, transient or temporary", BAD)])
        else:
            self.top.act("change", path, **change)
