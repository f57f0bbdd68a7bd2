"""Guards that boot once, and tests that each get a copy: a test marked `forked` runs in a forked process of its own.

A boot takes some ten seconds of processor time, a fork a few milliseconds. What a forked test does to its guard is seen by
nobody else, so that a guard may be booted once for all of them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from forking import in_fork
from guard import Guard
from stage import Stage, enforcing_injector
from updates import bare
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from gantryguard.profiles.profile import Profile

FOLDER = Path(__file__).parent.name

ALONE = ("test_rig.py", "test_rig_clock.py", "test_on_target.py")  # files in which every test boots something of its own


class GuardScheduling(LoadScopeScheduling):
    """Keeps the tests of one file on one worker, so that its guards boot once.

    The groups of pytest-xdist 3.8 would be for this, but have no effect under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        place = nodeid.split("::")[0]
        shares = Path(place).parent.name == FOLDER and Path(place).name not in ALONE
        return place if shares else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GuardScheduling | None:
    """Use the scheduling above where tests are distributed by groups."""
    return GuardScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_configure(config: pytest.Config) -> None:
    """Register this folder's marker."""
    config.addinivalue_line("markers", "forked: runs in a forked copy of the process, with the guards it has booted")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run a test marked `forked` in a child; whatever it raised fails it here."""
    if pyfuncitem.get_closest_marker("forked") is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    failure = in_fork(partial(pyfuncitem.obj, **arguments))
    if failure:
        pytest.fail(failure, pytrace=False)
    return True


@pytest.fixture(scope="session")
def booted(micropython_uf2: Path, ct: Profile) -> Guard:
    """A guard with the CT package, as flashed, relay closed, maintenance port plugged in."""
    return Guard(micropython_uf2, ct, usb=True).boot()


@pytest.fixture
def guard(booted: Guard, request: pytest.FixtureRequest) -> Guard:
    """A copy of the booted guard for one test."""
    assert request.node.get_closest_marker("forked"), "a test that uses the shared guard has to be marked `forked`"
    return booted


@pytest.fixture(scope="session")
def stage(micropython_uf2: Path, ct: Profile, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A guard that waits for the choice of a package; see `stage.py`."""
    return Stage(micropython_uf2, ct, tmp_path_factory.mktemp("profiles"))


@pytest.fixture(scope="session")
def enforcing(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """The second, invented device, enforcing; its counter is 1."""
    return enforcing_injector(tmp_path_factory.mktemp("injector"))


@pytest.fixture(scope="session")
def small(micropython_uf2: Path, enforcing: Profile) -> Guard:
    """A guard with that small package, whose update takes a fifth of the time, relay closed, for forks."""
    return Guard(micropython_uf2, Profile(bare(enforcing, 1)), usb=True).boot()
