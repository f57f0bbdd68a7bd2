"""The command line: help for everything, one line and a distinct exit code for every mistake."""

from __future__ import annotations

import datetime
import json
import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gantryguard import paths
from gantryguard.cli.main import app, main
from gantryguard.client.report import Labels, describe_event, describe_status, reason_text
from gantryguard.profiles.profile import Profile
from gantryguard.reasons import TEXTS
from gantryguard.signing.trusting import EPOCH
from interposer.core import reasons


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_option_has_help(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.help
    for parameter in command.params:
        if parameter.name not in ("help", "as_json"):
            assert getattr(parameter, "help", None), f"{path}: {parameter.name}"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nothing"], 2, "No such command"),
        (["keys"], 2, "No command was given"),
        (["demo", "--bogus"], 2, "No such option"),
        (["bench", "console"], 2, "--port"),
        (["bench", "console", "--port", "/nowhere", "--exams", "0"], 2, "exams"),
        (["bench", "rig", "--press", "override"], 2, "KEY@SECONDS"),
        (["device", "status", "--port", "/nowhere"], 6, "The port /nowhere cannot be opened"),
        (["bench", "gantry", "--port", "/nowhere"], 6, "/nowhere"),
        (["package", "inspect", "/nowhere"], 5, "Cannot read /nowhere"),
        (["package", "inspect", "README.md"], 5, "damaged"),
        (["package", "build", "nowhere"], 4, "nowhere"),
        (["firmware", "build", "--profile", "nowhere"], 5, "Cannot read"),
        (["firmware", "build", "--micropython", "/nowhere"], 3, "/nowhere"),
        (["firmware", "flash", "/nowhere"], 28, "development keys"),
        (["firmware", "flash", "/nowhere", "--development"], 6, "BOOTSEL"),
        (["firmware", "build", "--root", "/nowhere"], 20, "Cannot read /nowhere"),
        (["package", "verify", "README.md"], 26, "PACKAGE_CORRUPT"),
        (["package", "verify", "models/ct/package.bin", "--root", "README.md"], 22, "no root record"),
        (["device", "push", "/nowhere"], 5, "Cannot read /nowhere"),
        (["device", "push", "models/ct/package.bin", "--port", "/nowhere"], 6, "/nowhere"),
        (["keys", "show", "/nowhere"], 20, "Cannot read /nowhere"),
        (["keys", "create", "never"], 21, "fewer than 12"),
    ],
)
def test_a_mistake_is_one_line_with_its_remedy(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(paths.ROOT)
    monkeypatch.setenv("GANTRYGUARD_PASSPHRASE", "short")
    assert main(arguments) == code
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert words in line
    assert "Remedy: " in line


def test_a_port_that_does_not_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = pty.openpty()
    try:
        assert main(["device", "status", "--port", os.ttyname(theirs)]) == 6
    finally:
        os.close(ours)
        os.close(theirs)
    assert "No guard answers" in capsys.readouterr().err


def test_reasons_are_listed_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "reasons", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["code"]: row["name"] for row in rows} == {code: name for code, (name, _) in TEXTS.items()}


def test_every_reason_constant_has_a_text() -> None:
    constants = {
        value
        for name, value in vars(reasons).items()
        if name.isupper() and isinstance(value, int) and name not in ("HOLD", "BLOCK")
    }
    assert constants - {reasons.PASS} <= set(TEXTS)


def test_inspect_says_what_the_package_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "inspect", str(paths.MODELS / "ct" / "package.bin"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["name"], facts["mode"], facts["baud"]) == ("ct", "enforce", 115200)


def test_an_image_is_built(tmp_path: Path, micropython_uf2: Path) -> None:
    target = tmp_path / "guard.uf2"
    assert main(["firmware", "build", "--micropython", str(micropython_uf2), "--output", str(target)]) == 0
    assert target.stat().st_size > micropython_uf2.stat().st_size


def test_events_are_told_in_words(ct: Profile) -> None:
    labels = Labels(ct.package.table("names").decode())
    event = {
        "number": 3, "kind": "verdict", "at_ms": 1500, "command": ct.command("scan_parameters"), "verdict": reasons.HOLD,
        "reason": reasons.ABNORMAL_FOR_CONTEXT, "blamed": ct.slot("ma"), "value": 85, "extra": 6724, "threshold": 4300,
    }  # fmt: skip
    line = describe_event(event, labels)
    assert "HOLD    scan_parameters: ABNORMAL_FOR_CONTEXT" in line
    assert "blamed: ma 85 mA; score 6724, held above 4300" in line
    assert "propose scan_parameters with ma 154 mA" in describe_event({**event, "kind": "proposal", "value": 154}, labels)
    assert "unknown command" in describe_event({**event, "command": -1}, labels)
    assert "slot" in Labels("").value(ct.slot("ma"), 1)


def test_status_is_told_in_words(ct: Profile) -> None:
    labels = Labels(ct.package.table("names").decode())
    status: dict[str, Any] = {
        "state": 3, "reason": reasons.NO_PACKAGE, "last_reset": reasons.CRASH, "crash": "ValueErr", "firmware": "0.1.0",
        "micropython": "1.25.0", "uptime_ms": 1234, "refusal": reasons.UPDATE_SILENT, "on_trial": True,
    }  # fmt: skip
    today = datetime.date(2026, 11, 26)
    lines = describe_status(status, labels, today)
    assert lines[0] == "state         FAULT"
    assert f"last refusal  {reason_text(reasons.UPDATE_SILENT)}" in lines
    assert any("to be confirmed" in line for line in lines)
    status |= {
        "package": "ct", "package_counter": 1, "package_issued": (today - EPOCH).days - 12,
        "package_digest": "ab" * 32, "mode": 1,
        "relay_closed": False, "relay_agrees": False,
        "verdicts": [5, 1, 2], "released": 1, "bad_frames": {"2": 7}, "reasons": {"22": 9}, "proposal": [ct.slot("ma"), 200],
    }  # fmt: skip
    text = "\n".join(describe_status(status, labels, today))
    assert "12 days old" in text
    assert "CONTACT DISAGREES" in text
    assert f"7 x {reason_text(reasons.BAD_CHECK)}" in text
    assert "ma 200 mA" in text
