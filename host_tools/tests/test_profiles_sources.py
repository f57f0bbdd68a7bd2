"""Bad entries of profile sources: each class gives the file, the line, the field and a remedy, with exit code 4."""

from __future__ import annotations

from pathlib import Path

import pytest
from profile_bench import INJECTOR, spoilt

from gantryguard.errors import UserError
from gantryguard.profiles.expressions import ExpressionError, calculate
from gantryguard.profiles.package import build
from gantryguard.profiles.source import line_index

# file, what is replaced, what by, text of the line that the message must point at, field that it must name
BAD = [
    ("profile.toml", 'mode = "monitor"', 'mode = "watch"', "mode =", "mode"),
    ("profile.toml", "counter = 7", "counter = -1", "counter =", "counter"),
    ("profile.toml", "retries = 0", "retries = 0\nretires = 1", "retires", "timing.retires"),
    ("profile.toml", "gap_ms = 50\n", "", "[timing]", "timing.gap_ms"),
    ("profile.toml", "OUT_OF_SEQUENCE", "OUT_OF_ORDER", "OUT_OF_ORDER", "policy.OUT_OF_ORDER"),
    ("profile.toml", 'name = "injector"', 'name = "a name of more than sixteen bytes"', "name =", "name"),
    ("profile.toml", "counter = 7", "counter = = 7", "counter =", "not valid TOML"),
    ("link.toml", "baud = 9600", 'baud = "quick"', "baud", "baud"),
    ("link.toml", 'framing = "delimited"', 'framing = "wild"', "framing", "forward.framing"),
    ("link.toml", "opcode_at = 1", "opcode_at = 0", "opcode_at", "forward.opcode_at"),
    ("link.toml", "opcode_at = 1", "opcode_at = 2", "opcode_at", "forward.opcode_at"),
    ("link.toml", "opcode_at = 1", "opcode_at = 1\ncut_through = true", "cut_through", "forward.cut_through"),
    ("link.toml", "size = 1\n", "size = 5\n", "size", "forward.check.size"),
    ("link.toml", "from = 1\n", "from = 9\n", "from", "forward.check.from"),
    ("link.toml", "range = [0, 300]", "range = [300, 0]", "range = [300", "fields.volume_ml.range"),
    ("link.toml", "range = [0, 300]", "range = [0, 1e9]", "range = [0, 1e9]", "fields.volume_ml.range"),
    ("link.toml", "scale = 0.01", "scale = 0", "scale = 0\n", "fields.rate_ml_s.scale"),
    ("link.toml", "iodine = 2", "iodine = 4", "iodine", "fields.agent.values"),
    ("link.toml", "opcode = 10", "opcode = 100", "opcode = 100", "command.1.opcode"),
    ("link.toml", "opcode = 10", "opcode = 5", 'opcode = 5\nrole = "parameters"', "command.1.opcode"),
    ("link.toml", 'name = "inject"', 'name = "load"', 'name = "load"\nopcode = 20', "command.2.name"),
    ("link.toml", '"weight_kg decimal"', '"weight_kg u8"', "weight_kg u8", "command.0.fields"),
    ("link.toml", '"weight_kg decimal"', '"wait_kg decimal"', "wait_kg", "command.0.fields"),
    ("link.toml", 'refused = "denied"', 'refused = "halt"', "refused", "replies.refused"),
    ("link.toml", 'role = "expose"', 'role = "shoot"', "shoot", "command.2.role"),
    ("quantities.toml", 'log2 = "rate_ml_s"', 'log2 = "rate"', "log2 =", "row.0.log2"),
    ("quantities.toml", 'log2 = "rate_ml_s"', 'log2 = "rate_ml_s"\nexp2 = "rate_ml_s"', 'name = "log_rate"', "row.0.name"),
    ("quantities.toml", 'name = "log_needle"', 'name = "log_rate"', 'name = "log_rate"\nlog2 = "needle', "row.1.name"),
    ("quantities.toml", 'add = "log2(100)"', 'add = "log2(pressure)"', "log2(pressure)", "row.2.add"),
    ("quantities.toml", 'add = "log2(100)"', "add = \"__import__('os')\"", "__import__", "row.2.add"),
    ("quantities.toml", "log_needle = -4", "log_needle = -400000", 'name = "log_pressure"', "row.2.name"),
    ("quantities.toml", "clamp = [0.01, 1e8]", "clamp = [5]", "clamp = [5]", "row.2.clamp"),
    ("quantities.toml", 'to = "iodine"', 'to = "barium"', "barium", "row.4.to"),
    ("quantities.toml", 'set = "needles_mm"', "set = [0.55]", "0.55", "row.3.set"),
    ("quantities.toml", "iodine = 1.5", "iodin = 1.5", "table", "iodin"),
    ("quantities.toml", "knots = [[0, 20], [50, 80]", "knots = [[60, 20], [50, 80]", "knots = [[60", "row.8.knots"),
    ("quantities.toml", 'where = "is_iodine"', 'where = "size_class"', 'where = "size_class"', "row.12.where"),
    ("quantities.toml", 'absolute = "offset"', 'absolute = "log_pressure"', "largest = [", "row.11.largest"),
    ("limits.toml", 'of = "rate_ml_s"', 'of = "speed"', 'of = "speed"', "limit.1.of"),
    ("limits.toml", "max = 50\n", "max = 500\n", "odd", "limit.4.name"),
    ("limits.toml", "max = 50\n", "", "odd", "limit.4.name"),
    ("limits.toml", "gain = 1", "gain = 99", "gain", "limit.2.gain"),
    ("limits.toml", 'verdict = "hold"', 'verdict = "pass"', "verdict", "limit.3.verdict"),
    ("limits.toml", 'reason = "NOTIFICATION"', 'reason = "BECAUSE"', "BECAUSE", "limit.3.reason"),
    ("limits.toml", 'on = ["load", "inject"]', 'on = ["load", "denied"]', '"denied"', "limit.3.on"),
    ("limits.toml", 'blamed = "needle_mm"', 'blamed = "needle_exists"', 'needle_exists"\non', "limit.0.blamed"),
    ("corrections.toml", "step = 0.1", "step = 0.015", "0.015", "executable.rate_ml_s.step"),
    ("corrections.toml", 'set = "needles_mm"', "set = [9]", "set = [9]", "executable.needle_mm.set"),
    ("sequence.toml", 'to = "loaded"', 'to = "full"', "full", "transition.1.to"),
    (
        "sequence.toml",
        'commands = ["halt"]',
        'commands = ["load"]',
        'commands = ["load"]\nto = "nobody"',
        "transition.3.commands",
    ),
    ("sequence.toml", 'to = "volume_after_ml"', 'to = "log_rate"', "log_rate", "latch.1.to"),
    ("sequence.toml", "range = [0, 5000]", "range = [0, 100]", "volume_after_ml", "latch.1.to"),
    ("sequence.toml", 'start = "nobody"', 'start = "anybody"', "anybody", "start"),
    ("features.toml", "add = 40\nscale = 1\nclamp = [0, 127]", "add = 90\nscale = 1", "inputs", "network.0.inputs"),
    ("features.toml", 'field = "volume_ml"', 'field = "weight_kg"', "weight_kg", "network.0.target.1.field"),
    ("features.toml", "groups = 3", "groups = 0", "groups", "network.0.groups"),
    # values of the wrong kind
    ("profile.toml", 'name = "injector"', "name = 5", "name = 5", "name"),
    ("profile.toml", "counter = 7", "counter = true", "counter", "counter"),
    ("profile.toml", "[timing]", "timing = 5\n[policies]", "timing", "timing"),
    ("link.toml", "negated = true", "negated = 1", "negated", "forward.check.negated"),
    ("link.toml", "range = [0, 300]", "range = 300", "range = 300", "fields.volume_ml.range"),
    ("limits.toml", 'on = ["load", "inject"]', "on = [5]", "on = [5]", "limit.3.on"),
    ("limits.toml", "max = 50\n", "max = inf\n", "max = inf", "limit.4.max"),
    # the link
    ("link.toml", "unknown_raw = 0", "unknown_raw = 401", "unknown_raw", "fields.weight_kg.unknown_raw"),
    ("link.toml", '"agent decimal"', '"weight_kg decimal"', "fields = [", "command.0.fields"),
    ("link.toml", "start = [2]", "start = [2, 999]", "start", "forward.start"),
    # rows
    ("quantities.toml", 'largest = ["offset_size", "size_class"]', "largest = []", "largest = []", "row.11.largest"),
    ("quantities.toml", "clamp = [0, 5000]", "clamp = [0.01, 0.02]", "clamp = [0.01, 0", "row.6.clamp"),
    ("quantities.toml", 'log2 = "needle_mm"', 'log2 = "log_rate"', 'log2 = "log_rate"', "row.1.log2"),
    ("quantities.toml", 'log2 = "needle_mm"', 'exp2 = "needle_mm"', "exp2", "row.1.exp2"),
    ("quantities.toml", "sum = {}\nadd = 0\nscale = 0.1", "sum = {}\nadd = 0\nscale = 0", "scale = 0\n", "row.13.scale"),
    ("quantities.toml", "sum = {}\nadd = 0\nscale = 0.1", "sum = {}\nadd = 0", '[[row]]\nname = "nothing_ml"', "row.13.scale"),
    ("quantities.toml", 'add = "log2(100)"', "linear_step = 0", "linear_step", "row.2.linear_step"),
    ("quantities.toml", 'equal = "agent"\nto = "iodine"', 'at_least = "agent"\nbound = 1e12', "bound", "row.4.bound"),
    ("quantities.toml", 'set = "needles_mm"', "set = []", "set = []", "row.3.set"),
    (
        "quantities.toml",
        "knots = [[0, 20], [50, 80], [100, 130]]",
        "knots_x = [1, 2]\nknots_y = [3]",
        "knots_y",
        "row.8.knots_y",
    ),
    ("quantities.toml", "knots = [[0, 20], [50, 80], [100, 130]]", "knots = [1, 2]", "knots = [1", "row.8.knots"),
    (
        "quantities.toml",
        "knots = [[0, 20], [50, 80]",
        "log = true\nknots = [[0, 0], [50, 80]",
        "knots = [[0, 0], [50",
        "row.8.knots",
    ),
    (
        "quantities.toml",
        "knots = [[0, 20], [50, 80]",
        "knots = [[0, -1e8], [50, 1e8]",
        'name = "expected_volume"',
        "row.8.name",
    ),
    ("quantities.toml", 'lookup = "agent"', 'lookup = "weight_kg"', "lookup", "row.5.lookup"),
    ("quantities.toml", "default = 0.2\n", "", "table = {", "row.5.table"),
    (
        "quantities.toml",
        'select = "volume_after_ml"',
        'choose = "volume_ml"\notherwise = "offset"',
        "otherwise",
        "row.12.otherwise",
    ),
    ("quantities.toml", 'absolute = "offset"', 'absolute = "log_rate"', 'absolute = "log_rate"', "row.10.absolute"),
    (
        "quantities.toml",
        "log_needle = -4 }",
        "log_needle = -4, weight_kg = 1 }",
        '[[row]]\nname = "log_pressure"',
        "row.2.scale",
    ),
    # limits, corrections, sequence, networks
    ("limits.toml", 'on = ["load", "inject"]', "on = []", "on = []", "limit.3.on"),
    ("limits.toml", 'on = ["load", "inject"]', 'on = ["fill"]', "fill", "limit.3.on"),
    ("limits.toml", 'max = "pressure_kpa"', "max = 0", "max = 0", "limit.2.max"),
    ("limits.toml", "max = 50\n", "min = 60\nmax = 50\n", "min = 60", "limit.4.min"),
    (
        "limits.toml",
        'blamed = "volume_ml"',
        'blamed = "volume_ml"\ngain = 1',
        'gain = 1\non = ["load", "inject',
        "limit.3.gain",
    ),
    ("limits.toml", 'name = "rate"', 'name = "needle"', 'name = "needle"\nof = "rate', "limit.1.name"),
    ("corrections.toml", "[executable.rate_ml_s]", "[executable.log_rate]", "[executable", "executable.log_rate"),
    ("corrections.toml", "step = 0.1", 'step = 0.1\nset = "needles_mm"', "step = 0.1", "executable.rate_ml_s.step"),
    ("corrections.toml", 'set = "needles_mm"', "set = [0.55]", "0.55", "executable.needle_mm.set"),
    ("corrections.toml", "step = 1\n", 'step = 1\n[derived]\nvolume_ml = "weight_kg"\n', "volume_ml = ", "derived.volume_ml"),
    ("corrections.toml", "step = 1\n", 'step = 1\n[derived]\nvolume_ml = "in_rate"\n', "volume_ml = ", "derived.volume_ml"),
    (
        "corrections.toml",
        "step = 1\n",
        'step = 1\n[derived]\nvolume_ml = "volume_after_ml"\n',
        "volume_ml = ",
        "derived.volume_ml",
    ),
    ("sequence.toml", "scale = 0.1\nrange", "scale = 0\nrange", "scale", "memory.total_ml.scale"),
    ("sequence.toml", "range = [0, 5000]", "range = [5, 1]", "range", "memory.total_ml.range"),
    ("sequence.toml", "range = [0, 5000]", "range = [0, 1e9]", "range", "memory.total_ml.range"),
    ("sequence.toml", "range = [0, 5000]", "range = [0, 5000]\nstart = -1", "start = -1", "memory.total_ml.start"),
    ("sequence.toml", 'states = ["nobody", "patient", "loaded"]', "states = []", "states", "states"),
    ("sequence.toml", 'from = ["loaded"]', 'from = ["full"]', "full", "transition.2.from"),
    ("sequence.toml", 'set = "total_ml"', 'set = "volume_ml"', "volume_ml", "latch.0.set"),
    ("features.toml", 'inputs = ["in_rate", "in_volume"]', "inputs = []", "inputs", "network.0.inputs"),
    ("features.toml", 'field = "rate_ml_s"', 'field = "volume_ml"', 'volume_ml"\n[[network', "network.0.target.0.field"),
    (
        "features.toml",
        "sum = { volume_ml = 0.4 }",
        "sum = { volume_ml = 0.2, total_ml = 0.2 }",
        'field = "volume_ml"',
        "target.1.field",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "at", "named"), BAD, ids=[f"{b[0]}:{b[2]}"[:60] for b in BAD])
def test_a_bad_entry_names_file_line_field_and_remedy(
    file: str, old: str, new: str, at: str, named: str, tmp_path: Path
) -> None:
    folder = spoilt(INJECTOR, tmp_path / "profile", file, old, new)
    with pytest.raises(UserError) as caught:
        build(folder)
    error = caught.value
    place, _, rest = error.message.partition(": ")
    path, _, line = place.rpartition(":")
    text = (folder / file).read_text(encoding="utf-8")
    assert Path(path) == folder / file
    assert int(line) - 1 == text[: text.index(at)].count("\n")
    assert named in rest
    assert error.exit_code == 4
    assert error.remedy
    assert "\n" not in str(error)


@pytest.mark.parametrize("file", ["profile.toml", "link.toml", "quantities.toml", "limits.toml", "sequence.toml"])
def test_a_missing_file_is_named(file: str, tmp_path: Path) -> None:
    folder = spoilt(INJECTOR, tmp_path / "profile", file, "=", "=")
    (folder / file).unlink()
    with pytest.raises(UserError, match=file):
        build(folder)


def test_lines_are_found_behind_arrays_strings_and_comments() -> None:
    text = 'a = [\n  [1, 2],\n  [3],\n]\n[t] # comment\nb = "[" # [\n[[u]]\nc = 1\n[u.v]\nd = 1\n[[u]]\nc = 2\n'
    lines = line_index(text)
    assert lines[("a",)] == 1
    assert lines[("t", "b")] == 6
    assert lines[("u", 0, "c")] == 8
    assert lines[("u", 0, "v", "d")] == 10
    assert lines[("u", 1, "c")] == 12


@pytest.mark.parametrize(
    ("text", "value"),
    [("1 + 2 * 3", 7), ("-(2 ** 3) / 4", -2), ("log2(8) + sqrt(9)", 6), ("max(x.y, 2)", 5), ("min(many) - max(many)", -2)],
)
def test_expressions_have_values(text: str, value: float) -> None:
    assert calculate(text, {"x.y": 5.0, "many": [1.0, 3.0]}) == value


NO_VALUE = ("", "1 +", "nobody", "many + 1", "1 / 0", "2 ** 9999", "(-1) ** 0.5", "open('x')", "[1]", "x if 1 else 2", "'a'")


@pytest.mark.parametrize("text", [*NO_VALUE, "9" * 300])
def test_expressions_without_a_value_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        calculate(text, {"many": [1.0, 3.0]})
