"""The measurement of latencies: what it counts as lost, and one short run on the guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantryguard.benchmarks.latency import guard_at, measure, missing
from gantryguard.profiles.profile import Profile
from gantryguard.rig.spread import Spread

FRAMES = 30


def test_a_spread_is_made_of_values_that_occurred() -> None:
    assert Spread.of([5.0]) == Spread(5.0, 5.0, 5.0, 5.0)
    assert Spread.of([float(value) for value in range(100, -1, -1)]) == Spread(0.0, 50.0, 99.0, 100.0)


@pytest.mark.parametrize(("arrived", "lost"), [("abc", 0), ("ac", 1), ("acb", 2), ("", 3), ("abcx", 1), ("bca", 2)])
def test_what_does_not_arrive_in_its_order_is_missing(arrived: str, lost: int) -> None:
    assert missing([b"a", b"b", b"c"], [letter.encode() for letter in arrived]) == lost


@pytest.mark.parametrize("is_spaced", [True, False])
def test_a_short_run_loses_nothing(micropython_uf2: Path, ct: Profile, is_spaced: bool) -> None:
    result = measure(guard_at(ct, micropython_uf2, 230_400), ct, 230_400, FRAMES, is_spaced=is_spaced)
    print(result)
    assert (result.lost, result.frames) == (0, FRAMES)
    assert result.verdict_us is not None
    assert result.first_byte_out_us is not None
    assert 0 < result.verdict_us.min < result.first_byte_out_us.max
