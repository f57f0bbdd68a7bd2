"""The firmware's own tests, unchanged, inside the emulated RP2040 with the official MicroPython image."""

from __future__ import annotations

from pathlib import Path

import pytest
from on_target import firmware_test, run_on_target

from gantryguard import paths

MODULES = sorted(path.stem for path in (paths.FIRMWARE / "tests").glob("test_*.py"))


@pytest.mark.parametrize("name", [*MODULES, "rest_on_target"])
def test_module_on_the_rp2040(micropython_uf2: Path, name: str) -> None:
    here = Path(__file__).parent / f"{name}.py"
    outcomes = run_on_target(micropython_uf2, {name: here.read_bytes() if here.exists() else firmware_test(name)})
    assert outcomes, "the module ran no test"
    assert all(outcome.startswith("ok") for outcome in outcomes.values()), outcomes
