"""What somebody may well write as an option of a child is refused where it is written, by an error that knows the cure.

Tested: a plausible wrong value of each option, at the latest when the child is described; what a bare number stands for; and
that an unknown name, of an option, of a value or in a path, is answered with the nearest that there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import pytest
from tenacity import wait_fixed

from supervise import (
    ChildNotFound,
    ChildOptions,
    DynamicSupervisor,
    Intensity,
    InvalidSpec,
    Redeliver,
    Restart,
    Supervisor,
    Throttle,
    child,
    open_mailbox,
)
from supervise_strategies.text import LONG, shown

# A type checker refuses most of what follows, so it is written through names that it knows nothing about.
any_child: Any = child
any_supervisor: Any = Supervisor
any_restart: Any = Restart
any_mailbox: Any = open_mailbox


class Worker:
    async def ping(self) -> str:
        return "pong"


def kid(**options: Any) -> Any:
    return any_child(Worker, **{"name": "w", **options})


def app_of(**options: Any) -> Any:
    return any_supervisor("app", **options)


TYPES: Final = "'permanent', 'transient' or 'temporary'"
PERIOD: Final = "Intensity(restarts, per=seconds)"
MORE_THAN_0: Final = "seconds, more than 0"
RATE: Final = "messages a second, above 0 and finite; or Throttle(rate, burst)"
TIMES: Final = "a whole number, 0 or more; or Redeliver(times,"

# What one may write who knows other libraries, or reads it from a file; each with its cure.
PLAUSIBLE: Final[dict[str, list[tuple[Any, str]]]] = {
    "name": [(7, "a name is text"), (("a", "b"), "a name is text"), ("workers/3", "leave out the '/'")],
    "restart": [
        ("always", "did you mean 'permanent'?"),
        ("on-failure", "did you mean 'transient'?"),
        ("never", "did you mean 'temporary'?"),
        ("permanant", "did you mean 'permanent'?"),
        (True, TYPES),
        (3, "Restart.permanent(wait=wait_fixed(1))"),
        (wait_fixed(1), "Restart.permanent(wait=wait_fixed(1))"),
    ],
    "significant": [("yes", "True or False"), (None, "True or False")],
    "stop_within": [("5", "seconds (0 or more)"), ("brutal-kill", "did you mean 'brutal_kill'?"), (-1, "seconds (0 or more)")],
    "limit": [(5, "a number has no period: Intensity(5, per=seconds)"), ((5, 60), PERIOD), ("5/m", PERIOD), (True, PERIOD)],
    "on_limit": [("raise", "'stop' or 'escalate'"), ("Escalate", "did you mean 'escalate'?")],
    "retry_start": [(3, "True or False"), ("yes", "True or False")],
    "start_within": [("5", MORE_THAN_0), (0, MORE_THAN_0), (True, MORE_THAN_0)],
    "quarantine": [("3", "a whole number, 1 or more"), (True, "a whole number, 1 or more"), (0, "a whole number, 1 or more")],
    "expects": [
        (KeyError, "(KeyError,)"),
        ("KeyError", "a tuple of exception classes"),
        (None, "a tuple of exception classes"),
    ],
    "on_error": [("ignore", "'reply' (a call's caller gets it"), ("repl", "did you mean 'reply'?")],
    "on_cancel": [("cancelled", "did you mean 'cancel'?"), (True, "'finish' (a handler that has begun goes on)")],
    "concurrency": [("10", "how many handlers may run at once"), (0, "1 or more"), (2.5, "a whole number"), (True, "None for")],
    "capacity": [("100", "a whole number of messages"), (None, "math.inf"), (-1, "1 or more")],
    "overflow": [("drop", "'drop_oldest'"), ("drop-oldest", "did you mean 'drop_oldest'?"), (None, "'wait'")],
    "lanes": [("urgent", "a tuple of two or more names"), (["a", "b"], "a tuple of two or more names"), (2, "a tuple")],
    "choice": [("fare", "did you mean 'fair'?"), (1, "'strict'"), ({"urgent": 8}, "needs lanes=")],
    "throttle": [(wrong, RATE) for wrong in ("10", 0, -1, math.inf, math.nan, True, (10, 5), Throttle)],
    "queue": [(list, "it has no appendleft, popleft"), ([], "a class, or a function without arguments")],
    "redeliver": [("2", TIMES), (True, TIMES), (None, TIMES), (-1, TIMES)],
    "on_dead_letter": [("spill", "a plain function of one Undelivered"), ([], "list.append")],
    "lifetime": [("address", "did you mean 'addresses'?"), (None, "'supervisor' or 'addresses'")],
    "on_tree_started": [("serve", "give a function of the actor's class"), (Worker().ping, "Worker.ping")],
    "drain": [("no", "True or False"), (None, "True or False")],
    "handler_deadline": [("30", MORE_THAN_0), (0, MORE_THAN_0), (math.inf, "None for no deadline")],
    "own_task": [("yes", "True or False"), (2, "True or False")],
    "required": [("no", "True, or False for a child"), ("optional", "only degrades")],
}
VALUES: Final = [(option, value, cure) for option, values in PLAUSIBLE.items() for value, cure in values]


def test_each_option_has_a_plausible_wrong_value() -> None:
    assert [*PLAUSIBLE] == [*ChildOptions.__annotations__]


@pytest.mark.parametrize(("option", "value", "cure"), VALUES, ids=[f"{option}={n}" for n, (option, *_) in enumerate(VALUES)])
def test_a_plausible_wrong_value_is_refused_where_it_is_written(option: str, value: Any, cure: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        kid(**{option: value})
    assert refused.value.field == option
    for part in ("child", f"{option}={shown(value, LONG)}", cure):
        assert part in str(refused.value)


@pytest.mark.anyio
async def test_so_it_is_at_run_time_and_of_a_mailbox_alone() -> None:
    async with any_supervisor("app") as app:
        with pytest.raises(InvalidSpec, match="child 'worker': throttle='10' is not valid"):
            await app.start(Worker, throttle="10")
        assert app.which_children() == []
    with pytest.raises(InvalidSpec, match="mailbox 'worker': throttle='10' is not valid"):
        any_mailbox(Worker, throttle="10")


@pytest.mark.parametrize("intensity", [5, (5, 60), "5", None])
def test_so_is_the_intensity_of_a_supervisor(intensity: Any) -> None:
    for kind in (any_supervisor, DynamicSupervisor):
        with pytest.raises(InvalidSpec, match=r"'app': intensity=.*Intensity\(.*, per=seconds\)"):
            kind("app", intensity=intensity)
    assert app_of(intensity=Intensity(5, per=60)).spec.intensity == Intensity(5, per=60)


def test_a_bare_number_is_taken_where_nothing_else_belongs_to_it() -> None:
    assert kid(throttle=10).mailbox_options.throttle == Throttle(10)
    assert kid(throttle=0.5).mailbox_options.throttle == Throttle(0.5)
    assert kid(throttle=None).mailbox_options.throttle is None
    assert kid(redeliver=2).rules.redeliver == Redeliver(2)


NEAREST: Final[list[tuple[str, Callable[[], Any], str]]] = [
    ("restrat", lambda: kid(restrat="permanent"), "did you mean 'restart'? there is no such option; there are name, restart"),
    ("Limit", lambda: kid(Limit=None), "did you mean 'limit'?"),
    ("timeout", lambda: kid(timeout=5), "there is no such option; there are name, restart"),
    ("strategy", lambda: app_of(strategy="one-for-all"), "did you mean 'one_for_all'? one of "),
    ("strategy", lambda: app_of(strategy="rest"), "did you mean 'rest_for_one'? one of "),
    ("strategy", lambda: app_of(strategy=7), "one of 'one_for_one'"),
    ("auto_shutdown", lambda: app_of(auto_shutdown="any"), "did you mean 'any_significant'? one of "),
    ("give_up_as", lambda: app_of(give_up_as="gaveup"), "did you mean 'gave_up'? "),
    ("restart", lambda: app_of(restart="Permanent"), "did you mean 'permanent'? "),
    ("type", lambda: any_restart("transent"), "did you mean 'transient'? use Restart.permanent()"),
]


@pytest.mark.parametrize(("field", "attempt", "cure"), NEAREST, ids=[f"{n}: {field}" for n, (field, *_) in enumerate(NEAREST)])
def test_an_unknown_name_is_refused_with_the_nearest_one_first(field: str, attempt: Callable[[], Any], cure: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        attempt()
    assert refused.value.field == field
    assert refused.value.cure.startswith(cure)
    assert refused.value.cure in str(refused.value)


@pytest.mark.anyio
async def test_an_unknown_path_or_lane_is_refused_with_the_nearest_one() -> None:
    below = Supervisor("workers", child(Worker, name="first"), child(Worker, name="second"))
    async with Supervisor("app", below, child(Worker, name="db", lanes=("urgent", "normal"))) as app:
        for ask in (app.find, app.explain, app.kill):
            with pytest.raises(ChildNotFound, match=r"'workers' has no 'frist'; .*, 'second'; did you mean 'first'\?$"):
                ask("workers/frist")
            with pytest.raises(
                ChildNotFound, match=r"'app' has no 'worker'; there are 'workers', 'db'; did you mean 'workers'\?"
            ):
                ask("worker/first")
        for change in (app.terminate_child, app.restart_child, app.delete_child):
            with pytest.raises(ChildNotFound, match=r"no child 'DB' here; there are 'workers', 'db'; did you mean 'db'\?$"):
                await change("DB")
        with pytest.raises(ChildNotFound, match=r"no child 'nobody' here; there are 'workers', 'db'$"):
            app.get_childspec("nobody")
        with pytest.raises(InvalidSpec, match=r"lane='urgnt' is not valid: did you mean 'urgent'\? one of its lanes"):
            app.find("db").options(lane="urgnt")
