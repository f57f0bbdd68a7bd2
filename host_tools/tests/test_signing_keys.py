"""Keys on disk: sealed, never overwritten, never used twice; the door for a module; root records by command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from profile_bench import injector

from gantryguard.cli.main import main
from gantryguard.errors import KEY_FILE, KEY_SPENT, KEY_STATE, NO_HSM, WRONG_PASSPHRASE, UserError
from gantryguard.signing import development, keyfile, state
from gantryguard.signing.hsm import LAST_LEVEL, ONE_LEVEL, open_module
from gantryguard.signing.lms import SIGNATURES
from gantryguard.signing.trusting import load_root, verify
from interposer.core import lms
from interposer.core.trust import PACKAGE_ROLE, ROOT_ROLE

PASSPHRASE = "correct horse battery"
MESSAGE = b"a message"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: marks and passphrase."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "machine"))
    monkeypatch.setenv("GANTRYGUARD_PASSPHRASE", PASSPHRASE)
    return tmp_path


def fails(code: int, action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert caught.value.exit_code == code
    return str(caught.value)


def test_a_key_signs_and_counts(home: Path) -> None:
    key = keyfile.create(home / "a", PASSPHRASE)
    signer = keyfile.load(key.path).unlock(PASSPHRASE)
    numbers = []
    for _ in range(3):
        signature = signer.sign(MESSAGE)
        assert lms.verify(signer.public, MESSAGE, signature)
        numbers.append(int.from_bytes(signature[:4], "big"))
    assert numbers == [0, 1, 2]
    assert key.state.left() == SIGNATURES - 3
    assert key.path.stat().st_mode & 0o077 == 0


def test_the_seed_is_sealed(home: Path) -> None:
    key = keyfile.create(home / "a", PASSPHRASE)
    seed = key.unlock(PASSPHRASE).key.seed
    for path in home.rglob("*"):
        assert not path.is_file() or (seed not in path.read_bytes() and seed.hex() not in path.read_text())
    assert "docs/update.md" in fails(WRONG_PASSPHRASE, lambda: key.unlock("another passphrase"))
    content = {**key.content, "public": "00" * 48}
    fails(WRONG_PASSPHRASE, lambda: keyfile.KeyFile(key.path, content).unlock(PASSPHRASE))
    fails(WRONG_PASSPHRASE, lambda: keyfile.create(home / "b", "short"))


def test_a_key_is_never_overwritten(home: Path) -> None:
    keyfile.create(home / "a", PASSPHRASE)
    fails(KEY_FILE, lambda: keyfile.create(home / "a", PASSPHRASE))
    (home / "a.key").unlink()
    with pytest.raises(UserError):  # its state is still there
        state.State(home / "a.state", json.loads((home / "a.state").read_text())["key"], SIGNATURES).create()


@pytest.mark.parametrize(
    "content", ["", "{}", '{"public": "zz"}', '{"public": "", "salt": "", "nonce": "", "sealed": ""}', "[1]"]
)
def test_what_is_no_key_file_is_named(home: Path, content: str) -> None:
    (home / "x.key").write_text(content)
    fails(KEY_FILE, lambda: keyfile.load(home / "x.key"))
    fails(KEY_FILE, lambda: keyfile.load(home / "nowhere.key"))


def test_a_number_is_given_up_before_it_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in the middle of signing wastes a number; it is on the disk before the signature exists."""
    key = keyfile.create(home / "a", PASSPHRASE)
    signer = key.unlock(PASSPHRASE)

    def crash(*_: object) -> bytes:
        assert key.state.left() == SIGNATURES - 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(signer.key), "sign", crash)
        with pytest.raises(KeyboardInterrupt):
            signer.sign(MESSAGE)
    assert int.from_bytes(signer.sign(MESSAGE)[:4], "big") == 1


def test_a_restored_state_is_refused(home: Path) -> None:
    key = keyfile.create(home / "a", PASSPHRASE)
    backup = (home / "a.state").read_bytes()
    signer = key.unlock(PASSPHRASE)
    signer.sign(MESSAGE)
    (home / "a.state").write_bytes(backup)
    text = fails(KEY_STATE, lambda: signer.sign(MESSAGE))
    assert "restored copy" in text
    assert "second root key" in text


@pytest.mark.parametrize(
    "content", [None, "", "{}", '{"key": "other", "next": 1}', '{"key": "KEY", "next": -1}', '{"key": "KEY"}']
)
def test_a_lost_state_is_refused(home: Path, content: str | None) -> None:
    key = keyfile.create(home / "a", PASSPHRASE)
    path = home / "a.state"
    if content is None:
        path.unlink()
    else:
        path.write_text(content.replace("KEY", key.state.key))
    fails(KEY_STATE, lambda: key.unlock(PASSPHRASE).sign(MESSAGE))
    fails(KEY_STATE, key.state.left)


def test_a_spent_key_says_so(home: Path) -> None:
    key = keyfile.create(home / "a", PASSPHRASE)
    small = state.State(home / "a.state", key.state.key, 1)
    assert small.reserve() == 0
    assert "rotate" in fails(KEY_SPENT, small.reserve)


def test_many_programs_never_get_the_same_number(home: Path) -> None:
    key = keyfile.create(home / "a", PASSPHRASE)
    code = (
        "import sys; from pathlib import Path; from gantryguard.signing.state import State\n"
        "state = State(Path(sys.argv[1]), sys.argv[2], 1024)\nprint(*[state.reserve() for _ in range(20)])"
    )
    command = [sys.executable, "-c", code, str(home / "a.state"), key.state.key]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    numbers = [int(number) for program in running for number in program.communicate()[0].split()]
    assert sorted(numbers) == list(range(80))


# ---- the door for a module


class Module(types.ModuleType):
    """The calls of python-pkcs11 that the door makes, on a development key."""

    def __init__(self, public: bytes, prefix: bytes) -> None:
        super().__init__("pkcs11")
        self.ObjectClass = types.SimpleNamespace(PRIVATE_KEY="private", PUBLIC_KEY="public")
        self.Attribute = types.SimpleNamespace(VALUE="value")
        private = types.SimpleNamespace(sign=lambda message, **_: prefix + development.PACKAGE.sign(message))
        keys = {"private": private, "public": {"value": ONE_LEVEL + public}}
        session = types.SimpleNamespace(get_key=lambda object_class, **_: keys[object_class])
        token = types.SimpleNamespace(open=lambda **_: session)
        self.lib = lambda _path: types.SimpleNamespace(get_token=lambda **_: token)


def test_a_module_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", Module(development.PACKAGE.public, LAST_LEVEL))
    signer = open_module("lib.so", "token", "label", "pin")
    assert lms.verify(signer.public, MESSAGE, signer.sign(MESSAGE))
    monkeypatch.setitem(sys.modules, "pkcs11", Module(development.PACKAGE.public, b"\0\0\0\1"))
    assert "one level" in fails(NO_HSM, lambda: open_module("lib.so", "token", "label", "pin").sign(MESSAGE))


def test_a_module_that_is_missing_or_broken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    assert "python-pkcs11 is not installed" in fails(NO_HSM, lambda: open_module("a", "b", "c", "d"))
    broken = types.ModuleType("pkcs11")
    monkeypatch.setitem(sys.modules, "pkcs11", broken)
    fails(NO_HSM, lambda: open_module("a", "b", "c", "d"))


# ---- by command


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_site_makes_signs_rotates_and_verifies(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("root1", "root2", "pack1", "pack2"):
        assert run("keys", "create", home / name) == 0
    one, two, pack1, pack2 = (home / f"{name}.key" for name in ("root1", "root2", "pack1", "pack2"))
    first, second, bare, good = (home / name for name in ("root.bin", "root-2.bin", "bare.bin", "good.bin"))
    bare.write_bytes(injector().blob)
    roots = ("--root-key", one, "--root-key", two)
    assert run("keys", "root", *roots, "--package-key", pack1, "--output", first, "--for-package", bare) == 0
    assert run("package", "sign", bare, "--key", pack1, "--root", first, "--output", good) == 0
    assert run("package", "verify", good, "--root", first) == 0
    assert run("package", "verify", bare, "--root", first) == 26
    assert run("package", "sign", bare, "--key", pack2, "--root", first, "--output", home / "bad.bin") == 26
    assert not (home / "bad.bin").exists()
    rotating = ("keys", "rotate", first, *roots, "--package-key", pack2, "--output", second)
    assert run(*rotating, "--signed-by", one) == 0
    carried = home / "carried.bin"
    assert run("package", "sign", good, "--key", pack2, "--root", first, "--carry", second, "--output", carried) == 0
    assert verify(carried.read_bytes(), load_root(first)).name == "injector"
    assert run("package", "verify", good, "--root", second) == 26
    assert run("keys", "show", second) == 0
    assert run("keys", "list", home) == 0
    assert run("package", "diff", bare, carried) == 0
    out = capsys.readouterr().out
    assert "version        2" in out
    assert "1022 signatures left" in out or "1021 signatures left" in out
    assert "nothing but the bytes" in out
    record = load_root(second)
    assert (len(record.keys[ROOT_ROLE]), len(record.keys[PACKAGE_ROLE])) == (2, 1)


def test_mistakes_with_keys_are_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "create", home / "a") == 0
    key, out = home / "a.key", home / "root.bin"
    assert run("keys", "create", home / "a") == 20
    assert run("keys", "root", "--root-key", key, "--package-key", key, "--output", out) == 20
    assert run("keys", "root", "--root-key", key, "--root-key", key, "--package-key", key, "--output", out) == 22
    assert run("keys", "show", home / "nothing") == 20
    assert run("keys", "show", key) == 22
    out.write_bytes(b"x")
    assert run("keys", "root", "--root-key", key, "--root-key", key, "--package-key", key, "--output", out) == 20
    shutil.rmtree(home / "machine")
    lines = capsys.readouterr().err.strip().split("\n")
    assert all("Remedy: " in line for line in lines)
    assert len(lines) == 6
