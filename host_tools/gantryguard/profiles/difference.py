"""What a new package changes, in words: version, mode, link, times, ranges, limits, thresholds, networks."""

from __future__ import annotations

from collections.abc import Iterator

from gantryguard.profiles.dates import date_of
from gantryguard.profiles.package import MODES, TIMINGS
from gantryguard.profiles.profile import Profile
from gantryguard.reasons import VERDICTS, reason_name
from interposer.core import codec, limits, network
from interposer.core.package import P_BAUD

SAME = "nothing but the bytes: every table says the same"


def differences(old: Profile, new: Profile) -> list[str]:
    """One line for each thing that differs, old -> new; `SAME` where nothing does."""
    lines = [line for part in (_heads, _link, _times, _ranges, _limits, _thresholds, _weights) for line in part(old, new)]
    return lines or [SAME]


def _changed(what: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{what}: {old} -> {new}"


def _heads(old: Profile, new: Profile) -> Iterator[str]:
    modes = {code: name for name, code in MODES.items()}
    before, after = old.package, new.package
    yield from _changed("name", before.name, after.name)
    yield from _changed("counter", before.counter, after.counter)
    yield from _changed("mode", modes[before.mode], modes[after.mode])
    yield from _changed("issued", date_of(before.issued) or "not stated", date_of(after.issued) or "not stated")
    yield from _changed("expires", date_of(before.expires) or "never", date_of(after.expires) or "never")


def _link(old: Profile, new: Profile) -> Iterator[str]:
    yield from _changed("wire format", old.package.wire.hex(), new.package.wire.hex())
    yield from _changed("commands", ", ".join(old.command_names), ", ".join(new.command_names))
    yield from _changed("features", old.package.schema.hex(), new.package.schema.hex())


def _times(old: Profile, new: Profile) -> Iterator[str]:
    before, after = old.package.table("params"), new.package.table("params")
    yield from _changed("baud", before[P_BAUD], after[P_BAUD])
    for name, (word, _low, _high) in TIMINGS.items():
        yield from _changed(name, before[word], after[word])


def _ranges(old: Profile, new: Profile) -> Iterator[str]:
    before, after = _range_texts(old), _range_texts(new)
    for name in sorted(before.keys() | after.keys()):
        yield from _changed(f"range of {name}", before.get(name, "none"), after.get(name, "none"))


def _range_texts(profile: Profile) -> dict[str, str]:
    table, texts = profile.package.table("ranges"), {}
    for quantity in profile.quantities.values():
        if quantity.kind == "field":
            low, high = table[quantity.slot * codec.RANGE_WORDS : quantity.slot * codec.RANGE_WORDS + 2]
            texts[quantity.name] = f"{quantity.from_raw(low):g} to {quantity.from_raw(high):g} {quantity.unit}".rstrip()
    return texts


def _limits(old: Profile, new: Profile) -> Iterator[str]:
    before, after = _limit_texts(old), _limit_texts(new)
    for name in sorted(before.keys() | after.keys()):
        yield from _changed(f"limit {name}", before.get(name, "none"), after.get(name, "none"))


def _limit_texts(profile: Profile) -> dict[str, str]:
    """Each limit's bounds and verdict by its name; the same limit of several commands counts once."""
    table, texts = profile.package.table("limits"), {}
    by_slot = {quantity.slot: quantity for quantity in profile.quantities.values()}
    for index in range(len(table) // limits.LIMIT_WORDS):
        words = table[index * limits.LIMIT_WORDS : (index + 1) * limits.LIMIT_WORDS]
        source = by_slot.get(words[limits.L_SOURCE])
        bounds = [words[limits.L_LOWEST], words[limits.L_HIGHEST]]
        shown = [f"{source.from_raw(bound):g}" if source else str(bound) for bound in bounds]
        unit = f" {source.unit}" if source and source.unit else ""
        verdict = f"{VERDICTS[words[limits.L_VERDICT]]} {reason_name(words[limits.L_REASON])}"
        texts[profile.limit_name(index)] = f"{shown[0]} to {shown[1]}{unit}, else {verdict}"
    return texts


def _thresholds(old: Profile, new: Profile) -> Iterator[str]:
    before, after = _threshold_texts(old), _threshold_texts(new)
    for name in sorted(before.keys() | after.keys()):
        yield from _changed(f"thresholds {name}", before.get(name, "none"), after.get(name, "none"))


def _threshold_texts(profile: Profile) -> dict[str, str]:
    words, texts = profile.package.table("nets"), {}
    for index, name in enumerate(profile.network_names):
        net = words[index * network.NET_WORDS : (index + 1) * network.NET_WORDS]
        at = net[network.N_THRESHOLD_AT]
        for group in range(net[network.N_GROUPS]):
            hold, block = words[at + 2 * group : at + 2 * group + 2]
            texts[f"{name}, group {group}"] = f"held above {hold}, blocked above {block}"
    return texts


def _weights(old: Profile, new: Profile) -> Iterator[str]:
    yield from _changed("networks", ", ".join(old.network_names) or "none", ", ".join(new.network_names) or "none")
    if old.package.table("weights") != new.package.table("weights"):
        yield "weights of the networks: trained anew"
