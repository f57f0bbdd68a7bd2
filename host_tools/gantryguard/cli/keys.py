"""`gantryguard keys`: make keys, and the root records that make devices trust them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from gantryguard.errors import KEY_FILE, UserError
from gantryguard.signing import keyfile
from gantryguard.signing.hsm import open_module
from gantryguard.signing.records import RootPlan, identifier, sign_root
from gantryguard.signing.signer import Signer
from gantryguard.signing.state import write_durably
from gantryguard.signing.trusting import load_root
from interposer.core.package import Package, board_hash
from interposer.core.trust import NO_RESET, PACKAGE_ROLE, ROOT_ROLE, Root

app = typer.Typer(help="Keys that sign packages, and the root records that name them.", no_args_is_help=True)

PASSPHRASE = "GANTRYGUARD_PASSPHRASE"
HSM = "hsm:"
Keys = Annotated[list[Path], typer.Option(help="A key file (NAME.key); may be given several times.")]
Output = Annotated[Path, typer.Option("--output", help="Where to write the root record.")]


def signer_of(name: str) -> Signer:
    """The signer of a key file, or of `hsm:LIBRARY:TOKEN:LABEL`; asks for the passphrase or PIN."""
    if name.startswith(HSM):
        library, _, rest = name.removeprefix(HSM).rpartition(":")[0].partition(":")
        return open_module(library, rest, name.rpartition(":")[2], _passphrase(f"PIN of {rest}"))
    return keyfile.load(Path(name)).unlock(_passphrase(f"Passphrase of {name}"))


def _passphrase(question: str, again: bool = False) -> str:
    given = os.environ.get(PASSPHRASE)
    return given if given is not None else str(typer.prompt(question, hide_input=True, confirmation_prompt=again, err=True))


@app.command()
def create(path: Annotated[Path, typer.Argument(help="File to write; `.key` is added.")]) -> None:
    """Make a key that can sign 1024 times. The passphrase is asked for, or taken from GANTRYGUARD_PASSPHRASE."""
    made = keyfile.create(path, _passphrase("New passphrase", again=True))
    print(f"{made.path}  {identifier(made.public).hex()}  {made.state.left()} signatures")
    print("Keep no copy of it: a copy that signs reveals the key. A second root key is the backup (docs/update.md).")


@app.command("list")
def list_(
    folder: Annotated[Path, typer.Argument(help="Folder with key files and root records.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List the keys of a folder, and how many signatures each has left."""
    rows = []
    for path in sorted(folder.glob("*.key")):
        key = keyfile.load(path)
        rows.append({"file": str(path), "key": identifier(key.public).hex(), "left": key.state.left()})
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['file']}  {row['key']}  {row['left']} signatures left")
    if not rows:
        print(f"No key in {folder}. `gantryguard keys create NAME` makes one.")


@app.command()
def root(
    root_key: Keys,
    package_key: Keys,
    output: Output = Path("root.bin"),
    package_threshold: Annotated[int, typer.Option(help="How many package keys have to sign.")] = 1,
    root_threshold: Annotated[int, typer.Option(help="How many root keys have to sign the next record.")] = 1,
    board: Annotated[str, typer.Option(help="The only board that packages may be for.")] = "pico",
    for_package: Annotated[Path | None, typer.Option(help="Accept only packages of this one's link.")] = None,
) -> None:
    """Make the first root record of a site: two root keys, of which one is the other's backup, and the package keys."""
    _not_there(output)
    if len(root_key) < 2:
        remedy = "make a second one (`gantryguard keys create`), and keep it elsewhere."
        raise UserError("A root record needs two root keys.", remedy=remedy, exit_code=KEY_FILE)
    wire = Package(for_package.read_bytes(), board).wire if for_package else bytes(4)
    plan = RootPlan(
        1, _public(root_key), _public(package_key), root_threshold, package_threshold, None, board_hash(board), wire
    )
    signers = [signer_of(str(path)) for path in root_key[: max(1, root_threshold)]]
    _write(output, plan, signers)


@app.command()
def rotate(
    old: Annotated[Path, typer.Argument(help="The root record that devices have now.")],
    signed_by: Annotated[list[str], typer.Option(help="Old and new root keys that sign: files, or hsm:LIBRARY:TOKEN:LABEL.")],
    root_key: Keys,
    package_key: Keys,
    output: Output,
    reset_counter: Annotated[int | None, typer.Option(help="Set the devices' security counter to this.")] = None,
) -> None:
    """Make the next root record: the keys named here replace the old ones. Carry it to devices with `package sign --carry`."""
    _not_there(output)
    before = load_root(old)
    thresholds = before.thresholds
    plan = RootPlan(
        before.version + 1,
        _public(root_key),
        _public(package_key),
        thresholds[ROOT_ROLE],
        thresholds[PACKAGE_ROLE],
        reset_counter,
        before.board,
        before.wire,
        before.schema,
    )
    _write(output, plan, [signer_of(name) for name in signed_by])


@app.command()
def show(path: Annotated[Path, typer.Argument(help="A root record.")]) -> None:
    """Show which keys a root record names, and what it asks for."""
    for line in describe(load_root(path)):
        print(line)


def describe(record: Root) -> list[str]:
    """A root record, a line each."""
    lines = [f"version        {record.version}"]
    for role, name in ((ROOT_ROLE, "root"), (PACKAGE_ROLE, "package")):
        keys = ", ".join(key.hex() for key in record.keys[role])
        lines.append(f"{name:14} {record.thresholds[role]} of {keys}")
    if record.counter != NO_RESET:
        lines.append(f"sets counter   {record.counter}")
    pins = (("board", record.board), ("link", record.wire), ("features", record.schema))
    return lines + [f"{name:14} {pin.hex() if any(pin) else 'any'}" for name, pin in pins]


def _public(paths: list[Path]) -> list[bytes]:
    return [keyfile.load(path).public for path in paths]


def _not_there(output: Path) -> None:
    if output.exists():
        raise UserError(f"{output} is there already.", remedy="name another file.", exit_code=KEY_FILE)


def _write(output: Path, plan: RootPlan, signers: list[Signer]) -> None:
    write_durably(output, sign_root(plan.record(), signers))
    load_root(output)
    print(f"{output}  version {plan.version}, {len(plan.root_keys)} root keys, {len(plan.package_keys)} package keys")
