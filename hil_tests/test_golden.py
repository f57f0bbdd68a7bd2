"""The golden vectors of the committed networks on the RP2040: equal to the bit, by both kernels and through `Network`."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from on_target import run_on_target

from gantryguard.learning.artefacts import CT, GOLDEN
from gantryguard.profiles.profile import Profile

LEAST = 500
CHECKS = ("optimised_kernel", "optimised_network", "readable_kernel", "readable_network")


def packed(profile: Profile) -> tuple[bytes, int]:
    """(golden.json as the device reads it, number of rows); layout in `golden_on_target.py`."""
    blob, count = b"", 0
    for network in json.loads((CT / GOLDEN).read_text())["networks"]:
        columns = [[bytes.fromhex(row) for row in network[name]] for name in ("inputs", "targets", "outputs")]
        rows = list(zip(*columns, network["scores"], network["worst"], strict=True))
        index = profile.network_names.index(network["name"])
        blob += struct.pack("<4I", index, len(rows[0][0]), len(rows[0][2]), len(rows))
        for inputs, targets, outputs, score, worst in rows:
            words = (*inputs, *targets, *outputs, score, worst)
            blob += struct.pack(f"<{len(words)}i", *words)
        count += len(rows)
    return blob, count


@pytest.fixture(scope="module")
def outcomes(micropython_uf2: Path, ct: Profile) -> dict[str, str]:
    """What the device said about each check."""
    source = (Path(__file__).parent / "golden_on_target.py").read_bytes()
    return run_on_target(micropython_uf2, {"golden_on_target": source}, {"package.bin": ct.blob, "golden.bin": packed(ct)[0]})


@pytest.mark.parametrize("check", CHECKS)
def test_equal_to_the_bit(outcomes: dict[str, str], ct: Profile, check: str) -> None:
    count = packed(ct)[1]
    assert count >= LEAST
    assert outcomes[f"golden_on_target.test_{check}"] == f"ok {count}"


def test_a_wrong_bit_is_found(micropython_uf2: Path, ct: Profile) -> None:
    """The check fails where one expected output differs by one: it does compare."""
    golden = bytearray(packed(ct)[0])
    _, inputs, outputs, _ = struct.unpack("<4I", golden[:16])
    golden[16 + 4 * (inputs + 2 * outputs - 1)] ^= 1
    source = (Path(__file__).parent / "golden_on_target.py").read_bytes()
    source = (
        source[: source.index(b"def test_readable_kernel")]
        + b"def test_it():\n    return _kernel_alone(network_thumb.layers)\n"
    )
    outcomes = run_on_target(
        micropython_uf2, {"golden_on_target": source}, {"package.bin": ct.blob, "golden.bin": bytes(golden)}
    )
    assert list(outcomes.values()) == ["FAIL AssertionError (0, 0)"]
