"""A tree whose actor writes to the log at each level, and ends the tree; one logger has a level of its own."""

from __future__ import annotations

import logging

from supervise import Supervisor, child, current

LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
shop = logging.getLogger("shop")
own = logging.getLogger("own")
own.setLevel(logging.DEBUG)


class Chatty:
    def talk(self) -> None:
        for level in LEVELS:
            shop.log(level, "shop %d", level)
            own.log(level, "own %d", level)
        current().stop_tree("all is said")


TREE = Supervisor("app", child(Chatty, on_tree_started=Chatty.talk))
