"""Where a command listens: `HOST:PORT`, as it is typed, said and shown."""

from __future__ import annotations

from supervise_strategies.exit_reason import describe


class WrongAddress(Exception):
    """Nothing can listen there; the text is the one line to print."""


def host_and_port(option: str, text: str, example: int) -> tuple[str, int]:
    """`HOST:PORT`, with an IPv6 address in brackets; port 0 is any that is free. Raises `WrongAddress`."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise WrongAddress(
            f"{option} {text!r} isn't HOST:PORT: give both, e.g. {option} 127.0.0.1:{example}, or [::1]:{example}"
        )
    return host, int(port)


def shown(host: str, port: int) -> str:
    """The other way round."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def taken(option: str, host: str, port: int, error: OSError) -> WrongAddress:
    """What to say when nothing can listen there."""
    why = error.strerror or describe(error)
    cure = "choose another port, or end what listens on this one"
    return WrongAddress(f"{option} {shown(host, port)}: can't listen there ({why}): {cure}")
