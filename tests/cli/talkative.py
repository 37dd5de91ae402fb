"""Trees that print and log, for a `supervise run` that has nobody to print for."""

from __future__ import annotations

import logging
import subprocess
import sys

from supervise import Intensity, Supervisor, child, current


class Talker:
    """Says a lot, in all ways, and then ends the tree."""

    def talk(self) -> None:
        for number in range(2000):  # more than any buffer holds
            print("line", number)
            print("line", number, file=sys.stderr)
            sys.stdout.write("more\n")
        sys.stdout.flush()
        logging.getLogger("talker").warning("that was all")
        subprocess.run(["sh", "-c", "echo from a child; echo from a child >&2"], check=False)
        current().stop_tree("all is said")


class Doomed:
    """Prints, and crashes."""

    def crash(self) -> None:
        print("crash", flush=True)
        raise ValueError("doomed")


class Opening:
    """What it opens first must not be where others print."""

    def open(self) -> None:
        with open(__file__, encoding="utf-8") as file:
            if file.fileno() > 2:
                current().stop_tree("a file of its own")


ORDERLY = Supervisor("app", child(Talker, on_tree_started=Talker.talk), intensity=Intensity(0))
GIVES_UP = Supervisor("app", child(Doomed, on_tree_started=Doomed.crash), intensity=Intensity(0))
OPENS = Supervisor("app", child(Opening, on_tree_started=Opening.open), intensity=Intensity(0))
