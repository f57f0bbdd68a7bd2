"""Mutation testing: what it changes, and that it explains nothing that is not there. The trials themselves: `make mutants`."""

from __future__ import annotations

import ast
from difflib import ndiff

import pytest
from changes import ROOT, mutants_of
from mutants import MODULES, explained


@pytest.mark.parametrize("module", MODULES)
def test_a_mutant_is_the_module_but_for_one_statement(module: str) -> None:
    source = (ROOT / "firmware" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    lines = ast.unparse(ast.parse(source)).splitlines()
    mutants = list(mutants_of(module))
    assert len(mutants) > 100
    for mutant in mutants:
        changed = [line[0] for line in ndiff(lines, mutant.program.splitlines()) if line[0] in "+-"]
        assert sorted(changed) == ["+", "-"], mutant.name
    assert len({mutant.program for mutant in mutants}) == len(mutants)


def test_what_is_explained_is_a_mutant() -> None:
    names = {mutant.name for module in MODULES for mutant in mutants_of(module)}
    assert set(explained()) <= names
    assert all(explained().values())
