"""Coverage-guided fuzzing of what reads a package before it is believed: parser, digest, root records, signatures.

    make fuzz            # 200,000 runs; FUZZ_RUNS=... for more
Inputs are packages that the fuzzer changed. The first byte says whether the digest is made to fit, as a forger would. No input
that was not signed may be believed, none may raise, and none may make the reader take more memory than MOST_HEAP_BYTES.
Tables are read only of what is signed; what they may say is tested by `test_profiles_package.py`.
"""

from __future__ import annotations

import io
import sys
import tracemalloc
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["interposer.core.package", "interposer.core.trust", "interposer.core.lms"]):
    from interposer.core import package, reasons, trust

from gantryguard import paths
from gantryguard.reasons import reason_name
from gantryguard.signing import development

MOST_HEAP_BYTES = 400_000  # of CPython, whose objects are larger than the device's
FITS = 1  # bit of the first byte
CORPUS = paths.BUILD / "fuzz"
SIGNED = (paths.MODELS / "ct" / "package.bin").read_bytes()
BODY_BYTES = int.from_bytes(SIGNED[8:12], "little")
_whole = development.ROOT_FILE.read_bytes()
ROOT = _whole[: trust.root_bytes(io.BytesIO(_whole), 0, len(_whole))]  # the record, without its signatures
runs: dict[int, int] = {}


def resealed(blob: bytes) -> bytes:
    """The package with the digest that its bytes have."""
    length = min(len(blob), max(package.HEADER_BYTES, int.from_bytes(blob[8:12], "little")))
    return blob[: package.DIGEST_AT] + package.digest_of(blob, length) + blob[package.HEADER_BYTES :]


def test_one(data: bytes) -> None:
    """One input: a choice, then a package."""
    if len(data) <= package.HEADER_BYTES:
        return
    blob = resealed(data[1:]) if data[0] & FITS else data[1:]
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    reason = package.Package(blob, "pico", trust.Trust(trust.Root(ROOT), 0)).reason
    taken = tracemalloc.get_traced_memory()[1] - before
    runs[reason] = runs.get(reason, 0) + 1
    if taken > MOST_HEAP_BYTES:
        raise MemoryError(f"{taken} bytes for {len(blob)}")
    if reason == reasons.NONE and blob[:BODY_BYTES] != SIGNED[:BODY_BYTES]:
        raise AssertionError("a package that nobody signed was believed")


def seeds(folder: Path) -> None:
    """What the fuzzer starts from: the package, its pieces, and root records in its tail."""
    folder.mkdir(parents=True, exist_ok=True)
    small = SIGNED[: package.HEADER_BYTES + package.ENTRY_BYTES * len(package.SECTIONS)]
    starts = {"whole": SIGNED, "unsigned": SIGNED[:BODY_BYTES], "tables": small, "tail": small + SIGNED[BODY_BYTES:]}
    for name, blob in starts.items():
        for choice in (0, FITS):
            (folder / f"{name}{choice}").write_bytes(bytes((choice,)) + blob)


if __name__ == "__main__":
    seeds(CORPUS)
    tracemalloc.start()
    atheris.Setup([sys.argv[0], str(CORPUS), f"-max_len={len(SIGNED) + 4096}", *sys.argv[1:]], test_one)
    try:
        atheris.Fuzz()
    finally:
        told = ", ".join(f"{reason_name(code)} {count}" for code, count in sorted(runs.items()))
        print(f"{sum(runs.values())} packages read: {told}")
