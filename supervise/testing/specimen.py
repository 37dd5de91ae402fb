"""The actor of the tests in `contract.py`, its declared interface, and what isn't declared by it."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol


class Specimen:
    """The actor of these tests: a list of notes.

    An implementation has to make one for each test, and a fresh one after a crash.

        >>> async with Supervisor("app") as app:
        ...     specimen = await app.start(Specimen)
        ...     await specimen.call(Specimen.note, "a", times=2)
        ...     await specimen.call(Specimen.read)
        2
        ['a', 'a']
    """

    def __init__(self) -> None:
        self.notes: list[Any] = []

    async def note(self, entry: Any, *, times: int = 1) -> int:
        """Add an entry; the answer is how many there are."""
        self.notes += [entry] * times
        return len(self.notes)

    def read(self) -> list[Any]:
        """All entries, by a plain function."""
        return [*self.notes]

    async def crash(self, text: str) -> None:
        """Raise ValueError."""
        raise ValueError(text)


class SpecimenApi(Protocol):
    """What of a `Specimen` crosses to another process: its handlers, with plain types.

    `RemoteAddressContract` names these functions. So whoever derives from that serves this
    interface by the actor.

        >>> from supervise.wire.interface import Interface
        >>> print(Interface("specimen", SpecimenApi))
        interface specimen of SpecimenApi
          note(entry: str, *, times: int = ...) -> int
          read() -> list[str]
          crash(text: str) -> None
    """

    async def note(self, entry: str, *, times: int = 1) -> int:
        """Add an entry; the answer is how many there are."""
        ...

    def read(self) -> list[str]:
        """All entries."""
        ...

    async def crash(self, text: str) -> None:
        """Raise ValueError."""
        ...


class Variety(Specimen):
    """A subclass that overrides a handler."""

    def read(self) -> list[Any]:
        """All entries, backwards."""
        return self.notes[::-1]


class Stranger:
    """Another class, with a handler that the specimen hasn't."""

    async def greet(self) -> None:
        """Never run."""


class Extended(Specimen):
    """A subclass with a handler that `SpecimenApi` doesn't declare."""

    async def forget(self) -> None:
        """Never run over a link."""
        self.notes.clear()


class Kept(Specimen):
    """A subclass that shows to its own process what has arrived."""

    arrived: ClassVar[list[Any]] = []

    async def note(self, entry: Any, *, times: int = 1) -> int:
        """Show it, too."""
        self.arrived.append(entry)
        return await super().note(entry, times=times)


async def count(specimen: Specimen, more: int = 0) -> int:
    """How many entries there are, and more; a function that takes the actor."""
    return len(specimen.notes) + more
