"""Networks of a profile source as text: what they read, what their outputs should say, whom these blame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SOUND = "n_sound"  # the row that an accusing output should equal where nothing is wrong


class Declared(NamedTuple):
    """A network: its inputs, the rows that it should say, the group of its thresholds, its reason.

    `accuses`: after these targets come as many outputs again, each accusing the field of one of them; 0 is "sound".
    """

    name: str
    about: str
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    group: str
    groups: int
    reason: str
    accuses: bool = False


def render(network: Declared, fields: Mapping[str, str | None]) -> str:
    """The `[[network]]` entry with its targets; `fields` says which field a row's error blames."""
    listed = "\n".join(f'    "{source}",' for source in network.inputs)
    head = [
        "[[network]]",
        f'name = "{network.name}"',
        f'about = "{network.about}"',
        'score = "reconstruction"',
        f'reason = "{network.reason}"',
        'on = ["scan_parameters"]',
        f'group = "{network.group}"',
        f"groups = {network.groups}",
        f"inputs = [\n{listed}\n]",
    ]
    return "\n\n".join(["\n".join(head), *_targets(network, fields)])


def _targets(network: Declared, fields: Mapping[str, str | None]) -> list[str]:
    told = [_target(name, fields[name]) for name in network.targets]
    return [*told, *(_target(SOUND, fields[name], name) for name in network.targets if network.accuses)]


def _target(row: str, field: str | None, value: str = "") -> str:
    """A target; `value` names the one whose output says what the field should be, if it is another."""
    lines = ["[[network.target]]", f'row = "{row}"']
    lines += [f'field = "{field}"'] if field else []
    lines += [f'value = "{value}"'] if value else []
    return "\n".join(lines)
