"""Rule 13 of `package.py`: every index of every table points inside what it indexes, before anything is built from it.

Also: row programs end and stay in bounds, networks read only rows clamped to 0..127, layers fit the widest buffer, weights and
biases lie in their sections, shifts are sane, written frames fit their buffers. Other values are the compiler's business: a
package that passes cannot make the decision read or write outside its arrays, whatever frames arrive.
"""

from array import array

from interposer.core import codec, limits, link, network, package, quantities
from interposer.core.ahead import end_of
from interposer.core.audit_rows import rows_hold
from interposer.core.compat import const
from interposer.core.reasons import BLOCK, NONE, PACKAGE_UNUSABLE, PASS, TOO_MANY_RETRIES

LEAST_BAUD = const(9600)
MOST_BAUD = const(3000000)
MOST_VALUES = const(4096)
MOST_FRAME = const(505)  # a counted frame's 255 bytes and the most that lies around them
MOST_COMMANDS = const(254)
MOST_CUT_GAP_MS = const(1000)  # for cut-through, which waits so long in one turn: half of the watchdog's time
LEAST_STARTS = const(2)  # for cut-through, which stops at everything that looks like the beginning of a frame
MOST_REASONS = const(128)
MOST_OUTPUTS = const(32)
MOST_NETS = const(30)
MOST_MEMBERS = const(32)  # of a set of executable values: a proposal sorts them
MOST_MS = const(0x1FFFFFFF)  # half of the clock's wrap
MOST_SHIFT = const(30)
MOST_GROUPS = const(1024)


def audit(tables):
    """NONE, or PACKAGE_UNUSABLE. Takes a `Package` whose `reason` is NONE."""
    return NONE if _Audit(tables).holds() else PACKAGE_UNUSABLE


def _within(first, count, length):
    """Whether `count` entries from `first` on lie inside `length`."""
    return first >= 0 and count >= 0 and first + count <= length


def may_cut_through(framing):
    """1 where a frame tells its end before it comes and its receiver sees that it was spoiled, else 0."""
    knows_end = framing[link.F_KIND] == link.COUNTED and framing[link.F_STARTS] >= LEAST_STARTS
    return int(knows_end and framing[link.F_CHECK] != link.CHECK_NONE)


class _Audit:
    """The tables of one package; every method returns whether its part holds."""

    def __init__(self, tables):
        self.table = tables.table
        self.params = tables.table("params")
        self.values = self.fields = self.states = self.commands = 0
        self.lines = tables.count_names()
        self.weights = tables.places["weights"][1]
        self.bounds = array("i")  # see `rows_hold`
        self.wide = bytearray()
        self.runs = []  # of rows: first word, and the one behind the last

    def holds(self):
        if len(self.params) != package.P_PARAMS:
            return False
        self.values = self.params[package.P_VALUES]
        self.fields = self.params[package.P_FIELDS]
        self.states = self.params[package.P_STATES]
        self.commands = self.params[package.P_COMMANDS]
        return (
            self._words()
            and self._params()
            and self._sizes()
            and self._framings()
            and self._commands()
            and self._replies()
            and self._sequence()
            and self._limits()
            and self._latches()
            and self._corrections()
            and self._networks()
            and self._policies()
        )

    # ---- words, counts and sizes

    def _words(self):
        words = [self.table(name) for name in package.SECTIONS if name not in package.BYTE_SECTIONS]
        return all(package.all_small(table, len(table)) for table in words)

    def _params(self):
        params = self.params
        for at in (package.P_GAP_MS, package.P_HOLD_MS, package.P_RATE_FRAMES, package.P_RATE_WINDOW_MS):
            if not 1 <= params[at] <= MOST_MS:
                return False
        for at in (package.P_MOMENTARY_MS, package.P_KEY_HOLD_MS, package.P_RETRIES):
            if not 0 <= params[at] <= MOST_MS:
                return False
        return (
            LEAST_BAUD <= params[package.P_BAUD] <= MOST_BAUD
            and 1 <= params[package.P_SEQUENCE_WINDOW] <= 127
            and 1 <= self.values <= MOST_VALUES
            and self.fields >= 1
            and self.states >= 0
            and self.fields + self.states <= self.values
            and 1 <= self.commands <= MOST_COMMANDS
            and 0 <= params[package.P_REASON_SLOT] < self.fields
            and -1 <= params[package.P_REST_SLOT] < self.fields
            and params[package.P_REST_VALUES] >= 0
            and -1 <= params[package.P_REST_COMMAND] < self.commands
            and 0 <= params[package.P_NETS] <= MOST_NETS
            and 1 <= params[package.P_WIDEST] <= MOST_VALUES
            and 1 <= params[package.P_SEQUENCE_STATES] <= MOST_VALUES
        )

    def _sizes(self):
        table = self.table
        return (
            len(table("framings")) == 2 * link.FRAMING_WORDS
            and len(table("commands")) == self.commands * codec.COMMAND_WORDS
            and len(table("fields")) % codec.FIELD_WORDS == 0
            and len(table("ranges")) == self.fields * codec.RANGE_WORDS
            and len(table("states")) == self.states
            and len(table("curves")) >= quantities.CURVES_START
            and len(table("limits")) % limits.LIMIT_WORDS == 0
            and len(table("latches")) % package.LATCH_WORDS == 0
            and len(table("executables")) == self.fields * package.EXECUTABLE_WORDS
            and len(table("derived")) % package.DERIVED_WORDS == 0
            and TOO_MANY_RETRIES < len(table("policy")) <= MOST_REASONS
            and len(table("nets")) >= self.params[package.P_NETS] * network.NET_WORDS
            and self._ranges()
        )

    def _ranges(self):
        ranges = self.table("ranges")
        return all(ranges[at] <= ranges[at + 1] for at in range(0, len(ranges), codec.RANGE_WORDS))

    def _slot(self, slot):
        return 0 <= slot < self.values

    def _slot_or_none(self, slot):
        return -1 <= slot < self.values

    def _name(self, line):
        return 0 <= line < self.lines

    # ---- link

    def _framings(self):
        framings = self.table("framings")
        words = link.FRAMING_WORDS
        if framings[link.F_CUT_THROUGH] and self.params[package.P_GAP_MS] > MOST_CUT_GAP_MS:
            return False
        return self._framing(framings[:words]) and self._framing(framings[words:])

    def _framing(self, framing):
        counted = framing[link.F_KIND] == link.COUNTED
        if not counted and framing[link.F_KIND] != link.DELIMITED:
            return False
        size = framing[link.F_CHECK_SIZE]
        body = framing[link.F_BODY_AT]
        least = framing[link.F_MIN]
        width = 1 if framing[link.F_OPCODE_FORM] == link.OPCODE_BYTE else 2
        return (
            1 <= framing[link.F_STARTS] <= 4
            and framing[link.F_STARTS] <= body
            and body >= 1
            and (1 if framing[link.F_CHECK] != link.CHECK_NONE else 0) <= size <= 4
            and link.CHECK_NONE <= framing[link.F_CHECK] <= link.CHECK_XOR
            and framing[link.F_OPCODE_AT] != framing[link.F_SEQUENCE_AT]
            and body + size + (0 if counted else 1) <= least <= framing[link.F_MAX] <= MOST_FRAME
            and 0 <= framing[link.F_CHECK_FROM] <= body
            and _within(framing[link.F_OPCODE_AT], width, body)
            and -1 <= framing[link.F_SEQUENCE_AT] < body
            and (not counted or 0 <= framing[link.F_LENGTH_AT] < body)
            and 0 <= framing[link.F_LENGTH_EXTRA] <= MOST_FRAME
            and 0 <= framing[link.F_CUT_THROUGH] <= may_cut_through(framing)
            and self._framing_bytes(framing)
        )

    def _framing_bytes(self, framing):
        if not 0 <= framing[link.F_CHECK_C] <= 1 or not 0 <= framing[link.F_END] <= 255:
            return False
        if not all(0 <= framing[at] <= 0xFFFF for at in (link.F_CHECK_A, link.F_CHECK_B, link.F_CHECK_D)):
            return False
        return all(0 <= framing[link.F_START + i] <= 255 for i in range(4))

    def _commands(self):
        return all(self._command(index * codec.COMMAND_WORDS) for index in range(self.commands))

    def _command(self, at):
        table = self.table("commands")
        direction = table[at + codec.C_DIRECTION]
        if direction != link.FORWARD and direction != link.BACKWARD:
            return False
        framing = direction * link.FRAMING_WORDS
        highest = 255 if self.table("framings")[framing + link.F_OPCODE_FORM] == link.OPCODE_BYTE else 99
        return (
            0 <= table[at + codec.C_OPCODE] <= highest
            and self._fields(at, framing)
            and self._rows(table[at + codec.C_ROW], table[at + codec.C_ROWS])
            and self._stretch(at, codec.C_LIMIT, "limits", limits.LIMIT_WORDS)
            and self._stretch(at, codec.C_LATCH, "latches", package.LATCH_WORDS)
            and 0 <= table[at + codec.C_NETS] < 1 << self.params[package.P_NETS]
            and self._name(table[at + codec.C_NAME])
        )

    def _stretch(self, at, first, name, words):
        """A command's own part of a table: first entry and number of entries."""
        table = self.table("commands")
        return _within(table[at + first], table[at + first + 1], len(self.table(name)) // words)

    def _fields(self, at, framing):
        table = self.table("commands")
        framings = self.table("framings")
        if not self._stretch(at, codec.C_FIELD, "fields", codec.FIELD_WORDS):
            return False
        counted = framings[framing + link.F_KIND] == link.COUNTED
        body = framings[framing + link.F_BODY_AT]
        length = table[at + codec.C_LENGTH]
        end = length - framings[framing + link.F_CHECK_SIZE]
        if counted and not (body <= end and length <= framings[framing + link.F_MAX]):
            return False
        if counted and not 0 <= length - framings[framing + link.F_LENGTH_EXTRA] <= 255:  # what its length byte says
            return False
        width, fields = 0, self.table("fields")
        first = table[at + codec.C_FIELD] * codec.FIELD_WORDS
        for entry in range(first, first + table[at + codec.C_FIELDS] * codec.FIELD_WORDS, codec.FIELD_WORDS):
            slot = fields[entry + 2]
            if not 0 <= slot < self.fields:
                return False
            if counted and not self._binary_field(fields[entry], fields[entry + 1], body, end):
                return False
            width += self._digits(slot)
        around = body + framings[framing + link.F_CHECK_SIZE] + 1
        return counted or around + width <= framings[framing + link.F_MAX]

    def _binary_field(self, kind, at, body, end):
        if not codec.U8 <= kind <= codec.I16_BIG or at < body:
            return False
        size = 1 if kind <= codec.I8 else 4 if codec.U32_LITTLE <= kind <= codec.I32_LITTLE else 2
        return at + size <= end

    def _digits(self, slot):
        """Characters that the widest value of a slot takes as text, comma included."""
        ranges = self.table("ranges")
        low = ranges[slot * codec.RANGE_WORDS]
        high = ranges[slot * codec.RANGE_WORDS + 1]
        return max(len(str(low)), len(str(high))) + 1

    def _replies(self):
        """Replies are commands of the gantry's direction, and a reply without a place for its reason stays possible."""
        table = self.table("commands")
        for at in (package.P_HELD_REPLY, package.P_REFUSED_REPLY):
            index = self.params[at]
            if not -1 <= index < self.commands:
                return False
            if index >= 0 and table[index * codec.COMMAND_WORDS + codec.C_DIRECTION] != link.BACKWARD:
                return False
        return True

    def _sequence(self):
        states = self.params[package.P_SEQUENCE_STATES]
        sequence = self.table("sequence")
        return (
            len(sequence) == states * self.commands
            and 0 <= self.params[package.P_FIRST_STATE] < states
            and all(-1 <= after < states for after in sequence)
        )

    # ---- rows, limits, latches

    def _rows(self, at, count):
        """Walk a row program: it must end inside the section."""
        if not self.bounds:
            first = self.fields + self.states
            self.bounds = array("i", (len(self.table("rows")), first, self.values, len(self.table("curves"))))
            self.wide = bytearray(self.values)
        if at < 0 or not 0 <= count <= self.values:
            return False
        if rows_hold(self.table("rows"), at, count, self.bounds, self.wide) != 1:
            return False
        return not count or self._is_apart(at, end_of(self.table("rows"), at, count))

    def _is_apart(self, at, end):
        """Whether a run of rows has no word in common with another one: a device writes them anew in their place."""
        for first, behind in self.runs:
            if first < end and at < behind:
                return False
        self.runs.append((at, end))
        return True

    def _limits(self):
        table = self.table("limits")
        return all(self._limit(table, at) for at in range(0, len(table), limits.LIMIT_WORDS))

    def _limit(self, table, at):
        return (
            self._slot(table[at + limits.L_SOURCE])
            and self._slot_or_none(table[at + limits.L_CONDITION])
            and PASS <= table[at + limits.L_VERDICT] <= BLOCK
            and 0 <= table[at + limits.L_REASON] < MOST_REASONS
            and -1 <= table[at + limits.L_BLAMED] < self.fields
            and package.POLICY_BLOCK <= table[at + limits.L_MOMENTARY] <= package.POLICY_REFUSE
            and self._name(table[at + limits.L_NAME])
        )

    def _latches(self):
        table = self.table("latches")
        return all(
            self.fields <= table[at] < self.fields + self.states and self._slot(table[at + 1])
            for at in range(0, len(table), package.LATCH_WORDS)
        )

    def _corrections(self):
        executables = self.table("executables")
        curves = len(self.table("curves"))
        for at in range(0, len(executables), package.EXECUTABLE_WORDS):
            if executables[at + package.E_STEP] < -1:
                return False
            count = executables[at + package.E_SET_COUNT]
            if count > MOST_MEMBERS or not _within(executables[at + package.E_SET_AT], count, curves):
                return False
            for word in (package.E_LEVEL, package.E_USUAL):
                if executables[at + word] != -1 and not self._slot(executables[at + word]):
                    return False
        derived = self.table("derived")
        for at in range(0, len(derived), package.DERIVED_WORDS):
            if not 0 <= derived[at] < self.fields or not self._slot(derived[at + 1]):
                return False
        return True

    def _policies(self):
        return all(package.POLICY_BLOCK <= word <= package.POLICY_REFUSE for word in self.table("policy"))

    # ---- networks

    def _networks(self):
        nets = self.table("nets")
        return all(self._network(nets, index * network.NET_WORDS) for index in range(self.params[package.P_NETS]))

    def _network(self, nets, net):
        size = len(nets)
        inputs = nets[net + network.N_INPUTS]
        outputs = nets[net + network.N_OUTPUTS]
        groups = nets[net + network.N_GROUPS]
        classifies = nets[net + network.N_SCORE] == network.CLASSIFIER
        if not classifies and nets[net + network.N_SCORE] != network.RECONSTRUCTION:
            return False
        if not 1 <= inputs <= self.params[package.P_WIDEST] or not 0 <= outputs <= MOST_OUTPUTS:
            return False
        if not _within(nets[net + network.N_INPUT_AT], inputs, size) or not 1 <= groups <= MOST_GROUPS:
            return False
        first = nets[net + network.N_INPUT_AT]
        return (
            all(self._activation(slot) for slot in nets[first : first + inputs])
            and self._layers(nets, net, inputs, 1 if classifies else outputs)
            and self._outputs(nets, nets[net + network.N_OUTPUT_AT], outputs)
            and _within(nets[net + network.N_THRESHOLD_AT], 2 * groups, size)
            and self._slot_or_none(nets[net + network.N_GROUP_SLOT])
            and 0 <= nets[net + network.N_REASON] < MOST_REASONS
            and self._name(nets[net + network.N_NAME])
        )

    def _activation(self, slot):
        """Whether a slot can hold nothing but 0..127: compiled networks rely on it."""
        return self.fields + self.states <= slot < self.values and not self.wide[slot]

    def _layers(self, nets, net, width, outputs):
        count = nets[net + network.N_LAYERS]
        at = nets[net + network.N_LAYER_AT]
        if not 1 <= count <= MOST_VALUES or not _within(at, count * network.LAYER_WORDS, len(nets)):
            return False
        for _ in range(count):
            if nets[at + network.Y_IN] != width or not self._layer(nets, at):
                return False
            width = nets[at + network.Y_OUT]
            at += network.LAYER_WORDS
        return width >= 1 and width == outputs

    def _layer(self, nets, at):
        before = nets[at + network.Y_IN]
        after = nets[at + network.Y_OUT]
        widest = self.params[package.P_WIDEST]
        return (
            1 <= before <= widest
            and 1 <= after <= widest
            and _within(nets[at + network.Y_WEIGHT_AT], before * after, self.weights)
            and _within(nets[at + network.Y_BIAS_AT], after, len(nets))
            and 0 <= nets[at + network.Y_SHIFT] <= MOST_SHIFT
            and nets[at + network.Y_LOWEST] <= nets[at + network.Y_HIGHEST]
        )

    def _outputs(self, nets, first, count):
        if not _within(first, count * network.OUTPUT_WORDS, len(nets)):
            return False
        for at in range(first, first + count * network.OUTPUT_WORDS, network.OUTPUT_WORDS):
            if not self._slot(nets[at + network.O_TARGET]) or not -1 <= nets[at + network.O_FIELD] < self.fields:
                return False
            if not 0 <= nets[at + network.O_SHIFT] <= MOST_SHIFT or not 0 <= nets[at + network.O_VALUE] < count:
                return False
        return True
