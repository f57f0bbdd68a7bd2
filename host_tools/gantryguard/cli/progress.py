"""A progress bar that shows itself only for what takes longer than two seconds, on standard error."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

PATIENCE_S = 2.0


class LateBar:
    """Use as a context; `update` may be called as often as one likes. A `total` of None is not known (yet)."""

    def __init__(self, text: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._text = text
        self._started = time.monotonic()
        self._task: TaskID | None = None

    def __enter__(self) -> LateBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._bar.stop()

    def update(self, done: float, total: float | None, text: str = "") -> None:
        """Show `done` of `total`, once the patience is over."""
        if self._task is None:
            if time.monotonic() - self._started < PATIENCE_S:
                return
            self._bar.start()
            self._task = self._bar.add_task(self._text, total=total)
        self._bar.update(self._task, completed=done, total=total, description=text or self._text)
