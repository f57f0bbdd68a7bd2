"""Mutation testing of what decides whether a package is believed: every small change of it has to fail a test.

    make mutants         # all mutants of package.py, lms.py and trust.py; mutants.toml explains those that survive

Every mutant is one change of the source tree (`changes.py`). A fork of this process puts it in the place of the module before
anything imports it and runs the tests that know the module (`trials.py`). Whoever fails none survives. Exit code 1 where a
survivor is not explained in mutants.toml, or one that is explained has died or is no mutant any more.

Our own because a fork that has pytest and its libraries loaded needs a tenth of the time that a new process for every mutant
takes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tomllib
from pathlib import Path

from changes import ROOT, mutants_of
from trials import Trials

SURVIVORS = Path(__file__).with_name("mutants.toml")
MODULES = {
    "interposer.core.lms": ("test_lms.py",),
    "interposer.core.trust": ("test_trust.py",),
    "interposer.core.package": ("test_profiles_package.py", "test_trust.py", "test_maintenance_answers.py"),
}
LEFT_OUT = ("test_trust.py::test_no_mutant_is_accepted",)  # minutes, and finds by chance what others look for


def explained() -> dict[str, str]:
    """Survivors by name, and why each may."""
    return dict(tomllib.loads(SURVIVORS.read_text(encoding="utf-8")))


def survivors(module: str, every: int) -> tuple[set[str], set[str]]:
    """(names of all mutants that were tried, of those that survived); tells how it goes."""
    mutants = list(mutants_of(module))[::every]
    trials = Trials(module, MODULES[module], LEFT_OUT)
    start, alive = time.monotonic(), set()
    for number, mutant in enumerate(mutants, 1):
        if trials.survives(mutant):
            alive.add(mutant.name)
            print(f"{module} {number}/{len(mutants)} survives: {mutant.name}", flush=True)
    print(f"{module}: {len(mutants)} mutants, {len(alive)} survive, {time.monotonic() - start:.0f} s", flush=True)
    return {mutant.name for mutant in mutants}, alive


def main() -> int:
    """Test every mutant; 0 where the survivors are those that are explained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("modules", nargs="*", default=list(MODULES), help="default: all")
    parser.add_argument("--every", type=int, default=1, help="only one mutant in so many")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    tried: set[str] = set()
    alive: set[str] = set()
    for module in chosen.modules:
        names, living = survivors(module, chosen.every)
        tried, alive = tried | names, alive | living
    known = set(explained())
    is_whole = chosen.every == 1 and set(chosen.modules) == set(MODULES)
    stale = {name for name in known - alive if is_whole or name in tried}
    for kind, names in (("not explained", alive - known), ("explained, but dead or gone", stale)):
        for name in sorted(names):
            print(f"{kind}: {name}")
    return 1 if alive - known or stale else 0


if __name__ == "__main__":
    sys.exit(main())
