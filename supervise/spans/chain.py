"""How deep decisions nest in one trace. A restart that fails again and again would grow its trace for ever."""

from __future__ import annotations

from typing import Final, NamedTuple

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import Link

LATE: Final = 30.0
"""Seconds from the first decision of a trace after which a restart's start is in a trace of its own: later ones look lost."""
DEEPEST: Final = 5
"""Restarts below each other in one trace."""
_KEY: Final = contexts.create_key("supervise.decisions")


class Chain(NamedTuple):
    """The decisions of one trace, from the first on, each about the failure of what the one before has led to."""

    first: Link | None
    """The first crash, also over several traces."""
    began: float
    """The instant of the loop's clock of this trace's first one."""
    depth: int
    """How many there are, this one included."""

    def goes_on_after(self, now: float, delay: float) -> bool:
        """Whether what begins that many seconds from now still belongs to the same trace."""
        return self.depth < DEEPEST and now + delay - self.began <= LATE


def chain_of(context: Context, failed: Link | None, now: float) -> Chain:
    """With the decision that is made now about what `failed` in that context."""
    before = contexts.get_value(_KEY, context)
    if type(before) is not Chain:
        return Chain(failed, now, 1)
    chain = before
    return chain._replace(first=chain.first or failed, depth=chain.depth + 1)


def with_chain(context: Context, chain: Chain) -> Context:
    """The same context, for what follows from the decision."""
    return contexts.set_value(_KEY, chain, context)


def begun_anew(context: Context, now: float) -> tuple[Context, Link | None]:
    """For what follows in a trace of its own, whose first crash is still the first; and a link to that."""
    before = contexts.get_value(_KEY, context)
    first = before.first if type(before) is Chain else None
    return with_chain(Context(), Chain(first, now, 0)), first
