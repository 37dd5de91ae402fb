"""The page: one HTML document that holds no data, and needs nothing but this server.

It is made of the files in `screen/`: the scripts are joined in the order in which they use each other. A browser is told, by
headers, to run this script and this style and no other, to ask this server alone, and to show the page in no other one.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from typing import Final

from .request import answer

SCRIPTS: Final = ("text", "link", "model", "header", "table", "views", "detail", "operator", "main")


def page(method: str) -> bytes:
    """Its response; to HEAD that without the document."""
    whole = _response()
    return whole if method == "GET" else whole[: whole.index(b"\r\n\r\n") + 4]


@functools.cache
def _response() -> bytes:
    script = '"use strict";\n' + "\n".join(_resource(f"{name}.js") for name in SCRIPTS)
    style = _resource("page.css")
    document = _resource("page.html").replace("{style}", style).replace("{script}", script)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return answer(
        200,
        document.encode(),
        "text/html; charset=utf-8",
        ("content-security-policy", policy),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    )


def _resource(name: str) -> str:
    return files(__name__.rpartition(".")[0]).joinpath("screen", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
