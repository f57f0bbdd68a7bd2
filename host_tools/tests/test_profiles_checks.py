"""Checks of frames: core's values against an independent implementation and against a maker's published vectors."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from crc import Calculator, Configuration, Crc16
from hypothesis import given
from hypothesis import strategies as st
from profile_bench import INJECTOR, injector

from gantryguard.errors import UserError
from gantryguard.profiles.framing import framing_record
from gantryguard.profiles.source import read
from interposer.core import link

IBM_3740 = Configuration(width=16, polynomial=0x1021, init_value=0xFFFF)
CONFIGURATIONS = {
    "xmodem": Crc16.XMODEM.value,
    "gsm": Crc16.GSM.value,
    "profibus": Crc16.PROFIBUS.value,
    "modbus": Crc16.MODBUS.value,
    "kermit": Crc16.KERMIT.value,
    "ibm_3740": IBM_3740,
}


def crc_framing(configuration: Configuration) -> array[int]:
    """A framing record with the CRC-16 of a configuration."""
    words = array("i", bytes(4 * link.FRAMING_WORDS))
    words[link.F_CHECK] = link.CHECK_CRC16
    words[link.F_CHECK_A], words[link.F_CHECK_B] = configuration.polynomial, configuration.init_value
    words[link.F_CHECK_C], words[link.F_CHECK_D] = int(configuration.reverse_input), configuration.final_xor_value
    return words


def core_value(framing: array[int], data: bytes) -> int:
    value: int = link.check_value(data, 0, len(data), framing, link.crc16_table(framing))
    return value


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_crc16_equals_an_independent_implementation(name: str) -> None:
    configuration = CONFIGURATIONS[name]
    framing, reference = crc_framing(configuration), Calculator(configuration)

    @given(st.binary(max_size=64))
    def equal(data: bytes) -> None:
        start = configuration.init_value
        if configuration.reverse_input:  # core keeps a reflected register, whose initial value is mirrored
            assert start in (0, 0xFFFF)
        assert core_value(framing, data) == reference.checksum(data)

    equal()


def test_the_ct_link_uses_ibm_3740() -> None:
    """The check value that catalogues of CRCs give for "123456789"."""
    assert core_value(crc_framing(IBM_3740), b"123456789") == 0x29B1


@pytest.mark.parametrize(
    ("message", "check"),
    [(b"28,", "j"), (b"10,3071,", "|"), (b"14,", "o"), (b"98,1,", "F"), (b"22,", "p"), (b"28,160,30,0,", "|"), (b"98,$,", "S")],
)
def test_sum_check_gives_the_published_values_of_x_ray_generators(message: bytes, check: str) -> None:
    """Vectors of Spellman generators: the injector's link has their check."""
    framing = injector().package.table("framings")[: link.FRAMING_WORDS]
    assert chr(core_value(framing, message)) == check


@pytest.mark.parametrize("form", ["little", "big", "hex"])
def test_a_check_written_in_any_form_is_found_right_and_wrong(form: str, tmp_path: Path) -> None:
    text = (
        'framing = "counted"\nstart = [1]\nlength_at = 1\nlength_extra = 4\nopcode_at = 2\nbody_at = 3\n'
        f'[check]\nkind = "xor"\nsize = 2\nkeep = 0xFF\nform = "{form}"\n'
    )
    (tmp_path / "link.toml").write_text(text, encoding="utf-8")
    framing = array("i", framing_record(read(tmp_path / "link.toml"), 8))
    buffer = bytearray(8)
    assert link.put_check(buffer, 3, 0xA5, framing) == 5
    expected = {"little": b"\xa5\x00", "big": b"\x00\xa5", "hex": b"A5"}[form]
    assert bytes(buffer[3:5]) == expected
    assert link.check_holds(buffer, 3, 0xA5, framing) == 1
    assert link.check_holds(buffer, 3, 0xA4, framing) == 0


COUNTED = (
    'framing = "counted"\nstart = {start}\nlength_at = 2\nlength_extra = 5\nopcode_at = 4\nbody_at = 5\ncut_through = true\n'
    '[check]\nkind = "{kind}"\nsize = {size}\n{keep}'
)


@pytest.mark.parametrize(
    ("start", "kind", "is_fit"), [("[1, 2]", "xor", True), ("[1]", "xor", False), ("[1, 2]", "none", False)]
)
def test_cut_through_is_for_links_whose_receiver_sees_what_was_spoiled(
    start: str, kind: str, is_fit: bool, tmp_path: Path
) -> None:
    text = COUNTED.format(start=start, kind=kind, size=int(kind != "none"), keep="keep = 0xFF\n" if kind != "none" else "")
    (tmp_path / "link.toml").write_text(text, encoding="utf-8")
    assert framing_record(read(tmp_path / "link.toml"), 8)[link.F_CUT_THROUGH] == 0  # the gantry's bytes are not judged
    if is_fit:
        assert framing_record(read(tmp_path / "link.toml"), 8, from_console=True)[link.F_CUT_THROUGH] == 1
    else:
        with pytest.raises(UserError, match="cut_through"):
            framing_record(read(tmp_path / "link.toml"), 8, from_console=True)


def test_a_text_frame_reads_back() -> None:
    profile = injector()
    frame = profile.encode("load", 0, {"volume_ml": 80.5, "rate_ml_s": 3, "needle_mm": 1.1, "offset": -7})
    assert frame[:3] == b"\x0210"
    assert frame[3:-2] == b"805,300,11,-7,"
    assert frame[-1] == 3
    assert INJECTOR.is_dir()
