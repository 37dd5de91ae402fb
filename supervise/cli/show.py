"""`supervise tree` and `supervise explain`: a tree as it is written, without running it.

Both end with status 0, or with 2 and a line on stderr for what isn't a tree, can't work, or isn't in it. What is checked:
all that is checked when a tree is built, and that each factory takes the arguments that it is given.
"""

from __future__ import annotations

import inspect

from supervise.tree.child import Child
from supervise.tree.explanation import explain_description
from supervise.tree.pool import Pool
from supervise.tree.supervisor import Runnable
from supervise_strategies.errors import ChildNotFound
from supervise_strategies.text import said, shown

from .target import WrongTarget, load


def tree(target: str, factory: bool = False) -> int:
    """Print it, if it can work."""
    try:
        found = _checked(target, factory)
    except WrongTarget as error:
        error.tell()
        return 2
    print(found)
    kinds = [type(place) for _, place in found.walk()]
    pools, actors = kinds.count(Pool), kinds.count(Child)
    more = f", {_counted(pools, 'pool')}" if pools else ""
    print(f"{_counted(1 + len(kinds) - actors - pools, 'supervisor')}{more}, {_counted(actors, 'actor')}")
    return 0


def explain(target: str, path: str, *, factory: bool = False) -> int:
    """Print what a crash would do just after the start of the tree."""
    try:
        found = _checked(target, factory)
        wanted = path.strip("/")
        first, _, rest = wanted.partition("/")
        if rest and first == found.name and first not in dict(found.named()):  # as events and logs name it
            wanted = rest
        print(explain_description(found, wanted))
    except WrongTarget as error:
        error.tell()
        return 2
    except ChildNotFound as error:
        WrongTarget(str(error)).tell()
        return 2
    return 0


def _checked(target: str, factory: bool) -> Runnable:
    found = load(target, factory)
    for parts, place in found.walk():
        path = "/".join((found.name, *parts))
        if isinstance(place, Child):
            try:
                inspect.signature(place.factory).bind(*place.args)
            except ValueError:
                continue  # it doesn't say what it takes
            except TypeError as error:
                given = ", ".join(shown(argument, 40) for argument in place.args)
                raise WrongTarget(
                    f"{target!r}: the factory of {path!r} can't be called with ({given}): {said(error)}: mend its child(…)"
                ) from None
    return found


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
