"""`gantryguard package`: build and look into profile packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gantryguard import paths
from gantryguard.cli.keys import signer_of
from gantryguard.learning.pipeline import nets_of
from gantryguard.profiles.difference import differences
from gantryguard.profiles.files import inspect, load_profile, package_path, read_bytes
from gantryguard.profiles.package import build as compile_package
from gantryguard.profiles.profile import Profile
from gantryguard.signing import development
from gantryguard.signing.records import sign_package
from gantryguard.signing.state import write_durably
from gantryguard.signing.trusting import load_root
from gantryguard.signing.trusting import verify as verify_package

app = typer.Typer(help="Build and inspect profile packages.", no_args_is_help=True)


@app.command("inspect")
def inspect_(
    path: Annotated[Path, typer.Argument(help="A package.bin.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Check a package as the device would and show what is in it."""
    facts = inspect(path)
    if as_json:
        print(json.dumps(facts, sort_keys=True))
        return
    for name, value in facts.items():
        print(f"{name:16} {value}")


@app.command()
def build(
    profile: Annotated[str, typer.Argument(help="Folder name in models/.")] = "ct",
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Leave the signing to `package sign`.")] = False,
) -> None:
    """Compile a profile's tables anew, with the networks of its present package (`model train` makes new ones).

    Signed by the development key, which everybody has, unless you say --unsigned.
    """
    path = package_path(profile)
    nets = nets_of(load_profile(profile)) if path.is_file() else None
    blob = compile_package(paths.MODELS / profile, nets)
    path.write_bytes(blob if unsigned else development.sign(blob))
    print(f"{path}  {path.stat().st_size} bytes, {'unsigned' if unsigned else 'signed by the development key'}")


Root = Annotated[Path, typer.Option("--root", help="The root record that devices have.")]


@app.command()
def sign(
    path: Annotated[Path, typer.Argument(help="A package, signed or not.")],
    output: Annotated[Path, typer.Option("--output", help="Where to write the signed package.")],
    key: Annotated[list[str], typer.Option("--key", help="Key file, or hsm:LIBRARY:TOKEN:LABEL; may be given several times.")],
    root: Root,
    carry: Annotated[list[Path] | None, typer.Option("--carry", help="Newer root records, oldest first.")] = None,
) -> None:
    """Sign a package. Signatures that it has are dropped: name every key that has to sign."""
    profile = Profile(read_bytes(path))
    bare = profile.blob[: profile.package.length]
    records = [read_bytes(record) for record in carry or []]
    signed = sign_package(bare, profile.package.digest, [signer_of(name) for name in key], records)
    verify_package(signed, load_root(root))
    write_durably(output, signed)
    print(f"{output}  {len(signed)} bytes, {len(key)} signatures, {len(records)} root records")


@app.command()
def verify(path: Annotated[Path, typer.Argument(help="A package.")], root: Root = development.ROOT_FILE) -> None:
    """Check a package as a device with this root record would; without --root: the development root."""
    package = verify_package(read_bytes(path), load_root(root))
    print(f"{path}  good: {package.name}, counter {package.counter}, {package.digest.hex()[:16]}")


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="The package of before.")],
    new: Annotated[Path, typer.Argument(help="The package of afterwards.")],
) -> None:
    """Show what a package changes: version, link, times, ranges, limits, thresholds, networks."""
    for line in differences(Profile(read_bytes(old)), Profile(read_bytes(new))):
        print(line)
