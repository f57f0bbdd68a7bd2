"""Fetches pinned distributions, most of them source archives, through the user's own pip, as that is configured.

pip checks the pinned SHA-256 before it looks into an archive, so that no changed file is ever opened or run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gantryguard import paths
from gantryguard.errors import UserError

Say = Callable[[str], None]

PIP_TIMEOUT_S = 600


class Sdist(NamedTuple):
    """A distribution of the package registry, pinned by the SHA-256 of its archive; `wheel` is a wheel's name."""

    name: str
    version: str
    sha256: str
    wheel: str = ""

    @property
    def file_name(self) -> str:
        """Name of the archive."""
        return self.wheel or f"{self.name}-{self.version}.tar.gz"


HDIFFPATCH = Sdist("hdiffpatch", "2.6.0", "9f0d05ee1784a8223df4ca806c47c4fc0dc2048aabd24e8694730e55a39aa5a6")
OPENREM = Sdist("OpenREM", "0.10.0", "2fb6be2a42b0355e5d57cb5f4a7750806e202aa2e8f41b4f7bf26439dd862dbb")
IDC_INDEX = Sdist(
    "idc-index-data",
    "25.0.5",
    "1ea4ec812688759b71798249b6488eb2bce7178aabb3dccb00366b7a555de25c",
    "idc_index_data-25.0.5-py3-none-any.whl",
)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep(data: bytes, target: Path) -> Path:
    """Write `data` to `target` so that no partial file can ever stand there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def download_sdist(sdist: Sdist, say: Say) -> Path:
    """The archive of `sdist` from the cache, or fetched into it. Raises UserError (exit 3)."""
    target = paths.cache_dir() / "sdists" / sdist.file_name
    if target.is_file():
        if sha256_of(target) == sdist.sha256:
            return target
        say(f"{target.name} in the cache is damaged: fetching it again")
    say(f"fetching {sdist.file_name} with pip")
    with tempfile.TemporaryDirectory() as folder:
        return keep(_pip_download(sdist, Path(folder)), target)


def fetch_sdist_member(sdist: Sdist, member: str, say: Say) -> bytes:
    """One file of `sdist`, named by its path below the archive's top folder. Raises UserError (exit 3)."""
    archive = download_sdist(sdist, say)
    with tarfile.open(archive) as tar:
        try:
            file = tar.extractfile(f"{sdist.name}-{sdist.version}/{member}")
        except KeyError:
            file = None
        if file is None:
            raise UserError(f"{archive.name} holds no {member}.", remedy="Report this: the pin is wrong.", exit_code=3)
        return file.read()


def _pip_download(sdist: Sdist, folder: Path) -> bytes:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{sdist.name}=={sdist.version} --hash=sha256:{sdist.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--only-binary" if sdist.wheel else "--no-binary", sdist.name, "--require-hashes", "--requirement", str(wanted)]
    command += ["--dest", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1] if done.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"no answer within {PIP_TIMEOUT_S} s"
    archive = folder / sdist.file_name
    if reason or not archive.is_file() or sha256_of(archive) != sdist.sha256:
        place = paths.cache_dir() / "sdists"
        raise UserError(
            f"pip could not fetch {sdist.file_name} ({reason or 'another file came'}).",
            remedy=f"Check the network and pip's settings, or put the file into {place}.",
            exit_code=3,
        )
    return archive.read_bytes()
