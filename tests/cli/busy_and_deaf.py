"""`supervise run tests.cli.busy_and_deaf:TREE`: see `busy`."""

from tests.cli.busy import listen, tree

TREE = tree(deaf=True)
listen()
