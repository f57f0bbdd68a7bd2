"""Writes `models/ct/features.toml`: what the networks of the CT profile read, from the generator's own protocol table.

The file is generated because what is usual for an objective (dose, its growth with size, length) is stated once, in
`objectives.toml`. Every network input is a row clamped to 0..127.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gantryguard.clinic import patients
from gantryguard.clinic.objectives import Protocol, Tables
from gantryguard.clinic.schema import OBJECTIVES

OCTAVES_PER_E = 1 / math.log(2)
LEAST_SLOPE = 0.0001  # octaves per cm: a head's dose does not follow the trunk
REGION_SIZE = {"abdomen": 1.0, "chest": patients.CHEST_TO_ABDOMEN, "limb": patients.LIMB_TO_ABDOMEN}
MODES = ("localiser", "axial", "helical", "stationary")
PAED_HEAD = "paed_head"

HEAD = """\
# What the networks read, and what they should say. GENERATED from objectives.toml by gantryguard.learning.features:
# change that, then run `make gen`.
#
# Every input is a row clamped to 0..127. Technique rows are affine in a field or in its log2, so that a network's
# output can be turned back into the field. Context rows say what is usual for this objective and this patient.
"""


class Feature(NamedTuple):
    """A technique row: value = factor * (log2 of) source + add; `field` is what its error blames."""

    name: str
    source: str
    factor: float
    add: float
    field: str | None
    about: str


MA_STEPS, LENGTH_STEPS, MAS_STEPS = 19, 22, 10  # per octave
# Factors spread what the envelope allows over 0..127: steps per octave for logarithms, per unit for the rest.
TECHNIQUE: tuple[Feature, ...] = (
    Feature("n_kvp", "kvp", 1.25, -75, "kvp", "80 to 140 kV at 25 to 100"),
    Feature("n_ma", "log_ma", MA_STEPS, -60, "ma", "10 to 800 mA at 3 to 123"),
    Feature("n_rotation", "log_rotation", 24, 59, "rotation_s", "0.28 to 4 s at 15 to 107"),
    Feature("n_pitch", "log_pitch", 24, 95, "pitch", "0.09 to 1.5 at 12 to 109"),
    Feature("n_collimation", "log_collimation", 20, -26, "collimation_mm", "5 to 160 mm at 20 to 120"),
    Feature("n_slice", "log_slice", 20, 30, "slice_mm", "0.625 to 10 mm at 16 to 96"),
    Feature("n_length", "log_length", LENGTH_STEPS, -115, "scan_length_mm", "40 to 2000 mm at 2 to 126"),
    Feature("n_tilt", "tilt_deg", 1.5, 64, "tilt_deg", "-30 to 30 degrees at 19 to 109"),
    Feature("n_rotations", "log_rotations", 16, 4, "rotations", "1 to 100 at 4 to 110"),
)
DOSE: tuple[Feature, ...] = (
    Feature("n_ctdivol", "log_ctdivol", 10, 40, None, "computed, 0.1 to 200 mGy at 7 to 116"),
    Feature("n_dlp", "log_dlp", 8, 20, None, "computed, 1 to 8000 mGy.cm at 20 to 124"),
)
PATIENT = ("n_size", "n_weight", "n_age", "n_contrast")
BY_NAME = {feature.name: feature for feature in (*TECHNIQUE, *DOSE)}


MODE_FLAGS = tuple(f"n_{mode}" for mode in MODES)
OBJECTIVE_FLAGS = tuple(f"n_objective_{name}" for name in OBJECTIVES)
CONTEXT = (*PATIENT, *MODE_FLAGS, *OBJECTIVE_FLAGS)


class Declared(NamedTuple):
    """A network: its inputs, the rows that it should say, the group of its thresholds, its reason."""

    name: str
    about: str
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    group: str = "scan_group"
    groups: int = len(OBJECTIVES) + 1
    reason: str = "ABNORMAL_FOR_CONTEXT"


# The first one sees the whole technique, perhaps spoilt, and gives the normal one. The others see the context and what
# was decided before, never what they are to say: so an abnormal value cannot pass through to its own reconstruction.
NETWORKS: tuple[Declared, ...] = (
    Declared(
        "context_free",
        "what a command is like, whoever the patient is",
        (*BY_NAME, *MODE_FLAGS, "n_head_phantom"),
        tuple(BY_NAME),
        "scan_mode",
        len(MODES) + 1,
        "ABNORMAL",
    ),
    Declared("context_voltage", "tube voltage for this objective and patient", CONTEXT, ("n_kvp",)),
    Declared(
        "context_detector",
        "collimation and slice for this objective and patient",
        CONTEXT,
        ("n_collimation", "n_slice"),
    ),
    Declared(
        "context_rotation",
        "rotation time for this objective, patient, voltage and collimation",
        (*CONTEXT, "n_usual_mas", "n_kvp", "n_collimation"),
        ("n_rotation",),
    ),
    Declared(
        "context_pitch",
        "pitch for this objective, patient, voltage, collimation and rotation time",
        (*CONTEXT, "n_usual_mas", "n_kvp", "n_collimation", "n_rotation"),
        ("n_pitch",),
    ),
    Declared(
        "context_dose",
        "tube current, hence dose, for this objective, patient and technique",
        (*CONTEXT, "n_usual_ma", "n_kvp", "n_rotation", "n_pitch", "n_collimation"),
        ("n_ma",),
    ),
    Declared(
        "context_range",
        "scan length for this objective and patient",
        (*CONTEXT, "n_usual_length", "n_collimation"),
        ("n_length",),
    ),
)


def render(tables: Tables) -> str:
    """The text of features.toml for the generator's tables."""
    usual = _usual(tables)
    parts = [
        HEAD,
        "# ---- Logarithms that the quantities lack",
        _log("log_slice", "slice_mm"),
        _log("log_length", "scan_length_mm"),
    ]
    parts += [
        "# ---- Technique",
        *map(_feature, BY_NAME.values()),
        *map(_mode, MODES),
        _flag("n_head_phantom", "is_head_phantom"),
    ]
    parts += [
        "# ---- What is usual for the objective and the patient",
        *_expected_dose(usual, tables),
        *_expected_length(usual),
    ]
    parts += ["# ---- Context", *_patient(), *map(_objective, OBJECTIVES), _group()]
    parts += ["# ---- Networks", *map(_network, NETWORKS)]
    return "\n\n".join(parts) + "\n"


def _usual(tables: Tables) -> dict[str, Protocol]:
    """The most frequent protocol of each objective."""
    usual: dict[str, Protocol] = {}
    for row in tables.protocols.values():
        if row.objective not in usual or row.share > usual[row.objective].share:
            usual[row.objective] = row
    return usual


def _row(name: str, lines: Iterable[str], about: str = "") -> str:
    comment = f"  # {about}" if about else ""
    return "\n".join(["[[row]]", f'name = "{name}"{comment}', *lines])


def _log(name: str, source: str) -> str:
    return _row(name, [f'log2 = "{source}"'])


def _sum(name: str, terms: Mapping[str, float], add: float, about: str = "") -> str:
    inside = ", ".join(f"{source} = {factor:g}" for source, factor in terms.items())
    return _row(name, [f"sum = {{ {inside} }}", f"add = {add:g}", "scale = 1", "clamp = [0, 127]"], about)


def _feature(feature: Feature) -> str:
    return _sum(feature.name, {feature.source: feature.factor}, feature.add, feature.about)


def _flag(name: str, source: str) -> str:
    return _sum(name, {source: 127}, 0)


def _mode(mode: str) -> str:
    return _flag(f"n_{mode}", f"is_{mode}")


def _objective(name: str) -> str:
    return _row(
        f"n_objective_{name}", ['lookup = "objective"', f"table = {{ {name} = 127 }}", "default = 0", "clamp = [0, 127]"]
    )


def _lookup(name: str, values: Mapping[str, float], about: str) -> str:
    lines = ['lookup = "objective"', "log = true", "[row.table]"]
    return _row(name, lines + [f"{key} = {value:.6g}" for key, value in values.items()], about)


def _base(row: Protocol) -> float:
    """Dose in mGy at diameter 0, or of a head at the middle of the protocol's ages."""
    if row.region == "head":
        age = sum(row.age) / 2
        return row.c0_mgy * math.exp(row.b_per_cm * (17.5 - 7 * math.exp(-age / 2) - row.d0_cm))
    return row.c0_mgy * math.exp(-row.b_per_cm * row.d0_cm)


def _slope(row: Protocol) -> float:
    """Octaves of dose per cm of the abdomen's diameter."""
    return max(row.b_per_cm * OCTAVES_PER_E * REGION_SIZE.get(row.region, 0.0), LEAST_SLOPE)


def _expected_dose(usual: Mapping[str, Protocol], tables: Tables) -> list[str]:
    """log2 CTDIvol = log2 base + slope * diameter; the product by logarithms."""
    heads = sorted((row for row in tables.protocols.values() if row.objective == PAED_HEAD), key=lambda row: row.age[0])
    knots = ", ".join(f"[{row.age[0]:g}, {_base(row):.6g}]" for row in heads)
    bases = {name: _base(row) for name, row in usual.items()}
    slopes = {name: _slope(row) for name, row in usual.items()}
    return [
        _lookup("log_base_dose", bases, "c0 * exp(-b * d0) in mGy; heads: c0 at their own size"),
        _lookup("log_dose_slope", slopes, "octaves per cm: b / ln 2, times the region's share of the abdomen's diameter"),
        _row("is_paed_head", ['equal = "objective"', 'to = "paed_head"']),
        _row("log_base_paed_head", ['steps = "patient_age_years"', f"knots = [{knots}]", "log = true"], "mGy, by age"),
        _row("log_base", ['choose = "log_base_paed_head"', 'where = "is_paed_head"', 'otherwise = "log_base_dose"']),
        _row(
            "log_size_octaves",
            ["sum = { log_dose_slope = 1, log_size_cm = 1 }", "linear_step = 0.0009765625", "clamp = [0.001, 16]"],
        ),
        _row("size_octaves", ['exp2 = "log_size_octaves"'], "how far dose goes up with this patient's size"),
        _row(
            "excess_dose",
            ["sum = { log_ctdivol = 1, log_base = -1, size_octaves = -1 }", "scale = 0.0009765625"],
            "octaves above the usual dose",
        ),
        _sum("n_usual_scan_ma", {"log_ma": MA_STEPS, "excess_dose": -MA_STEPS}, BY_NAME["n_ma"].add, "mA for the usual dose"),
        _sum(
            "n_usual_scan_mas",
            {"log_ma": MAS_STEPS, "log_time_s": MAS_STEPS, "excess_dose": -MAS_STEPS},
            0,
            "effective mAs for the usual dose, 1 to 6000 at 0 to 126",
        ),
        _row("n_usual_mas", ['select = "n_usual_scan_mas"', 'where = "turns"', "else = 0"]),
        _row("n_usual_ma", ['select = "n_usual_scan_ma"', 'where = "turns"', "else = 0"]),
    ]


def _expected_length(usual: Mapping[str, Protocol]) -> list[str]:
    """Trunk lengths go with the patient's height."""
    mean_cm = 168.75  # of the generator's adults
    lengths = {
        name: row.length_per_height * 10 if row.length_per_height else row.length_mm / (mean_cm if _is_trunk(row) else 1)
        for name, row in usual.items()
    }
    trunk = ", ".join(f'"{name}"' for name, row in usual.items() if _is_trunk(row))
    return [
        _lookup("log_usual_length", lengths, "mm, for trunks per cm of height"),
        _row("is_trunk", ['in_set = "objective"', f"set = [{trunk}]"]),
        _row(
            "log_height_of_age",
            [
                'curve = "patient_age_years"',
                "knots = [[0, 49], [1, 75], [5, 108.5], [10, 138], [15, 165], [18, 169]]",
                "log = true",
            ],
            "cm, where the height is unknown",
        ),
        _row("log_height_cm", ["sum = { log_height = 1 }", "clamp = [1, 260]"]),
        _row(
            "log_tall",
            ['choose = "log_height_cm"', 'where = "height_is_known"', 'otherwise = "log_height_of_age"', "clamp = [20, 260]"],
        ),
        _row("log_trunk_height", ['select = "log_tall"', 'where = "is_trunk"', "else = 1"]),
        _sum(
            "n_usual_length",
            {"log_usual_length": LENGTH_STEPS, "log_trunk_height": LENGTH_STEPS},
            BY_NAME["n_length"].add,
        ),
    ]


def _is_trunk(row: Protocol) -> bool:
    return row.region in ("abdomen", "chest")


def _patient() -> list[str]:
    return [
        _sum("n_size", {"log_size_cm": 48}, -159.5, "10 to 50 cm at 0 to 111"),
        _row(
            "log_weight_of_age",
            [
                'curve = "patient_age_years"',
                "knots = [[0, 3.3], [1, 9.4], [5, 18.2], [10, 32], [15, 54], [18, 78]]",
                "log = true",
            ],
            "kg, where the weight is unknown",
        ),
        _row("log_weight_kg", ["sum = { log_weight = 1 }", "clamp = [0.1, 400]"]),
        _row(
            "log_mass",
            ['choose = "log_weight_kg"', 'where = "weight_is_known"', 'otherwise = "log_weight_of_age"', "clamp = [0.3, 400]"],
        ),
        _sum("n_weight", {"log_mass": 20}, -28, "3 to 200 kg at 4 to 125"),
        _row(
            "n_age",
            ['curve = "patient_age_years"', "knots = [[0, 0], [2, 24], [6, 48], [18, 84], [100, 127]]", "clamp = [0, 127]"],
        ),
        _flag("n_contrast", "has_contrast"),
    ]


def _group() -> str:
    lines = ['select = "objective"', 'where = "turns"', "else = 0"]
    return _row("scan_group", lines, "group of the thresholds: the objective, or 0 for every localiser")


def _network(network: Declared) -> str:
    listed = "\n".join(f'    "{source}",' for source in network.inputs)
    head = [
        "[[network]]",
        f'name = "{network.name}"',
        f'about = "{network.about}"',
        'score = "reconstruction"',
        f'reason = "{network.reason}"',
        'on = ["scan_parameters"]',
        f'group = "{network.group}"',
        f"groups = {network.groups}",
        f"inputs = [\n{listed}\n]",
    ]
    return "\n\n".join(["\n".join(head), *map(_target, network.targets)])


def _target(name: str) -> str:
    blamed = BY_NAME[name].field if name in BY_NAME else None  # flags of the scan mode cannot be turned back
    field = f'\nfield = "{blamed}"' if blamed else ""
    return f'[[network.target]]\nrow = "{name}"{field}'
