"""Tables of the documents that are written from what they describe."""

from __future__ import annotations

from collections.abc import Sequence


def table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table, without a line's end behind it."""
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
