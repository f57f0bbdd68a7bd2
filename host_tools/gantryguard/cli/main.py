"""The command line: composes the command groups and turns every failure into one line and an exit code."""

from __future__ import annotations

import sys

import typer
from typer.exceptions import Abort, Exit, TyperException

from gantryguard.cli import bench, data, demo, device, device_log, device_push, doctor, firmware, keys, model, package
from gantryguard.errors import UserError

app = typer.Typer(
    help="An inline guard for the control link between an imaging console and its gantry.",
    no_args_is_help=True,
    add_completion=False,
)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
device.app.command("push")(device_push.push)
device.app.command("log")(device_log.log)
app.add_typer(device.app, name="device")
app.add_typer(firmware.app, name="firmware")
app.add_typer(package.app, name="package")
app.add_typer(keys.app, name="keys")
app.add_typer(data.app, name="data")
app.add_typer(model.app, name="model")
app.add_typer(bench.app, name="bench")


def run(arguments: list[str] | None = None) -> None:
    """Entry point. Exit codes: `gantryguard.errors.UserError`; 130 after an interrupt."""
    sys.exit(main(sys.argv[1:] if arguments is None else arguments))


def main(arguments: list[str]) -> int:
    """Carry out one command line and return its exit code."""
    try:
        result = typer.main.get_command(app).main(arguments, prog_name="gantryguard", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except UserError as error:
        return _fail(str(error), error.exit_code)
    except TyperException as error:
        message = error.format_message().rstrip(".") or "No command was given"
        return _fail(f"{message}. Remedy: Add --help to see what this command takes.", 2)
    except Exit as stop:
        return stop.exit_code
    except (Abort, KeyboardInterrupt):
        return _fail("Interrupted.", 130)


def _fail(line: str, code: int) -> int:
    print(f"gantryguard: {' '.join(line.split())}", file=sys.stderr)
    return code
