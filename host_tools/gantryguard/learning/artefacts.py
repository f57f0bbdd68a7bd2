"""Everything of the CT profile that follows from its sources and the seed: features, networks, package, golden vectors, card.

The same sources give the same bytes. `check` rebuilds everything but the networks, whose sources have to be those that
`training.json` knows; `check_trained` trains them again as well.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gantryguard import paths
from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError
from gantryguard.learning import card, evaluate, onnx_graph, provenance, reference, sources, train
from gantryguard.learning.mlp import Say
from gantryguard.learning.pipeline import PackedNet, Pipeline, nets_of
from gantryguard.learning.trial import Sample
from gantryguard.profiles.nets import TrainedNet
from gantryguard.profiles.package import build
from gantryguard.profiles.profile import Profile
from gantryguard.signing import development

CT = paths.MODELS / "ct"
SEED = 1
PACKAGE, GOLDEN, CARD = "package.bin", "golden.json", "MODEL_CARD.md"
TRAINING = "training.json"
GOLDEN_ROWS = 300  # of each network; thousands more follow from the seed (`golden_inputs`)


def contents(
    folder: Path = CT,
    seed: int = SEED,
    say: Say | None = None,
    recipe: train.Recipe | None = None,
    sample: Sample | None = None,
    trained: list[TrainedNet] | None = None,
) -> dict[str, bytes]:
    """Every generated file of the profile by name. Raises UserError (exit 4) for sources that cannot be compiled.

    `recipe` and `sample` (defaults: the committed ones) say how much to train and to evaluate; `trained` networks are taken
    as they are.
    """
    recipe = recipe or train.Recipe()
    with sources.rendered(folder) as work:
        origin = provenance.fingerprint(work, seed)
        nets = train.train_profile(work, seed, say, recipe) if trained is None else trained
        package = development.sign(build(work, nets))
        text = (work / sources.FEATURES).read_bytes()
    profile = Profile(package)
    files = {sources.FEATURES: text, TRAINING: origin, PACKAGE: package}
    files |= {f"{net.name}.onnx": onnx_graph.export(net) for net in nets}
    files[GOLDEN] = golden(Pipeline(profile), seed)
    files[CARD] = card.render(nets, evaluate.evaluate(profile, sample), recipe, len(package), seed).encode()
    return files


def write(folder: Path = CT, seed: int = SEED, say: Say | None = None) -> list[str]:
    """Write every generated file; returns their names. Networks whose sources are unchanged are not trained again."""
    files = contents(folder, seed, say, trained=_up_to_date(folder, seed))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return list(files)


def _up_to_date(folder: Path, seed: int) -> list[TrainedNet] | None:
    """The committed networks, or None where they have to be trained."""
    with sources.rendered(folder) as work:
        known = _same(folder / TRAINING, provenance.fingerprint(work, seed))
    try:
        return nets_of(Profile((folder / PACKAGE).read_bytes())) if known else None
    except (OSError, UserError):  # no package, or one of another format
        return None


def check(folder: Path = CT, seed: int = SEED) -> list[str]:
    """Names of generated files that are missing or differ from what their sources and the committed networks give."""
    return _differing(folder, contents(folder, seed, trained=nets_of(Profile((folder / PACKAGE).read_bytes()))))


def check_trained(folder: Path = CT, seed: int = SEED, say: Say | None = None) -> list[str]:
    """The same with networks that are trained for it: minutes."""
    return _differing(folder, contents(folder, seed, say))


def _differing(folder: Path, files: dict[str, bytes]) -> list[str]:
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
