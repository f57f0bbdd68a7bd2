"""Packed words of a package, on CPython and on the RP2040 alike: plain functions, no test framework."""

from array import array

from interposer.core.package import all_small, unpack

EDGES = (0, 1, -1, 63, 64, -64, -65, 8191, 8192, -8192, -8193, 1048575, 1048576, -1048576, -1048577)
EDGES += (134217727, 134217728, -134217728, -134217729, 1073741823, -1073741824)
REFUSED = (
    b"",
    b"\x80",
    b"\xff\xff\xff\xff\x04",
    b"\xff\xff\xff\xff\x7b",
    b"\xff\xff\xff\xff\x83\x00",
    b"\x3f\x00\x00\x01",
    b"\x3f\x00\x00\x00\x00",
)


def packed(words):
    """Words as the host packs them."""
    out = bytearray()
    for word in words:
        while not -64 <= word < 64:
            out.append(128 | word & 127)
            word >>= 7
        out.append(word & 127)
    return bytes(out)


def unpacked(data, count):
    """What comes out, or None."""
    words = array("i", range(count))
    return tuple(words) if unpack(data, len(data), words, count) else None


def test_edges_come_out_as_they_were_packed():
    assert unpacked(packed(EDGES), len(EDGES)) == EDGES


def test_many_words_come_out():
    words = []
    value = 1
    for _ in range(500):
        value = (value * 48271) % 2147483647
        words.append((value & 0x7FFFFFFF) - 1073741824 >> (value & 31))
    assert unpacked(packed(words), len(words)) == tuple(words)


def test_what_is_none_is_refused():
    for data in REFUSED:
        assert unpacked(data, 1) is None, data


def test_one_large_word_is_found():
    for large in (1073741824, -1073741825, 2147483647, -2147483648):
        words = array("i", EDGES + (large,))
        assert all_small(words, len(EDGES)) == 1
        assert all_small(words, len(words)) == 0, large
