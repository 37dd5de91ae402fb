"""A sheet of lines, of which only those are drawn that have changed."""

from __future__ import annotations

from typing import Final

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from supervise.live.drawing import BAD, DIM, LOUD, PLAIN, STRONG, WARN, Line

STYLES: Final = {
    PLAIN: Style(),
    DIM: Style(dim=True),
    STRONG: Style(bold=True),
    # Both have a contrast of 4.4 at least on black, and on white. They are bold, too, for those who see no colours.
    WARN: Style(color="#bd5b00", bold=True),
    BAD: Style(color="#e03030", bold=True),
    LOUD: Style(color="#e03030", bold=True, reverse=True),
}
"""How that looks which a piece may mean. The ground, and what is as it should be, has the terminal's own colours."""
CURSOR: Final = Style(reverse=True)


class Sheet(Widget):
    """As many lines as are seen at a time. Who draws knows which."""

    def __init__(self, id: str, classes: str = "") -> None:
        super().__init__(id=id, classes=classes)
        self.lines: list[Line] = []
        """What it shows."""
        self._cursor: int | None = None

    def draw(self, lines: list[Line], cursor: int | None = None) -> int:
        """Show these, with a bar on one of them. The number of lines that had to be drawn anew."""
        before, old = self.lines, self._cursor
        self.lines, self._cursor = lines, cursor
        changed = [
            number
            for number in range(max(len(lines), len(before)))
            if lines[number : number + 1] != before[number : number + 1] or (number in (old, cursor) and old != cursor)
        ]
        if changed:
            self.refresh(*[Region(0, number, self.size.width, 1) for number in changed if number < self.size.height])
        return len(changed)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        line = self.lines[y] if y < len(self.lines) else []
        strip = Strip([Segment(text, STYLES[meaning]) for text, meaning in line]).adjust_cell_length(width)
        return strip.apply_style(CURSOR) if y == self._cursor else strip

    @property
    def texts(self) -> list[str]:
        """What it shows, without its looks."""
        return ["".join(text for text, _ in line).rstrip() for line in self.lines]
