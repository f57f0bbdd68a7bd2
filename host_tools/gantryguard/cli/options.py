"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProfileName = Annotated[str, typer.Option("--profile", help="Folder name in models/.")]
Image = Annotated[Path | None, typer.Option("--micropython", help="Your copy of the official UF2.")]
