"""`gantryguard device`: what the guard sees and does."""

from __future__ import annotations

import datetime
import json
import time
from typing import Annotated, Any

import typer

from gantryguard.client.maintenance import Guard, SerialTransport, find_port, ports
from gantryguard.client.report import Labels, describe_event, describe_status
from gantryguard.reasons import TEXTS

app = typer.Typer(help="Talk to a guard on its maintenance port.", no_args_is_help=True)

Port = Annotated[str | None, typer.Option("--port", help="Serial port of the guard; default: the only one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def guard_at(port: str | None) -> Guard:
    """The guard on a port, which learns what time it is."""
    guard = Guard(SerialTransport(find_port(port)))
    guard.tell_time(int(time.time()))
    return guard


@app.command("list")
def list_() -> None:
    """List the boards that are plugged in."""
    found = ports()
    for name, description in found:
        print(f"{name}  {description}")
    if not found:
        print("No board found. `gantryguard bench rig` serves an emulated one.")


@app.command()
def status(port: Port = None, as_json: Json = False) -> None:
    """Show the guard's state, counters, and why it last refused something."""
    guard = guard_at(port)
    answer = guard.status()
    if as_json:
        print(json.dumps(answer, sort_keys=True))
        return
    labels = Labels(guard.names() if answer.get("proposal") else "")  # the names are the longest answer of all
    for line in describe_status(answer, labels, datetime.date.today()):
        print(line)


@app.command()
def watch(
    port: Port = None,
    as_json: Json = False,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="Stop after so long; 0: never.")] = 0.0,
) -> None:
    """Show live what happens and why, with the blamed field and the proposed correction."""
    guard = guard_at(port)
    labels = Labels(guard.names())
    end = time.monotonic() + seconds if seconds else None
    number = 0
    while end is None or time.monotonic() < end:
        for event in guard.events(number):
            if event["number"] > number:
                print(f"({event['number'] - number} events were not kept)")
            number = event["number"] + 1
            print(json.dumps(event, sort_keys=True) if as_json else describe_event(event, labels), flush=True)
        time.sleep(0.2)


@app.command("reasons")
def list_reasons(as_json: Json = False) -> None:
    """List every reason code that a guard can give."""
    rows: list[dict[str, Any]] = [{"code": code, "name": name, "text": text} for code, (name, text) in sorted(TEXTS.items())]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(f"{row['code']:3}  {row['name']:22} {row['text']}")
