"""What `supervise.adapters.process` is made of: processes of the operating system, below the actors around them.

Nothing here knows of actors, but by three calls that tell them what happened. Start reading with `group.py`, the life of one
process and all that it started; `keeper.py` is the thread that all of them live in; `launch.py` and `shim.py` are the two
sides of a start; the rest looks things up.
"""
