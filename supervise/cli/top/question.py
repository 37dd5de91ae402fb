"""What is asked on the line below: whether to do something, or for a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from supervise.live.drawing import PLAIN, STRONG, Line, clean


class Question(Protocol):
    """It has all keys until it is answered."""

    def line(self) -> Line: ...

    def press(self, key: str, character: str | None) -> bool:
        """Whether it is answered by that."""
        ...


class Confirmation:
    """`y` does it; any other key doesn't."""

    def __init__(self, text: str, do: Callable[[], object]) -> None:
        self._text = text
        self._do = do

    def line(self) -> Line:
        return [(f"{clean(self._text)}?", STRONG), ("  y / n", PLAIN)]

    def press(self, key: str, character: str | None) -> bool:
        if character in ("y", "Y"):
            self._do()
        return True


class Entry:
    """A text. `changed` hears of it at each key, `done` when it is entered; escape puts back what was there before."""

    def __init__(
        self,
        label: str,
        text: str = "",
        *,
        done: Callable[[str], object] | None = None,
        changed: Callable[[str], object] | None = None,
    ) -> None:
        self._label = label
        self.text: str = text
        self._before = text
        self._done = done
        self._changed = changed

    def line(self) -> Line:
        return [(f"{self._label}: ", STRONG), (clean(self.text), PLAIN), ("▏", PLAIN)]

    def press(self, key: str, character: str | None) -> bool:
        match key:
            case "enter":
                if self._done is not None:
                    self._done(self.text)
                return True
            case "escape":
                self._become(self._before)
                return True
            case "backspace" | "ctrl+h":
                self._become(self.text[:-1])
            case "ctrl+u":
                self._become("")
            case _:
                if character is not None and character.isprintable():
                    self._become(self.text + character)
        return False

    def paste(self, text: str) -> None:
        """More of it at once."""
        self._become(self.text + "".join(character for character in text if character.isprintable()))

    def _become(self, text: str) -> None:
        if text != self.text:
            self.text = text
            if self._changed is not None:
                self._changed(text)
