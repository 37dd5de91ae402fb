"""How a running tree is: as a value, over HTTP, and for a service manager."""

from .asgi import Endpoint
from .probes import serve
from .service_manager import ServiceManager
from .snapshot import ChildHealth, Health, Readiness, health, readiness

__all__ = ("ChildHealth", "Endpoint", "Health", "Readiness", "ServiceManager", "health", "readiness", "serve")
