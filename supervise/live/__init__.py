"""A running tree, seen and handled from outside.

The names here are the public ones. This room may import `tree/` and what is below it, and no leaf beside it. Start reading with
`endpoint.py`, which says what can be asked, and `server.py`, which says where it runs.
"""

from .client import Client, LiveError, NoTree, trees
from .folder import Found, WrongFolder
from .listening import CantServe
from .server import Served, serve

__all__ = ("CantServe", "Client", "Found", "LiveError", "NoTree", "Served", "WrongFolder", "serve", "trees")
