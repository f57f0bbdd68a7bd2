"""Proposes a corrected command: the blamed field set to a value that the scanner can execute and the guard would pass.

Three say what the field should be: what is usual in the context, the broken limit and a network. Where a limit is broken,
the usual value is asked first, then a limit that tells by a gain how its quantity follows from the field, then the network;
where a network refused, it is asked first. A limit may bound the field itself; where it tells nothing, the value that brings
the quantity back to its bound is found by halving. Where another limit on the same field refuses the result, that one is
followed. One evaluation per call of `step`, so that a stop
command never waits for a proposal. Nothing allocates after construction.
"""

from array import array

from interposer.core.codec import RANGE_WORDS
from interposer.core.compat import const
from interposer.core.exam import copy_words
from interposer.core.limits import L_GAIN, L_HIGHEST, L_LOWEST, L_SOURCE, LIMIT_WORDS
from interposer.core.network import O_BIAS, O_GAIN, O_IS_LOG, O_SHIFT
from interposer.core.package import DERIVED_WORDS, E_LEVEL, E_SET_AT, E_SET_COUNT, E_STEP, E_USUAL, EXECUTABLE_WORDS
from interposer.core.quantities import EXP2, LOG2, evaluate
from interposer.core.reasons import PASS

PROBES = const(8)
MOST_FOLLOWED = const(3)
TOP = const(0x3FFFFFFF)


class Suggestion:
    """Searches a correction for one refused command. `slot` and `value` hold it once `found`."""

    def __init__(self, package, judge):
        self.judge = judge
        self.ranges = package.table("ranges")
        self.limits = package.table("limits")
        self.nets = package.table("nets")
        self.curves = package.table("curves")
        self.executables = package.table("executables")
        self.derived = package.table("derived")
        self.size = judge.exam.size
        self.base = array("i", bytes(4 * self.size))
        self.probe = array("i", bytes(4 * self.size))
        self.cell = array("i", bytes(8))
        self.log_row = array("i", (LOG2, 1, 0, TOP, 0, 0, 1, 0, 0))
        self.exp_row = array("i", (EXP2, 1, 0, TOP, 0, 0, 1, 0, 0))
        self.stop()

    def stop(self):
        """Give the search up."""
        self.active = False
        self.found = False
        self.command = self.slot = -1
        self.value = self.wanted = 0
        self.tried = 0
        self.probing = False
        self.refused_by = -1  # the broken limit, until it was asked
        self.network_left = True  # no network was asked yet
        self.usual_left = True  # nor what is usual
        self.followed = 0  # limits that refused what another asked for
        self.limit_at = -1  # of the limit whose bound is still being approached
        self.ends = 0  # ends of the field's range that were looked at
        self.near = self.far = 0  # values on its wrong side and beyond
        self.side = 0  # the wrong one

    def start(self):
        """Begin with the judge's last verdict and trial; false where nothing can be proposed."""
        judge = self.judge
        self.stop()
        slot = judge.blamed
        if slot < 0 or slot * EXECUTABLE_WORDS >= len(self.executables):
            return False
        if self.executables[slot * EXECUTABLE_WORDS + E_STEP] < 0 or (judge.limit < 0 and judge.network < 0):
            return False
        copy_words(judge.exam.trial, self.base, self.size)
        self.command = judge.command
        self.slot = slot
        self.refused_by = judge.limit
        self.active = self._ask()
        return self.active

    def _ask(self):
        """Ask what is usual, the limit or a network for a value; false once all were."""
        self.tried = 0
        at = self.refused_by * LIMIT_WORDS
        if self.usual_left and (at >= 0 or not self.network_left):
            self.usual_left = False
            return self._from_usual() or self._ask()
        if at >= 0 and (self.limits[at + L_GAIN] or not self.network_left):
            self.refused_by = -1
            self.wanted = self._from_limit(at)
            return True
        if self.network_left:
            self.network_left = False
            if self.judge.mended(self.base, self.command, self.slot):
                self.wanted = self._from_network(self.judge.expected)
                return True
            return self._ask()
        return False

    def _follow(self):
        """Where the first value tried is refused by another limit on the same field, go on from there."""
        judge = self.judge
        if self.tried != 1 or self.followed == MOST_FOLLOWED or judge.limit < 0 or judge.blamed != self.slot:
            return
        self.followed += 1
        copy_words(self.probe, self.base, self.size)
        self.tried = 0
        self.wanted = self._from_limit(judge.limit * LIMIT_WORDS)

    def step(self):
        """Half of one probe: what follows from the next value, or what the judge says of it. True once the search ended."""
        if self.limit_at >= 0:
            self._approach()
            return False
        if self.probing:
            self.probing = False
            self.found = self.judge.assess(self.probe, self.command) == PASS
            if not self.found:
                self._follow()
        else:
            self.value = self._candidate(self.tried)
            self.tried += 1
            self.probing = self.value >= 0 - TOP and self.value != self.base[self.slot]
            if self.probing:
                self._prepare()
        self.active = not self.found and (self.probing or self.tried < PROBES or self._ask())
        return not self.active

    def _calculate(self, row, value):
        self.cell[0] = value
        evaluate(self.cell, row, 0, 1, self.curves)
        return self.cell[1]

    def _from_limit(self, at):
        """The field's value that brings the broken quantity back to its bound; the field's own where that is to be found."""
        source = self.limits[at + L_SOURCE]
        now = self.base[source]
        low = self.limits[at + L_LOWEST]
        bound = low if now < low else self.limits[at + L_HIGHEST]
        gain = self.limits[at + L_GAIN]
        if gain:
            log = self._calculate(self.log_row, self.base[self.slot])
            return self._calculate(self.exp_row, log + ((bound - now) * gain >> 8))
        if source == self.slot:
            return bound
        self.limit_at = at
        self.ends = 0
        self.side = -1 if now < low else 1
        self.near = self.base[self.slot]
        return self.near

    def _approach(self):
        """Look at an end of the field's range, or half-way between a value on the wrong side of the bound and one beyond it.

        Neither products nor differences, which could leave what fits without heap.
        """
        if self.ends < 2:
            self.far = self.ranges[self.slot * RANGE_WORDS + self.ends]
            self.ends += 1
            if self._side(self.far) != self.side:
                self.ends = 2
            elif self.ends == 2:  # the quantity does not follow the field: what is near has to do
                self.limit_at = -1
            return
        middle = (self.near >> 1) + (self.far >> 1) + (self.near & self.far & 1)
        if middle == self.near or middle == self.far:  # no tuple: it would be an object
            self.wanted = self.far
            self.limit_at = -1
        elif self._side(middle) == self.side:
            self.near = middle
        else:
            self.far = middle

    def _side(self, value):
        """Where the bounded quantity is with the field at `value`: -1 below its bounds, 0 within, 1 above."""
        self.value = value
        self._prepare()
        now = self.probe[self.limits[self.limit_at + L_SOURCE]]
        return -1 if now < self.limits[self.limit_at + L_LOWEST] else 1 if now > self.limits[self.limit_at + L_HIGHEST] else 0

    def _from_usual(self):
        """The field's usual value, where a row tells."""
        at = self.slot * EXECUTABLE_WORDS
        level = self.executables[at + E_LEVEL]
        if level >= 0:
            log = self._calculate(self.log_row, self.base[self.slot])
            self.wanted = self._calculate(self.exp_row, log - self.base[level])
            return True
        usual = self.executables[at + E_USUAL]
        if usual < 0 or not self.judge.mended(self.base, self.command, self.slot):
            return False
        self.wanted = self._from_network(self.base[usual])
        return True

    def _from_network(self, said):
        """The field's value that a network's output for it says, turned back."""
        at = self.judge.output_at
        nets = self.nets
        value = (said * nets[at + O_GAIN] + nets[at + O_BIAS]) >> nets[at + O_SHIFT]
        return self._calculate(self.exp_row, value) if nets[at + O_IS_LOG] else value

    def _candidate(self, number):
        """The number-th nearest executable value to the wanted one; below the field's range where there is none."""
        at = self.slot * EXECUTABLE_WORDS
        step = self.executables[at + E_STEP]
        low = self.ranges[self.slot * RANGE_WORDS]
        high = self.ranges[self.slot * RANGE_WORDS + 1]
        if not step:
            return self._member(number, self.executables[at + E_SET_AT], self.executables[at + E_SET_COUNT])
        sign = 1 if number & 1 else -1
        nearest = low + (self.wanted - low + step // 2) // step * step
        value = nearest + sign * ((number + 1) // 2) * step
        return value if low <= value <= high else -1 - TOP

    def _member(self, number, at, count):
        """The number-th nearest of a set: the one that `number` others are nearer than (ties: the earlier one)."""
        for i in range(count):
            mine = abs(self.curves[at + i] - self.wanted)
            nearer = 0
            for j in range(count):
                other = abs(self.curves[at + j] - self.wanted)
                if other < mine or (other == mine and j < i):
                    nearer += 1
            if nearer == number:
                return self.curves[at + i]
        return -1 - TOP

    def _prepare(self):
        """Set the field and what follows from it."""
        probe = self.probe
        copy_words(self.base, probe, self.size)
        probe[self.slot] = self.value
        self.judge.derive(probe, self.command)
        at = 0  # no range() with an imported step: it would be an object
        while at < len(self.derived):
            if self.derived[at] != self.slot:
                probe[self.derived[at]] = probe[self.derived[at + 1]]
            at += DERIVED_WORDS
