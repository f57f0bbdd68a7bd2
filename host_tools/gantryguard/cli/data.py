"""`gantryguard data`: real exams as tables of scan commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gantryguard.cli import data_generate
from gantryguard.cli.progress import LateBar
from gantryguard.clinic.importers import public
from gantryguard.clinic.importers.run import Order, Outcome, run
from gantryguard.errors import UserError

app = typer.Typer(help="Exams as tables of scan commands: real ones imported, others generated.", no_args_is_help=True)
data_generate.register(app)


@app.command("import")
def import_(
    output: Annotated[Path, typer.Option("-o", "--output", help="Table to write: .csv, or .parquet (needs pyarrow).")],
    sources: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Files or folders.")] = None,
    fetched: Annotated[
        list[str] | None, typer.Option("--public", help="Fetch public data too: openrem (dose reports) or nlst; repeatable.")
    ] = None,
    skipped: Annotated[
        Path | None, typer.Option("--skipped", help="List of what was left out, .csv or .json; default: beside the output.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the same import after an interruption.")] = False,
    objective: Annotated[
        str | None, typer.Option("--objective", help="Clinical objective of exams that do not say what they are for.")
    ] = None,
    tests: Annotated[
        bool, typer.Option("--tests", help="Keep quality assurance, test sessions and repeated phases of dose reports.")
    ] = False,
    fit: Annotated[
        bool,
        typer.Option("--fit", help="Map settings to the nearest that the reference scanner has, for scoring."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Import dose reports, CT image headers, NLST parameters and CSV files into one table for `model score`.

    Every event becomes a row, or is listed with the reason why not; a broken file stops nothing. Cumulative and continued
    reports, reconstructions and images of one scan count once. Formats, derivations and traps: docs/data.md.

    Exit codes: 3 public data out of reach, 10 no such file, 14 no such objective, 16 pyarrow is not installed, 17 the
    journal of an interrupted run is in the way.
    """
    names = tuple(fetched or ())
    unknown = [name for name in names if name not in public.NAMES]
    if unknown:
        raise UserError(f"No public data {unknown[0]!r}.", remedy=f"Use {' or '.join(public.NAMES)}.", exit_code=2)
    if not sources and not names:
        raise UserError("Nothing to import.", remedy="Name files or folders, or add --public openrem.", exit_code=2)
    order = Order(output, tuple(sources or ()), names, skipped, resume, tests, objective, fit)
    _report(_run(order), order, as_json=as_json)


def _run(order: Order) -> Outcome:
    try:
        with LateBar("importing") as bar:
            return run(order, lambda line: typer.echo(line, err=True), bar.update)
    except KeyboardInterrupt:
        typer.echo("What was read is kept: repeat the command with --resume.", err=True)
        raise


def _report(outcome: Outcome, order: Order, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(vars(outcome), indent=1))
        return
    print(f"{outcome.imported} events imported from {outcome.files} files into {order.output}")
    print(f"{outcome.skipped} left out, each with its reason in {order.skip_list}")
    for reason, count in outcome.reasons.items():
        print(f"  {count:8}  {reason}")
