"""`supervise run --reload`: what has changed on the disk takes the place of what runs, actor by actor, on their own mailboxes.

Data's way: `program` sees which modules have changed, and, by their `imports`, who else is affected; `generation` imports all
of these anew, or puts the old ones back. `plan` compares the running tree with the new description, and `execution` obeys it.
`reloader` does one after the other, and `watcher` says when. Start reading with `reloader`.
"""
