"""What the networks were trained from: any change of it shows, and nothing else does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gantryguard import paths
from gantryguard.learning import artefacts, provenance


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the host tools that the digest is taken of."""
    copy = tmp_path / "host_tools" / "gantryguard"
    for package in ("clinic", "learning"):
        shutil.copytree(paths.ROOT / "host_tools" / "gantryguard" / package, copy / package)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    return copy


def change(file: Path, old: str, new: str) -> None:
    """Replace a passage that is there."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_words_about_the_program_do_not_count(sources: Path) -> None:
    before = provenance.code_digest()
    change(sources / "learning" / "train.py", '"""Trains', '"""Train')
    change(sources / "learning" / "train.py", "FEWEST = 2_000", "FEWEST = 2000")
    assert provenance.code_digest() == before


def test_a_change_of_the_recipe_or_of_what_it_reaches_counts(sources: Path) -> None:
    seen = {provenance.code_digest()}
    change(sources / "learning" / "train.py", "normals: int = 120_000", "normals: int = 120_001")
    seen.add(provenance.code_digest())
    change(sources / "clinic" / "technique.py", "import numpy as np", "import numpy as np\n\nUNUSED = 1")
    seen.add(provenance.code_digest())
    assert len(seen) == 3


def test_modules_that_training_does_not_reach_do_not_count(sources: Path) -> None:
    before = provenance.code_digest()
    (sources / "learning" / "card.py").unlink()
    assert provenance.code_digest() == before


def test_a_changed_limit_or_curve_counts(tmp_path: Path) -> None:
    for source in artefacts.CT.glob("*.toml"):
        shutil.copy(source, tmp_path)
    before = provenance.data_digest(tmp_path, 1)
    assert provenance.data_digest(tmp_path, 1) == before
    change(tmp_path / "scanner.toml", "kvp_reference_kv = 120", "kvp_reference_kv = 121")
    assert provenance.data_digest(tmp_path, 1) != before
