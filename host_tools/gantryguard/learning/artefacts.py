"""Everything of the CT profile that follows from its sources and the seed: features, networks, package, golden vectors, card.

The same sources give the same bytes; `check` rebuilds and compares.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from gantryguard import paths
from gantryguard.clinic import objectives
from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.learning import card, evaluate, features, onnx_graph, reference, train
from gantryguard.learning.mlp import Say
from gantryguard.learning.pipeline import PackedNet, Pipeline
from gantryguard.learning.trial import Sample
from gantryguard.profiles.package import build
from gantryguard.profiles.profile import Profile
from gantryguard.signing import development

CT = paths.MODELS / "ct"
SEED = 1
FEATURES, PACKAGE, GOLDEN, CARD = "features.toml", "package.bin", "golden.json", "MODEL_CARD.md"
GOLDEN_ROWS = 300  # of each network; thousands more follow from the seed (`golden_inputs`)


def contents(
    folder: Path = CT,
    seed: int = SEED,
    say: Say | None = None,
    recipe: train.Recipe | None = None,
    sample: Sample | None = None,
) -> dict[str, bytes]:
    """Every generated file of the profile by name. Raises UserError (exit 4) for sources that cannot be compiled.

    `recipe` and `sample` (defaults: the committed ones) say how much to train and to evaluate.
    """
    recipe = recipe or train.Recipe()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        for source in sorted(folder.glob("*.toml")):
            shutil.copy(source, work)
        text = features.render(objectives.tables())
        (work / FEATURES).write_text(text, encoding="utf-8")
        nets = train.train_profile(work, seed, say, recipe)
        package = development.sign(build(work, nets))
    profile = Profile(package)
    files = {FEATURES: text.encode(), PACKAGE: package}
    files |= {f"{net.name}.onnx": onnx_graph.export(net) for net in nets}
    files[GOLDEN] = golden(Pipeline(profile), seed)
    files[CARD] = card.render(nets, evaluate.evaluate(profile, sample), recipe, len(package), seed).encode()
    return files


def write(folder: Path = CT, seed: int = SEED, say: Say | None = None) -> list[str]:
    """Write every generated file; returns their names."""
    files = contents(folder, seed, say)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return list(files)


def check(folder: Path = CT, seed: int = SEED, say: Say | None = None) -> list[str]:
    """Names of generated files that are missing or differ from what their sources give; empty if all is well."""
    files = contents(folder, seed, say)
    return [name for name, data in files.items() if not _same(folder / name, data)]


def _same(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def golden_inputs(pipeline: Pipeline, seed: int, rows: int) -> list[tuple[PackedNet, np.ndarray, np.ndarray]]:
    """Per network: inputs (rows, n_in) and targets (rows, n_out), uint8: normals, anomalies, random ones and extremes."""
    quarter = rows // 4
    commands = _normals_and_anomalies(seed, quarter)
    matrix = pipeline.values(commands)
    dice = np.random.Generator(np.random.PCG64(seed))
    result = []
    for packed in pipeline.nets:
        parts = []
        for slots in (packed.inputs, packed.targets):
            random = dice.integers(0, 128, (quarter, len(slots)))
            extreme = dice.integers(0, 2, (rows - 3 * quarter, len(slots))) * 127
            parts.append(np.concatenate([matrix[:, slots], random, extreme]).astype(np.uint8))
        result.append((packed, parts[0], parts[1]))
    return result


def _normals_and_anomalies(seed: int, each: int) -> Commands:
    scanner = reference_scanner()
    normals = generate(max(each, 2000), scanner=scanner, seed=seed + 7)
    anomalies = make_anomalies(normals, seed + 8, scanner=scanner, per_kind=20).commands
    chosen = np.linspace(0, len(anomalies) - 1, each).astype(np.int64)
    return Commands.concat([normals.take(np.arange(each)), anomalies.take(chosen)])


def golden(pipeline: Pipeline, seed: int) -> bytes:
    """Golden vectors as JSON: per network rows of inputs, targets and outputs (hexadecimal bytes), scores, worst outputs."""
    networks = []
    for packed, inputs, targets in golden_inputs(pipeline, seed, GOLDEN_ROWS):
        outputs = reference.infer(packed.net, inputs)
        scores, worst = reference.score(packed.net, targets, outputs)
        networks.append(
            {
                "name": packed.net.name,
                "inputs": _hex(inputs),
                "targets": _hex(targets),
                "outputs": _hex(outputs.astype(np.uint8)),
                "scores": scores.tolist(),
                "worst": worst.tolist(),
            }
        )
    return (json.dumps({"seed": seed, "networks": networks}, indent=0) + "\n").encode()


def _hex(rows: np.ndarray) -> list[str]:
    return [row.tobytes().hex() for row in rows]
