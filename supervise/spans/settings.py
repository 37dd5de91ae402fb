"""What a tree's spans are made with: put together once, when the tree starts, and shared by all that make some."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from opentelemetry.trace import Tracer

from .error_recording import ErrorRecording
from .filters import Excluded
from .sampling import Sampling

if TYPE_CHECKING:
    from supervise.mailbox.instrument import Find
    from supervise.mailbox.turn import IncarnationTurn

SendLinks: TypeAlias = Literal["parent", "link"]


class SpanSettings(NamedTuple):
    """See `Spans` for what is said here."""

    tracer: Tracer
    sampling: Sampling
    links_sends: bool
    """What a send sets off is a trace of its own, with a link."""
    ticks: bool
    sends: bool
    excluded: Excluded
    recording: ErrorRecording
    around: Callable[[IncarnationTurn, Find], Find] | None = None
    """Put around what a life finds its handlers with, inside their spans: who else watches handlers."""
