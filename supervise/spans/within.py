"""A context for what is published on the bus, which may tell it later, and in the midst of something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from supervise.journal.bus import Bus


class Within:
    """What is published in its block is told in that context. The bus keeps the order, so it is attached just before."""

    __slots__ = ("_bus", "_context", "_token")

    def __init__(self, bus: Bus, context: Context | None) -> None:
        self._bus = bus
        self._context = context
        self._token: Any = None

    def __enter__(self) -> None:
        if self._context is not None:
            self._bus.then(self._attach)

    def __exit__(self, *_: object) -> None:
        if self._context is not None:
            self._bus.then(self._detach)

    def _attach(self) -> None:
        assert self._context is not None
        self._token = contexts.attach(self._context)

    def _detach(self) -> None:
        contexts.detach(self._token)
