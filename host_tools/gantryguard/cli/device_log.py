"""`gantryguard device log`: the audit log, exported, verified, sealed, and compared with a seal."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from gantryguard.cli.device import Json, Port, guard_at
from gantryguard.cli.keys import signer_of
from gantryguard.client import log as logs
from gantryguard.client.maintenance import Guard
from gantryguard.client.report import Labels, describe_event
from gantryguard.errors import KEY_FILE, LOG, UserError
from gantryguard.profiles.files import read_bytes
from gantryguard.signing.keyfile import load
from gantryguard.signing.records import identifier
from gantryguard.signing.state import write_durably
from interposer.service.events import BOOT

KEEP = "keep the export, and treat the device as tampered with or broken."


def log(
    port: Port = None,
    as_json: Json = False,
    output: Annotated[Path | None, typer.Option("--output", help="Write every record there, a line of JSON each.")] = None,
    last: Annotated[int, typer.Option("--last", min=0, help="Records to show; 0: all.")] = 40,
    seal: Annotated[Path | None, typer.Option("--seal", help="Sign the newest record, into this file; needs --key.")] = None,
    key: Annotated[str, typer.Option("--key", help="Key file, or hsm:LIBRARY:TOKEN:LABEL.")] = "",
    against: Annotated[Path | None, typer.Option("--against", help="A seal: prove that nothing of it is missing.")] = None,
    trusted: Annotated[Path | None, typer.Option("--trusted", help="The key file that has to have signed it.")] = None,
) -> None:
    """Read the audit log, verify its chain, and show what happened and what is missing.

    Exit codes: 6 no device, 26 a seal that is not signed, 30 a log that does not belong together or is not the sealed one.
    """
    if seal and not key:
        raise UserError("A seal needs a key.", remedy="add --key; `gantryguard keys create` makes one.", exit_code=KEY_FILE)
    if against and not trusted:
        remedy = "add --trusted with the key file that signed it: anybody can sign with a key of their own."
        raise UserError("A seal proves nothing without its key.", remedy=remedy, exit_code=KEY_FILE)
    guard = guard_at(port)
    guard.status()
    found = _fetched(guard)
    records = found.records()
    rows = [logs.described(record) for record in records]
    if output:
        write_durably(output, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows).encode())
    if as_json:
        facts = {"identity": found.identity.hex(), "first": found.first, "unwritten": found.unwritten, "records": rows}
        print(json.dumps(facts, sort_keys=True))
    else:
        _show(found, records, Labels(guard.names()), str(guard.status().get("package_digest", "")), last)
    if found.fault:
        raise UserError(f"Records are missing: {found.fault}.", remedy=KEEP, exit_code=LOG)
    bad = [record for record in records if record.fault]
    if bad:
        what = f"{len(bad)} of {len(records)} records: the first, number {bad[0].values.get('number', '?')}, {bad[0].fault}"
        raise UserError(f"The chain does not hold ({what}).", remedy=KEEP, exit_code=LOG)
    if against and trusted:
        signed_by = identifier(load(trusted).public)
        newer = logs.compare(found, read_bytes(against).decode(errors="replace"), signed_by)
        typer.echo(f"complete: everything that {against} saw is there, and {newer} newer records", err=as_json)
    if seal:
        write_durably(seal, logs.seal(found, signer_of(key)).encode())
        typer.echo(f"wrote {seal}", err=as_json)


def _fetched(guard: Guard) -> logs.Log:
    with Progress(transient=True) as progress:
        task = progress.add_task("reading the log", total=1.0)
        return logs.fetch(guard, lambda done: progress.update(task, completed=done))


def _show(found: logs.Log, records: list[logs.Record], labels: Labels, package: str, last: int) -> None:
    """`labels`: names of the package with this digest; what another one was running for is told in numbers."""
    lines = []
    known = Labels("")
    for record in records:
        values = record.values
        if values and values["kind"] == BOOT:
            known = labels if any(values["digest"]) and package.startswith(values["digest"].hex()) else Labels("")
        lines.append(_line(record, known))
    for line in lines[-last:] if last else lines:
        print(line)
    kept = f"{len(records)} records, from number {found.first}" if records else "no record"
    print(f"{kept}; {found.unwritten} more wait to be written; device {found.identity.hex()}")


def _line(record: logs.Record, labels: Labels) -> str:
    values = record.values
    if not values:
        return f"       !! {record.fault}"
    when = f"{datetime.datetime.fromtimestamp(values['host_s'], datetime.UTC):%Y-%m-%d %H:%M:%S}" if values["host_s"] else "-"
    kind = logs.KIND_NAMES.get(values["kind"], "unknown")
    text = describe_event({**values, "kind": kind, "threshold": values["detail"]}, labels)
    frame = f"  frame {values['digest'].hex()}" if kind == "verdict" and any(values["digest"]) else ""
    fault = f"  !! {record.fault}" if record.fault else ""
    return f"{values['number']:7} start {values['boot']:5} {when:19} {text}{frame}{fault}"
