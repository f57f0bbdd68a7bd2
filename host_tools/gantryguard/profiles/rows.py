"""`quantities.toml` and `features.toml`: rows of derived quantities, compiled into core's row table.

One `[[row]]` has a name and exactly one of these forms (bounds and numbers in the physical unit of the source; a
logarithm's bounds in the linear unit; codes of an enumerated field by name):

    log2 = "x"                                     log2 of x; x below one raw step counts as one
    exp2 = "log_x"                                 2 to that power
    sum = { x = 2.0, y = -1 }, add = 3             affine; of logarithms alone, or with `log = true`, a logarithm again
    equal = "x", to = 5          at_least = "x", bound = 5        in_set = "x", set = [5, 7]          flags, 0 or 1
    all = ["flag", "flag"]       any = ["flag", "flag"]           not = "flag"
    curve = "x", knots = [[x, y], ...]             linear between knots, flat outside (or `knots_x`, `knots_y`);
                                                   `log = true`: stored as log2 of y
    steps = "x", knots = [[x, y], ...]             the y of the last knot not above x
    lookup = "field", table = { code = y, ... }    by code; `default` for codes that are not listed
    select = "x", where = "flag", else = 0         x, or a number
    choose = "x", where = "flag", otherwise = "y"  x or y
    absolute = "x"               largest = ["x", "y"]

Common keys: `clamp = [lowest, highest]`, `scale` (physical size of a raw step), `unit`, `on` (commands that need the row
whatever refers to it), `about`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from gantryguard.profiles.affine import fixed_point
from gantryguard.profiles.curves import Curves
from gantryguard.profiles.link import Link
from gantryguard.profiles.source import Entry
from gantryguard.profiles.vector import (
    ALMOST,
    INT32_HIGH,
    INT32_LOW,
    LOG_SCALE,
    Quantity,
    Vector,
    raw_ceil,
    raw_floor,
)
from interposer.core import quantities as core

MOST_ERROR = 1.0  # raw steps that fixed point may cost a row
MOST_PRODUCT = 1 << 31


@dataclass(frozen=True)
class Row:
    """One compiled row. `terms` are (slot, coefficient); `on` names commands that must evaluate it."""

    quantity: Quantity
    kind: int
    a: int
    b: int
    terms: tuple[tuple[int, int], ...]
    on: tuple[str, ...] = ()

    def words(self) -> list[int]:
        """The row as core reads it."""
        head = [self.kind, self.quantity.slot, self.quantity.low, self.quantity.high, self.a, self.b, len(self.terms)]
        assert len(head) == core.ROW_WORDS
        return head + [word for term in self.terms for word in term]

    def sources(self) -> list[int]:
        """Slots that the row reads and that count."""
        return [slot for slot, _ in self.terms]


class Rows:
    """Compiles rows in order; each may use fields, memory and rows before it."""

    def __init__(self, vector: Vector, curves: Curves, link: Link) -> None:
        self.vector = vector
        self.curves = curves
        self.link = link
        self.rows: dict[int, Row] = {}
        self._forms: Mapping[str, Callable[[Entry, str], Row]] = {
            "log2": self._log2,
            "exp2": self._exp2,
            "sum": self._sum,
            "equal": self._equal,
            "at_least": self._at_least,
            "in_set": self._in_set,
            "all": self._all,
            "any": self._any,
            "not": self._not,
            "curve": self._curve,
            "steps": self._curve,
            "lookup": self._lookup,
            "select": self._select,
            "choose": self._choose,
            "absolute": self._absolute,
            "largest": self._largest,
        }

    def read(self, root: Entry) -> None:
        """Compile every `[[row]]` of a file."""
        for entry in root.items("row"):
            name = entry.text("name")
            forms = [form for form in self._forms if entry.has(form)]
            if len(forms) != 1:
                problem = f"({name}) has {len(forms)} forms ({', '.join(forms) or 'none'})"
                entry.fail("name", problem, f"give exactly one of {', '.join(self._forms)}.")
            row = self._forms[forms[0]](entry, forms[0])
            on = tuple(command.name for command in self.link.forward(entry, "on")) if entry.has("on") else ()
            quantity = replace(self._clamped(entry, row.quantity), unit=entry.text("unit", row.quantity.unit))
            entry.text("about", "")
            entry.done()
            self._keep(replace(row, quantity=quantity, on=on), entry)

    # ---- helpers

    def _keep(self, row: Row, entry: Entry) -> Quantity:
        quantity = self.vector.add(replace(row.quantity, slot=len(self.vector)), entry)
        self.rows[quantity.slot] = replace(row, quantity=quantity)
        return quantity

    def _hidden(self, row: Row, entry: Entry, number: int) -> Quantity:
        """A row that a form needs before its own; its name cannot be referred to."""
        name = f"{entry.text('name')}#{number}"
        return self._keep(replace(row, quantity=replace(row.quantity, name=name)), entry)

    def _source(self, entry: Entry, key: str) -> Quantity:
        return self.vector.find(entry.text(key), entry, key)

    def _sources(self, entry: Entry, key: str) -> list[Quantity]:
        names = entry.words(key)
        if not names:
            entry.fail(key, "is empty", "name at least one quantity.")
        return [self.vector.find(name, entry, key) for name in names]

    def _flag(self, entry: Entry, key: str) -> Quantity:
        quantity = self._source(entry, key)
        self._check_flag(quantity, entry, key)
        return quantity

    def _check_flag(self, quantity: Quantity, entry: Entry, key: str) -> None:
        if quantity.low < 0 or quantity.high > 1:
            entry.fail(key, f"uses {quantity.name!r}, which is not always 0 or 1", "use a flag, or make one with at_least.")

    def _new(self, entry: Entry, low: int, high: int, like: Quantity | None = None) -> Quantity:
        """The row's own quantity: scale and kind of `like`, or a plain number."""
        base = like or Quantity("", 0, "row", "", 1.0, 0, 0)
        return Quantity(entry.text("name"), 0, "row", base.unit, base.scale, low, high, offset=base.offset, is_log=base.is_log)

    def _raw(self, entry: Entry, key: str, value: Any, quantity: Quantity) -> int:
        """A physical number or a code's name as a raw value that must exist exactly."""
        if isinstance(value, str) and value in quantity.codes:
            return quantity.codes[value]
        exact = quantity.exact(entry.as_number(key, value))
        if abs(exact - round(exact)) > ALMOST * max(1.0, abs(exact)):
            entry.fail(key, f"is no raw step of {quantity.name} ({exact:g} steps)", "choose a value that it can hold.")
        return round(exact)

    def _clamped(self, entry: Entry, quantity: Quantity) -> Quantity:
        if not entry.has("clamp"):
            return quantity
        bounds = entry.numbers("clamp")
        if len(bounds) != 2 or bounds[0] > bounds[1]:
            entry.fail("clamp", f"is {bounds}", "write `clamp = [lowest, highest]`.")
        low, high = raw_ceil(quantity.exact(bounds[0])), raw_floor(quantity.exact(bounds[1]))
        if low > high or not INT32_LOW <= low <= high <= INT32_HIGH:
            entry.fail("clamp", "holds no raw step of this row, or leaves 32 bits", "widen it, or choose a finer scale.")
        return replace(quantity, low=min(max(quantity.low, low), high), high=max(min(quantity.high, high), low))

    # ---- logarithms and sums

    def _log2(self, entry: Entry, form: str) -> Row:
        source = self._source(entry, form)
        if source.is_log or source.offset:
            entry.fail(form, f"takes {source.name!r}, which is no plain quantity", "take the log of a field or a linear row.")
        low, high = (_evaluate(core.LOG2, raw, self.curves) for raw in (source.low, source.high))
        quantity = replace(self._new(entry, low, high), scale=LOG_SCALE, offset=math.log2(source.scale), is_log=True)
        return Row(quantity, core.LOG2, 0, 0, ((source.slot, 0),))

    def _exp2(self, entry: Entry, form: str) -> Row:
        source = self._source(entry, form)
        if not source.is_log:
            entry.fail(form, f"takes {source.name!r}, which is no logarithm", "use log2 first.")
        low, high = (_evaluate(core.EXP2, raw, self.curves) for raw in (source.low, source.high))
        quantity = replace(self._new(entry, low, high), scale=2.0**source.offset)
        return Row(quantity, core.EXP2, 0, 0, ((source.slot, 0),))

    def _sum(self, entry: Entry, form: str) -> Row:
        table = entry.child(form)
        sources = [self.vector.find(name, table, name) for name in table.data]
        factors = [table.number(name) for name in table.data]
        model = self._sum_quantity(entry, sources)
        constant = entry.number("add", 0.0) - model.offset
        constant += sum(f * source.offset for f, source in zip(factors, sources, strict=True))
        real = [f * source.scale / model.scale for f, source in zip(factors, sources, strict=True)]
        return self._affine(entry, model, constant / model.scale, real, sources)

    def _sum_quantity(self, entry: Entry, sources: Sequence[Quantity]) -> Quantity:
        """Scale of a sum: stated, or that of logarithms, or the one that all its sources share."""
        blank = self._new(entry, 0, 0)
        if entry.has("scale"):
            scale = entry.number("scale")
            if scale <= 0:
                entry.fail("scale", f"is {scale:g}", "give the physical size of one raw step, above 0.")
            return replace(blank, scale=scale)
        if entry.flag("log"):  # some terms are plain octaves, such as a slope times a length
            return replace(blank, scale=LOG_SCALE, is_log=True)
        if sources and all(source.is_log for source in sources):
            step = entry.number("linear_step", 1.0)
            if step <= 0:
                entry.fail("linear_step", f"is {step:g}", "give the linear size that raw 0 stands for, above 0.")
            return replace(blank, scale=LOG_SCALE, offset=math.log2(step), is_log=True)
        scales = [source.scale for source in sources if not source.is_log]
        if not sources or len(scales) < len(sources) or not all(math.isclose(s, scales[0]) for s in scales):
            entry.fail("scale", "is not clear: the terms have different scales or none", "state `scale`.")
        return replace(blank, scale=scales[0])

    def _affine(
        self, entry: Entry, model: Quantity, constant: float, factors: Sequence[float], sources: Sequence[Quantity]
    ) -> Row:
        """An affine row in raw steps, proven to stay inside 32 bits."""
        found = fixed_point(constant, factors, sources)
        if found is None:
            entry.fail("name", f"({model.name}) can leave 32 bits", "clamp its sources or choose a coarser scale.")
        if found.error > MOST_ERROR:
            problem = f"({model.name}) can be wrong by {found.error:.1f} raw steps in fixed point"
            entry.fail("name", problem, "clamp its sources, or split the sum.")
        slots = [source.slot for source in sources] or [0]
        terms = tuple(zip(slots, found.coefficients or (0,), strict=True))
        quantity = replace(model, low=found.low, high=found.high)
        return Row(quantity, core.AFFINE, found.constant, found.shift, terms)

    # ---- flags

    def _equal(self, entry: Entry, form: str) -> Row:
        source = self._source(entry, form)
        value = self._raw(entry, "to", entry.raw("to"), source)
        return Row(self._new(entry, 0, 1), core.EQUAL, value, 0, ((source.slot, 0),))

    def _at_least(self, entry: Entry, form: str) -> Row:
        source = self._source(entry, form)
        bound = raw_ceil(source.exact(entry.number("bound")))
        if not INT32_LOW <= bound <= INT32_HIGH:
            entry.fail("bound", "leaves 32 bits", f"choose one inside the range of {source.name}.")
        return Row(self._new(entry, 0, 1), core.AT_LEAST, bound, 0, ((source.slot, 0),))

    def _in_set(self, entry: Entry, form: str) -> Row:
        source = self._source(entry, form)
        value = entry.raw("set")
        members = value if isinstance(value, list) else entry.numbers("set")
        words = [self._raw(entry, "set", member, source) for member in members]
        if not words:
            entry.fail("set", "is empty", "name at least one member.")
        return Row(self._new(entry, 0, 1), core.IN_SET, self.curves.add(words), len(words), ((source.slot, 0),))

    def _all(self, entry: Entry, form: str) -> Row:
        flags = self._sources(entry, form)
        for flag in flags:
            self._check_flag(flag, entry, form)
        count = self._affine(entry, self._new(entry, 0, 0), 0.0, [1.0] * len(flags), flags)
        total = self._hidden(count, entry, 1)
        return Row(self._new(entry, 0, 1), core.AT_LEAST, len(flags), 0, ((total.slot, 0),))

    def _any(self, entry: Entry, form: str) -> Row:
        flags = self._sources(entry, form)
        for flag in flags:
            self._check_flag(flag, entry, form)
        return Row(self._new(entry, 0, 1), core.LARGEST, 0, 0, tuple((flag.slot, 0) for flag in flags))

    def _not(self, entry: Entry, form: str) -> Row:
        flag = self._flag(entry, form)
        return Row(self._new(entry, 0, 1), core.AFFINE, 1, 0, ((flag.slot, -1),))

    # ---- curves

    def _curve(self, entry: Entry, form: str) -> Row:
        source = self._source(entry, form)
        model = self._curve_quantity(entry)
        knots = [self._knot(entry, pair, source, model) for pair in self._pairs(entry)]
        if any(right[0] <= left[0] for left, right in pairwise(knots)):
            entry.fail("knots", "do not rise from left to right", "sort them, and let no two share a place.")
        return self._curve_row(entry, source, model, knots, flat=form == "steps")

    def _curve_quantity(self, entry: Entry) -> Quantity:
        blank = self._new(entry, 0, 0)
        if entry.flag("log"):
            return replace(blank, scale=LOG_SCALE, is_log=True)
        return replace(blank, scale=entry.number("scale", 1.0))

    def _pairs(self, entry: Entry) -> list[list[Any]]:
        if entry.has("knots_x"):
            xs, ys = entry.numbers("knots_x"), entry.numbers("knots_y")
            if len(xs) != len(ys) or not xs:
                entry.fail("knots_y", f"has {len(ys)} values for {len(xs)} places", "give one value for each place.")
            return [[x, y] for x, y in zip(xs, ys, strict=True)]
        pairs = entry.raw("knots")
        if not isinstance(pairs, list) or not pairs or any(not isinstance(p, list) or len(p) != 2 for p in pairs):
            entry.fail("knots", "is no list of pairs", "write `knots = [[x, y], [x, y]]`.")
        return list(pairs)

    def _knot(self, entry: Entry, pair: Sequence[Any], source: Quantity, model: Quantity) -> tuple[int, int]:
        x, y = (entry.as_number("knots", value) for value in pair)
        if model.is_log and y <= 0:
            entry.fail("knots", f"holds {y:g}, which has no logarithm", "use values above 0.")
        return round(source.exact(x)), round(model.exact(y))

    def _curve_row(
        self, entry: Entry, source: Quantity, model: Quantity, knots: Sequence[tuple[int, int]], *, flat: bool
    ) -> Row:
        words: list[int] = []
        ends: list[int] = []
        for index, (x, y) in enumerate(knots):
            after = knots[index + 1] if index + 1 < len(knots) else (x, y)
            slope = 0 if flat or after[0] == x else round((after[1] - y) * (1 << core.SLOPE_BITS) / (after[0] - x))
            reach = abs(slope) * max(after[0] - x, 0) + (1 << core.SLOPE_BITS)
            if reach >= MOST_PRODUCT or not INT32_LOW // 2 <= y <= INT32_HIGH // 2:
                entry.fail("name", f"({model.name}) can leave 32 bits", "choose a coarser scale.")
            last = max(after[0] - x - 1, 0) * slope
            ends += [y, y + ((last + (1 << (core.SLOPE_BITS - 1))) >> core.SLOPE_BITS)]
            words += [x, y, slope]
        quantity = replace(model, low=min(ends), high=max(ends))
        return Row(quantity, core.CURVE, self.curves.add(words), len(knots), ((source.slot, 0),))

    def _lookup(self, entry: Entry, form: str) -> Row:
        source = self._source(entry, form)
        model = self._curve_quantity(entry)
        table = entry.child("table")
        if not source.codes:
            entry.fail(form, f"takes {source.name!r}, which has no codes", "use a curve or steps.")
        unknown = [name for name in table.data if name not in source.codes]
        if unknown:
            table.fail(unknown[0], f"is no code of {source.name}", f"use one of {', '.join(source.codes)}.")
        knots: list[tuple[int, int]] = []
        for name, code in sorted(source.codes.items(), key=lambda item: item[1]):
            given = table.number(name) if table.has(name) else self._default(entry, name)
            value = round(model.exact(given))
            if not knots or knots[-1][1] != value:
                knots.append((code, value))
        return self._curve_row(entry, source, model, knots, flat=True)

    def _default(self, entry: Entry, name: str) -> float:
        if not entry.has("default"):
            entry.fail("table", f"says nothing about {name}", "add it, or state a `default`.")
        return entry.number("default")

    # ---- choices

    def _select(self, entry: Entry, form: str) -> Row:
        source = self._source(entry, form)
        flag = self._flag(entry, "where")
        other = round(source.exact(entry.number("else")))
        quantity = self._new(entry, min(source.low, other), max(source.high, other), source)
        return Row(quantity, core.SELECT, other, 0, ((source.slot, 0), (flag.slot, 0)))

    def _choose(self, entry: Entry, form: str) -> Row:
        one, other = self._source(entry, form), self._source(entry, "otherwise")
        flag = self._flag(entry, "where")
        if not one.same_scale(other) or one.is_log != other.is_log:
            entry.fail("otherwise", f"has another scale than {one.name}", "bring both to one scale first.")
        blank = replace(self._new(entry, 0, 0), scale=one.scale)
        difference = self._hidden(self._affine(entry, blank, 0.0, [1.0, -1.0], [one, other]), entry, 1)
        ends = (min(difference.low, 0), max(difference.high, 0))
        chosen = Row(replace(blank, low=ends[0], high=ends[1]), core.SELECT, 0, 0, ((difference.slot, 0), (flag.slot, 0)))
        part = self._hidden(chosen, entry, 2)
        row = self._affine(entry, self._new(entry, 0, 0, one), 0.0, [1.0, 1.0], [other, part])
        return replace(row, quantity=replace(row.quantity, low=min(one.low, other.low), high=max(one.high, other.high)))

    def _absolute(self, entry: Entry, form: str) -> Row:
        source = self._source(entry, form)
        if source.offset or source.low == INT32_LOW:
            entry.fail(form, f"takes {source.name!r}, whose zero is shifted", "take it of a difference.")
        low = 0 if source.low <= 0 <= source.high else min(abs(source.low), abs(source.high))
        return Row(self._new(entry, low, source.largest, source), core.ABSOLUTE, 0, 0, ((source.slot, 0),))

    def _largest(self, entry: Entry, form: str) -> Row:
        sources = self._sources(entry, form)
        first = sources[0]
        if any(not first.same_scale(source) for source in sources):
            entry.fail(form, "mixes scales", "bring all to one scale first.")
        low, high = max(source.low for source in sources), max(source.high for source in sources)
        return Row(self._new(entry, low, high, first), core.LARGEST, 0, 0, tuple((s.slot, 0) for s in sources))


def _evaluate(kind: int, raw: int, curves: Curves) -> int:
    """Core's own result for one source value (log2 and its inverse never fall, so ends bound an interval)."""
    cell = array("i", (raw, 0))
    row = array("i", (kind, 1, INT32_LOW, INT32_HIGH, 0, 0, 1, 0, 0))
    core.evaluate(cell, row, 0, 1, curves.array())
    return cell[1]
