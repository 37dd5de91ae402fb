"""How long an actor lives that nobody supervises: as long as somebody can still write to it.

Scenarios this must survive:

- The last strong address goes while the queue is full: what is queued is handled, then the actor ends.
- It goes in a finalizer, in any thread, or when the collector breaks a cycle: nothing is locked and nothing awaited there;
  state is flipped and the loop is woken through a thread-safe door. A set's `add` and `discard` are atomic; `+= 1` isn't.
- It goes before the actor ever had a message, or there never was one: "none yet" isn't "none left".
- A weak address is used meanwhile: once the last token is gone it refuses, and `strong()` can't bring the count back.
- The loop is closed by then: nobody is left to be woken, and nothing is raised in a finalizer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import ClassVar, Final


class Access:
    """What lets an address be used: as long as it is `open`."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open: bool = True

    def closed(self, path: str) -> str:
        """Why it isn't open."""
        raise AssertionError(f"nothing closes it for {path}")


FOREVER: Final = Access()
"""For weak addresses of what doesn't live by its addresses."""
UNSHARED: Final = Access()
"""For a strong address of the same, until it is closed, or shares its token with a view or a recipient: 56 bytes each."""


class Lifetime(Access):
    """The strong tokens of one mailbox. Not `open` once the last one is gone, and for ever after."""

    __slots__ = ("_soon", "_tokens", "_wake")

    def __init__(self, soon: Callable[[Callable[[], object]], object], wake: Callable[[], object]) -> None:
        super().__init__()
        self._tokens: set[int] = set()
        self._soon = soon
        self._wake = wake

    def closed(self, path: str) -> str:
        return f"{path}: its last strong address is gone"

    @property
    def strong(self) -> int:
        """How many tokens there are now."""
        return len(self._tokens)

    def add(self, token: int) -> None:
        """Count a token."""
        self._tokens.add(token)

    def drop(self, token: int) -> None:
        """A token is gone; called from anywhere, finalizers included."""
        self._tokens.discard(token)
        if not self._tokens and self.open:
            self.open = False
            self._soon(self._wake)


class Token(Access):
    """What an address, its recipients and its views share: as long as one of them exists, the actor can be written to."""

    __slots__ = ("__weakref__", "_lifetime")
    watchers: ClassVar[int] = 0
    """How many want to know of each that is made."""

    def __init__(self, lifetime: Lifetime | None) -> None:
        super().__init__()
        self.open: bool = True
        self._lifetime = lifetime
        if lifetime is None:
            return
        if lifetime.open:
            lifetime.add(id(self))
            if not lifetime.open:  # the last other one went in between, in another thread
                lifetime.drop(id(self))
                self.open = False
        else:  # who looks it up while what waits is drained brings nobody back
            self.open = False

    def closed(self, path: str) -> str:
        if self._lifetime is not None:  # it came too late
            return self._lifetime.closed(path)
        return f"this address of {path} was closed: use another, or make one with clone() before"

    def close(self) -> None:
        """Give it up; idempotent."""
        if self.open:
            self.open = False
            lifetime, self._lifetime = self._lifetime, None
            if lifetime is not None:
                lifetime.drop(id(self))

    def __del__(self) -> None:
        # After a failed __init__ there is nothing to close.
        if getattr(self, "open", False):
            self.close()


def token_for(lifetime: Lifetime | None) -> Access:
    """What a strong address begins with."""
    return UNSHARED if lifetime is None and not Token.watchers else Token(lifetime)


class Loan(Token):
    """What an address has that somebody was given for a while: it keeps nothing alive, and is open as long as anything does."""

    __slots__ = ("_returned",)

    def __init__(self, lifetime: Lifetime) -> None:
        self._lifetime: Lifetime | None = lifetime
        self._returned = False

    @property
    def open(self) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # nobody sets it
        return not self._returned and self._lifetime is not None and self._lifetime.open

    def closed(self, path: str) -> str:
        if not self._returned and self._lifetime is not None:
            return self._lifetime.closed(path)
        return super().closed(path)

    def close(self) -> None:
        self._returned, self._lifetime = True, None


@contextmanager
def watched(made: Callable[[Token], object]) -> Generator[None, None, None]:
    """Have a function called with every token that is made meanwhile, in all threads. For tests: who holds an actor?

    While nobody watches it costs nothing, not even a question: what makes a token is exchanged.
    """
    plain = Token.__init__

    def told(self: Token, lifetime: Lifetime | None) -> None:
        plain(self, lifetime)
        made(self)

    Token.__init__ = told  # type: ignore[method-assign]
    Token.watchers += 1
    try:
        yield
    finally:
        Token.watchers -= 1
        Token.__init__ = plain  # type: ignore[method-assign]
