"""What the committed networks were trained from, as digests: whether they are out of date shows without training them again.

`code`: the training program and every module of `clinic` and `learning` that it reaches, without comments and docstrings.
`data`: what the networks read of some thousand generated commands, and which of these the profile's limits refuse; rows,
limits and the compiler show there. Equal digests with the same pinned numpy give the same networks; `make test-full` trains
them again all the same.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gantryguard import paths
from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.learning import readings, train
from gantryguard.learning.pipeline import Pipeline
from gantryguard.profiles.package import compile_profile
from gantryguard.profiles.profile import Profile

ROOT = "gantryguard.learning.train"
FOLLOWED = ("gantryguard.clinic", "gantryguard.learning")
NORMALS = 4_000
PER_KIND = 40


def fingerprint(folder: Path, seed: int) -> bytes:
    """The digests as a JSON file. `folder` holds the profile's sources. Raises UserError (exit 4) if they do not compile."""
    parts = {"seed": seed, "numpy": np.__version__, "code": code_digest(), "data": data_digest(folder, seed)}
    return (json.dumps(parts, indent=2) + "\n").encode()


def code_digest(root: str = ROOT) -> str:
    """SHA-256 of the modules that training reaches, sorted by name."""
    hashed = hashlib.sha256()
    for name in sorted(_reached(root)):
        hashed.update(f"{name}\n{_program(_file(name))}\n".encode())
    return hashed.hexdigest()


def data_digest(folder: Path, seed: int) -> str:
    """SHA-256 of features, targets and groups of generated commands, and of the limits' verdicts on them."""
    profile = Profile.load(folder)
    scanner = reference_scanner()
    normals = generate(NORMALS, scanner=scanner, seed=seed)
    anomalies = make_anomalies(normals, seed + 1, scanner=scanner, per_kind=PER_KIND).commands
    hashed = hashlib.sha256()
    for commands in (normals, anomalies):
        for table in readings.gathered(profile, list(compile_profile(folder).networks), commands):
            for array in (table.inputs, table.targets, table.groups):
                hashed.update(np.ascontiguousarray(array).tobytes())
        hashed.update(train.alarms(Pipeline(profile), commands).tobytes())
    return hashed.hexdigest()


def _reached(root: str) -> set[str]:
    found: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imports(_file(name))
    return found


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(FOLLOWED):
            names = [f"{node.module}.{alias.name}" for alias in node.names if _file(f"{node.module}.{alias.name}").is_file()]
            yield from names or [node.module]


def _file(module: str) -> Path:
    return paths.ROOT / "host_tools" / f"{module.replace('.', '/')}.py"


def _program(file: Path) -> str:
    """The source as it runs: layout, comments and docstrings gone."""
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
