"""`gantryguard device push` on the emulated device: what changes, an update, a dry run; what is old or expired is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from guard import Guard
from updates import bare, signed, with_digest, works

from gantryguard.cli import device_push
from gantryguard.cli.main import main
from gantryguard.signing.development import ROOT_FILE

EXPIRES_AT = 56  # in the header
YESTERDAY = 10  # long ago: 11 January 1970

pytestmark = pytest.mark.forked


@pytest.fixture
def package(small: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the next package, and a machine of its own on whose only port the guard is."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "machine"))
    monkeypatch.setattr(device_push, "SerialTransport", lambda _port: small)
    path = tmp_path / "next.bin"
    path.write_bytes(signed(bare(small.profile)))
    return path


def test_a_push_says_what_changes_and_does_it(small: Guard, package: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = package.with_name("before.bin")
    before.write_bytes(small.profile.blob)
    push = ["device", "push", str(package), "--port", "here", "--against", str(before)]
    assert main([*push, "--dry-run"]) == 0
    assert small.ask("status")["package_counter"] == 1
    said = capfd.readouterr().out
    assert "counter: 1 -> 2" in said
    assert "nothing was sent" in said
    assert main([*push, "--yes", "--root", str(ROOT_FILE)]) == 0
    assert "installed and confirmed" in capfd.readouterr().out
    assert small.ask("status")["package_counter"] == 2
    works(small)
    assert main([*push[:3], "--port", "here", "--yes"]) == 29
    assert "PACKAGE_OLD" in capfd.readouterr().err


def test_an_expired_package_is_not_sent(small: Guard, package: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """U6: the device has no clock, the host has one."""
    blob = bare(small.profile)
    package.write_bytes(signed(with_digest(blob[:EXPIRES_AT] + struct.pack("<I", YESTERDAY) + blob[EXPIRES_AT + 4 :])))
    assert main(["device", "push", str(package), "--port", "here", "--yes"]) == 27
    assert "expired on 1970-01-11" in capfd.readouterr().err
    assert small.ask("status")["package_counter"] == 1
