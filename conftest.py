"""Fixtures of every suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from gantryguard.client import image
from gantryguard.profiles.files import load_profile
from gantryguard.profiles.profile import Profile

settings.register_profile("untimed", deadline=None)  # how busy the machine is decides no test
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def micropython_uf2() -> Path:
    """The verified MicroPython image; fetched once if it is neither named nor cached."""
    return image.micropython_uf2()


@pytest.fixture(scope="session")
def ct() -> Profile:
    """The committed CT profile."""
    return load_profile("ct")
