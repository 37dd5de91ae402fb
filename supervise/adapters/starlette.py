"""A tree in the lifespan of a Starlette or FastAPI application: begin with `lifespan`.

Its addresses are in each request's state.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from supervise.tree.child import Child
from supervise.tree.description import Description
from supervise.tree.dynamic import DynamicSupervisor
from supervise.tree.supervisor import Supervisor
from supervise.tree.tree import TreeEnded
from supervise_strategies.errors import InvalidSpec


def lifespan(
    tree: Supervisor | DynamicSupervisor,
    /,
    *,
    on_end: Callable[[TreeEnded], object] | None = None,
    **addresses: Child[Any] | Description | str,
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """A tree as the lifespan of a Starlette or FastAPI application.

    For example `FastAPI(lifespan=lifespan(tree, counter=COUNTER))`. The tree starts before the
    first request and is stopped, in order, after the last. In a request's state are the
    addresses that are named here: `await request.state.counter.call(Counter.add, 1)`. They are
    shared by all requests, and stay valid over all restarts.

        tree: A description, which isn't running.
        addresses: By a name of yours, a `Child` or a path (for a described supervisor its
            handle). `supervisor` is the tree itself.
        on_end: A function that is called with how the tree ended, if it ends by itself, by a
            give-up say (default: none). Without, the application goes on, and its addresses
            raise `MailboxClosed`. `on_end=lambda _: signal.raise_signal(signal.SIGTERM)` ends
            the server too. What it raises leaves the lifespan.

    Raises `InvalidSpec` for what isn't a description of a tree, and for a child that isn't in
    it.

        >>> CART = child(list, name="cart")
        >>> begin = lifespan(Supervisor("app", CART), cart=CART)
        >>> async with begin(None) as state:  # as an application does it
        ...     await state["cart"].call(list.copy)
        []
    """
    if not isinstance(tree, Description):
        cure = "a description, which isn't running: lifespan(Supervisor('app', child(…)))"
        raise InvalidSpec("lifespan", "tree", tree, cure)
    if on_end is not None and not callable(on_end):
        raise InvalidSpec("lifespan", "on_end", on_end, "a function that is called with how the tree ended, or None")
    there = [each for _, each in tree.walk()]
    for name, key in addresses.items():
        if name == "supervisor":
            raise InvalidSpec("lifespan", name, key, "under this name is the running tree: give it another name")
        if not isinstance(key, Child | Description | str):
            raise InvalidSpec("lifespan", name, key, "what child(…) returned, or a path such as 'workers/first'")
        if not isinstance(key, str) and not any(key is other for other in there):
            raise InvalidSpec(
                "lifespan", name, key, f"it isn't in the tree {tree.name!r}: describe it there, and give the same"
            )

    @asynccontextmanager
    async def run(_: Any) -> AsyncGenerator[dict[str, Any]]:
        running: Any = None
        stopping = False
        try:
            async with tree as running:
                state: dict[str, Any] = {"supervisor": running}
                for name, key in addresses.items():
                    state[name] = running.supervisor(key) if isinstance(key, Description) else running.find(key)
                yield state
                stopping = True
        finally:
            if running is not None and running.ended is not None and not stopping and on_end is not None:
                on_end(running.ended)

    return run
