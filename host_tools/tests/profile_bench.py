"""What the suites about profiles share: the two profiles, a console that judges what it sends, and folders to spoil."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gantryguard import paths
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.profiles.nets import TrainedLayer, TrainedNet
from gantryguard.profiles.profile import Profile
from interposer.core.reasons import HOLD, PASS
from interposer.core.verdict import Judge

CT = paths.MODELS / "ct"
INJECTOR = Path(__file__).parent / "data" / "injector"

CONTEXT: dict[str, Any] = {
    "exam_number": 100,
    "objective": "abdomen_pelvis",
    "age_years": 50,
    "sex": "female",
    "weight_kg": 70,
    "height_cm": 170,
    "contrast": "no",
    "pregnant": "no",
}
ABDOMEN: dict[str, Any] = {
    "scan_mode": "helical",
    "kvp": 120,
    "ma": 200,
    "rotation_s": 0.5,
    "pitch": 1.0,
    "collimation_mm": 40,
    "slice_mm": 5,
    "scan_length_mm": 450,
    "table_speed_mm_s": 0,
    "tilt_deg": 0,
    "phantom_cm": 32,
    "rotations": 1,
}


@cache
def ct() -> Profile:
    """The CT profile without networks."""
    return Profile.load(CT)


def small_net() -> TrainedNet:
    """A network for the injector's declaration: it repeats its inputs."""
    identity = np.array([[64, 0], [0, 64]], dtype=np.int8)
    layer = TrainedLayer(identity, np.zeros(2, np.int32), 6)
    thresholds = np.array([[100, 1000]] * 3, dtype=np.int32)
    return TrainedNet("plausible", (layer,), thresholds, np.array([16, 16], np.int32))


@cache
def injector() -> Profile:
    """The second profile, with its network."""
    return Profile.load(INJECTOR, [small_net()])


def stated(profile: Profile, technique: Mapping[str, Any]) -> dict[str, Any]:
    """A technique with the speed and the doses that the reference scanner's console would state."""
    row = {name: profile.codes(name).get(value, value) for name, value in (CONTEXT | dict(technique)).items()}
    row = {name: value for name, value in row.items() if name != "exam_number"}
    commands = reference_scanner().restated(Commands.from_rows([{"ctdivol_mgy": 0, "dlp_mgycm": 0, **row}]))
    return {name: value for name, value in commands.row(0).items() if name not in CONTEXT}


@dataclass
class Desk:
    """A console whose frames are judged, and let through where they pass."""

    profile: Profile
    sequence: int = 0
    now_ms: int = 0
    judge: Any = field(init=False)

    def __post_init__(self) -> None:
        self.judge = Judge(self.profile.package)

    def send(self, command: str, values: Mapping[str, Any] | None = None, *, accept: bool = True) -> int:
        """Judge one command under the next sequence number; returns the verdict."""
        self.sequence = (self.sequence + 1) & 255
        self.now_ms += 100
        frame = self.profile.encode(command, self.sequence, values or {})
        verdict: int = self.judge.judge(frame, len(frame), self.now_ms)
        if verdict == PASS and accept:
            self.judge.accept(frame, len(frame), 0)
        return verdict

    def insist(self, command: str, values: Mapping[str, Any]) -> None:
        """Send a command; where it is held, a technologist overrides the hold."""
        if self.send(command, values) == PASS:
            return
        frame = self.profile.encode(command, self.sequence, values)
        assert self.judge.assess_held(frame, len(frame)) == HOLD
        self.judge.accept_held(frame, len(frame), 0)

    def limit(self) -> str:
        """Name of the limit that the last verdict goes back to, or ""."""
        return self.profile.limit_name(self.judge.limit) if self.judge.limit >= 0 else ""


def spoilt(folder: Path, target: Path, file: str, old: str, new: str) -> Path:
    """A copy of a profile folder in which one text of one file is replaced, once."""
    shutil.copytree(folder, target)
    text = (target / file).read_text(encoding="utf-8")
    assert old in text, f"{file} does not hold {old!r}"
    (target / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return target
