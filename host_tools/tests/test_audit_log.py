"""The audit log on the device: what the ring of events leaves, when it is written, and how it lies in flash."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest
from log_device import IDENTITY, MANY, Device, blank, numbers

from gantryguard.client import log as logs
from gantryguard.client.device_image import PROGRAM
from gantryguard.errors import UserError
from gantryguard.rig.clock import MS
from gantryguard.rig.flash import TYPICAL
from gantryguard.signing.development import PACKAGE
from interposer.core import journal, reasons
from interposer.core.gate import PASSING
from interposer.core.package import P_PARAMS, P_REST_SLOT, P_REST_VALUES
from interposer.core.reasons import BLOCK
from interposer.hal.segments import MOST_RECORDS, MOST_SEGMENTS, Segments
from interposer.places import W_IS_TOLD, W_TOLD_AT, WATCH_WORDS
from interposer.service.events import BAD_FRAME, BOOT, EVENTS, STATE, UPDATE, VERDICT, Events
from interposer.service.logbook import AT_ONCE, REST_MS, SILENT_MS, TOLD_MS

MOST_WAIT_MS = 160  # a receive ring takes 178 ms at the CT link's 115,200 baud

# ---- what a device writes


def test_what_was_recorded_is_written_with_the_digest_of_its_frame() -> None:
    device = Device()
    device.events.add(BOOT, 0, -1, 0, reasons.CRASH, -1, 0, 0, 0)
    device.verdicts(2)
    device.events.add(BAD_FRAME, 5, -1, 0, reasons.BAD_CHECK, -1, 0, 1, 0)
    device.events.add(STATE, 6, -1, 0, reasons.OVERRIDDEN, -1, 0, PASSING, 0)
    device.events.add(UPDATE, 7, -1, 0, reasons.NONE, -1, 12, 1, 0)
    device.logbook.flush()
    records = device.fetched().records()
    told = [(r.values["kind"], r.values["reason"], r.values["at_ms"], r.values["boot"]) for r in records]
    assert told == [
        (BOOT, reasons.CRASH, 0, 1),
        (VERDICT, reasons.STALE, 0, 1),
        (VERDICT, reasons.STALE, 1, 1),
        (STATE, reasons.OVERRIDDEN, 6, 1),
        (UPDATE, reasons.NONE, 7, 1),
    ]
    import hashlib

    assert records[2].values["digest"] == hashlib.sha256(struct.pack("<Q", 1)).digest()[:12]
    assert (records[1].values["command"], records[1].values["blamed"], records[1].values["value"]) == (1, 3, -4)
    assert records[0].values["detail"] == reasons.NO_PACKAGE
    assert device.counts[-1] == 0
    assert numbers(device.fetched()) == [1, 2, 3, 4, 5]


def test_the_hosts_clock_dates_what_was_recorded_before_and_after() -> None:
    device = Device()
    list(device.logbook.set_clock(1_800_000_000, 5000))
    for at_ms in (1000, 5000, 9500):
        device.events.add(STATE, at_ms, -1, 0, reasons.NONE, -1, 0, 0, 0)
    device.logbook.flush()
    assert [r.values["host_s"] - 1_800_000_000 for r in device.fetched().records()] == [-4, 0, 4]


def test_the_log_goes_on_after_a_restart_and_counts_starts() -> None:
    first = Device()
    first.verdicts(3)
    first.logbook.flush()
    second = Device(first.flash.content())
    second.verdicts(2)
    second.logbook.flush()
    log = second.fetched()
    assert numbers(log) == [1, 2, 3, 4, 5]
    assert [record.values["boot"] for record in log.records()] == [1, 1, 1, 2, 2]


@pytest.mark.parametrize("count", [1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, EVENTS])
def test_everything_is_written_in_turns(count: int) -> None:
    device = Device()
    device.verdicts(count)
    device.logbook.flush_all()
    assert numbers(device.fetched()) == list(range(1, count + 1))
    assert device.logbook.unwritten() == 0


@pytest.mark.parametrize("more", [1, 5, EVENTS, 3 * EVENTS])
def test_what_the_ring_could_not_keep_is_counted(more: int) -> None:
    device = Device()
    device.verdicts(EVENTS + more)
    device.logbook.flush_all()
    records = device.fetched().records()
    assert (records[0].values["kind"], records[0].values["extra"]) == (journal.LOST, more)
    assert len(records) == EVENTS + 1


def test_what_a_reset_cut_off_is_counted() -> None:
    before = Device()
    before.verdicts(4)
    before.logbook.note()
    after = Device(before.flash.content(), cut_off=before.counts[-1])
    after.events.add(BOOT, 0, -1, 0, reasons.CRASH, -1, 0, 0, 0)
    after.logbook.flush()
    records = after.fetched().records()
    assert (records[0].values["kind"], records[0].values["extra"]) == (journal.LOST, 4)
    assert records[1].values["kind"] == BOOT


def test_a_flood_that_goes_on_after_it_was_written_is_a_record_of_its_own() -> None:
    device = Device()
    for _ in range(3):
        device.events.repeat(VERDICT, 1, BLOCK, reasons.RATE)
    device.logbook.flush()
    for _ in range(2):
        device.events.repeat(VERDICT, 2, BLOCK, reasons.RATE)
    device.logbook.flush()
    values = [record.values for record in device.fetched().records()]
    assert [(value["extra"], value["verdict"], value["detail"]) for value in values] == [(3, BLOCK, -1), (2, BLOCK, -1)]


def test_a_flash_that_fails_stops_nothing_and_is_told() -> None:
    device = Device()
    device.verdicts(3)
    works, device.segments.open_file = device.segments.open_file, no_flash
    device.logbook.flush()
    device.segments.open_file = works
    device.verdicts(1)
    device.logbook.flush()
    assert [r.values["extra"] for r in device.fetched().records() if r.values["kind"] == journal.LOST] == [3]


def no_flash(_name: str, _mode: str) -> None:
    raise OSError(5)


# ---- when it writes


def guard(slot: int, values: int, value: int, shown: int, told_at: int = 900, is_told: int = 1) -> SimpleNamespace:
    params = [0] * P_PARAMS
    params[P_REST_SLOT], params[P_REST_VALUES] = slot, values
    judge = SimpleNamespace(exam=SimpleNamespace(values=[0, value]))
    watch = [0] * WATCH_WORDS
    watch[W_IS_TOLD], watch[W_TOLD_AT] = is_told, told_at
    gate = SimpleNamespace(fresh=0)
    return SimpleNamespace(forward_at=1000, params=params, judge=judge, shown=shown, gate=gate, watch=watch)


@pytest.mark.parametrize(
    ("slot", "value", "shown", "quiet_ms", "rests"),
    [
        (1, 0, 0, REST_MS, True),
        (1, 0, 0, REST_MS - 1, False),
        (1, 1, 0, REST_MS, False),  # the gantry moves
        (1, 2, 2, REST_MS, True),
        (1, 40, 2, REST_MS, False),
        (1, -1, 2, REST_MS, False),
        (1, 0, 0, TOLD_MS, False),  # what it said is old
        (1, 0, 0, SILENT_MS, True),
        (-1, 0, 0, REST_MS, False),
        (-1, 0, 0, SILENT_MS, True),
        (-1, 0, 1, SILENT_MS - 1, False),
        (-1, 0, 2, REST_MS, True),
        (-1, 0, 3, REST_MS - 1, False),
    ],
)
def test_it_writes_only_while_a_stop_would_not_matter(slot: int, value: int, shown: int, quiet_ms: int, rests: bool) -> None:
    device = Device()
    device.logbook.bridge = guard(slot, 0b101, value, shown)
    assert device.logbook.is_due(1000 + quiet_ms) is False
    device.verdicts(1)
    assert device.logbook.is_due(1000 + quiet_ms) == rests
    assert device.counts[-1] == 1
    device.logbook.bridge.gate.fresh = 1  # a key is being pressed
    assert not device.logbook.is_due(1000 + quiet_ms)


def test_what_the_gantry_said_before_a_command_does_not_count() -> None:
    device = Device()
    device.verdicts(1)
    device.logbook.bridge = guard(1, 1, 0, 0, is_told=0)
    assert not device.logbook.is_due(1000 + REST_MS)
    device.logbook.bridge = guard(1, 1, 0, 0, told_at=1000 + REST_MS)
    assert device.logbook.is_due(1000 + REST_MS + TOLD_MS - 1)
    assert not device.logbook.is_due(1000 + REST_MS + TOLD_MS)


def test_times_go_on_where_the_clock_begins_anew() -> None:
    """Ticks wrap after 2^30 ms: what was recorded before and after is dated right, whatever came first."""
    device = Device()
    logbook = device.logbook
    logbook.is_due(1000)
    list(logbook.set_clock(1_800_000_000, 1000))
    device.events.add(STATE, 2**30 - 1000, -1, 0, reasons.NONE, -1, 0, 0, 0)
    logbook.is_due(2**30 - 1000)
    logbook.is_due(500)
    device.events.add(STATE, 400, -1, 0, reasons.NONE, -1, 0, 0, 0)
    logbook.flush()
    values = [record.values for record in device.fetched().records()]
    assert [value["at_ms"] for value in values] == [2**30 - 1000, 2**30 + 400]
    assert [value["host_s"] - 1_800_000_000 for value in values] == [(2**30 - 2000) // 1000, (2**30 - 600) // 1000]


def test_a_second_reset_does_not_forget_what_the_first_one_cut_off() -> None:
    """Nothing was written between the two."""
    device = Device(cut_off=4)
    device.verdicts(3)
    device.logbook.note()
    assert device.counts[-1] == 7
    works, device.segments.open_file = device.segments.open_file, no_flash
    device.logbook.flush()
    assert device.counts[-1] == 7, "not even announced"
    device.segments.open_file = works
    device.verdicts(1)
    device.logbook.flush()
    assert device.counts[-1] == 0
    assert [r.values["extra"] for r in device.fetched().records() if r.values["kind"] == journal.LOST] == [7]
    full = Device(cut_off=0xFFFF)
    full.verdicts(1)
    full.logbook.note()
    assert full.counts[-1] == 0xFFFF


def test_frames_too_long_to_be_kept_of_every_event_are_kept_of_the_newest() -> None:
    events = Events(500)
    for number in range(10):
        events.add(VERDICT, number, 1, 2, reasons.STALE, 3, -4, 5, -1)
        events.add_frame(bytes([number]) * 400, 400)
    kept = [number for number in range(10) if events.frame_of(number)]
    assert kept == list(range(4, 10))
    assert events.frame_of(9) == bytes([9]) * 400


# ---- segments


def test_a_segment_that_was_begun_when_power_went_is_no_end() -> None:
    device = Device()
    device.verdicts(3)
    device.logbook.flush()
    segments = device.segments
    with segments.open_file("log/1.seg", "wb"):
        pass
    after = Device(device.flash.content())
    after.verdicts(1)
    after.logbook.flush()
    assert numbers(after.fetched()) == [1, 2, 3, 4]
    assert after.segments.numbers == [0]


def test_a_folder_that_cannot_be_read_stops_nothing() -> None:
    device = Device()

    class Broken:
        def listdir(self, _folder: str) -> list[str]:
            raise OSError(5)

    assert Segments(IDENTITY, no_flash, Broken()).last == 0
    assert Segments(IDENTITY, device.segments.open_file, SimpleNamespace(listdir=lambda _folder: ["x.seg", "note"])).last == 0


def test_old_segments_that_are_missing_are_told() -> None:
    """A device drops them only where it is full."""
    device = Device()
    for count in range(3):
        device.segments.begin(count * MOST_RECORDS + 1)
        device.segments.append(blank(count * MOST_RECORDS + 1, MOST_RECORDS))
    whole = device.fetched()
    assert whole.fault == ""
    short = logs.Log(whole.identity, 0, whole.segments[1:])
    assert "number 513" in short.fault
    assert [record.fault for record in short.records() if record.fault] == []
    with pytest.raises(UserError):
        logs.seal(short, PACKAGE)


def test_the_oldest_segment_goes_and_each_is_written_in_turn() -> None:
    device = Device()
    segments = device.segments
    for number in range(MOST_SEGMENTS + 3):
        assert not segments.has_room(1)
        segments.begin(number * MOST_RECORDS + 1)
        segments.append(blank(number * MOST_RECORDS + 1, MOST_RECORDS))
    count = (MOST_SEGMENTS + 3) * MOST_RECORDS
    assert device.fetched().fault == ""
    assert len(segments.numbers) == MOST_SEGMENTS
    assert segments.first == 3 * MOST_RECORDS + 1
    again = Segments(IDENTITY, segments.open_file, segments.system)
    assert (again.first, again.last, again.count, again.link) == (segments.first, count, MOST_RECORDS, segments.link)
    assert MOST_SEGMENTS * MOST_RECORDS >= MANY


def test_the_wear_of_writing_is_spread_over_the_blocks() -> None:
    device = Device()
    start = len(device.flash.changes)
    for _ in range(400):
        device.verdicts(1)
        device.logbook.flush()
    erased: dict[int, int] = {}
    for change in device.flash.changes[start:]:
        if change.is_erase:
            erased[change.offset] = erased.get(change.offset, 0) + 1
    often = sorted(erased.values(), reverse=True)
    print(f"400 flushes: {sum(often)} erases of {len(often)} blocks, the most used {often[0]} times")
    assert sum(often) <= 2 * 400
    assert often[0] <= 400 / 8, "the folder's pair of blocks; littlefs moves it before it wears out"
    assert often[2] <= 3, "the records"


def test_no_step_of_writing_lasts_longer_than_what_comes_meanwhile_can_wait() -> None:
    """In a log that is full, whose oldest segment goes three times; however many records are written at once."""
    device = Device()
    for number in range(MOST_SEGMENTS):
        device.segments.begin(number * MOST_RECORDS + 1)
        device.segments.append(blank(number * MOST_RECORDS + 1, MOST_RECORDS))
    device.segments.announce(device.segments.last)
    first, waits_ns = device.segments.first, []
    while device.segments.first < first + 3 * MOST_RECORDS:
        device.verdicts(1 + 3 * len(waits_ns) % 8)
        while device.logbook.unwritten():
            device.flash.changes.clear()
            device.logbook.step()
            erases = sum(change.is_erase for change in device.flash.changes)
            pages = sum(-(-len(change.data) // PROGRAM) for change in device.flash.changes if not change.is_erase)
            waits_ns.append(erases * TYPICAL.erase_ns + pages * TYPICAL.page_ns)
    print(f"{len(waits_ns)} steps, the longest {max(waits_ns) / MS:.0f} ms")
    assert max(waits_ns) / MS <= MOST_WAIT_MS
