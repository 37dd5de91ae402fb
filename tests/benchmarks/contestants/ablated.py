"""The library taken apart, feature by feature; what is run is told by the modules beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.benchmarks.sample import Workload

from . import ablated_crash, ablated_idle, ablated_loop

IDLE: Final = tuple(ablated_idle.WORKLOADS)
WORKLOADS: Final[Mapping[str, Workload]] = {
    **ablated_loop.WORKLOADS,
    **ablated_crash.WORKLOADS,
    **ablated_idle.WORKLOADS,
}
