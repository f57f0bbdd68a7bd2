"""Verifies LMS signatures: RFC 8554, sections 4 and 5, with the parameter sets of SHA-256 and, from SP 800-208, SHA-256/192.

Pure and stateless; anything malformed is simply not a signature. Only hashing takes time, and that is done by the platform's
own SHA-256: 51 chains of 15 steps at most for the set that packages use (LMS_SHA256_M24_H10, LMOTS_SHA256_N24_W4).
"""

import hashlib

from interposer.core.compat import const

# By typecode: bytes of a hash, height of the tree.
TREES = {5: (32, 5), 6: (32, 10), 7: (32, 15), 8: (32, 20), 9: (32, 25)}
TREES.update({10: (24, 5), 11: (24, 10), 12: (24, 15), 13: (24, 20), 14: (24, 25)})
# By typecode: bytes of a hash, bits per digit, number of chains, left shift of the checksum.
CHAINS = {1: (32, 1, 265, 7), 2: (32, 2, 133, 6), 3: (32, 4, 67, 4), 4: (32, 8, 34, 0)}
CHAINS.update({5: (24, 1, 200, 8), 6: (24, 2, 101, 6), 7: (24, 4, 51, 4), 8: (24, 8, 26, 0)})

IDENTIFIER_AT = const(8)  # in a public key, behind the two typecodes
IDENTIFIER_BYTES = const(16)
ROOT_AT = const(24)
D_PUBLIC = b"\x80\x80"
D_MESSAGE = b"\x81\x81"
D_LEAF = b"\x82\x82"
D_NODE = b"\x83\x83"
# What a step of a chain hashes: identifier, leaf, chain, step, hash.
CHAIN_AT = const(20)
STEP_AT = const(22)
HASH_AT = const(23)
DIGEST_BYTES = const(32)


def keep_on():
    """Nothing to be done between two chains."""


def parameters(public):
    """(bytes of a hash, height, bits per digit, chains, checksum shift) of a public key, or None where it is none."""
    if len(public) < ROOT_AT:
        return None
    tree = TREES.get(int.from_bytes(public[:4], "big"))
    chains = CHAINS.get(int.from_bytes(public[4:8], "big"))
    if tree is None or chains is None or tree[0] != chains[0] or len(public) != ROOT_AT + tree[0]:
        return None
    return tree + chains[1:]


def signature_bytes(public):
    """Length of a signature by this key; 0 where it is none."""
    found = parameters(public)
    if found is None:
        return 0
    size, height, _, chains, _ = found
    return 12 + size * (1 + chains + height)


def digits(hashed, bits, chains, shift):
    """How far each chain has been walked: the digits of a hash and of their checksum."""
    most = (1 << bits) - 1
    per_byte = 8 // bits
    found = []
    for byte in hashed:
        for place in range(per_byte):
            found.append(byte >> (8 - bits - bits * place) & most)
    check = 0
    for digit in found:
        check += most - digit
    check <<= shift
    for place in range(chains - len(found)):
        found.append(check >> (16 - bits - bits * place) & most)
    return found


def verify(public, message, signature, breathe=keep_on):
    """Whether `signature` is one of `message` by `public`. All are bytes; `breathe` is called between two chains."""
    found = parameters(public)
    if found is None or len(signature) != signature_bytes(public):
        return False
    size, height, bits, chains, shift = found
    leaf = signature[:4]
    number = int.from_bytes(leaf, "big")
    path_at = 8 + size * (1 + chains)
    if number >> height or signature[4:8] != public[4:8] or signature[path_at : path_at + 4] != public[:4]:
        return False
    identifier = public[IDENTIFIER_AT : IDENTIFIER_AT + IDENTIFIER_BYTES]
    hashed = hashlib.sha256(identifier + leaf + D_MESSAGE + signature[8 : 8 + size])
    hashed.update(message)
    walked = digits(hashed.digest()[:size], bits, chains, shift)
    ends = memoryview(signature)[8 + size : path_at]
    node = _one_time_key(identifier + leaf, ends, walked, size, bits, breathe)
    path = memoryview(signature)[path_at + 4 :]
    return _climb(identifier, (1 << height) + number, node, path, size) == public[ROOT_AT:]


def _one_time_key(prefix, ends, walked, size, bits, breathe):
    """The one-time public key that a signature belongs to: every chain walked to its end."""
    sha256 = hashlib.sha256
    key = sha256(prefix + D_PUBLIC)
    block = memoryview(bytearray(HASH_AT + DIGEST_BYTES))
    block[:CHAIN_AT] = prefix
    hashed = block[: HASH_AT + size]
    digest = block[HASH_AT:]  # a whole one fits: cutting it would be one thing more for the collector of garbage
    hash_ = block[HASH_AT : HASH_AT + size]
    last = (1 << bits) - 1
    at = 0
    for chain in range(len(walked)):
        block[CHAIN_AT] = chain >> 8
        block[CHAIN_AT + 1] = chain & 255
        hash_[:] = ends[at : at + size]
        at += size
        for step in range(walked[chain], last):
            block[STEP_AT] = step
            digest[:] = sha256(hashed).digest()
        key.update(hash_)
        breathe()
    return key.digest()[:size]


def _climb(identifier, node, key, path, size):
    """The root of the tree in which leaf `node` has the one-time key `key`."""
    hashed = hashlib.sha256(identifier + node.to_bytes(4, "big") + D_LEAF + key).digest()[:size]
    at = 0
    while node > 1:
        parent = hashlib.sha256(identifier + (node >> 1).to_bytes(4, "big") + D_NODE)
        sibling = path[at : at + size]
        parent.update(sibling if node & 1 else hashed)
        parent.update(hashed if node & 1 else sibling)
        hashed = parent.digest()[:size]
        node >>= 1
        at += size
    return hashed
