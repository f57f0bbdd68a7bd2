"""The compiler of the hot path on the firmware's own source, and the module that it makes of it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_chip import Chip, same

from gantryguard import paths
from gantryguard.errors import UserError
from gantryguard.native import link
from gantryguard.native.compiler import compile_unit
from gantryguard.native.source import Place
from interposer.core import exam, limits
from interposer.core import link as frames
from interposer.core.codec import read_text

small = st.integers(-1000, 1000)


def of_the_firmware(module: str, name: str) -> Chip:
    return Chip(compile_unit(Place(f"interposer.core.{module}", name), paths.FIRMWARE, {}, ()))


def test_text_is_read_alike() -> None:
    chip = of_the_firmware("codec", "read_text")
    fields, ranges = array("i", (8, 0, 0, 8, 1, 1)), array("i", (-500, 99999, 0, 0, 2**31 - 1, 0))

    @settings(max_examples=200)
    @given(st.text("0123456789-,x", max_size=24).map(str.encode))
    def check(text: bytes) -> None:
        frame = bytearray(text + b",")
        same(chip, read_text, frame, 0, len(text), fields, 0, 2, array("i", (7, 7)), ranges)

    check()


def test_limits_are_asked_alike() -> None:
    chip = of_the_firmware("limits", "first_broken")

    @settings(max_examples=200)
    @given(st.lists(st.tuples(st.integers(0, 5), small, small, st.integers(-1, 5), st.integers(0, 2)), max_size=12), st.data())
    def check(rows: Sequence[tuple[int, int, int, int, int]], data: st.DataObject) -> None:
        values = array("i", data.draw(st.lists(small, min_size=6, max_size=6)))
        table = array("i", [word for row in rows for word in (*row, 0, 0, 0, 0, 0)] or [0])
        same(chip, limits.first_broken, values, table, 0, len(rows))

    check()


def test_words_are_copied_alike() -> None:
    chip = of_the_firmware("exam", "copy_words")
    for count in range(12):
        same(chip, exam.copy_words, array("i", range(5, 17)), array("i", [-1] * 12), count)


def test_bytes_are_moved_alike() -> None:
    chip = of_the_firmware("link", "move")
    for to, start, count in ((0, 0, 0), (0, 3, 5), (2, 0, 8)):
        same(chip, frames.move, bytearray(12), to, bytearray(range(50, 62)), start, count)


# ---- the linker


def test_only_a_marked_module_changes() -> None:
    for name in ("carry", "core/exam", "bridge"):
        source = (paths.FIRMWARE / "interposer" / f"{name}.py").read_bytes()
        assert (link.link(source, f"interposer/{name}.py") == source) == (name != "carry")


def test_the_linked_module_keeps_its_lines_and_loses_what_was_compiled() -> None:
    source = (paths.FIRMWARE / "interposer" / "carry.py").read_bytes()
    linked = link.link(source, "interposer/carry.py").decode().splitlines()
    assert not any(line.startswith("def carry") for line in linked)
    for number, line in enumerate(source.decode().splitlines()):
        if line.startswith(("AT_ONCE", "TURN_US", "LONGEST_REST_US")):
            assert linked[number] == line
    assert [line for line in linked if line.startswith("def ")] == ["def works_of(judge, port):", "def turn(r0, r1, r2, r3):"]


def test_a_fault_in_the_hot_path_names_its_line(tmp_path: Path) -> None:
    module = tmp_path / "interposer" / "hot.py"
    module.parent.mkdir()
    module.write_text(
        "from interposer.core.compat import compiled, micropython\n\n@compiled\n@micropython.viper\n"
        "def turn(a: int) -> int:\n    return a // 3\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError) as raised:
        link.link(module.read_bytes(), "interposer/hot.py", tmp_path)
    assert raised.value.exit_code == 3
    assert "interposer.hot, line 6" in str(raised.value)
