"""How a running tree is: as a value, over HTTP, and for a service manager.

Begin with `readiness`: is it live, is it ready, and why not. `health` says it of each
child. `Endpoint` answers probes in an ASGI application of yours, `serve` where there is
none, and `ServiceManager` tells systemd. The values are `Readiness`, `Health` and
`ChildHealth`.

    async with TREE, serve(TREE, "127.0.0.1", 8080): ...

This room may import `tree/` and what is below it, and no leaf beside it. Start reading with
`asgi.py`; what is said here to others is judged in `tree/snapshot.py`.
"""

from supervise.tree.snapshot import ChildHealth, Health, Readiness, health, readiness

from .asgi import Endpoint
from .probes import serve
from .service_manager import ServiceManager

__all__ = ("ChildHealth", "Endpoint", "Health", "Readiness", "ServiceManager", "health", "readiness", "serve")
