"""Supervisors and their children: described, built, and run. `supervise_strategies` decides, and this room obeys.

What is written down is a `Child` or a `Description`; what stays while it runs is a place (`place.py`, `branch.py`); what comes
and goes is a node (`node.py`), one life of a supervisor. Users hold a `RunningSupervisor`. This room may import every room
below: `spans/`, `actor/`, `address/`, `mailbox/`. Start reading with `node.py`: facts go in there, and directives come out.
"""
