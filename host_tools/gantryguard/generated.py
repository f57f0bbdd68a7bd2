"""Everything generated and committed: `--check` compares it with what its sources give, `--write` renews it.

`--check-trained` trains the networks again as well, which takes minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from gantryguard.errors import UserError
from gantryguard.learning import artefacts
from gantryguard.profiles import docs
from gantryguard.signing import development


def check(trained: bool = False) -> None:
    """Raise UserError (exit 4) where a committed file differs; `trained`: networks trained anew."""
    docs.check()
    development.check()
    differing = artefacts.check_trained(say=_tell) if trained else artefacts.check()
    if differing:
        files = ", ".join(differing)
        raise UserError(f"models/ct: {files} not as the sources and the seed give.", remedy="run `make gen`.", exit_code=4)
    networks = "trained again" if trained else "sources unchanged since they were trained"
    _say(f"gen-check: documents, networks ({networks}), package, golden vectors and model card are what their sources give")


def write() -> None:
    """Renew every generated file."""
    docs.write()
    development.write()
    for name in artefacts.write(say=_tell):
        _say(f"wrote models/ct/{name}")


def _tell(done: float, text: str) -> None:
    _say(f"{done:5.0%}  {text}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


COMMANDS: dict[str, Callable[[], None]] = {
    "--check": check,
    "--check-trained": partial(check, trained=True),
    "--write": write,
}

if __name__ == "__main__":
    try:
        COMMANDS[sys.argv[1]]()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
