"""A release: the UF2, the package that it starts with, both bills of materials, and SHA256SUMS over them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, time
from pathlib import Path

from gantryguard.client.device_image import build_flash, device_files
from gantryguard.client.uf2 import to_uf2
from gantryguard.profiles.dates import EPOCH, date_of
from gantryguard.release import sbom
from gantryguard.rig.board import load_board
from interposer.core.package import Package
from interposer.core.trust import Root

SUMS = "SHA256SUMS"


def contents(micropython: Path, package: Package, blob: bytes, record: Root) -> dict[str, bytes]:
    """Every file of a release by name. Raises UserError (exit 3)."""
    files = device_files(load_board(), {"package.bin": blob, "root.bin": record.record})
    uf2 = to_uf2(build_flash(micropython, files))
    issued = datetime.combine(date_of(package.issued) or EPOCH, time(), UTC)
    release = {
        f"gantryguard-{package.name}.uf2": uf2,
        f"{package.name}-{package.counter}.bin": blob,
        "device.cdx.json": sbom.of_device(uf2, files, issued),
        "host.cdx.json": sbom.of_host(issued),
    }
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(release.items()))
    return {**release, SUMS: sums.encode()}
