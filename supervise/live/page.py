"""The page: one HTML document that holds no data, and needs nothing but this server."""

from __future__ import annotations

from .request import answer


def page(method: str) -> bytes:
    """Its response."""
    return answer(200, b"<!doctype html><title>supervise</title>" if method == "GET" else b"", "text/html; charset=utf-8")
