"""What a tree's spans are made with: put together once, when the tree starts, and shared by all that make some."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from opentelemetry.trace import Tracer

from .error_recording import ErrorRecording
from .filters import Excluded
from .sampling import Sampling

SendLinks: TypeAlias = Literal["parent", "link"]


class SpanSettings(NamedTuple):
    """See `Spans` for what is said here."""

    tracer: Tracer
    sampling: Sampling
    send_links: SendLinks
    ticks: bool
    sends: bool
    excluded: Excluded
    recording: ErrorRecording
