"""Real descriptions of trees and children, made from recorded specs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn, cast

from supervise import Child, DynamicSupervisor, Intensity, InvalidSpec, Supervisor
from supervise import child as describe
from supervise.events import Listener
from supervise.tree.child_options import ChildOptions
from supervise.tree.supervisor import Runnable
from supervise_strategies import ChildSpec

from .actors import CarefulWorker, Script, Worker, gated_worker
from .reasons import exit_reason
from .scenario import Json
from .specs import seconds


class Recipe(NamedTuple):
    """All that the start of an actor takes."""

    factory: Callable[..., Any]
    args: tuple[Any, ...]
    options: ChildOptions

    def described(self) -> Child[Any]:
        return describe(self.factory, *self.args, **self.options)


class Pool(DynamicSupervisor):
    """simple_one_for_one: what its instances are made of is the script's affair; ours are all described on their own."""

    def __init__(self, name: str, template: Json, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.template = template


class Describer:
    """Makes the descriptions of one scenario. An absent key stands for OTP's default; the first fault is OTP's, too."""

    def __init__(self, script: Script, gated: frozenset[str], *, careful: bool) -> None:
        self._script = script
        self._gated = gated
        self._careful = careful

    def supervisor(self, path: str, sup: Json, *, listener: Listener | None = None, **below: Any) -> Runnable:
        """Of a SUP. `below` is what a parent has to know. Raises `InvalidSpec`."""
        name, children = _id(path), sup["children"]
        strategy = sup.get("strategy", "one_for_one")
        pool = strategy == "simple_one_for_one"
        common: dict[str, Any] = {
            "intensity": Intensity(sup.get("intensity", 1), sup.get("period", 5)),
            "give_up_as": "shutdown",
            "listener": listener,
            **below,
        }
        settings = partial(
            Supervisor,
            name,
            strategy="one_for_one" if pool else strategy,
            auto_shutdown=sup.get("auto_shutdown", "never"),
            **common,
        )
        settings()  # OTP looks at these before it looks at the children
        described = [self.child(f"{path}/{child.get('id', '')}", child) for child in children]
        if not pool:
            return settings(*described)
        if len(children) != 1:
            raise InvalidSpec(f"supervisor {name!r}", "children", len(children), "one template", fault="bad_start_spec")
        made = Pool(name, children[0], **common)
        made.spec.check_child(described[0].spec_as_child(children[0]["id"]))
        return made

    def child(self, path: str, child: Json) -> Child[Any] | Runnable:
        """Of a CHILD. Raises `InvalidSpec`."""
        recipe = self.worker(path, child)
        described = recipe.described()
        nested = child.get("spec")
        if nested is None:
            return described
        as_child: dict[str, Any] = {key: value for key, value in recipe.options.items() if key != "name"}
        try:
            return self.supervisor(path, nested, **as_child)
        except InvalidSpec as fault:
            # OTP looks at a nested spec when that supervisor starts, and its start fails. Ours can't even be described; the
            # nearest to it is a child whose start fails with what is wrong.
            return Recipe(_refuse, (fault,), recipe.options).described()

    def worker(self, path: str, child: Json) -> Recipe:
        """How a worker of that path is started. Hooks only where the script needs them, so that plain actors occur as well."""
        if child.get("type", "worker") not in ("worker", "supervisor"):
            ChildSpec(_id(path), type=child["type"])  # can't be written with real descriptions, but the rule is there
        options: dict[str, Any] = {
            "name": _id(path),
            "restart": child.get("restart", "permanent"),
            "significant": child.get("significant", False),
        }
        if "shutdown" in child:
            options["stop_within"] = seconds(child["shutdown"])
        takes, reason = child.get("stop_ms", 0) / 1000, child.get("stop_reason", "shutdown")
        given = cast("ChildOptions", options)
        if self._careful or takes or reason != "shutdown":
            return Recipe(CarefulWorker, (self._script, takes, exit_reason(reason)), given)
        return Recipe(gated_worker if path in self._gated else Worker, (self._script,), given)


def _id(path: str) -> str:
    return path.rpartition("/")[2]


def _refuse(fault: InvalidSpec) -> NoReturn:
    raise fault
