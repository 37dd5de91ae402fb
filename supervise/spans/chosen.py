"""Which instruments a tree gets: those of its option, or spans where a tracer provider is installed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from supervise.mailbox.instrument import Instruments, TracingOption


def chosen(option: TracingOption) -> Instruments | None:
    """The instruments of a tree that is about to start. OpenTelemetry is only imported if there are to be any."""
    if option is False:
        return None
    if not isinstance(option, bool | str) and not hasattr(option, "get_tracer"):
        given: Any = option
        return cast("Instruments", given)
    if option == "auto":
        api = sys.modules.get("opentelemetry.trace")
        if api is None and "OTEL_PYTHON_TRACER_PROVIDER" not in os.environ:
            return None  # nobody has set a provider
        from opentelemetry import trace

        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            return None
    from .spans import Spans

    made: Instruments = Spans(None if isinstance(option, bool | str) else cast(Any, option))
    return made
