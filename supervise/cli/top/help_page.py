"""What the keys do, and what the columns mean."""

from __future__ import annotations

from typing import ClassVar, Final

from supervise.live.drawing import PLAIN, STRONG, Line

from .page import Page

TEXT: Final = """\
t          fold all supervisors, or unfold all; back to the tree's order
space      fold one, or unfold it; so do left and right
s  S       sort by the next column, or by the one before
/          show only what has this in its path, type or state; esc: all again
enter      all that is known of one actor
w          who waits for whom: cycles are red
y          sums by type
e          what has happened
r  x  a    restart, stop or start the actor; the first two ask again
p          pause it, or resume it: paused, it accepts messages and begins none
c          change its policy: intensity=10/60, or restart=transient
f          freeze: nothing is drawn until f is pressed again; what happens meanwhile is kept
q          leave

life       the number of its incarnation; each restart is a new one
rst        its restarts; of a supervisor: those that count now, of those that it may make
queue      messages that wait, of those that it holds
msg/s      messages that it has finished, and beside it the last such rates
fail       messages that failed in it
cpu        the share of a core that its handlers take, by samples
in hand    the handler at work; ≥5 s: for that long at least. Of a link: who is at its other end, and the messages under way
waits for  the actor whose answer or room it waits for; else who waits for room in it, or how it last ended

Times with ≥ are lower bounds: they are known by looking again and again, and cost the tree nothing."""


class HelpPage(Page):
    """A text to read."""

    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (("esc", "back"), ("q", "quit"))
    CURSOR: ClassVar[bool] = False

    def count(self) -> int:
        return TEXT.count("\n") + 1

    def lines(self, first: int, number: int, width: int) -> tuple[Line, list[Line]]:
        return [("help", STRONG)], [
            [(text[:11], STRONG), (text[11:], PLAIN)] if text[10:11] == " " else [(text, PLAIN)]
            for text in TEXT.split("\n")[first : first + number]
        ]
