"""A supervisor whose children come and go at run time."""

from __future__ import annotations

import math
from typing import Never

from supervise.events import Listener
from supervise.journal.bus import OnCrash
from supervise.mailbox.dead_letters import OnDeadLetter
from supervise.spans.chosen import TracingOption
from supervise_strategies.child_spec import StopWithin
from supervise_strategies.intensity import Intensity
from supervise_strategies.restart import Restart, RestartName

from .description import GiveUpAs
from .recorder import RecorderOption
from .supervisor import Runnable, Watcher


class DynamicSupervisor(Runnable):
    """A supervisor that begins without children: they come and go at run time.

    Children are started with `RunningSupervisor.start`. They are temporary unless told
    otherwise: so none comes back after a crash. They are forgotten when they end.

    They are stopped all at once, not in order. Names are optional: it is by address that a
    child is terminated. It is OTP's simple_one_for_one, as Elixir's DynamicSupervisor; its
    strategy is one_for_one.

    Options:

        max_children: How many there may be; one more raises `TooManyChildren`. Default:
            `math.inf`.

    The others are those of `Supervisor`, without `strategy` and `auto_shutdown`.

    >>> sessions = DynamicSupervisor("sessions", max_children=100)
    >>> async with Supervisor("app", sessions) as app:
    ...     ada = await app.supervisor(sessions).start(dict, name="ada")
    ...     bob = await app.supervisor(sessions).start(dict, name="bob")
    ...     await app.supervisor(sessions).terminate_child(ada)
    ...     [info.id for info in app.supervisor(sessions).which_children()]
    ['bob']
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        *children: Never,  # so that a type checker refuses them, and the error says what to do instead
        max_children: float = math.inf,
        intensity: Intensity = Intensity(),  # noqa: B008 - a frozen value
        restart: Restart | RestartName | None = None,
        significant: bool = False,
        stop_within: StopWithin | None = None,
        shutdown_budget: float | None = None,
        give_up_as: GiveUpAs = "gave_up",
        listener: Listener | None = None,
        metrics: Watcher | None = None,
        tracing: TracingOption = "auto",
        on_dead_letter: OnDeadLetter | None = None,
        on_crash: OnCrash | None = None,
        log_arguments: bool = False,
        recorder: RecorderOption = True,
        required: bool = True,
    ) -> None:
        super().__init__(
            name,
            children,
            strategy="one_for_one",
            intensity=intensity,
            auto_shutdown="never",
            dynamic=True,
            max_children=max_children,
            restart=restart,
            significant=significant,
            stop_within=stop_within,
            shutdown_budget=shutdown_budget,
            give_up_as=give_up_as,
            required=required,
        )
        self._look_with(listener, metrics, tracing, on_dead_letter, on_crash, log_arguments, recorder)
