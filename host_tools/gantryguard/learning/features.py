"""Writes `models/ct/features.toml`: what is usual in a context, and what the networks read, from the generator's tables.

The file is generated because what is usual for an objective (dose, its growth with size, length, settings) is stated once,
in `objectives.toml`. Ranges become limits (`limits.toml` names the rows); every network input is a row clamped to 0..127.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from gantryguard.clinic import objectives, patients
from gantryguard.clinic.objectives import Tables
from gantryguard.clinic.scanner import Scanner, reference_scanner
from gantryguard.clinic.schema import OBJECTIVES, SCAN_MODES
from gantryguard.learning import feature_rows as text
from gantryguard.learning import network_text
from gantryguard.learning import ranges as ranges_of
from gantryguard.learning.network_text import Declared
from gantryguard.learning.ranges import PAED_HEAD, Range, Ranges

MODES = tuple(SCAN_MODES)

HEAD = """\
# What is usual in a context, what the networks read, and what they should say. GENERATED from objectives.toml by
# gantryguard.learning.features: change that, then run `make gen`.
#
# Technique rows are affine in a field or in its log2, so that a network's output can be turned back into the field. Ranges
# hold all but a few of ten thousand normal commands; the rows named `..._error` are 0 within them.
"""


class Feature(NamedTuple):
    """A technique row: value = factor * (log2 of) source + add; `field` is what its error blames."""

    name: str
    source: str
    factor: float
    add: float
    field: str | None
    about: str

    def at(self, value: float) -> float:
        """The row's value for a physical value."""
        return self.factor * (math.log2(value) if self.source.startswith("log_") else value) + self.add


SLIM_CM = 27.0  # diameter: about 62 kg at 1.60 m; a technique for the average patient is an overdose for them
GROWN_Y = 18.0  # children are no slim adults
LARGE_CM = 33.5  # diameter: about 105 kg at 1.75 m; their scans are at the limits of tube and generator
SIZES = 3  # groups of patients that have thresholds of their own: the others, large and slim ones
LARGE, SLIM = 1, 2
HIGHEST_INPUT = 127
SCAN_GROUPS = 1 + 2 * SIZES * len(OBJECTIVES)
DOSE_STEPS, SPAN_STEPS = 40, 40  # per octave
WEIGHT_STEPS, LEAST_WEIGHT_KG = 41, 14  # per octave
SPARE_STEPS = 1000  # per octave
DOSE_ZERO = 64  # where the dose is the usual one
OBJECTIVE_STEP = 10  # apart: no pitch and no rotation time is as large
ODD_STEP, ODD_NEAR = 0.05, 0.035  # pitches and rotation times (s) as near as that are the same: scanners differ
EXACT_STEP, EXACT_NEAR = 0.01, 0.004  # where a site's own exams show that its scanner's pitches are those of the protocols
# Factors spread what the envelope allows over 0..127: steps per octave for logarithms, per unit for the rest.
TECHNIQUE: tuple[Feature, ...] = (
    Feature("n_kvp", "kvp", 1.25, -75, "kvp", "80 to 140 kV at 25 to 100"),
    Feature("n_ma", "log_ma", 19, -60, "ma", "10 to 800 mA at 3 to 123"),
    Feature("n_rotation", "log_rotation", 24, 59, "rotation_s", "0.28 to 4 s at 15 to 107"),
    Feature("n_pitch", "log_pitch", 24, 95, "pitch", "0.09 to 1.5 at 12 to 109"),
    Feature("n_collimation", "log_collimation", 20, -26, "collimation_mm", "5 to 160 mm at 20 to 120"),
    Feature("n_slice", "log_slice", 20, 30, "slice_mm", "0.625 to 10 mm at 16 to 96"),
    Feature("n_length", "log_length", 22, -115, "scan_length_mm", "40 to 2000 mm at 2 to 126"),
    Feature("n_tilt", "tilt_deg", 1.5, 64, "tilt_deg", "-30 to 30 degrees at 19 to 109"),
    Feature("n_rotations", "log_rotations", 16, 4, "rotations", "1 to 100 at 4 to 110"),
)
DOSE: tuple[Feature, ...] = (
    Feature("n_ctdivol", "log_ctdivol", 10, 40, None, "computed, 0.1 to 200 mGy at 7 to 116"),
    Feature("n_dlp", "log_dlp", 8, 20, None, "computed, 1 to 8000 mGy.cm at 20 to 124"),
)
BY_NAME = {feature.name: feature for feature in (*TECHNIQUE, *DOSE)}
MODE_FLAGS = tuple(f"n_{mode}" for mode in MODES)
SETTINGS = {
    "kvp": "n_kvp",
    "rotation_s": "n_rotation",
    "pitch": "n_pitch",
    "collimation_mm": "n_collimation",
    "slice_mm": "n_slice",
}
USUAL = (*(f"n_usual_{name[2:]}" for name in SETTINGS.values()), "n_base_dose")
# What the context-sensitive network sees besides the technique.
CONTEXT = (
    "n_dose",
    "n_site_is_known",
    "n_span",
    "n_load",
    "n_tube",
    "n_spare",
    "n_odd_pitch",
    "n_odd_rotation",
    "n_size",
    "n_weight",
    "n_age",
    "n_contrast",
    "n_pregnant",
    "n_head_phantom",
)
MENDED = ("n_kvp", "n_ma", "n_rotation", "n_pitch", "n_collimation", "n_slice", "n_length")


# Both see a command, perhaps spoilt, and say the normal one. The first knows normal commands only; the second also knows the
# context, has seen what an attacker or an error makes of a command, and accuses the fields that are wrong.
CONTEXT_FREE, CONTEXT_SENSITIVE = "context_free", "context_sensitive"
NETWORKS: tuple[Declared, ...] = (
    Declared(
        CONTEXT_FREE,
        "what a command is like, whoever the patient is",
        (*BY_NAME, *MODE_FLAGS, "n_head_phantom"),
        tuple(BY_NAME),
        "scan_mode",
        len(MODES) + 1,
        "ABNORMAL",
    ),
    Declared(
        CONTEXT_SENSITIVE,
        "the command as it should be for this objective and patient, and which of its fields are wrong",
        (*MENDED, *CONTEXT, *USUAL, *MODE_FLAGS[1:]),
        MENDED,
        "scan_group",
        SCAN_GROUPS,
        "ABNORMAL_FOR_CONTEXT",
        accuses=True,
    ),
)


def trunk_groups(tables: Tables, size: int, *, known: bool) -> tuple[int, ...]:
    """Groups of trunks of LARGE patients, whose image a usual dose ruins, or SLIM adults, for whom it is an overdose."""
    usual, first = ranges_of.usual_protocols(tables), (SIZES * known + size) * len(OBJECTIVES)
    return tuple(first + code for name, code in OBJECTIVES.items() if ranges_of.is_trunk(usual[name]))


def render(tables: Tables, ranges: Ranges | None = None, scanner: Scanner | None = None) -> str:
    """The text of features.toml for the generator's tables; `ranges` default to those of generated normals."""
    ranges, scanner = ranges or ranges_of.generated(), scanner or reference_scanner()
    parts = [
        HEAD,
        "# ---- Logarithms that the quantities lack",
        text.log("log_slice", "slice_mm"),
        text.log("log_length", "scan_length_mm"),
        "# ---- Technique",
        *(text.feature(f.name, {f.source: f.factor}, f.add, f.about, _taught(f, scanner)) for f in BY_NAME.values()),
        *(text.flag(f"n_{mode}", f"is_{mode}") for mode in MODES),
        text.flag("n_head_phantom", "is_head_phantom"),
        "# ---- Dose: octaves from the middle of what is usual for the objective and the patient's size",
        *_dose(tables, ranges),
        "# ---- Length: octaves from the middle of what is usual for the objective and the patient's height",
        *_length(tables, ranges),
        "# ---- Settings beyond what the objective uses",
        *(line for column in SETTINGS for line in _setting(column, ranges)),
        *_small(ranges),
        *_modes(ranges),
        *_pregnancy(tables),
        "# ---- Context",
        *_context(tables, ranges, scanner),
        "# ---- Networks",
        *(network_text.render(network, {name: feature.field for name, feature in BY_NAME.items()}) for network in NETWORKS),
    ]
    return "\n\n".join(parts) + "\n"


def _taught(feature: Feature, scanner: Scanner) -> tuple[int, int]:
    """What the networks may read of a technique: of another scanner no more than the one that they learnt from has."""
    learnt = reference_scanner()
    ends = {
        "n_kvp": learnt.kvp_stations_kv,
        "n_rotation": learnt.rotation_times_s,
        "n_pitch": (learnt.pitch_min, learnt.pitch_max),
        "n_collimation": learnt.collimations_mm,
        "n_slice": learnt.slices_mm,
    }.get(feature.name)
    if scanner == learnt or ends is None:
        return 0, HIGHEST_INPUT
    return round(feature.at(min(ends))), round(feature.at(max(ends)))


def _dose(tables: Tables, ranges: Ranges) -> list[str]:
    """log2 CTDIvol = log2 base + slope * diameter; the product by logarithms."""
    usual = ranges_of.usual_protocols(tables)
    head = ranges.dose[PAED_HEAD].middle
    heads = zip(ranges_of.paed_heads(tables), ranges.head_scale, strict=True)
    knots = ", ".join(f"[{row.age[0]:g}, {ranges_of.base_dose(row) * head * scale:.6g}]" for row, scale in heads)
    bases = {name: ranges_of.base_dose(row) * ranges.dose[name].middle for name, row in usual.items()} | {PAED_HEAD: 1.0}
    slopes = {name: ranges_of.dose_slope(row) for name, row in usual.items()}
    return [
        text.lookup("log_base_dose", bases, "mGy at diameter 0; heads: at their own size"),
        text.row("is_paed_head", ['equal = "objective"', f'to = "{PAED_HEAD}"']),
        text.row("log_head_of_age", ['steps = "patient_age_years"', f"knots = [{knots}]", "log = true"], "mGy"),
        text.row("log_base_paed_head", ['select = "log_head_of_age"', 'where = "is_paed_head"', "else = 1"]),
        text.lookup("log_dose_slope", slopes, "octaves per cm: b / ln 2, times the region's share of the diameter"),
        text.row(
            "log_size_octaves",
            ["sum = { log_dose_slope = 1, log_size_cm = 1 }", "linear_step = 0.0009765625", "clamp = [0.001, 16]"],
        ),
        text.row("size_octaves", ['exp2 = "log_size_octaves"'], "how far dose goes up with this patient's size"),
        text.octaves("log_dose_excess", {"log_ctdivol": 1, "log_base_dose": -1, "log_base_paed_head": -1, "size_octaves": -1}),
        text.lookup("log_middle_of_usual", {key: one.middle / one.usual for key, one in ranges.dose.items()}, "of the range"),
        text.octaves("log_dose_level", {"log_dose_excess": 1, "log_middle_of_usual": 1}, "from the median"),
        text.feature("n_dose", {"log_dose_level": DOSE_STEPS}, DOSE_ZERO, "a factor of 3 either way"),
        *_dead_zone("dose", "log_dose_excess", ranges.dose),
    ]


def _length(tables: Tables, ranges: Ranges) -> list[str]:
    usual = ranges_of.usual_protocols(tables)
    lengths = {name: ranges_of.base_length(row) * ranges.length[name].middle for name, row in usual.items()}
    return [
        text.lookup("log_usual_length", lengths, "mm, for trunks per cm of height"),
        text.marked("is_trunk", [name for name, row in usual.items() if ranges_of.is_trunk(row)]),
        text.row(
            "log_height_of_age",
            [
                'curve = "patient_age_years"',
                "knots = [[0, 49], [1, 75], [5, 108.5], [10, 138], [15, 165], [18, 169]]",
                "log = true",
            ],
            "cm, where the height is unknown",
        ),
        text.row("log_height_cm", ["sum = { log_height = 1 }", "clamp = [1, 260]"]),
        text.row(
            "log_tall",
            ['choose = "log_height_cm"', 'where = "height_is_known"', 'otherwise = "log_height_of_age"', "clamp = [20, 260]"],
        ),
        text.row("log_trunk_height", ['select = "log_tall"', 'where = "is_trunk"', "else = 1"]),
        text.octaves("log_length_excess", {"log_length": 1, "log_usual_length": -1, "log_trunk_height": -1}),
        text.feature("n_span", {"log_length_excess": SPAN_STEPS}, 64, "a factor of 3 either way"),
        *_dead_zone("length", "log_length_excess", ranges.length),
    ]


def _dead_zone(name: str, source: str, ranges: Mapping[str, Range]) -> list[str]:
    """`<name>_error`: the excess where it leaves the range, else none. A correction so leads back to the middle."""
    return [
        text.row(f"log_{name}_distance", [f'absolute = "{source}"']),
        text.lookup(f"log_{name}_reach", {key: one.factor for key, one in ranges.items()}, "from the middle to either end"),
        text.octaves(f"log_{name}_beyond", {f"log_{name}_distance": 1, f"log_{name}_reach": -1}),
        text.row(f"{name}_is_off", [f'at_least = "log_{name}_beyond"', "bound = 1.0006"]),
        text.row(f"{name}_error", [f'select = "{source}"', f'where = "{name}_is_off"', "else = 1"]),
    ]


def _setting(column: str, ranges: Ranges) -> list[str]:
    """How far a setting is above the highest, and below the lowest, of its objective."""
    name = SETTINGS[column].removeprefix("n_")
    high = {key: one[column].high for key, one in ranges.settings.items()}
    low = {key: one[column].low for key, one in ranges.settings.items()}
    return [
        text.lookup(f"log_highest_{name}", high, "of normal commands"),
        text.octaves(f"{name}_over", {f"log_{name}": 1, f"log_highest_{name}": -1}),
        text.lookup(f"log_lowest_{name}", low, "of normal commands"),
        text.octaves(f"{name}_under", {f"log_{name}": 1, f"log_lowest_{name}": -1}),
    ]


def _small(ranges: Ranges) -> list[str]:
    """The voltage above the highest that the objective uses for small patients."""
    high = {key: one.high for key, one in ranges.small_kvp.items()}
    weight = {"log_size_cm": 2.0, "log_tall": 1.0}
    return [
        text.octaves("log_weight_kg", weight, "from the size", -math.log2(patients.DIAMETER_FACTOR**2 * 100)),
        text.row("is_not_small", ['at_least = "log_weight_kg"', f"bound = {ranges_of.SMALL_KG / ranges_of.SLACK:.4g}"]),
        text.row("is_small", ['not = "is_not_small"']),
        text.row("is_small_scan", ['all = ["is_small", "turns"]']),
        text.lookup("log_highest_small_kvp", high, "of normal commands of small patients"),
        text.octaves("small_kvp_over", {"log_kvp": 1, "log_highest_small_kvp": -1}),
    ]


def _modes(ranges: Ranges) -> list[str]:
    """Flags of scan modes that the objective does not use."""
    lines = []
    for mode in MODES[1:]:
        used = [name for name, modes in ranges.modes.items() if SCAN_MODES[mode] in modes]
        lines.append(text.marked(f"may_be_{mode}", used))
        lines.append(text.row(f"odd_{mode}", [f"sum = {{ is_{mode} = 1, may_be_{mode} = -1 }}"]))
    return lines


def _pregnancy(tables: Tables) -> list[str]:
    return [
        text.marked("is_low_trunk", tables.general["never_pregnant"], "the beam passes through an unborn child"),
        text.row("is_pregnant", ['equal = "pregnant"', 'to = "yes"']),
        text.row("irradiates_unborn", ['all = ["is_low_trunk", "is_pregnant", "turns"]']),
    ]


def _context(tables: Tables, ranges: Ranges, scanner: Scanner) -> list[str]:
    usual, count = ranges_of.usual_protocols(tables), len(OBJECTIVES)
    known = {name: 127 if name in ranges.known else 0 for name in OBJECTIVES}
    base = {name: 12 * math.log2(row.c0_mgy) + 20 for name, row in usual.items()}
    return [
        *(
            text.activation(f"n_usual_{name[2:]}", _values(ranges, column, name), "as that row")
            for column, name in SETTINGS.items()
        ),
        text.activation("n_base_dose", base, "2 to 200 mGy at 32 to 112"),
        text.feature(
            "n_load",
            {"log_power_kw": 40},
            127 - 40 * math.log2(scanner.generator_kw),
            "how near to the generator's power: half of it at 87",
        ),
        text.feature("n_tube", {"log_ma": 40}, 127 - 40 * math.log2(scanner.ma_max_ma), "how near to the tube's current"),
        *_spare(scanner),
        *_odd(tables, ranges, "pitch"),
        *_odd(tables, ranges, "rotation_s"),
        text.activation("n_site_is_known", known, "where the usual dose is that of this site"),
        text.flag("n_pregnant", "is_pregnant"),
        text.feature(network_text.SOUND, {"log_size_cm": 0}, 0, "what an accusing output says where nothing looks wrong"),
        text.feature("n_size", {"log_size_cm": 48}, -159.5, "10 to 50 cm at 0 to 111"),
        text.feature(
            "n_weight",
            {"log_weight_kg": WEIGHT_STEPS},
            -WEIGHT_STEPS * math.log2(LEAST_WEIGHT_KG),
            "voltages go by it: 14 to 120 kg at 0 to 127",
        ),
        text.row(
            "n_age",
            ['curve = "patient_age_years"', "knots = [[0, 0], [2, 24], [6, 48], [18, 84], [100, 127]]", "clamp = [0, 127]"],
        ),
        text.flag("n_contrast", "has_contrast"),
        text.row("is_large", ['at_least = "log_size_cm"', f"bound = {LARGE_CM:g}"]),
        text.row("is_not_slim", ['at_least = "log_size_cm"', f"bound = {SLIM_CM:g}"]),
        text.row("is_below_slim", ['not = "is_not_slim"']),
        text.row("is_grown", ['at_least = "patient_age_years"', f"bound = {GROWN_Y:g}"]),
        text.row("is_slim", ['all = ["is_below_slim", "is_grown"]']),
        text.row("site_is_known", ['at_least = "n_site_is_known"', "bound = 1"]),
        text.row(
            "size_group",
            [f"sum = {{ objective = 1, is_large = {count}, is_slim = {2 * count}, site_is_known = {SIZES * count} }}"],
        ),
        text.row(
            "scan_group",
            ['select = "size_group"', 'where = "turns"', "else = 0"],
            "group of the thresholds: the objective by size, where the site is known again, or 0 for every localiser",
        ),
    ]


def _spare(scanner: Scanner) -> list[str]:
    """0 where tube or generator give all they can, 127 from 9 % below on: only there does a console change what was planned."""
    return [
        text.octaves("log_of_generator", {"log_power_kw": 1}, "", -math.log2(scanner.generator_kw)),
        text.octaves("log_of_tube", {"log_ma": 1}, "", -math.log2(scanner.ma_max_ma)),
        text.row("log_of_most", ['largest = ["log_of_generator", "log_of_tube"]']),
        text.feature("n_spare", {"log_of_most": -SPARE_STEPS}, 0),
    ]


def _odd(tables: Tables, ranges: Ranges, column: str) -> list[str]:
    """127 where a setting is near none that a protocol of objective or site asks for: the console's way out, or wrong."""
    name = SETTINGS[column].removeprefix("n_")
    asked = protocol_settings(tables, ranges, column)
    near = {key: values for key, values in asked.items() if column != "pitch" or key not in ranges.exact}
    exact = {key: values for key, values in asked.items() if key not in near}
    lines = _is_asked_for(f"{name}_is_asked_for", column, near, ODD_STEP, ODD_NEAR)
    flags = [f"{name}_is_asked_for"]
    if exact:
        lines += _is_asked_for(f"{name}_is_exact", column, exact, EXACT_STEP, EXACT_NEAR)
        lines.append(text.row(f"{name}_is_either", [f'largest = ["{name}_is_asked_for", "{name}_is_exact"]']))
        flags = [f"{name}_is_either"]
    return [*lines, text.feature(f"n_odd_{name}", {flags[0]: -HIGHEST_INPUT}, HIGHEST_INPUT)]


def protocol_settings(tables: Tables, ranges: Ranges, column: str) -> dict[str, list[float]]:
    """By objective the values of a setting that its protocols, and those of the site, ask for."""
    rows = list(tables.protocols.values())
    options = objectives.options(column, reference_scanner(), rows)
    asked: dict[str, list[float]] = {}
    for row, values in zip(rows, options.values.tolist(), strict=True):
        asked.setdefault(row.objective, []).extend(values)
    for key, one in ranges.asked.items():
        asked[key].extend(one[column])
    return asked


def _is_asked_for(name: str, column: str, asked: Mapping[str, list[float]], step: float, near: float) -> list[str]:
    """A flag: the setting is as near to one of these values of its objective."""
    pairs = [(OBJECTIVES[key] * OBJECTIVE_STEP, value) for key, values in asked.items() for value in values]
    bins = {round((code + value + off) / step) for code, value in pairs for off in (-near, 0, near)}
    keys = ", ".join(f"{number * step:.2f}" for number in sorted(bins))
    of_objective = name.replace("_is_asked_for", "_of_objective").replace("_is_exact", "_of_objective_exactly")
    return [
        text.row(of_objective, [f"sum = {{ {column} = 1, objective = {OBJECTIVE_STEP} }}", f"scale = {step}"]),
        text.row(name, [f'in_set = "{of_objective}"', f"set = [{keys}]"]),
    ]


def _values(ranges: Ranges, column: str, name: str) -> dict[str, float]:
    return {key: BY_NAME[name].at(one[column].usual) for key, one in ranges.settings.items()}
