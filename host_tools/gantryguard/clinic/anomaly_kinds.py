"""The kinds of anomalies, one row each: name, class, grade, tampered column, which normals, what is changed.

The eightfold perfusion dose and the creeping default follow the accidents at Cedars-Sinai (2008-09), the repeated slab the
one at Mad River (2008). CF1 and CF2 need not run on the scanner; a dose that is misstated is left misstated.
"""

from __future__ import annotations

from functools import partial

from gantryguard.clinic import tampering as t
from gantryguard.clinic import tampering_wire as wire
from gantryguard.clinic.schema import AXIAL, LOCALISER
from gantryguard.clinic.tamper import Kind

ADULT_TRUNK = t.ADULT_TRUNK
IMPOSSIBLE = partial(Kind, group="CF1", runs=False)
MISSTATED = partial(Kind, group="CF1", runs=False, restate=False)
HARDWARE = partial(Kind, group="CF2", runs=False)
EXCESS = partial(Kind, group="CF3")
MECHANICAL = partial(Kind, group="CF4", runs=False)
GARBLED = partial(Kind, group="CF4", runs=False, restate=False)
ON_CHILD = partial(Kind, group="CS1")
REGION = partial(Kind, group="CS2")
SIZE = partial(Kind, group="CS3")
OBJECTIVE = partial(Kind, group="CS4")
PREGNANT = partial(Kind, group="CS5")
STARVED = partial(Kind, group="CS6")
SHIFTED = partial(Kind, group="CS7")
SHAPED = partial(Kind, group="CS8")

KINDS: tuple[Kind, ...] = (
    # CF1
    IMPOSSIBLE(
        name="kvp_off_station", grade=1, blamed="kvp", eligible=t.scan, change=t.to("kvp", 60.0, 90.0, 110.0, 130.0, 150.0)
    ),
    MISSTATED(name="ma_zero", grade=1, blamed="ma", eligible=t.scan, change=t.to("ma", 0.0)),
    MISSTATED(name="rotation_zero", grade=1, blamed="rotation_s", eligible=t.scan, change=t.to("rotation_s", 0.0)),
    MISSTATED(name="pitch_zero", grade=1, blamed="pitch", eligible=t.moving, change=t.to("pitch", 0.0)),
    IMPOSSIBLE(
        name="collimation_off_detector",
        grade=2,
        blamed="collimation_mm",
        eligible=t.scan,
        change=t.to("collimation_mm", 7.5, 15.0, 30.0, 55.0, 120.0),
    ),
    IMPOSSIBLE(name="slice_below_element", grade=2, blamed="slice_mm", eligible=t.scan, change=t.to("slice_mm", 0.1, 0.3, 0.5)),
    MISSTATED(
        name="dose_misstated",
        grade=3,
        blamed="ctdivol_mgy",
        eligible=t.scan,
        change=t.times("ctdivol_mgy", 1.3, 3.0, either_way=True, step=0.01),
    ),
    MISSTATED(
        name="dose_misstated_slightly",
        grade=5,
        blamed="ctdivol_mgy",
        eligible=t.scan,
        change=t.times("ctdivol_mgy", 1.1, 1.3, either_way=True, step=0.01),
    ),
    MISSTATED(
        name="dlp_misstated",
        grade=3,
        blamed="dlp_mgycm",
        eligible=t.scan,
        change=t.times("dlp_mgycm", 1.25, 3.0, either_way=True, step=0.01),
    ),
    MISSTATED(
        name="speed_misstated",
        grade=3,
        blamed="table_speed_mm_s",
        eligible=t.helical,
        change=t.times("table_speed_mm_s", 1.3, 3.0, either_way=True, step=0.01),
    ),
    MISSTATED(
        name="speed_misstated_slightly",
        grade=5,
        blamed="table_speed_mm_s",
        eligible=t.helical,
        change=t.times("table_speed_mm_s", 1.08, 1.12, either_way=True, step=0.01),
    ),
    MISSTATED(name="phantom_swapped", grade=4, blamed="phantom_cm", eligible=t.scan, change=t.other_phantom),
    # CF2
    HARDWARE(name="power_excess", grade=2, blamed="ma", eligible=t.scan, change=t.power_times(1.2, 1.8)),
    HARDWARE(name="power_excess_slight", grade=4, blamed="ma", eligible=t.scan, change=t.power_times(1.03, 1.07)),
    HARDWARE(name="current_excess", grade=1, blamed="ma", eligible=t.scan, change=t.between("ma", 900, 1600)),
    HARDWARE(
        name="rotation_too_fast", grade=1, blamed="rotation_s", eligible=t.scan, change=t.to("rotation_s", 0.1, 0.15, 0.2)
    ),
    HARDWARE(
        name="tilt_excess",
        grade=2,
        blamed="tilt_deg",
        eligible=lambda c: c["scan_mode"] == AXIAL,
        change=t.between("tilt_deg", 31, 60, sign=True),
    ),
    HARDWARE(
        name="tilt_in_spiral", grade=3, blamed="tilt_deg", eligible=t.helical, change=t.between("tilt_deg", 5, 25, sign=True)
    ),
    HARDWARE(name="table_too_fast", grade=1, blamed="pitch", eligible=t.helical, change=t.too_fast),
    HARDWARE(
        name="length_beyond_travel",
        grade=1,
        blamed="scan_length_mm",
        eligible=t.helical,
        change=t.between("scan_length_mm", 2050, 4000),
    ),
    HARDWARE(
        name="length_unit_slip",
        grade=2,
        blamed="scan_length_mm",
        eligible=t.where(t.helical, "scan_length_mm", 201, 650),
        change=t.times("scan_length_mm", 10, 10),
    ),
    HARDWARE(
        name="tube_heat",
        grade=4,
        blamed="rotations",
        eligible=t.objective("perfusion"),
        change=t.between("rotations", 110, 250),
    ),
    # CF3
    EXCESS(name="above_notification", grade=1, blamed="ma", eligible=t.scan, change=t.dose_to(t.above_notification)),
    EXCESS(
        name="above_alert", grade=1, blamed="rotations", eligible=t.objective("perfusion"), change=t.dose_to(t.fixed(1050.0))
    ),
    EXCESS(name="perfusion_eightfold", grade=1, blamed="ma", eligible=t.objective("perfusion"), change=t.dose_to(t.own(8.0))),
    EXCESS(
        name="slab_repeated",
        grade=2,
        blamed="rotations",
        eligible=lambda c: t.HEADS(c) & (c["scan_mode"] == AXIAL),
        change=t.slab_repeated,
    ),
    # Beyond the 99th percentile of the objective, for that size; just beyond it overlaps with practice.
    EXCESS(name="beyond_practice", grade=2, blamed="ma", eligible=t.scan, change=t.dose_to(t.beyond_practice(1.5, 3.0))),
    EXCESS(name="just_beyond_practice", grade=4, blamed="ma", eligible=t.scan, change=t.dose_to(t.beyond_practice(1.0, 1.5))),
    # Sites differ so much that three times the dose of one is practice in another.
    EXCESS(name="dose_tripled", grade=4, blamed="ma", eligible=t.scan, change=t.dose_to(t.own(3.5))),
    EXCESS(name="dose_crept", grade=5, blamed="ma", eligible=t.scan, change=t.times("ma", 1.5, 1.5, step=1)),
    # CF4
    MECHANICAL(name="table_stalled", grade=2, blamed="pitch", eligible=t.helical, change=t.to("pitch", 0.05, 0.02, 0.01)),
    MECHANICAL(
        name="localiser_at_500_ma",
        grade=1,
        blamed="ma",
        eligible=lambda c: c["scan_mode"] == LOCALISER,
        change=t.then(t.to("kvp", 120.0), t.between("ma", 400, 600)),
    ),
    GARBLED(name="bit_flipped", grade=3, blamed="", eligible=t.scan, change=wire.bit_flipped(0.25, 1e9)),
    GARBLED(name="bit_flipped_low", grade=4, blamed="", eligible=t.scan, change=wire.bit_flipped(0.06, 0.25)),
    GARBLED(name="bytes_swapped", grade=2, blamed="", eligible=t.scan, change=wire.bytes_swapped),
    # CS1
    ON_CHILD(
        name="adult_abdomen_on_child",
        grade=2,
        blamed="ma",
        eligible=t.where(t.objective("paed_abdomen_pelvis"), "age_years", 0, 8),
        change=t.only_where(
            t.then(t.technique_of("abdomen_pelvis"), t.to("kvp", 120.0), t.between("ma", 200, 320)), "ctdivol_mgy", 1.3
        ),
    ),
    ON_CHILD(
        name="adult_head_on_infant",
        grade=3,
        blamed="ma",
        eligible=t.where(t.objective("paed_head"), "age_years", 0, 1),
        change=t.then(t.technique_of("head"), t.dose_to(t.around(49.0, 0.15))),
    ),
    ON_CHILD(
        name="adult_chest_on_child",
        grade=4,
        blamed="ma",
        eligible=t.where(t.objective("paed_chest"), "age_years", 8, 13),
        change=t.only_where(t.technique_of("chest"), "ctdivol_mgy", 1.3),
    ),
    ON_CHILD(
        name="adult_length_on_child",
        grade=4,
        blamed="scan_length_mm",
        eligible=t.where(t.objective("paed_abdomen_pelvis", "paed_chest"), "age_years", 0, 10),
        change=t.only_where(t.technique_of("abdomen_pelvis", "scan_length_mm"), "scan_length_mm", 1.25),
    ),
    # CS2
    REGION(
        name="head_technique_on_abdomen",
        grade=2,
        blamed="ma",
        eligible=t.where(t.objective("abdomen_pelvis"), "weight_kg", 0, 110),  # beyond, 50 mGy are practice
        change=t.then(t.technique_of("head"), t.dose_to(t.around(50.0, 0.1))),
    ),
    REGION(
        name="abdomen_technique_on_head",
        grade=3,
        blamed="ma",
        eligible=t.objective("head"),
        change=t.technique_of("abdomen_pelvis"),
    ),
    REGION(
        name="spine_technique_on_chest",
        grade=4,
        blamed="ma",
        eligible=t.objective("chest"),
        change=t.only_where(t.technique_of("l_spine"), "ctdivol_mgy", 1.3),
    ),
    # CS3
    SIZE(
        name="obese_technique_on_slim",
        grade=4,
        blamed="ma",
        eligible=t.where(ADULT_TRUNK, "weight_kg", 40, 62),
        change=t.for_weight_of(110.0),
    ),
    SIZE(
        name="kvp_140_on_slim",
        grade=3,
        blamed="kvp",
        eligible=t.where(ADULT_TRUNK, "weight_kg", 35, 55),
        change=t.to("kvp", 140.0),
    ),
    SIZE(name="off_centre", grade=5, blamed="ma", eligible=ADULT_TRUNK, change=t.times("ma", 1.3, 1.3, step=1)),
    # CS4
    OBJECTIVE(
        name="screening_at_10_mgy", grade=2, blamed="ma", eligible=t.objective("chest_ldct"), change=t.dose_to(t.fixed(10.0))
    ),
    OBJECTIVE(
        name="screening_at_5_mgy", grade=4, blamed="ma", eligible=t.objective("chest_ldct"), change=t.dose_to(t.fixed(5.0))
    ),
    OBJECTIVE(name="slow_embolism", grade=3, blamed="pitch", eligible=t.objective("ctpa"), change=t.slow_embolism),
    OBJECTIVE(
        name="trunk_of_1500_mm",
        grade=3,
        blamed="scan_length_mm",
        eligible=t.objective("cap"),
        change=t.between("scan_length_mm", 1450, 1550),
    ),
    OBJECTIVE(
        name="calcium_at_100_kv", grade=4, blamed="kvp", eligible=t.objective("calcium_score"), change=t.to("kvp", 100.0)
    ),
    # CS5
    PREGNANT(
        name="pregnant_abdomen",
        grade=3,
        blamed="pregnant",
        eligible=t.both(t.objective("abdomen_pelvis", "cap", "l_spine", "petct_ac"), t.woman),
        change=t.to("pregnant", 1.0),
    ),
    PREGNANT(
        name="pelvis_in_embolism_scan",
        grade=4,
        blamed="scan_length_mm",
        eligible=t.both(t.objective("ctpa"), t.woman),
        change=t.pelvis_too,
    ),
    # CS6
    STARVED(
        name="starved_abdomen",
        grade=3,
        blamed="ma",
        eligible=t.where(t.objective("abdomen_pelvis", "cap"), "weight_kg", 85, 300),
        change=t.dose_to(t.fixed(1.5)),
    ),
    STARVED(name="starved_head", grade=3, blamed="ma", eligible=t.objective("head"), change=t.dose_to(t.fixed(15.0))),
    STARVED(
        name="obese_clipped",
        grade=4,
        blamed="ma",
        eligible=t.where(ADULT_TRUNK, "weight_kg", 110, 300),
        change=t.times("ma", 0.3, 0.4, step=1),
    ),
    STARVED(
        name="thin_slice_routine_dose",
        grade=5,
        blamed="slice_mm",
        eligible=t.where(t.objective("abdomen_pelvis", "cap", "chest", "head"), "slice_mm", 2.5, 20),
        change=t.to("slice_mm", 0.625),
    ),
    # CS7
    SHIFTED(name="kvp_120_to_140", grade=4, blamed="kvp", eligible=t.where(t.scan, "kvp", 120, 121), change=t.to("kvp", 140.0)),
    SHIFTED(name="kvp_100_to_120", grade=4, blamed="kvp", eligible=t.where(t.scan, "kvp", 100, 101), change=t.to("kvp", 120.0)),
    SHIFTED(
        name="pitch_halved",
        grade=4,
        blamed="pitch",
        eligible=t.where(t.helical, "pitch", 0.78, 2),
        change=t.times("pitch", 0.5, 0.5, step=0.001),
    ),
    SHIFTED(name="rotation_doubled", grade=4, blamed="rotation_s", eligible=t.scan, change=t.rotation_doubled),
    SHIFTED(
        name="collimation_40_to_10",
        grade=5,
        blamed="collimation_mm",
        eligible=t.where(t.helical, "collimation_mm", 40, 41),
        change=t.to("collimation_mm", 10.0),
    ),
    SHIFTED(
        name="length_plus_25",
        grade=5,
        blamed="scan_length_mm",
        eligible=t.helical,
        change=t.times("scan_length_mm", 1.2, 1.3, step=1),
    ),
    SHIFTED(name="current_plus_20", grade=5, blamed="ma", eligible=t.scan, change=t.times("ma", 1.15, 1.25, step=1)),
    # CS8
    SHAPED(
        name="low_kvp_same_dose",
        grade=4,
        blamed="kvp",
        eligible=t.where(ADULT_TRUNK, "weight_kg", 60, 300),
        change=t.low_kvp_same_dose,
    ),
    SHAPED(
        name="excess_spread_over_four", grade=5, blamed="ma", eligible=t.both(ADULT_TRUNK, t.helical), change=t.spread_excess
    ),
)
