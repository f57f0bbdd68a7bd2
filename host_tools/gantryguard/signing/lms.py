"""The private side of LMS (RFC 8554): one seed gives every one-time key, and each of these may sign one message only.

Derivation as in appendix A of the RFC. Which one-time key is the next is the business of `keyfile.py`: nothing here remembers.
Of many randomisers the signer takes that which leaves a verifier the fewest steps: a device checks such a signature in two
thirds of the time, and without the seed nobody can foresee which it will be (docs/adr/0011-signed-packages.md).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from interposer.core import lms as core

TREE_TYPE = 11  # LMS_SHA256_M24_H10 of SP 800-208
CHAIN_TYPE = 7  # LMOTS_SHA256_N24_W4
SEED_BYTES = 24
SIZE, HEIGHT, BITS, CHAINS, SHIFT = core.TREES[TREE_TYPE] + core.CHAINS[CHAIN_TYPE][1:]
SIGNATURES = 1 << HEIGHT
LAST = (1 << BITS) - 1
RANDOMISER = 0xFFFD  # in the place of a chain's number: what makes the randomiser of a signature
RANDOMISERS = 1 << 14  # to choose from
DIGIT_SUMS = bytes((byte >> BITS) + (byte & LAST) for byte in range(256))  # of the two digits of a byte


@dataclass(frozen=True)
class LmsKey:
    """A private key: `seed` (24 secret bytes) and `identifier` (16 public ones). Signs SIGNATURES messages at most."""

    seed: bytes
    identifier: bytes

    def public(self) -> bytes:
        """The public key, 48 bytes. The first call takes about a second."""
        return _head() + self.identifier + _nodes(self)[1]

    def sign(self, message: bytes, number: int) -> bytes:
        """Sign with one-time key `number`, which must never have signed anything else. Raises ValueError beyond the last."""
        if not 0 <= number < SIGNATURES:
            raise ValueError(f"one-time key {number} of {SIGNATURES}")
        leaf = number.to_bytes(4, "big")
        randomiser, hashed = self._randomised(leaf, message)
        walked = core.digits(hashed, BITS, CHAINS, SHIFT)
        ends = [self._walk(leaf, chain, steps) for chain, steps in enumerate(walked)]
        nodes, node, path = _nodes(self), SIGNATURES + number, []
        while node > 1:
            path.append(nodes[node ^ 1])
            node >>= 1
        tree, chain = _head()[:4], _head()[4:]
        return b"".join((leaf, chain, randomiser, *ends, tree, *path))

    def _randomised(self, leaf: bytes, message: bytes) -> tuple[bytes, bytes]:
        """The randomiser, and the hash of the message with it: that with the largest sum of digits."""
        secret = self._derived(leaf, RANDOMISER)
        prefix = self.identifier + leaf + core.D_MESSAGE
        best = (-1, b"", b"")
        for number in range(RANDOMISERS):
            randomiser = hashlib.sha256(secret + number.to_bytes(4, "big")).digest()[:SIZE]
            hashed = hashlib.sha256(prefix + randomiser + message).digest()[:SIZE]
            walked = sum(hashed.translate(DIGIT_SUMS))
            if walked > best[0]:
                best = (walked, randomiser, hashed)
        return best[1], best[2]

    def _derived(self, leaf: bytes, chain: int) -> bytes:
        return hashlib.sha256(self.identifier + leaf + chain.to_bytes(2, "big") + b"\xff" + self.seed).digest()[:SIZE]

    def _walk(self, leaf: bytes, chain: int, steps: int) -> bytes:
        hashed, prefix = self._derived(leaf, chain), self.identifier + leaf + chain.to_bytes(2, "big")
        for step in range(steps):
            hashed = hashlib.sha256(prefix + bytes((step,)) + hashed).digest()[:SIZE]
        return hashed

    def _leaf(self, number: int) -> bytes:
        leaf = number.to_bytes(4, "big")
        ends = b"".join(self._walk(leaf, chain, LAST) for chain in range(CHAINS))
        key = hashlib.sha256(self.identifier + leaf + core.D_PUBLIC + ends).digest()[:SIZE]
        node = (SIGNATURES + number).to_bytes(4, "big")
        return hashlib.sha256(self.identifier + node + core.D_LEAF + key).digest()[:SIZE]


def _head() -> bytes:
    return TREE_TYPE.to_bytes(4, "big") + CHAIN_TYPE.to_bytes(4, "big")


@lru_cache(maxsize=8)
def _nodes(key: LmsKey) -> list[bytes]:
    """Every node of the tree by its number; 1 is the root, 0 is unused."""
    nodes = [b""] * SIGNATURES + [key._leaf(number) for number in range(SIGNATURES)]
    for node in range(SIGNATURES - 1, 0, -1):
        content = key.identifier + node.to_bytes(4, "big") + core.D_NODE + nodes[2 * node] + nodes[2 * node + 1]
        nodes[node] = hashlib.sha256(content).digest()[:SIZE]
    return nodes
