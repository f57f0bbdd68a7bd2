"""Integer inference: the readable reference of the verdict networks.

Activations are integers 0..127 (or signed at an output), weights int8, biases and accumulators int32 (the compiler proves
every accumulator below 2^24, so that float32 runtimes are exact too). Requantisation is a shift with round half to even,
then saturation. Optimised twins with the same results to the bit: `network_thumb.py` of `layers`, `network_dual_thumb.py` of
`first_suspect`, for networks that `network_program.py` has compiled.
"""

from array import array

from interposer.core.compat import const, micropython, pointers, ptr8, ptr32

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

# An output: the slot it should equal, the weight of its error (/ 16), and how an output is turned back into its field.
OUTPUT_WORDS = const(8)
O_TARGET = const(0)
O_WEIGHT = const(1)
O_FIELD = const(2)  # slot of the field, or -1
O_GAIN = const(3)  # field = (output O_VALUE * gain + bias) >> shift, then 2 to that power where O_IS_LOG
O_BIAS = const(4)
O_SHIFT = const(5)
O_IS_LOG = const(6)
O_VALUE = const(7)  # number of the output that says what the field should be

HIGHEST_ACTIVATION = const(127)  # inputs lie in 0..127

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
def layers(weights: ptr8, nets: ptr32, layer: int, count: int, here: ptr32, there: ptr32) -> int:
    """`count` layers on the inputs in `here`, by turns into `there` and back; 1 where the outputs end up in `there`."""
    done = 0
    while done < count:
        if done & 1:
            dense(weights, nets[layer + Y_WEIGHT_AT], nets, layer, there, here)
        else:
            dense(weights, nets[layer + Y_WEIGHT_AT], nets, layer, here, there)
        layer += LAYER_WORDS
        done += 1
    return count & 1


# What `first_suspect` found, one word each.
FOUND_WORST = const(0)  # number of the output with the largest weighted error, -1 for a classifier
FOUND_BLOCK_ABOVE = const(1)
FOUND_IN_THERE = const(2)  # 1 where the outputs are in `there`, else they are in `here`
FOUND_WORDS = const(3)


# What a network works on: places in its list of pointers.
B_NETS = const(0)
B_WEIGHTS = const(1)
B_HERE = const(2)
B_THERE = const(3)
B_SCORES = const(4)
B_HOLD_ABOVE = const(5)
B_FOUND = const(6)
B_PROGRAMS = const(7)  # of a kernel that runs whole networks, by network; otherwise a 0


@micropython.viper
def first_suspect(block: ptr32, kernel, index: int, asked: int, values: ptr32) -> int:
    """Run the networks whose bit is set in `asked`, from number `index` on; the first with a score above a threshold, or -1."""
    if ptr32(block[B_PROGRAMS])[0]:
        return int(kernel(block, index, asked, values))
    return int(first_by_layers(block, kernel, index, asked, values))


@micropython.viper
def first_by_layers(block: ptr32, kernel, index: int, asked: int, values: ptr32) -> int:
    """The same with a kernel for layers."""
    nets = ptr32(block[B_NETS])
    here = ptr32(block[B_HERE])
    there = ptr32(block[B_THERE])
    scores = ptr32(block[B_SCORES])
    hold_above = ptr32(block[B_HOLD_ABOVE])
    found = ptr32(block[B_FOUND])
    asked >>= index
    while asked:
        if asked & 1:
            net = index * NET_WORDS
            at = nets[net + N_INPUT_AT]
            i = 0
            while i < nets[net + N_INPUTS]:
                here[i] = values[nets[at + i]]
                i += 1
            swapped = int(kernel(ptr8(block[B_WEIGHTS]), nets, nets[net + N_LAYER_AT], nets[net + N_LAYERS], here, there))
            output = there if swapped else here
            found[FOUND_IN_THERE] = swapped
            found[FOUND_WORST] = -1
            score = output[0]
            if nets[net + N_SCORE] != CLASSIFIER:
                score = int(error_score(values, nets, nets[net + N_OUTPUT_AT], nets[net + N_OUTPUTS], output, found))
            at = nets[net + N_THRESHOLD_AT]
            slot = nets[net + N_GROUP_SLOT]
            if slot >= 0 and values[slot] >= 0 and values[slot] < nets[net + N_GROUPS]:
                at += 2 * values[slot]
            scores[index] = score
            hold_above[index] = nets[at]
            found[FOUND_BLOCK_ABOVE] = nets[at + 1]
            if score > nets[at] or score > nets[at + 1]:
                return index
        asked >>= 1
        index += 1
    return -1


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
    there are. `scores` and `hold_above` keep each network's last score and hold threshold. A kernel that has `prepare` may
    take the networks over as a whole: `self.kernel` is then what it wants called in place of `first_suspect`.
    """

    def __init__(self, nets, weights, widest, count, kernel=layers):
        self.nets = nets
        self.kernel = kernel
        self.here = array("i", bytes(4 * widest))
        self.there = array("i", bytes(4 * widest))
        self.scores = array("i", bytes(4 * count))
        self.hold_above = array("i", bytes(4 * count))
        self.found = array("i", bytes(4 * FOUND_WORDS))
        self.programs = array("i", [0])
        if hasattr(kernel, "prepare"):
            self.kernel, self.programs, self.kept = kernel.prepare(self, weights, widest, count)
        self.weights = weights = b"" if self.programs[0] else weights  # programs have them in their own order
        self.block = pointers(nets, weights, self.here, self.there, self.scores, self.hold_above, self.found, self.programs)

    @micropython.native
    def first_suspect(self, index, asked, values):
        """Ask the networks whose bit is set in `asked`, from number `index` on, about a value vector.

        Returns the first whose score is above a threshold, or -1. `worst`, `output` and `block_above` are those of the last
        network asked.
        """
        return first_suspect(self.block, self.kernel, index, asked, values)

    def ask(self, _block, index, asked, values):
        """The same, called as the kernel of compiled networks is."""
        return self.first_suspect(index, asked, values)

    def worst(self):
        """Number of the output with the largest weighted error; -1 for a classifier."""
        return self.found[FOUND_WORST]

    def output(self):
        """The outputs, an array of int32 of at least their number."""
        return self.there if self.found[FOUND_IN_THERE] else self.here

    def block_above(self):
        """The threshold above which the score blocks."""
        return self.found[FOUND_BLOCK_ABOVE]
