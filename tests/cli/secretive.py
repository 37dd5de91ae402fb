"""A tree that loses messages in several ways, each with something in it that isn't everybody's business."""

from __future__ import annotations

import anyio

from supervise import CallTimeout, Supervisor, child, current, task

SECRET = "4711-0815"


class Vault:
    async def keep(self, number: str) -> None:
        pass

    async def crash(self, number: str) -> None:
        raise LookupError("no such vault")

    async def wait(self, number: str) -> None:
        await anyio.sleep_forever()


async def burgle() -> None:
    vault = current().supervisor().find(VAULT)
    await vault.send(Vault.crash, SECRET)
    try:
        await vault.options(timeout=0.01).call(Vault.wait, number=SECRET)
    except CallTimeout:
        await vault.send(Vault.keep, SECRET)
        current().stop_tree("all is said")
        raise


VAULT = child(Vault, stop_within="brutal_kill")
TREE = Supervisor("app", VAULT, child(task(burgle)))
