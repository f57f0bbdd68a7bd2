"""A release: equal bytes from equal sources, digests that fit, and bills that name everything that is in it."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gantryguard import paths
from gantryguard.cli.main import main
from gantryguard.client.device_image import device_files, read_filesystem
from gantryguard.client.image import IMAGE_SHA256
from gantryguard.client.uf2 import from_uf2
from gantryguard.errors import NOT_SIGNED
from gantryguard.rig.board import load_board

FILES = {"SHA256SUMS", "ct-1.bin", "device.cdx.json", "gantryguard-ct.uf2", "host.cdx.json"}


@pytest.fixture(scope="module")
def release(micropython_uf2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    assert main(["firmware", "release", "--micropython", str(micropython_uf2), "--output", str(folder)]) == 0
    return folder


def test_it_has_all_its_files_and_their_digests(release: Path) -> None:
    names = {path.name for path in release.iterdir()}
    assert {name.replace(name.split("-")[-1], "1.bin") if name.startswith("ct-") else name for name in names} == FILES
    told = dict(reversed(line.split("  ")) for line in (release / "SHA256SUMS").read_text().splitlines())
    assert told == {name: hashlib.sha256((release / name).read_bytes()).hexdigest() for name in names if name != "SHA256SUMS"}


def test_it_is_the_same_to_the_byte_when_it_is_made_again(release: Path, micropython_uf2: Path, tmp_path: Path) -> None:
    assert main(["firmware", "release", "--micropython", str(micropython_uf2), "--output", str(tmp_path)]) == 0
    for path in release.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_devices_bill_names_every_file_of_the_image(release: Path) -> None:
    bill = json.loads((release / "device.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    uf2 = (release / "gantryguard-ct.uf2").read_bytes()
    assert bill["metadata"]["component"]["hashes"][0]["content"] == hashlib.sha256(uf2).hexdigest()
    digests = {part["name"]: part["hashes"][0]["content"] for part in bill["components"]}
    assert digests.pop("micropython") == IMAGE_SHA256
    installed = {"package.bin", "root.bin"}
    assert set(digests) == set(device_files(load_board())) | installed
    flashed = read_filesystem(from_uf2(uf2))
    for name in {*installed, "main.py", "boot.py"}:
        assert digests[name] == hashlib.sha256(flashed[name]).hexdigest()


def test_the_hosts_bill_names_every_pinned_dependency(release: Path) -> None:
    bill = json.loads((release / "host.cdx.json").read_text())
    versions = {part["name"]: part["version"] for part in bill["components"]}
    needed = [Requirement(text) for text in requires("gantryguard") or () if "extra" not in text]
    assert needed
    for requirement in needed:
        assert requirement.specifier.contains(versions[requirement.name.lower()])
    lines = (paths.ROOT / "constraints.txt").read_text().split()
    pinned = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    assert {name: version for name, version in versions.items() if pinned[name] != version} == {}


def test_a_package_that_the_root_does_not_vouch_for_is_not_released(micropython_uf2: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.bin"
    bad.write_bytes((paths.MODELS / "ct" / "package.bin").read_bytes()[:-1])
    folder = tmp_path / "out"
    command = ["firmware", "release", "--micropython", str(micropython_uf2), "--package", str(bad), "--output", str(folder)]
    assert main(command) == NOT_SIGNED
    assert not folder.exists()
