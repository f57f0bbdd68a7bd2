"""Runs the tests of a module with a mutant in its place, each in a fork of this process, until the first one fails.

What makes a trial short: a fork has every foreign library loaded; signatures and trees, which depend on nothing that is changed
here, are made once and handed on (but to the mutants of the verifier itself); the tests that have found most go first, of the
others the quickest. Hypothesis draws the same examples in every trial.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pickle
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from changes import ROOT, Mutant

TESTS = ROOT / "host_tools" / "tests"
OURS = ("gantryguard", "interposer", "conftest", *(path.stem for path in TESTS.glob("*.py")))
SIGNER, VERIFIER = "gantryguard.signing.lms", "interposer.core.lms"
OPTIONS = ("-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-m", "not full", "--hypothesis-profile", "mutants")
MOST_SECONDS = 30  # a mutant that runs for longer is dead: it hangs

hypothesis.settings.register_profile("mutants", deadline=None, database=None, derandomize=True)


@dataclass
class Outcome:
    """Of one trial: whether all tests passed, the one that did not, seconds by test, what was signed, what was loaded."""

    passed: bool = False
    failed: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    signed: dict[tuple[object, ...], bytes] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)


class Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module another program."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The mutant for its module, nothing for any other."""
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the mutant's program as the module."""
        exec(compile(self.mutant.program, f"{self.mutant.module} (mutant)", "exec"), module.__dict__)


class Order:
    """The plugin that puts tests into their order and notes what becomes of them."""

    def __init__(self, rank: Callable[[str], tuple[float, float]], outcome: Outcome) -> None:
        self.rank, self.outcome = rank, outcome

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The most promising first."""
        items.sort(key=lambda item: self.rank(item.nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """How long it took, and whether it found something."""
        seconds = self.outcome.seconds
        seconds[report.nodeid] = seconds.get(report.nodeid, 0) + report.duration
        if report.failed:
            self.outcome.failed = report.nodeid


class Trials:
    """The mutants of one module, one after the other. The first trial is one without a mutant, which has to pass."""

    def __init__(self, module: str, tests: Sequence[str], left_out: Sequence[str]) -> None:
        self.module = module
        self.arguments = [
            *OPTIONS,
            *(option for name in left_out for option in ("--deselect", f"{TESTS.relative_to(ROOT)}/{name}")),
        ]
        self.arguments += [str(TESTS / name) for name in tests]
        self.found: Counter[str] = Counter()
        self.usual = Outcome()
        self.usual = self._fork(None)
        if not self.usual.passed:
            raise SystemExit(f"the tests of {module} fail without a mutant: {self.usual.failed or 'see what pytest says'}")
        for name in self.usual.loaded:
            importlib.import_module(name)

    def survives(self, mutant: Mutant) -> bool:
        """Whether the module's tests pass with it."""
        outcome = self._fork(mutant)
        self.found[outcome.failed] += 1
        return outcome.passed

    def _rank(self, test: str) -> tuple[float, float]:
        return -self.found[test], self.usual.seconds.get(test, 0)

    def _fork(self, mutant: Mutant | None) -> Outcome:
        """An outcome that is not passed where it hangs or dies without a word."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os.close(reader)
            self._test(mutant, writer)
        os.close(writer)
        os.set_blocking(reader, False)
        said, end = b"", time.monotonic() + MOST_SECONDS
        done = 0
        while not done and time.monotonic() < end:
            time.sleep(0.01)
            done, _status = os.waitpid(child, os.WNOHANG)
            said += _read(reader)
        if not done:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            said = b""
        os.close(reader)
        outcome: Outcome = pickle.loads(said) if said else Outcome()
        return outcome

    def _test(self, mutant: Mutant | None, writer: int) -> None:
        """Never returns."""
        outcome = Outcome()
        try:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            before = set(sys.modules)
            if mutant is not None:
                sys.meta_path.insert(0, Planted(mutant))
            if self.module != VERIFIER:
                _remember(self.usual.signed)
            outcome.passed = pytest.main(self.arguments, [Order(self._rank, outcome)]) == pytest.ExitCode.OK
            if mutant is None:
                outcome.signed = self.usual.signed
                outcome.loaded = [name for name in sys.modules if name not in before and _is_foreign(name)]
            os.set_blocking(writer, True)
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(outcome, pipe)
        finally:
            os._exit(0)


def _read(reader: int) -> bytes:
    """What there is."""
    said = b""
    try:
        while piece := os.read(reader, 1 << 16):
            said += piece
    except BlockingIOError:
        pass
    return said


def _is_foreign(name: str) -> bool:
    """Whether a module is of a library and can be found again."""
    if name.split(".")[0] in OURS or name.startswith("_pytest"):
        return False
    place = getattr(sys.modules[name], "__file__", None)
    return place is not None and "site-packages" in Path(place).parts


def _remember(signed: dict[tuple[object, ...], bytes]) -> None:
    """Keys of this process sign, and tell their public key, from memory where they can."""
    key = importlib.import_module(SIGNER).LmsKey

    def remembered(does: Callable[..., bytes], self: Any, *arguments: object) -> bytes:
        what = (does.__name__, self.seed, self.identifier, *arguments)
        if what not in signed:
            signed[what] = does(self, *arguments)
        return signed[what]

    for name in ("public", "sign"):
        does = getattr(key, name)
        setattr(key, name, lambda self, *arguments, does=does: remembered(does, self, *arguments))
