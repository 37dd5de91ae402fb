"""How a running tree is: as a value, over HTTP, and for a service manager.

The names here are the public ones. This room may import `tree/` and what is below it, and no leaf beside it. Start reading with
`asgi.py`; what is said here to others is judged in `tree/snapshot.py`.
"""

from supervise.tree.snapshot import ChildHealth, Health, Readiness, health, readiness

from .asgi import Endpoint
from .probes import serve
from .service_manager import ServiceManager

__all__ = ("ChildHealth", "Endpoint", "Health", "Readiness", "ServiceManager", "health", "readiness", "serve")
