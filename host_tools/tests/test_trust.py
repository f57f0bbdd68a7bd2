"""Root records and signatures: the rules of `core/trust.py`, one refusal after the other, and packages that were mutated."""

from __future__ import annotations

import io
import random
import tracemalloc
from collections.abc import Callable
from functools import cache

import pytest
from profile_bench import injector

from gantryguard.errors import UserError
from gantryguard.reasons import reason_name
from gantryguard.signing import development
from gantryguard.signing.development import PACKAGE, ROOT_1, ROOT_2, DevelopmentSigner
from gantryguard.signing.records import RootPlan, identifier, read_root, sign_package, sign_root
from gantryguard.signing.signer import Signer
from interposer.core import reasons, trust
from interposer.core.package import ANY, DIGEST_AT, HEADER_BYTES, Package, digest_of

STRANGER, NEW_ROOT, NEW_PACKAGE = (DevelopmentSigner(name) for name in ("stranger", "new root", "new package"))
MUTATIONS = 100_000
CHEAP = 98  # of 100 mutations: those that a digest finds out
MOST_HEAP_BYTES = 400_000


@cache
def bare() -> bytes:
    return injector().blob


@cache
def installed() -> trust.Root:
    return read_root(development.root_file(), "root")


def signed(signers: tuple[Signer, ...] = (PACKAGE,), roots: tuple[bytes, ...] = ()) -> bytes:
    return sign_package(bare(), bare()[DIGEST_AT:HEADER_BYTES], signers, roots)


def reason_of(blob: bytes, root: trust.Root | None = None, least_counter: int = 0) -> str:
    package = Package(blob, "pico", trust.Trust(root or installed(), least_counter))
    return reason_name(package.reason)


def plan(**changes: object) -> RootPlan:
    usual: dict[str, object] = {"version": 2, "root_keys": [ROOT_1.public, NEW_ROOT.public], "package_keys": [PACKAGE.public]}
    return RootPlan(**{**usual, **changes})  # type: ignore[arg-type]  # as `RootPlan` names them


def by_both(**changes: object) -> bytes:
    return sign_root(plan(**changes).record(), [ROOT_1, NEW_ROOT])


def key_of(number: int) -> bytes:
    """A public key whose private one nobody has."""
    (public,) = installed().keys[trust.PACKAGE_ROLE].values()
    return public[:8] + bytes((number,)) * 16 + public[24:]


def sealed(record: bytes) -> bytes:
    """A root record with the digest that fits it, whatever else is wrong with it."""
    return record[: trust.ROOT_DIGEST_AT] + trust.root_digest(record) + record[trust.ROOT_HEAD_BYTES :]


def test_a_signed_package_is_believed() -> None:
    assert reason_of(signed()) == "NONE"
    assert reason_of(signed((PACKAGE,), (by_both(),))) == "NONE"
    assert reason_of(signed((PACKAGE,), (development.root_file(),))) == "NONE"  # the installed record is passed over


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (lambda: bare(), "PACKAGE_UNSIGNED"),
        (lambda: signed(()), "PACKAGE_UNSIGNED"),
        (lambda: signed((STRANGER,)), "PACKAGE_WRONG_KEY"),
        (lambda: signed((ROOT_1,)), "PACKAGE_WRONG_KEY"),
        (lambda: signed((PACKAGE, STRANGER)), "PACKAGE_WRONG_KEY"),
        (lambda: signed((PACKAGE, PACKAGE)), "PACKAGE_DUPLICATE_KEY"),
        (lambda: signed()[:-1] + b"\0", "PACKAGE_FORGED"),
        (lambda: signed()[:-1], "PACKAGE_CORRUPT"),
        (lambda: signed() + b"\0", "PACKAGE_CORRUPT"),
        (lambda: signed()[: len(bare()) + 4], "PACKAGE_CORRUPT"),
        (lambda: bare() + b"GGSX" + signed()[len(bare()) + 4 :], "PACKAGE_CORRUPT"),
        (lambda: bare() + b"GGSG\x09\0\0\0" + bytes(9 * 1516), "PACKAGE_CORRUPT"),
        (lambda: bare() + b"GGSG\1\5\0\0" + signed()[len(bare()) + 8 :], "PACKAGE_CORRUPT"),
        (lambda: bare() + b"GGSG\1\0\1\0" + signed()[len(bare()) + 8 :], "PACKAGE_CORRUPT"),
        (lambda: signed((PACKAGE,), (b"GGRT",)), "ROOT_UNUSABLE"),
        (lambda: signed((PACKAGE,), (by_both()[:-1],)), "ROOT_UNUSABLE"),
        (lambda: signed((PACKAGE,), (by_both()[:100],)), "ROOT_UNUSABLE"),
        (lambda: signed((PACKAGE,), (b"GGRX" + by_both()[4:],)), "ROOT_UNUSABLE"),
        (lambda: signed((PACKAGE,), (by_both()[:6] + b"\xff\0" + by_both()[8:],)), "ROOT_UNUSABLE"),
        (lambda: signed((PACKAGE,), (by_both()[:70] + b"\1" + by_both()[71:],)), "ROOT_UNUSABLE"),
        (lambda: signed((PACKAGE,), (by_both(version=1),)), "ROOT_OLD"),
        (lambda: signed((PACKAGE,), (by_both(), by_both(counter=1))), "ROOT_OLD"),
        (lambda: signed((PACKAGE,), (sign_root(plan().record(), [NEW_ROOT]),)), "ROOT_UNTRUSTED"),
        (lambda: signed((PACKAGE,), (sign_root(plan().record(), [ROOT_2]),)), "ROOT_UNTRUSTED"),
        (lambda: signed((PACKAGE,), (sign_root(plan().record(), [ROOT_1, NEW_ROOT, STRANGER]),)), "ROOT_UNTRUSTED"),
        (
            lambda: signed((PACKAGE,), (by_both(root_threshold=2, root_keys=[NEW_ROOT.public, STRANGER.public]),)),
            "ROOT_UNTRUSTED",
        ),
        (lambda: signed((PACKAGE,), (by_both(board=b"else"),)), "PACKAGE_BOARD"),
        (lambda: signed((PACKAGE,), (by_both(wire=b"else"),)), "PACKAGE_WIRE"),
        (lambda: signed((PACKAGE,), (by_both(schema=b"else"),)), "PACKAGE_SCHEMA"),
        (lambda: signed((PACKAGE,), (by_both(package_keys=[NEW_PACKAGE.public]),)), "PACKAGE_WRONG_KEY"),
        (
            lambda: signed((PACKAGE,), (by_both(package_keys=[PACKAGE.public, NEW_PACKAGE.public], package_threshold=2),)),
            "PACKAGE_TOO_FEW",
        ),
    ],
)
def test_the_first_rule_that_fails_gives_the_reason(blob: object, reason: str) -> None:
    assert reason_of(blob()) == reason  # type: ignore[operator]  # parametrised by callables


def test_two_signatures_satisfy_a_threshold_of_two() -> None:
    strict = by_both(package_keys=[PACKAGE.public, NEW_PACKAGE.public], package_threshold=2)
    assert reason_of(signed((NEW_PACKAGE, PACKAGE), (strict,))) == "NONE"


def test_rotations_follow_one_another() -> None:
    third = sign_root(
        plan(version=3, root_keys=[STRANGER.public], package_keys=[NEW_PACKAGE.public]).record(), [NEW_ROOT, STRANGER]
    )
    assert reason_of(signed((NEW_PACKAGE,), (by_both(), third))) == "NONE"
    assert reason_of(signed((NEW_PACKAGE,), (third,))) == "ROOT_UNTRUSTED"


def test_the_counter_and_its_reset() -> None:
    counter = injector().package.counter
    assert reason_of(signed(), least_counter=counter) == "NONE"
    assert reason_of(signed(), least_counter=counter + 1) == "PACKAGE_OLD"
    assert reason_of(signed((PACKAGE,), (by_both(),)), least_counter=counter + 1) == "PACKAGE_OLD"
    assert reason_of(signed((PACKAGE,), (by_both(counter=counter),)), least_counter=1 << 29) == "NONE"
    assert reason_of(signed((PACKAGE,), (by_both(counter=counter + 1),)), least_counter=0) == "PACKAGE_OLD"


@pytest.mark.parametrize(
    "changes",
    [
        {"root_keys": []},
        {"package_keys": []},
        {"root_threshold": 0},
        {"root_threshold": 3},
        {"package_threshold": 0},
        {"package_threshold": 2},
        {"package_keys": [ROOT_1.public]},
        {"package_keys": [PACKAGE.public] * 2},
        {"package_keys": [bytes(48)]},
        {"package_keys": [key_of(number) for number in range(7)]},
    ],
)
def test_a_record_that_no_device_would_accept_is_not_made(changes: dict[str, object]) -> None:
    with pytest.raises(UserError, match="no root record"):
        plan(**changes).record()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _record: b"",
        lambda _record: trust.ROOT_MAGIC,
        lambda record: sealed(b"GGRX" + record[4:]),
        lambda record: sealed(record[:4] + b"\7" + record[5:]),
        lambda record: sealed(record[: trust.ROOT_HEAD_BYTES] + b"\7" + record[trust.ROOT_HEAD_BYTES + 1 :]),
        lambda record: sealed(record[:6] + b"\0\0" + record[8 : trust.ROOT_HEAD_BYTES]),
        lambda record: record[:-1],
        lambda record: record + b"\0",
        lambda record: record[:-1] + bytes((record[-1] ^ 1,)),
    ],
    ids=["empty", "magic alone", "magic", "format", "role", "no key", "too short", "too long", "digest"],
)
def test_a_record_that_is_not_whole_is_unusable(spoil: Callable[[bytes], bytes]) -> None:
    assert trust.Root(spoil(plan().record())).reason == reasons.ROOT_UNUSABLE


def test_a_record_that_cannot_be_read_states_nothing() -> None:
    root = trust.Root(b"")
    assert (root.version, root.counter, root.board, root.wire, root.schema) == (0, 0, ANY, ANY, ANY)
    assert not any(root.keys.values())


@pytest.mark.parametrize("package", [bare, signed, lambda: signed((PACKAGE,), (development.root_file(),))])
@pytest.mark.parametrize("spoilt", [b"", sealed(installed().record[:16] + b"\3" + installed().record[17:])])
def test_while_the_installed_record_is_unusable_nothing_is_believed(package: Callable[[], bytes], spoilt: bytes) -> None:
    """Whatever keys could be read of it; the second asks for more root signatures than it has keys."""
    assert reason_of(package(), trust.Root(spoilt)) == "ROOT_UNUSABLE"


def test_a_record_has_eight_keys_at_most() -> None:
    keys = [PACKAGE.public, NEW_PACKAGE.public, STRANGER.public, *(key_of(number) for number in range(3))]
    full = by_both(package_keys=keys)
    assert read_root(full, "x").reason == reasons.NONE
    assert reason_of(signed((PACKAGE,), (full,))) == "NONE"
    with pytest.raises(UserError, match="no root record"):
        plan(package_keys=[*keys, key_of(3)]).record()


@pytest.mark.parametrize("before", [0, 5])
def test_the_length_of_a_record_is_told_where_it_is_there(before: int) -> None:
    """Without signatures too, as a device keeps it."""
    record = plan().record()
    file, end = io.BytesIO(bytes(before) + record), before + len(record)
    assert trust.root_bytes(file, before, end) == len(record)
    assert trust.root_bytes(file, before, end - 1) == 0


@pytest.mark.parametrize(
    ("at", "data"), [(0, b"X"), (6, b"\x09"), (7, b"\1")], ids=["magic", "more keys than may be", "high byte of the number"]
)
def test_what_begins_as_no_record_has_no_length(at: int, data: bytes) -> None:
    record = plan().record() + bytes(1 << 16)
    assert trust.root_bytes(io.BytesIO(record[:at] + data + record[at + len(data) :]), 0, len(record)) == 0
    assert trust.root_bytes(io.BytesIO(record[:7]), 0, len(record)) == 0


@pytest.mark.parametrize(
    ("signatures", "roots", "counts"),
    [
        (0, 0, (0, 0)),
        (trust.MOST_SIGNATURES, trust.MOST_ROOTS, (trust.MOST_SIGNATURES, trust.MOST_ROOTS)),
        (trust.MOST_SIGNATURES + 1, 0, None),
        (0, trust.MOST_ROOTS + 1, None),
    ],
)
def test_a_tail_has_so_many_signatures_and_records(signatures: int, roots: int, counts: tuple[int, int] | None) -> None:
    tail = b"GGSG" + bytes((signatures, roots, 0, 0)) + bytes(signatures * (16 + 1500))
    assert trust.read_tail(io.BytesIO(tail), 0, len(tail)) == counts
    assert trust.read_tail(io.BytesIO(tail), 0, len(tail) - 1) is None


@pytest.mark.parametrize(
    ("roots", "version"),
    [(lambda: (), 1), (lambda: (development.root_file(),), 1), (lambda: (by_both(),), 2)],
    ids=["none", "installed", "newer"],
)
def test_a_newer_record_is_told_from_the_installed_one(roots: Callable[[], tuple[bytes, ...]], version: int) -> None:
    """A device keeps only what is newer."""
    trusted = trust.Trust(installed(), 0)
    assert Package(signed((PACKAGE,), roots()), "pico", trusted).reason == reasons.NONE
    assert (trusted.root.version, trusted.is_newer) == (version, version > 1)


def test_a_file_of_a_record_is_checked() -> None:
    data = by_both()
    assert read_root(data, "x").version == 2
    for spoilt in (data + b"\0", data[:-1], data[:70] + bytes((data[70] ^ 1,)) + data[71:], b""):
        with pytest.raises(UserError, match="no root record"):
            read_root(spoilt, "x")
    with pytest.raises(UserError, match="not signed by enough"):
        read_root(sign_root(plan().record(), [ROOT_2]), "x")


def test_signatures_name_their_keys() -> None:
    blob = signed((PACKAGE,))
    assert blob[len(bare()) + 8 :][:16] == identifier(PACKAGE.public)


# ---- mutation


def mutate(dice: random.Random, blob: bytes) -> bytes:
    """The package with one to four changes: bits, bytes, words, pieces that are cut out, doubled or swapped."""
    changed = bytearray(blob)
    tail = int.from_bytes(blob[8:12], "little")
    for _ in range(dice.randrange(1, 5)):
        places = (dice.randrange(len(changed)), dice.randrange(HEADER_BYTES), tail + dice.randrange(8))
        at = min(dice.choice(places), len(changed) - 1)
        kind = dice.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            changed[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            changed[at : at + 4] = dice.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)).to_bytes(4, "little")
        elif kind == 3:
            del changed[at + 1 : at + dice.randrange(2, 64)]
        elif kind == 4:
            changed[at:at] = changed[at : at + dice.randrange(1, 64)]
        elif kind == 5:
            del changed[at + 1 + dice.randrange(4096) :]
        else:
            del changed[tail:]  # the signatures
            changed += dice.randbytes(dice.randrange(2))
    return bytes(changed)


def reseal(dice: random.Random, blob: bytes) -> bytes:
    """Some mutants get the digest that fits them: what a forger can do without a key."""
    if len(blob) < HEADER_BYTES or dice.randrange(100) < CHEAP:
        return blob
    length = min(len(blob), max(HEADER_BYTES, int.from_bytes(blob[8:12], "little")))
    digest: bytes = digest_of(blob, length)
    return blob[:DIGEST_AT] + digest + blob[HEADER_BYTES:]


def test_no_mutant_is_accepted(request: pytest.FixtureRequest) -> None:
    """100,000 mutants: none is believed, none raises, none makes the parser take more memory than a package has."""
    dice, good = random.Random(8554), signed()
    found: dict[str, int] = {}
    tracemalloc.start()
    request.addfinalizer(tracemalloc.stop)
    for _ in range(MUTATIONS):
        mutant = reseal(dice, mutate(dice, good))
        if mutant == good:
            continue
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        name = reason_of(mutant)
        assert tracemalloc.get_traced_memory()[1] - before < MOST_HEAP_BYTES
        found[name] = found.get(name, 0) + 1
    print(sorted(found.items()))
    assert "NONE" not in found
    assert {"PACKAGE_CORRUPT", "PACKAGE_FORGED", "PACKAGE_WRONG_KEY", "PACKAGE_UNSIGNED"} <= set(found)
