"""Integer inference: the readable reference of the verdict networks.

Activations are integers 0..127 (or signed at an output), weights int8, biases and accumulators int32 (the compiler proves
every accumulator below 2^24, so that float32 runtimes are exact too). Requantisation is a shift with round half to even,
then saturation. `network_thumb.py` holds the optimised twin of `layers` with the same signature and the same results.
"""

from array import array

from interposer.core.compat import const, micropython, ptr8, ptr32

# A network, NET_WORDS words, then its layers, inputs and outputs.
NET_WORDS = const(12)
N_LAYERS = const(0)
N_LAYER_AT = const(1)  # word of the first layer
N_INPUTS = const(2)
N_INPUT_AT = const(3)  # word of the first input: slots
N_OUTPUTS = const(4)
N_OUTPUT_AT = const(5)  # word of the first output, OUTPUT_WORDS each
N_SCORE = const(6)
N_THRESHOLD_AT = const(7)  # pairs (hold, block) by group
N_GROUP_SLOT = const(8)  # slot of the group number, or -1
N_GROUPS = const(9)
N_REASON = const(10)
N_NAME = const(11)

LAYER_WORDS = const(8)
Y_IN = const(0)
Y_OUT = const(1)
Y_WEIGHT_AT = const(2)  # byte in the weights section, row by row of the output
Y_BIAS_AT = const(3)  # word in the nets section
Y_SHIFT = const(4)
Y_LOWEST = const(5)
Y_HIGHEST = const(6)

# An output: the slot it should equal, the weight of its error (/ 16), and how to turn it back into a field.
OUTPUT_WORDS = const(8)
O_TARGET = const(0)
O_WEIGHT = const(1)
O_FIELD = const(2)  # slot of the field, or -1
O_GAIN = const(3)  # field = (output * gain + bias) >> shift, then 2 to that power where O_IS_LOG
O_BIAS = const(4)
O_SHIFT = const(5)
O_IS_LOG = const(6)

RECONSTRUCTION = const(0)  # score = sum of squared weighted errors
CLASSIFIER = const(1)  # score = the only output


@micropython.viper
def dense(weights: ptr8, weight_at: int, nets: ptr32, layer: int, source: ptr32, target: ptr32):
    """One layer: target = saturate(round_half_even((bias + weights . source) / 2^shift))."""
    n_in = nets[layer + Y_IN]
    n_out = nets[layer + Y_OUT]
    bias = nets[layer + Y_BIAS_AT]
    shift = nets[layer + Y_SHIFT]
    place = weight_at
    o = 0
    while o < n_out:
        total = nets[bias + o]
        i = 0
        while i < n_in:
            total += ((int(weights[place]) ^ 0x80) - 0x80) * source[i]
            place += 1
            i += 1
        if shift:
            total = (total + (1 << (shift - 1)) - 1 + ((total >> shift) & 1)) >> shift
        if total < nets[layer + Y_LOWEST]:
            total = nets[layer + Y_LOWEST]
        if total > nets[layer + Y_HIGHEST]:
            total = nets[layer + Y_HIGHEST]
        target[o] = total
        o += 1


@micropython.viper
def gather(values: ptr32, nets: ptr32, at: int, count: int, target: ptr32):
    """Copy the slots that the network reads."""
    i = 0
    while i < count:
        target[i] = values[nets[at + i]]
        i += 1


def layers(weights, nets, layer, count, here, there):
    """`count` layers on the inputs in `here`, by turns into `there` and back; 1 where the outputs end up in `there`."""
    for done in range(count):
        if done & 1:
            dense(weights, nets[layer + Y_WEIGHT_AT], nets, layer, there, here)
        else:
            dense(weights, nets[layer + Y_WEIGHT_AT], nets, layer, here, there)
        layer += LAYER_WORDS
    return count & 1


@micropython.viper
def error_score(values: ptr32, nets: ptr32, at: int, count: int, output: ptr32, worst: ptr32) -> int:
    """Sum of squared weighted errors, at most 2^29; `worst[0]` becomes the output with the largest one."""
    score = 0
    largest = -1
    i = 0
    while i < count:
        error = values[nets[at]] - output[i]
        if error < 0:
            error = 0 - error
        error = (error * nets[at + 1]) >> 4
        if error > largest:
            largest = error
            worst[0] = i
        if error > 4095:
            error = 4095
        score += error * error
        i += 1
        at += OUTPUT_WORDS
    return score


class Network:
    """Runs the networks of one package with one kernel for `layers`.

    `nets` is the int32 section, `weights` the int8 section (bytes), `widest` the largest layer, `count` how many networks
    there are. After `run`, `worst` (number of the worst output, -1 for a classifier), `output` (array of int32) and
    `block_above` describe the result; `scores` and `hold_above` keep each network's last score and hold threshold.
    """

    def __init__(self, nets, weights, widest, count, kernel=layers):
        self.nets = nets
        self.weights = weights
        self.kernel = kernel
        self.here = array("i", bytes(4 * widest))
        self.there = array("i", bytes(4 * widest))
        self.output = self.here
        self.worst_cell = array("i", bytes(4))
        self.worst = 0
        self.block_above = 0
        self.scores = array("i", bytes(4 * count))
        self.hold_above = array("i", bytes(4 * count))
        self.plans = tuple(self._plan(nets, index * NET_WORDS) for index in range(count))

    def _plan(self, nets, net):
        """What `run` needs of one network, as a tuple: unpacking it is faster than reading the table."""
        inputs = (nets[net + N_INPUT_AT], nets[net + N_INPUTS])
        steps = (nets[net + N_LAYER_AT], nets[net + N_LAYERS])
        score = (nets[net + N_SCORE], nets[net + N_OUTPUT_AT], nets[net + N_OUTPUTS])
        return inputs + steps + score + (nets[net + N_THRESHOLD_AT], nets[net + N_GROUP_SLOT], nets[net + N_GROUPS])

    def run(self, index, values):
        """Infer network `index` on the value vector; true where its score is above the hold threshold."""
        input_at, inputs, layer, count, kind, output_at, outputs, threshold, slot, groups = self.plans[index]
        nets = self.nets
        gather(values, nets, input_at, inputs, self.here)
        swapped = self.kernel(self.weights, nets, layer, count, self.here, self.there)
        self.output = output = self.there if swapped else self.here
        if kind == CLASSIFIER:
            score = output[0]
            self.worst = -1
        else:
            score = error_score(values, nets, output_at, outputs, output, self.worst_cell)
            self.worst = self.worst_cell[0]
        if slot >= 0 and 0 <= values[slot] < groups:
            threshold += 2 * values[slot]
        hold_above = nets[threshold]
        self.block_above = nets[threshold + 1]
        self.scores[index] = score
        self.hold_above[index] = hold_above
        return score > hold_above or score > self.block_above
