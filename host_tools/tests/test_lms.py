"""LMS: the RFC's own vectors, an independent implementation in both directions, and nothing else is a signature."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhsslms import pyhsslms as independent
from rfc8554 import BOTTOM_PUBLIC, BOTTOM_SIGNATURE, MESSAGE, TOP_PUBLIC, TOP_SIGNATURE

from gantryguard.signing.lms import BITS, CHAINS, LAST, SHIFT, SIGNATURES, SIZE, LmsKey
from interposer.core import lms

SETS = [
    ("lms_sha256_m32_h5", "lmots_sha256_n32_w1"),
    ("lms_sha256_m32_h5", "lmots_sha256_n32_w2"),
    ("lms_sha256_m32_h5", "lmots_sha256_n32_w4"),
    ("lms_sha256_m32_h5", "lmots_sha256_n32_w8"),
    ("lms_sha256_m24_h5", "lmots_sha256_n24_w1"),
    ("lms_sha256_m24_h5", "lmots_sha256_n24_w2"),
    ("lms_sha256_m24_h5", "lmots_sha256_n24_w4"),
    ("lms_sha256_m24_h5", "lmots_sha256_n24_w8"),
]


@cache
def own_key() -> LmsKey:
    return LmsKey(bytes(range(24)), bytes(range(100, 116)))


def test_the_vectors_of_the_rfc() -> None:
    assert lms.verify(TOP_PUBLIC, BOTTOM_PUBLIC, TOP_SIGNATURE)
    assert lms.verify(BOTTOM_PUBLIC, MESSAGE, BOTTOM_SIGNATURE)
    assert not lms.verify(TOP_PUBLIC, MESSAGE, BOTTOM_SIGNATURE)
    assert not lms.verify(BOTTOM_PUBLIC, MESSAGE[:-1], BOTTOM_SIGNATURE)


@pytest.mark.parametrize(("tree", "chains"), SETS)
def test_signatures_of_another_implementation_hold(tree: str, chains: str) -> None:
    key = independent.LmsPrivateKey(lms_type=getattr(independent, tree), lmots_type=getattr(independent, chains))
    public, first = key.publicKey().serialize(), key.sign(MESSAGE)
    second = key.sign(MESSAGE)
    assert len(first) == lms.signature_bytes(public)
    assert lms.verify(public, MESSAGE, first)
    assert lms.verify(public, MESSAGE, second)
    assert not lms.verify(public, MESSAGE + b".", second)


@pytest.mark.parametrize("number", [0, 1, 511, SIGNATURES - 1])
def test_another_implementation_accepts_ours(number: int) -> None:
    public, signature = own_key().public(), own_key().sign(MESSAGE, number)
    assert (len(public), len(signature)) == (48, 1500)
    assert lms.verify(public, MESSAGE, signature)
    theirs = independent.LmsPublicKey.deserialize(public)
    assert theirs.verify(MESSAGE, signature)
    assert not theirs.verify(MESSAGE + b".", signature)


@pytest.mark.parametrize("number", [-1, SIGNATURES])
def test_there_are_no_more_one_time_keys(number: int) -> None:
    with pytest.raises(ValueError, match="one-time key"):
        own_key().sign(MESSAGE, number)


@settings(max_examples=300)
@given(st.integers(0, 1499), st.integers(1, 255))
def test_no_byte_of_a_signature_may_differ(at: int, change: int) -> None:
    signature = bytearray(own_key().sign(MESSAGE, 3))
    signature[at] ^= change
    assert not lms.verify(own_key().public(), MESSAGE, bytes(signature))


@settings(max_examples=100)
@given(st.integers(0, 47), st.integers(1, 255))
def test_no_byte_of_a_key_may_differ(at: int, change: int) -> None:
    public = bytearray(own_key().public())
    public[at] ^= change
    assert not lms.verify(bytes(public), MESSAGE, own_key().sign(MESSAGE, 3))


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_anything_else_is_no_signature(public: bytes, signature: bytes) -> None:
    assert not lms.verify(public, MESSAGE, signature)


@pytest.mark.parametrize("length", [0, 7, 23, 24, 47, 49])
def test_a_key_of_another_length_is_none(length: int) -> None:
    public = (own_key().public() + b"\0\0")[:length]
    assert lms.signature_bytes(public) == 0


def test_sizes_of_tree_and_chains_must_agree() -> None:
    assert lms.parameters(own_key().public()[:4] + b"\0\0\0\4" + bytes(40)) is None
    assert lms.parameters(b"\0\0\0\1" + own_key().public()[4:]) is None
    assert lms.parameters(own_key().public()[:4] + b"\0\0\0\x09" + bytes(40)) is None
    for at in (0, 4):  # the highest byte of a number counts too
        assert lms.parameters(own_key().public()[:at] + b"\1" + own_key().public()[at + 1 :]) is None


def test_it_breathes_between_the_chains() -> None:
    breaths: list[int] = []
    assert lms.verify(own_key().public(), MESSAGE, own_key().sign(MESSAGE, 9), lambda: breaths.append(1))
    assert len(breaths) == 51


def test_a_device_has_few_steps_to_take() -> None:
    """The signer looks for randomisers that walk the chains far: on average a verifier has half of all steps to do."""
    for number in range(4):
        message = bytes((number,)) * 32
        signature = own_key().sign(message, number)
        prefix = own_key().identifier + number.to_bytes(4, "big") + lms.D_MESSAGE
        hashed = hashlib.sha256(prefix + signature[8 : 8 + SIZE] + message)
        walked = lms.digits(hashed.digest()[:SIZE], BITS, CHAINS, SHIFT)
        assert sum(LAST - digit for digit in walked) < 0.75 * CHAINS * LAST / 2


def test_equal_keys_sign_alike() -> None:
    """No chance in a signature: the same key and message give the same bytes, so that generated packages can be checked."""
    again = LmsKey(own_key().seed, own_key().identifier)
    assert again.sign(MESSAGE, 5) == own_key().sign(MESSAGE, 5)
    assert hashlib.sha256(again.public()).digest() == hashlib.sha256(own_key().public()).digest()
