"""Documents that are generated: `docs/link-<profile>.md` and `docs/package-format.md` from the tables, `docs/performance.md`
from measured figures, which a check does not measure again.

`python -m gantryguard.profiles.docs --check` compares them with the sources, `--write` writes them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gantryguard import paths
from gantryguard.benchmarks.document import performance_document
from gantryguard.errors import UserError
from gantryguard.profiles.format_document import format_document
from gantryguard.profiles.link_document import link_document
from gantryguard.profiles.package import compile_profile

DOCS = paths.ROOT / "docs"


def documents() -> dict[Path, str]:
    """Every generated document by path. Raises UserError (exit 4) for a profile that does not compile."""
    links = {
        DOCS / f"link-{folder.name}.md": link_document(compile_profile(folder))
        for folder in sorted(paths.MODELS.iterdir())
        if (folder / "link.toml").is_file()
    }
    figures = (DOCS / "performance.json").read_text(encoding="utf-8")
    return {
        **links,
        DOCS / "package-format.md": format_document(),
        DOCS / "performance.md": performance_document(figures),
    }


def check() -> None:
    """Raise UserError (exit 4) where a committed document differs from what its sources give."""
    for path, text in documents().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise UserError(
                f"{path.relative_to(paths.ROOT)} does not fit its sources.",
                remedy="run `python -m gantryguard.profiles.docs --write`.",
                exit_code=4,
            )


def write() -> None:
    """Write every document."""
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> None:
    """`--check` or `--write`."""
    actions = {"--check": check, "--write": write}
    if len(arguments) != 1 or arguments[0] not in actions:
        remedy = "run `python -m gantryguard.profiles.docs --check`."
        raise UserError("Give --check or --write.", remedy=remedy, exit_code=2)
    actions[arguments[0]]()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
