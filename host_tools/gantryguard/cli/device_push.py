"""`gantryguard device push`: shows what an update changes, and brings it to a device."""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from gantryguard import paths
from gantryguard.client.maintenance import Guard, SerialTransport, find_port
from gantryguard.client.push import Push, refusal
from gantryguard.profiles.difference import differences
from gantryguard.profiles.files import read_bytes
from gantryguard.profiles.profile import Profile
from gantryguard.signing.trusting import age_note, load_root, refuse_expired, verify
from interposer.core.reasons import PACKAGE_OLD

SUFFIX = ".bin"


def push(
    package: Annotated[Path, typer.Argument(help="A signed package.")],
    port: Annotated[str | None, typer.Option("--port", help="Serial port of the guard; default: the only one.")] = None,
    root: Annotated[Path | None, typer.Option("--root", help="The device's root record: check before sending.")] = None,
    against: Annotated[Path | None, typer.Option("--against", help="The installed package, to compare with.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Update a device: compare, send, verify, try, confirm. Meanwhile the link is safe: relay open, a stop alone passes."""
    blob = read_bytes(package)
    new = Profile(blob)
    refuse_expired(new.package, datetime.date.today())
    if root is not None:
        verify(blob, load_root(root))
    link = SerialTransport(find_port(port))
    status = Guard(link).status()
    for line in _announcement(status, new, against):
        print(line)
    if new.package.counter <= status.get("package_counter", -1) and not blob[new.package.length + 5 :][:1].strip(b"\0"):
        raise refusal(PACKAGE_OLD)
    if dry_run:
        print("Dry run: nothing was sent.")
        return
    if not yes:
        typer.confirm("Update now?", abort=True)
    _carry_out(Push(link, blob, new.package.digest), len(blob))
    _keep(new)
    print(f"{new.name} counter {new.package.counter} is installed and confirmed.")


def _announcement(status: dict[str, Any], new: Profile, against: Path | None) -> list[str]:
    """What runs, what comes, and what that changes."""
    today = datetime.date.today()
    if "package" not in status:
        return ["installed: no usable package", f"new: {new.name} counter {new.package.counter}"]
    age = age_note(status["package_issued"], today)
    installed = f"{status['package']} counter {status['package_counter']} {status['package_digest'][:16]}"
    lines = [f"installed: {installed} {age}".rstrip()]
    lines.append(f"new:       {new.name} counter {new.package.counter} {new.package.digest.hex()[:16]}")
    old = Profile(read_bytes(against)) if against else _find(status["package_digest"])
    if old is None:
        return [*lines, "the installed package is not known here: name it with --against to see what changes"]
    return [*lines, *(f"  {line}" for line in differences(old, new))]


def _store() -> Path:
    """Where packages that were pushed are kept, to compare the next one with."""
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "gantryguard" / "packages"


def _find(digest: str) -> Profile | None:
    """The package of a digest, from the store or from models/."""
    known = [_store() / f"{digest}{SUFFIX}", *sorted(paths.MODELS.glob("*/package.bin"))]
    for path in known:
        if path.is_file() and digest in path.read_bytes()[:96].hex():
            return Profile(path.read_bytes())
    return None


def _keep(profile: Profile) -> None:
    path = _store() / f"{profile.package.digest.hex()}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(profile.blob)


def _carry_out(update: Push, size: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sending", total=size)
        began = time.monotonic()
        update.send(lambda done, _all: bar.update(task, completed=done))
        bar.update(task, description="trying")
        update.install()
    print(f"sent, verified, tried and confirmed in {time.monotonic() - began:.1f} s")
