"""`supervise run --reload`: what has changed on the disk takes the place of what runs, actor by actor, on their own mailboxes.

Data's way: `program` sees which modules have changed, and, by their `imports`, who else is affected; `generation` imports all
of these anew, or puts the old ones back. `plan` compares the running tree with the new description, and `execution` obeys it.
`reloader` does one after the other, `watcher` says when, and `service` is beside the tree. Start reading with `reloader`.
"""
