"""What a provider's sampler decides for spans below others, as far as that is known beforehand."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from opentelemetry.trace import TracerProvider


class Sampling(NamedTuple):
    """Learned from the sampler's own description, and only of the SDK's samplers."""

    off_below_off: bool
    """Nothing is recorded below a span that isn't sampled: there needn't even be a span."""
    on_below_on: bool
    """All is recorded below a span of this process that is sampled: what is computed for it isn't in vain."""


def sampling_of(provider: TracerProvider) -> Sampling:
    """Nothing is known of a sampler that isn't the SDK's."""
    sdk: Any = sys.modules.get("opentelemetry.sdk.trace.sampling")
    sampler: Any = getattr(provider, "sampler", None)
    known = sdk is not None and isinstance(sampler, sdk.ParentBased | sdk.StaticSampler)
    said: str = sampler.get_description() if known else ""
    below_off = "localParentNotSampled:AlwaysOff" in said and "remoteParentNotSampled:AlwaysOff" in said
    return Sampling(
        off_below_off=said == "AlwaysOffSampler" or below_off,
        on_below_on=said == "AlwaysOnSampler" or "localParentSampled:AlwaysOn" in said,
    )
