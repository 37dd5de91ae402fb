"""What exists already, as a child of a tree: a thread, a process, a server.

Begin with what you have:

- a function that blocks: `supervise.adapters.thread`; an object whose methods block: `own_thread`
- an object with a coroutine `run()`: `runnable`; with functions that start and stop it: `service`
- a program: `process`
- an `asyncio.Task`: `asyncio_task`; a uvicorn server: `uvicorn`; a pykka actor: `pykka`
- a tree in a Starlette or FastAPI application: `starlette`

Each makes a `Factory`: `child(thread(consume, queue), name="consumer")`, or
`await app.start(thread(consume, queue))`. `import supervise` loads none of them.

This room may import `tree/` and what is below it, and no leaf beside it. Start reading with
`thread.py`; what all adapters do beside their messages goes through `tree/work.py`.
"""
