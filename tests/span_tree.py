"""Received spans as text: the tree that Jaeger draws of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from .collector import Span


def span_tree(spans: Iterable[Span], *keys: str) -> str:
    """A trace a block, a span a line, nested and ordered as in Jaeger's timeline, without ids and times.

    A span stands below its parent. One without a parent that links to a span of its own trace stands below that. A parent
    that didn't arrive is said. `keys` are the attributes to be shown.

        call Orders.Place  CLIENT shop
          process Orders.Place  SERVER shop  ERROR: no stock
            ! exception
    """
    traces: defaultdict[str, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start):
        traces[span.trace_id].append(span)
    return "\n\n".join("\n".join(_trace(trace, keys)) for trace in traces.values())


def _trace(trace: list[Span], keys: tuple[str, ...]) -> Iterator[str]:
    ids = {span.span_id for span in trace}
    below: defaultdict[str, list[Span]] = defaultdict(list)
    for span in trace:
        below[_above(span, ids)].append(span)

    def lines(span: Span, depth: int) -> Iterator[str]:
        indent = "  " * depth
        yield indent + _line(span, ids, keys)
        for event in span.events:
            yield f"{indent}  ! {event.name}"
        for child in below[span.span_id]:
            yield from lines(child, depth + 1)

    for root in below[""]:
        yield from lines(root, 0)


def _above(span: Span, ids: set[str]) -> str:
    if span.parent_id:
        return span.parent_id if span.parent_id in ids else ""
    return next((k.span_id for k in span.links if k.trace_id == span.trace_id and k.span_id in ids - {span.span_id}), "")


def _line(span: Span, ids: set[str], keys: tuple[str, ...]) -> str:
    parts = [span.name, f"{span.kind} {span.service}"]
    if span.status != "UNSET":
        parts.append(f"{span.status}: {span.description}" if span.description else span.status)
    if span.parent_id and span.parent_id not in ids:
        parts.append("(its parent didn't arrive)")
    elsewhere = sum(link.trace_id != span.trace_id for link in span.links)
    if elsewhere:
        parts.append(f"({elsewhere} {'links' if elsewhere > 1 else 'link'} to other traces)")
    parts += [f"{key}={span.attributes[key]}" for key in keys if key in span.attributes]
    return "  ".join(parts)
