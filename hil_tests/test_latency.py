"""The measurement of latencies: what it counts as lost, and one short run on the guard."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from gantryguard.benchmarks.latency import frames_within, guard_at, measure, missing
from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import MS
from gantryguard.rig.spread import Spread

FRAMES = 30
MANY_FRAMES = 60
BUSY_FRAMES = 160
RATES = (9_600, 115_200, 921_600, 3_000_000)
MOST_VERDICT_US, MOST_SEND_US = 250, 30


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


@pytest.mark.parametrize("baud", RATES)
def test_a_verdict_comes_within_a_quarter_of_a_millisecond(micropython_uf2: Path, ct: Profile, baud: int) -> None:
    """At the 99th percentile; and the first byte leaves at most 30 us later."""
    result = measure(guard_at(ct, micropython_uf2, baud), ct, baud, MANY_FRAMES, is_spaced=True)
    print(result)
    assert (result.lost, result.frames) == (0, MANY_FRAMES)
    assert result.verdict_us is not None
    assert result.first_byte_out_us is not None
    assert result.verdict_us.p99 <= MOST_VERDICT_US
    assert result.first_byte_out_us.p99 <= result.verdict_us.p99 + MOST_SEND_US


@pytest.mark.parametrize("baud", [9_600, 115_200, 460_800, 921_600])
def test_so_it_does_where_both_lines_are_busy(micropython_uf2: Path, ct: Profile, baud: int) -> None:
    """The gantry's frames, and whatever else the guard has to do, wait for the end of the console's."""
    result = measure(guard_at(ct, micropython_uf2, baud), ct, baud, BUSY_FRAMES, is_spaced=False)
    print(result)
    assert (result.lost, result.frames) == (0, BUSY_FRAMES)
    assert result.verdict_us is not None
    assert result.verdict_us.p99 <= MOST_VERDICT_US


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("baud", "seconds"),
    [
        pytest.param(921_600, 2.0),
        pytest.param(2_000_000, 0.5),
        pytest.param(921_600, 10.0, marks=pytest.mark.full),
    ],
)
def test_saturated_lines_lose_nothing(micropython_uf2: Path, ct: Profile, baud: int, seconds: float) -> None:
    """Frame after frame in both directions without a pause, the heap locked as always."""
    frames = frames_within(ct, baud, seconds)
    result = measure(guard_at(ct, micropython_uf2, baud), ct, baud, frames, is_spaced=False)
    print(result)
    assert (result.lost, result.frames) == (0, frames)


def test_saturated_lines_lose_nothing_while_a_host_asks(micropython_uf2: Path, ct: Profile) -> None:
    """Its requests make the guard use its heap, and collect garbage."""
    pico = guard_at(ct, micropython_uf2, 921_600)
    for number in range(1, 10):
        request = b"status\n" if number % 2 else b"events 0\n"
        pico.clock.call_at(pico.now_ns + number * 50 * MS, partial(pico.maintenance.send, request))
    frames = frames_within(ct, 921_600, 0.5)
    result = measure(pico, ct, 921_600, frames, is_spaced=False)
    assert (result.lost, result.frames) == (0, frames)
    assert pico.maintenance.data.count(b"uptime_ms") >= 2  # a packet in each turn that lines so busy leave
