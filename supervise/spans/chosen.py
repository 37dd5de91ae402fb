"""Which instruments a tree gets: those of its option `tracing`, or spans where a tracer provider is installed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from supervise_strategies.errors import InvalidSpec

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from supervise.mailbox.instrument import Instruments

TracingOption: TypeAlias = "Literal['auto'] | bool | TracerProvider | Instruments"


def check_option(who: str, option: object) -> None:
    """InvalidSpec, with the cure, for what can't be a supervisor's `tracing`."""
    if option == "auto" or isinstance(option, bool) or hasattr(option, "get_tracer") or hasattr(option, "for_actor"):
        return
    cure = "'auto', True, False, a tracer provider, or Spans(…) of supervise.telemetry"
    raise InvalidSpec(who, "tracing", option, cure)


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
