"""Rows: the vectorised evaluator equals core's bit for bit, no sum leaves 32 bits, and the dose is the physicists' dose."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_bench import CT, INJECTOR, ct, injector, spoilt

from gantryguard.clinic import generator, schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.envelope import executable
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError
from gantryguard.profiles import numpy_rows
from gantryguard.profiles.curves import base_tables
from gantryguard.profiles.package import Compiled, build, compile_profile
from gantryguard.profiles.profile import Profile
from gantryguard.profiles.rows import Row
from gantryguard.profiles.vector import Quantity
from interposer.core import quantities as core

LOW, HIGH = -(1 << 31), (1 << 31) - 1
SETTABLE = ("field", "memory")
PROFILES: dict[str, Callable[[], Profile]] = {"ct": ct, "injector": injector}
FOLDERS = {"ct": CT, "injector": INJECTOR}


def scalar(profile: Profile, values: array[int], command: str) -> list[int]:
    """A value vector after core's own evaluation."""
    first, count = profile.program(command)
    core.evaluate(values, profile.package.table("rows"), first, count, profile.package.table("curves"))
    return list(values)


def raw_values(compiled: Compiled) -> st.SearchStrategy[list[int]]:
    """Any fields and memory that the link and the session can hold, their ends with preference."""
    settable = [q for q in compiled.vector if q.kind in SETTABLE]
    return st.tuples(*(st.one_of(st.sampled_from([q.low, q.high, q.start]), st.integers(q.low, q.high)) for q in settable)).map(
        list
    )


@pytest.mark.parametrize("name", PROFILES)
def test_both_evaluators_agree_and_stay_in_the_proven_ranges(name: str) -> None:
    profile, compiled = PROFILES[name](), compile_profile(FOLDERS[name])
    bounds = [(q.low, q.high) for q in compiled.vector]
    commands = [command for command in profile.command_names if profile.program(command)[1]]

    @settings(max_examples=150)
    @given(raw_values(compiled))
    def agree(raw: list[int]) -> None:
        for command in commands:
            values = profile.start_values()
            values[: len(raw)] = array("i", raw)
            matrix = np.array([values, values], dtype=np.int64)
            profile.evaluate(matrix, command)
            expected = scalar(profile, values, command)
            assert matrix[0].tolist() == matrix[1].tolist() == expected
            rows = {row.quantity.slot for row in compiled.program(compiled.link.commands[command])}
            assert all(bounds[slot][0] <= expected[slot] <= bounds[slot][1] for slot in rows)

    agree()


KINDS = st.integers(core.AFFINE, core.LARGEST)


@settings(max_examples=600)
@given(
    KINDS,
    st.lists(st.integers(-(1 << 24), 1 << 24), min_size=3, max_size=3),
    st.lists(st.integers(-60, 60), min_size=3, max_size=3),
    st.integers(-1000, 1000),
    st.integers(0, 20),
)
def test_both_evaluators_agree_on_any_row(kind: int, values: list[int], factors: list[int], a: int, b: int) -> None:
    curves = [*base_tables(), -500, 40, 100, 0, -60, -3000, 700, 900, 5000]
    if kind in (core.IN_SET, core.CURVE):
        a, b = core.CURVES_START, 3
    if kind == core.EXP2:
        values = [value % 80000 - 40000 for value in values]
    row = [kind, 3, LOW, HIGH, a, b, 3, 0, factors[0], 1, factors[1], 2, factors[2]]
    cells = array("i", [*values, 0])
    matrix = np.array([[*values, 0]], dtype=np.int64)
    core.evaluate(cells, array("i", row), 0, 1, array("i", curves))
    numpy_rows.evaluate(matrix, row, 0, 1, curves)
    assert matrix[0].tolist() == list(cells)


@pytest.mark.parametrize("raw", [0, 1, 2, 3, 255, 256, 257, 65535, 65536, 65537, 1 << 29])
def test_logarithms_are_within_a_step_and_turn_back(raw: int) -> None:
    cells = array("i", (raw, 0, 0))
    rows = array("i", (core.LOG2, 1, LOW, HIGH, 0, 0, 1, 0, 0, core.EXP2, 2, LOW, HIGH, 0, 0, 1, 1, 0))
    core.evaluate(cells, rows, 0, 2, array("i", base_tables()))
    assert abs(cells[1] - 1024 * np.log2(max(raw, 1))) <= 1
    assert abs(cells[2] - max(raw, 1)) <= max(1, raw * 0.0011)


def sum_reach(row: Row, by_slot: dict[int, Quantity]) -> int:
    """Largest magnitude that any partial sum of an affine row can have."""
    half = (1 << row.b) >> 1
    return abs(row.a) + half + sum(abs(factor) * by_slot[slot].largest for slot, factor in row.terms)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_sum_stays_inside_32_bits(name: str) -> None:
    compiled = compile_profile(FOLDERS[name])
    by_slot = {q.slot: q for q in compiled.vector}
    affine = [row for row in compiled.rows.values() if row.kind == core.AFFINE]
    assert affine
    assert max(sum_reach(row, by_slot) for row in affine) < 1 << 31


def test_a_sum_that_may_leave_32_bits_is_refused_by_name(tmp_path: Path) -> None:
    folder = spoilt(INJECTOR, tmp_path / "wide", "quantities.toml", "volume_ml = 1", "volume_ml = 10000000")
    with pytest.raises(UserError, match=r"volume_after_ml.*32 bits"):
        build(folder)


def test_the_dose_rows_follow_the_physics_of_normal_exams() -> None:
    scanner, profile = reference_scanner(), ct()
    commands = generator.generate(4000, scanner=scanner, seed=11)
    assert_physics(profile, commands)


def test_the_dose_rows_follow_the_physics_of_every_executable_command() -> None:
    scanner = reference_scanner()
    commands = random_commands(20_000, seed=12)
    commands = commands.take(executable(scanner, commands))
    assert len(commands) > 10_000
    assert_physics(ct(), commands)


def assert_physics(profile: Profile, commands: Commands) -> None:
    """Computed CTDIvol, DLP and table speed within 2 %, or within the last digit that a console shows."""
    scanner = reference_scanner()
    commands = commands.replace(scan_length_mm=np.round(commands["scan_length_mm"], 1))  # as on the wire
    matrix = profile.matrix_from(commands.columns)
    profile.evaluate(matrix, "scan_parameters")
    for name, expected in (
        ("computed_ctdivol_mgy", scanner.ctdivol_mgy(commands)),
        ("computed_dlp_mgycm", scanner.dlp_mgycm(commands)),
        ("computed_speed_mm_s", scanner.table_speed_mm_s(commands)),
    ):
        quantity = profile.quantities[name]
        computed = matrix[:, quantity.slot] * quantity.scale
        assert np.all(np.abs(computed - expected) <= np.maximum(0.02 * expected, 0.011)), name


def random_commands(n: int, seed: int) -> Commands:
    """Techniques from everything that the scanner has, with the values that its console would state."""
    scanner, rng = reference_scanner(), np.random.default_rng(seed)
    mode = rng.integers(1, 5, n)
    localiser, moving = mode == schema.LOCALISER, (mode == schema.AXIAL) | (mode == schema.HELICAL)
    pitch = np.where(moving, np.round(rng.uniform(scanner.pitch_min, scanner.pitch_max, n), 3), 0)
    collimation = rng.choice(scanner.collimations_mm, n)
    length = np.where(mode == schema.AXIAL, pitch * collimation * rng.integers(1, 9, n), rng.integers(10, 15_000, n) / 10)
    return scanner.restated(
        Commands(
            {
                "objective": rng.integers(1, 19, n),
                "age_years": rng.integers(0, 1200, n) / 12,
                "sex": rng.integers(0, 3, n),
                "weight_kg": rng.integers(30, 1800, n) / 10,
                "height_cm": rng.integers(450, 2000, n) / 10,
                "contrast": rng.integers(0, 2, n),
                "pregnant": np.zeros(n),
                "scan_mode": mode,
                "kvp": rng.choice(scanner.kvp_stations_kv, n),
                "ma": np.where(localiser, rng.integers(10, 101, n), rng.integers(20, 801, n)),
                "rotation_s": np.where(localiser, 0, rng.choice(scanner.rotation_times_s, n)),
                "pitch": pitch,
                "collimation_mm": collimation,
                "slice_mm": np.where(localiser, collimation, rng.choice(scanner.slices_mm, n)),
                "scan_length_mm": np.round(length, 6),
                "table_speed_mm_s": np.where(localiser, 100, 0),
                "tilt_deg": np.zeros(n),
                "ctdivol_mgy": np.zeros(n),
                "dlp_mgycm": np.zeros(n),
                "phantom_cm": rng.choice([16, 32], n),
                "rotations": np.where(mode == schema.STATIONARY, rng.integers(1, 101, n), 1),
            }
        )
    )


@pytest.mark.parametrize(
    ("weight_kg", "height_cm", "age_years", "size_cm"),
    [
        (78, 171, 50, 29.3),
        (3.3, 49, 0, 11.2),
        (32, 138, 10, 20.8),
        (None, 171, 50, 29.3),
        (78, None, 50, 29.3),
        (None, None, 5, 17.8),
        (None, None, None, 29.3),
    ],
)
def test_patient_size_is_measured_or_that_of_the_age(
    weight_kg: float | None, height_cm: float | None, age_years: float | None, size_cm: float
) -> None:
    context = {"weight_kg": weight_kg, "height_cm": height_cm, "age_years": age_years, "objective": "chest"}
    values = scalar(ct(), ct().values_from(context), "scan_parameters")
    assert ct().from_raw("log_size_cm", values[ct().slot("log_size_cm")]) == pytest.approx(size_cm, rel=0.01)


def test_a_child_of_unknown_age_counts_as_an_infant() -> None:
    for objective, group in (("paed_head", 0), ("head", 5)):
        values = scalar(ct(), ct().values_from({"age_years": None, "objective": objective}), "scan_parameters")
        assert values[ct().slot("age_group")] == group
