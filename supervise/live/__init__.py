"""A running tree, seen and handled from outside, while it runs.

Begin with `serve`, in the program: it lets its tree be seen by a socket, or over HTTP with
a page. From elsewhere, `trees` finds what is served on this machine, and a `Client` asks
one. `supervise run --live`, `supervise top` and others are made of these. What is asked and
answered is told in the guide, `examples/guide/live.md`.

    async with TREE, serve(TREE): ...

This room may import `tree/` and what is below it, and no leaf beside it. Start reading with
`endpoint.py`, which says what can be asked, and `server.py`, which says where it runs.
"""

from .client import Client, LiveError, NoTree, trees
from .folder import Found, WrongFolder
from .listening import CantServe
from .server import Served, serve

__all__ = ("CantServe", "Client", "Found", "LiveError", "NoTree", "Served", "WrongFolder", "serve", "trees")
