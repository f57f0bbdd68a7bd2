"""Where things lie: the checkout, the cache and the build folder."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
BOARDS = ROOT / "boards"
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build"


def cache_dir() -> Path:
    """Folder of downloaded files: `GANTRYGUARD_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("GANTRYGUARD_CACHE")
    base = Path(chosen) if chosen else Path.home() / ".cache" / "gantryguard"
    base.mkdir(parents=True, exist_ok=True)
    return base
