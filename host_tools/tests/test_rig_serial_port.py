"""Console and gantry on real serial ports: two pseudo-terminals and a pump between them."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from select import select

import pytest

from gantryguard import paths
from gantryguard.errors import UserError
from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.gantry import SimulatedGantry
from gantryguard.rig.plan import ExamPlan, SeriesPlan
from gantryguard.rig.serial_port import WallClock, open_port, play_console, serve_gantry

pytestmark = pytest.mark.timeout(30)
QUICK = ExamPlan("quick", cases.TWO_AND_A_HALF, (SeriesPlan(1, cases.child_slab().parameters, 0.0),))


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The CT profile."""
    return Profile.load(paths.MODELS / "ct")


@dataclass
class Cable:
    """Names of both ends of a pair of pseudo-terminals, while a thread carries the bytes across."""

    names: list[str] = field(default_factory=list)
    cut: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def cable() -> Iterator[Cable]:
    """A serial cable between two ports of this machine."""
    made = Cable()
    pairs = [os.openpty() for _ in range(2)]
    for master, slave in pairs:
        tty.setraw(slave)
        made.names.append(os.ttyname(slave))
        os.set_blocking(master, False)
    across = {pairs[0][0]: pairs[1][0], pairs[1][0]: pairs[0][0]}

    def pump() -> None:
        while not made.cut.is_set():
            for ready in select(list(across), [], [], 0.02)[0]:
                os.write(across[ready], os.read(ready, 4096))

    thread = threading.Thread(target=pump)
    thread.start()
    yield made
    made.cut.set()
    thread.join()
    for master, slave in pairs:
        os.close(master)
        os.close(slave)


def test_an_exam_over_real_ports(profile: Profile, cable: Cable) -> None:
    done = threading.Event()
    gantries: list[SimulatedGantry] = []

    def serve() -> None:
        gantries.append(serve_gantry(cable.names[1], profile, keep_on=lambda: not done.is_set()))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        console = play_console(cable.names[0], [QUICK], profile, limit_s=20)
    finally:
        done.set()
        thread.join()
    assert [(outcome.ending, outcome.series_done) for outcome in console.outcomes] == [("", 1)]
    assert [entry.command for entry in console.transcript] == ["exam_context", "scan_parameters", "prepare", "expose"]
    (gantry,) = gantries
    assert len(gantry.exposures) == 1
    assert gantry.phantom.ctdivol_mgy == pytest.approx(24.0)


def test_nobody_at_the_other_end(profile: Profile, cable: Cable) -> None:
    console = play_console(cable.names[0], [QUICK], profile, limit_s=20)
    assert [outcome.ending for outcome in console.outcomes] == ["the gantry is silent"]


def test_exams_that_take_too_long_are_an_error(profile: Profile, cable: Cable) -> None:
    with pytest.raises(UserError, match=r"did not end within 0\.2 s") as caught:
        play_console(cable.names[0], [QUICK], profile, limit_s=0.2)
    assert caught.value.exit_code == 8


def test_a_cable_that_is_pulled_out(profile: Profile) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    threading.Timer(0.3, os.close, (master,)).start()
    with pytest.raises(UserError, match="failed") as caught:
        serve_gantry(name, profile)
    assert caught.value.exit_code == 6


def test_a_port_that_is_not_there() -> None:
    with pytest.raises(UserError, match="cannot be opened") as caught:
        open_port("/dev/no-such-port", 115200)
    assert caught.value.exit_code == 6


def test_the_wall_clock_runs_actions_in_order_once_they_are_due() -> None:
    clock, done = WallClock(), []
    clock.call_at(clock.now_ns + 2_000_000, lambda: done.append("late"))
    clock.call_at(0, lambda: done.append("now"))
    clock.call_at(0, lambda: done.append("dropped")).cancel()
    clock.run_due()
    assert done == ["now"]
    while clock.now_ns < 5_000_000:
        pass
    clock.run_due()
    assert done == ["now", "late"]
