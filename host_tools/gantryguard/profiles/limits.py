"""`limits.toml`: bounds on fields and rows under a condition, compiled into core's limit table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gantryguard.profiles.link import Command, Link
from gantryguard.profiles.source import Entry
from gantryguard.profiles.vector import SMALL_HIGH, SMALL_LOW, Quantity, Vector, raw_ceil, raw_floor
from gantryguard.reasons import TEXTS
from interposer.core import limits as core
from interposer.core import package, reasons

POLICIES: Mapping[str, int] = {
    "block": package.POLICY_BLOCK,
    "momentary": package.POLICY_MOMENTARY,
    "refuse": package.POLICY_REFUSE,
}
VERDICTS: Mapping[str, int] = {"hold": reasons.HOLD, "block": reasons.BLOCK}
REASONS: Mapping[str, int] = {name: code for code, (name, _) in TEXTS.items()}
GAIN_UNIT = 256
MOST_GAIN = 16


@dataclass(frozen=True)
class Limit:
    """One bound. `low`..`high` are raw values of `source`; `gain` is in 1/256; `when` and `blamed` may be missing."""

    name: str
    source: Quantity
    low: int
    high: int
    when: Quantity | None
    verdict: int
    reason: int
    blamed: Quantity | None
    gain: int
    policy: int
    commands: tuple[Command, ...]
    why: str

    def words(self, name: int) -> list[int]:
        """The limit as core reads it; `name` is its line in the names section."""
        words = [0] * core.LIMIT_WORDS
        words[core.L_SOURCE] = self.source.slot
        words[core.L_LOWEST], words[core.L_HIGHEST] = self.low, self.high
        words[core.L_CONDITION] = self.when.slot if self.when else -1
        words[core.L_VERDICT], words[core.L_REASON] = self.verdict, self.reason
        words[core.L_BLAMED] = self.blamed.slot if self.blamed else -1
        words[core.L_GAIN], words[core.L_MOMENTARY] = self.gain, self.policy
        words[core.L_NAME] = name
        return words

    def sources(self) -> list[int]:
        """Slots that the limit reads."""
        return [self.source.slot] + ([self.when.slot] if self.when else [])


def read_limits(root: Entry, vector: Vector, link: Link) -> list[Limit]:
    """Compile every `[[limit]]`, in order."""
    found: dict[str, Limit] = {}
    for entry in root.items("limit"):
        limit = _limit(entry, vector, link)
        if limit.name in found:
            entry.fail("name", f"{limit.name!r} is used twice", "rename one of the limits.")
        found[limit.name] = limit
    root.done()
    return list(found.values())


def _limit(entry: Entry, vector: Vector, link: Link) -> Limit:
    name = entry.text("name")
    source = vector.find(entry.text("of"), entry, "of")
    low, high = _bounds(entry, source)
    when = vector.find(entry.text("when"), entry, "when") if entry.has("when") else None
    blamed = vector.find(entry.text("blamed"), entry, "blamed") if entry.has("blamed") else None
    if blamed is not None and blamed.kind != "field":
        entry.fail("blamed", f"names {blamed.name!r}, which is no field", "name the field to correct.")
    limit = Limit(
        name,
        source,
        low,
        high,
        when,
        VERDICTS[entry.choice("verdict", tuple(VERDICTS), "block")],
        REASONS[entry.choice("reason", tuple(REASONS))],
        blamed,
        _gain(entry, source, blamed),
        POLICIES[entry.choice("policy", tuple(POLICIES), "block")],
        tuple(link.forward(entry, "on")),
        entry.text("why"),
    )
    if not limit.commands:
        entry.fail("on", "is empty", "name the commands that the limit judges.")
    entry.done()
    return limit


def _bounds(entry: Entry, source: Quantity) -> tuple[int, int]:
    """Raw bounds: no looser than the physical ones; a logarithm's are given in the linear unit."""
    if not entry.has("min") and not entry.has("max"):
        entry.fail("name", "has neither `min` nor `max`", "state at least one bound.")
    low, high = SMALL_LOW, SMALL_HIGH
    for key in ("min", "max"):
        if entry.has(key) and source.is_log and entry.number(key) <= 0:
            entry.fail(key, "is not above 0, but bounds a logarithm", "give the bound in the linear unit.")
    if entry.has("min"):
        low = raw_ceil(source.exact(entry.number("min")))
    if entry.has("max"):
        high = raw_floor(source.exact(entry.number("max")))
    if not SMALL_LOW <= low <= high <= SMALL_HIGH:
        entry.fail("min", f"and max leave no raw value ({low}..{high}) or leave 31 bits", "mend the bounds.")
    if low <= source.low and high >= source.high:
        problem = f"can never be broken: {source.name} stays in {source.low}..{source.high} raw steps anyway"
        entry.fail("name", problem, "tighten the bound, or remove the limit.")
    return low, high


def _gain(entry: Entry, source: Quantity, blamed: Quantity | None) -> int:
    """log2 of the blamed field per log2 of the source; only a logarithm can have one."""
    gain = entry.number("gain", 0.0)
    if gain and (blamed is None or not source.is_log):
        entry.fail("gain", "needs a `blamed` field and a logarithm as source", "bound a log row, or remove the gain.")
    if abs(gain) > MOST_GAIN:
        entry.fail("gain", f"is {gain:g}", f"choose one within +-{MOST_GAIN}.")
    return round(gain * GAIN_UNIT)


def read_policy(entry: Entry) -> list[int]:
    """The policy table by reason code, from `[policy]` of `profile.toml`; reasons that are not named block."""
    words = [package.POLICY_BLOCK] * (max(TEXTS) + 1)
    for name in entry.data:
        if name not in REASONS:
            entry.fail(name, "is no reason", "use a name that `gantryguard device reasons` lists.")
        words[REASONS[name]] = POLICIES[entry.choice(name, tuple(POLICIES))]
    entry.done()
    return words
