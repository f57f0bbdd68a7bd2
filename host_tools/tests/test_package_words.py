"""Words as a package packs them: they come out as they went in, and nothing else comes out."""

from __future__ import annotations

import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_bench import injector

from gantryguard.profiles.package import packed_words, relaid
from gantryguard.profiles.vector import SMALL_HIGH
from interposer.core import package as core
from interposer.core.reasons import NONE, PACKAGE_UNUSABLE

SMALL_EDGES = (0, 1, -1, SMALL_HIGH, -SMALL_HIGH - 1)


@pytest.mark.parametrize("word", [SMALL_HIGH + 1, -SMALL_HIGH - 2, (1 << 31) - 1, -(1 << 31)])
def test_one_large_word_is_found_wherever_it_is(word: int) -> None:
    assert core.all_small(array("i", SMALL_EDGES), len(SMALL_EDGES)) == 1
    for place in range(len(SMALL_EDGES)):
        words = array("i", [*SMALL_EDGES[:place], word, *SMALL_EDGES[place + 1 :]])
        assert core.all_small(words, len(words)) == 0
        assert core.all_small(words, place) == 1


def words_of(packed: bytes, count: int) -> list[int] | None:
    """What `unpack` makes of them, or None where it refuses."""
    words = array("i", bytes(4 * count))
    is_whole = core.unpack(packed, len(packed), words, count)
    assert is_whole in (0, 1)
    return list(words) if is_whole else None


@given(st.lists(st.integers(-(1 << 30), SMALL_HIGH)))
def test_words_come_out_as_they_were_packed(words: list[int]) -> None:
    packed = packed_words(struct.pack(f"<{len(words)}i", *words))
    assert len(packed) % 4 == 0
    assert words_of(packed, len(words)) == words
    assert words_of(packed, len(words) + 4) is None
    assert words_of(packed + bytes(4), len(words)) is None
    assert words_of(packed[:-4], len(words)) is None or not words


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"\xff\xff\xff\xff\x03", [(1 << 30) - 1]),
        (b"\x80\x80\x80\x80\x7c", [-(1 << 30)]),
        (b"\xff\xff\xff\xff\x04", None),  # larger than what needs no heap
        (b"\xff\xff\xff\xff\x7b", None),
        (b"\xff\xff\xff\xff\x83\x00", None),  # longer than a word
        (b"\x80", None),  # cut off
        (b"", None),
        (b"\x3f\x00\x00\x00", [63]),
        (b"\x3f\x00\x00\x01", None),  # more than was stated
        (b"\x3f\x00\x01\x00", None),
        (b"\x3f\x01\x00\x00", None),
        (b"\x3f\x00\x00\x00\x00", None),
        (b"\x40", [-64]),
    ],
)
def test_what_is_no_packed_word_is_refused(packed: bytes, words: list[int] | None) -> None:
    assert words_of(packed, 1) == words


@given(st.binary(max_size=64), st.integers(0, 70))
def test_whatever_is_unpacked_is_small(packed: bytes, count: int) -> None:
    assert all(-(1 << 30) <= word <= SMALL_HIGH for word in words_of(packed, count) or ())


@pytest.mark.parametrize(("words", "reason"), [(core.MOST_WORDS, NONE), (core.MOST_WORDS + 1, PACKAGE_UNUSABLE)])
def test_no_more_words_are_unpacked_than_a_device_may_hold(words: int, reason: int) -> None:
    package = injector().package
    parts = {name: bytes(package.table(name)) for name in core.SECTIONS}
    others = sum(len(package.table(name)) for name in core.PACKED_SECTIONS if name != "curves")
    blob = relaid(injector().blob, parts | {"curves": bytes(4 * (words - others))})
    assert core.Package(blob, "pico").reason == reason
