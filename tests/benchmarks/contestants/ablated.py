"""The library taken apart, feature by feature; what is run is told by the modules beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.benchmarks.backend import on_trio
from tests.benchmarks.sample import Sample, Workload

from . import ablated_call, ablated_crash, ablated_idle, ablated_loop, ablated_ring

IDLE: Final = tuple(ablated_idle.WORKLOADS)


async def call(n: int) -> Sample:
    """One that is answered in its caller's step, where that can be; else one that an actor's loop answers."""
    return await (ablated_loop.call(n) if on_trio() else ablated_call.call(n))


WORKLOADS: Final[Mapping[str, Workload]] = {
    **ablated_loop.WORKLOADS,
    **ablated_crash.WORKLOADS,
    **ablated_idle.WORKLOADS,
    **ablated_ring.WORKLOADS,
    "call": call,
    "call_plain": ablated_call.call_plain,
}
