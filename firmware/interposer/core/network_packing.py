"""Weights as `network_dual_thumb` wants them: by twos in a word, 128 larger.

Apart from `network_program.py`, because native code never leaves the device's memory again, and keeps its whole module there.
"""

from interposer.core.compat import const, micropython, ptr8, ptr32

PASS = const(8)  # outputs that grow at once


@micropython.viper
def pack_pass(stream: ptr32, weights: ptr8, n_in: int, biases: ptr32):
    """Eight outputs: their biases, the last six first as the kernel loads them, then their weights by pair of inputs."""
    k = 0
    while k < PASS:
        stream[k] = biases[(k + 2) & (PASS - 1)]
        k += 1
    at = PASS
    i = 0
    while i < n_in:
        k = 0
        while k < PASS:
            place = k * n_in + i
            second = int(weights[place + 1]) if i + 1 < n_in else 0
            stream[at] = (int(weights[place]) ^ 0x80) << 16 | (second ^ 0x80)
            at += 1
            k += 1
        i += 2


@micropython.viper
def pack_single(stream: ptr32, weights: ptr8, n_in: int, bias: int):
    """One output: its bias, then its weights, an even number of pairs; whatever meets the last one then counts nothing."""
    stream[0] = bias
    at = 1
    i = 0
    while i < n_in:
        second = int(weights[i + 1]) if i + 1 < n_in else 0
        stream[at] = (int(weights[i]) ^ 0x80) << 16 | (second ^ 0x80)
        at += 1
        i += 2
    if at & 1 == 0:
        stream[at] = 0
