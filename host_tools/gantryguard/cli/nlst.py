"""`gantryguard model nlst`: the guard on the series of the National Lung Screening Trial."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from gantryguard import paths
from gantryguard.cli.options import ProfileName
from gantryguard.errors import UserError

REPORT = "nlst.md"


def nlst(
    profile: ProfileName = "ct",
    index: Annotated[
        Path | None, typer.Option("--index", help="Index of series as parquet; default: the pinned one, fetched once (74 MB).")
    ] = None,
) -> None:
    """Commission on 500 series of each scanner model of NLST, test on the rest; prints a table, writes report/nlst.md.

    A minute. Exit codes: 3 public data out of reach, 7 too few or implausible series, 10 no such file, 16 pyarrow is not
    installed.
    """
    from gantryguard.client.fetch import sha256_of
    from gantryguard.clinic.importers import public
    from gantryguard.learning import nlst_trial, study  # numpy and parquet take a second to load
    from gantryguard.profiles.files import load_profile

    path = index or public.nlst(lambda line: typer.echo(line, err=True))
    try:
        data = f"{path.name}, SHA-256 {sha256_of(path)}"
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", remedy="Name an index.", exit_code=10) from error
    shipped = load_profile(profile)
    with Progress() as progress:
        task = progress.add_task("reading", total=1.0)
        draws = nlst_trial.run(
            paths.MODELS / profile,
            shipped,
            nlst_trial.read(path),
            lambda done, text: progress.update(task, completed=done, description=text),
        )
        progress.update(task, completed=1.0, description="tested")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = nlst_trial.rendered(draws, tables=study.tables_sha256(shipped), data=data, date=today)
    print(text)
    if index is None:
        target = paths.MODELS / profile / "report" / REPORT
        target.write_text(text, encoding="utf-8")
        print(f"wrote {target.relative_to(paths.ROOT)}")
