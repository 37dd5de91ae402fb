"""What the span of a message is called and says of itself, made once for each handler and sender."""

from __future__ import annotations

from typing import Any, TypeAlias

from supervise.message import AnyHandler
from supervise_strategies.exception import interrupts

from . import attributes as key

Attributes: TypeAlias = dict[str, Any]
Description: TypeAlias = tuple[str, Attributes]
Known: TypeAlias = dict[tuple[AnyHandler | None, str | None], Description]


def known_of(known: Known, handler: AnyHandler | None, by: str | None) -> Description | None:
    """What is known of it already. A callable may have no hash, or one that raises: of that nothing is kept."""
    try:
        return known.get((handler, by))
    except BaseException as error:
        if interrupts(error):
            raise
        return None


def keep(known: Known, handler: AnyHandler | None, by: str | None, described: Description) -> None:
    try:
        known[handler, by] = described
    except BaseException as error:
        if interrupts(error):
            raise


def messaging(operation: str, kind: str, path: str) -> Attributes:
    """What OpenTelemetry's conventions want to know of a message."""
    return {
        "messaging.system": key.SCOPE,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": path,
        "messaging.destination.template": kind,
    }
