"""What the guard proposes for a refused command: a value that the scanner can execute and that the guard would pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ct_exam import CHILD, HEAD, PERFUSION, expose, move, ready, report
from profile_bench import ABDOMEN, Desk, ct, injector, stated

from interposer.core.reasons import BLOCK, HOLD, PASS
from interposer.core.suggestion import PROBES, Suggestion

MOST_STEPS = 2 + 32 + 2 * PROBES  # both ends of the field's range, halving it to one step, then the probes


def proposed(desk: Desk) -> tuple[str, float] | None:
    """Field and value that are proposed for the command just refused; None where nothing is."""
    profile, suggestion = desk.profile, Suggestion(desk.profile.package, desk.judge)
    if not suggestion.start():
        return None
    for _ in range(MOST_STEPS):
        if suggestion.step():
            break
    assert not suggestion.active, "the search does not end"
    name = profile.slot_names[suggestion.slot]
    return (name, profile.from_raw(name, suggestion.value)) if suggestion.found else None


@pytest.mark.parametrize(
    ("context", "technique", "field", "value"),
    [
        ({}, ABDOMEN | {"kvp": 110}, "kvp", 100),
        ({}, ABDOMEN | {"ma": 1000}, "ma", 267),
        ({}, ABDOMEN | {"collimation_mm": 30}, "collimation_mm", 40),
        ({}, ABDOMEN | {"phantom_cm": 16}, "phantom_cm", 32),
        ({}, ABDOMEN | {"tilt_deg": 5}, "tilt_deg", 0),
        ({"objective": "paed_abdomen_pelvis", **CHILD}, ABDOMEN | {"kvp": 80, "ma": 700, "scan_length_mm": 260}, "ma", 252),
    ],
)
def test_a_correction_is_proposed_that_passes(
    context: Mapping[str, Any], technique: Mapping[str, Any], field: str, value: float
) -> None:
    desk = ready(context)
    assert desk.send("scan_parameters", stated(ct(), technique), accept=False) != PASS
    better = proposed(desk)
    assert better is not None
    assert better[0] == field
    assert better[1] == pytest.approx(value, rel=0.05)


# ---- Limits on a quantity that follows from the field without a logarithm


def test_the_alert_value_leaves_the_current_that_is_left() -> None:
    """Two perfusions were given: the third may have the usual dose, the fourth what is left and no more."""
    desk = ready({"objective": "perfusion", "contrast": "yes"}, PERFUSION)
    while expose(desk) == PASS:
        pass
    assert desk.limit() == "alert value"
    per_ma = stated(ct(), PERFUSION)["ctdivol_mgy"] / PERFUSION["ma"]
    third = _proposed_perfusion(desk)
    assert 150 < third * per_ma < 250
    assert desk.send("scan_parameters", stated(ct(), PERFUSION | {"ma": third})) == PASS
    assert expose(desk) == PASS
    given = desk.judge.exam.values[ct().slot("accumulated_ctdivol_mgy")] / 100
    fourth = _proposed_perfusion(desk)
    assert 1000 - 2 * per_ma < given + fourth * per_ma <= 1000.5
    assert desk.send("scan_parameters", stated(ct(), PERFUSION | {"ma": fourth})) == PASS


def _proposed_perfusion(desk: Desk) -> float:
    assert desk.send("scan_parameters", stated(ct(), PERFUSION)) == BLOCK
    better = proposed(desk)
    assert better is not None
    assert better[0] == "ma"
    return better[1]


def test_a_scan_that_would_leave_the_table_is_to_be_shortened_to_its_end() -> None:
    desk = ready(technique=ABDOMEN)
    move(desk, 1600)
    assert desk.send("prepare") == BLOCK
    assert proposed(desk) == ("scan_length_mm", 400)


def test_the_tilt_that_the_parameters_assume_is_proposed() -> None:
    desk = ready({"objective": "head"}, HEAD | {"tilt_deg": -15})
    report(desk, gantry_tilt_now_deg=0)
    assert desk.send("prepare") == BLOCK
    assert proposed(desk) == ("gantry_tilt_deg", -15)


@pytest.mark.parametrize(("given_ml", "left_ml"), [(80, 60), (139, 1), (140, 0), (0, 140)])
def test_another_device_is_told_the_volume_that_is_left(given_ml: float, left_ml: float) -> None:
    """2 ml per kg for a patient of 70 kg."""
    desk = Desk(injector())
    load = {"rate_ml_s": 2, "needle_mm": 0.8, "offset": 0}
    assert desk.send("patient", {"weight_kg": 70, "agent": "iodine"}) == PASS
    if given_ml:
        assert desk.send("load", load | {"volume_ml": given_ml}) == PASS
        assert desk.send("inject") == PASS
    assert desk.send("load", load | {"volume_ml": 141}) == HOLD
    assert desk.limit() == "volume for weight"
    assert proposed(desk) == ("volume_ml", left_ml)


def test_where_the_usual_value_is_refused_the_bound_is_proposed() -> None:
    """The usual dose of a scan is no dose for a localiser."""
    desk = ready()
    plan = ABDOMEN | {"scan_mode": "localiser", "ma": 500, "rotation_s": 0, "pitch": 0, "collimation_mm": 5, "slice_mm": 5}
    plan |= {"table_speed_mm_s": 100, "scan_length_mm": 500}
    assert desk.send("scan_parameters", stated(ct(), plan), accept=False) != PASS
    assert proposed(desk) == ("ma", 100)
