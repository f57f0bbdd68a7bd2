"""What several suites need to make commands that agree with themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gantryguard.profiles.profile import Profile
from interposer.core.package import DERIVED_WORDS


def consistent(profile: Profile, values: Mapping[str, Any], command: str = "scan_parameters") -> dict[str, Any]:
    """A command's values with every derived field set to what the guard itself computes for it."""
    rounded = {name: profile.from_raw(name, profile.to_raw(name, value)) for name, value in values.items()}
    vector = profile.matrix_from(rounded)
    profile.evaluate(vector, command)
    derived = profile.package.table("derived")
    filled = dict(rounded)
    for at in range(0, len(derived), DERIVED_WORDS):
        name = profile.slot_names[derived[at]]
        filled[name] = profile.from_raw(name, int(vector[0, derived[at + 1]]))
    return filled
