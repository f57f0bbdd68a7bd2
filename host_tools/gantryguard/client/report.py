"""Puts the guard's numbers into words: status and events as a technologist or an engineer reads them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from gantryguard.profiles.names import Names, read_names
from gantryguard.reasons import TEXTS, VERDICTS, reason_name
from gantryguard.signing.trusting import age_note
from interposer.core.reasons import NONE
from interposer.service import events

STATES = ("PASSING", "HOLDING", "BLOCKING", "FAULT")
MODES = ("monitor", "enforce")
UPDATE_STEPS = {events.REFUSED: "refused", events.INSTALLED: "installed", events.CONFIRMED: "confirmed"}


class Labels:
    """Names, units and scales of a package's numbers, from the names section that the device keeps."""

    def __init__(self, section: str) -> None:
        self._names: Names | None = read_names(section.encode()) if section else None
        self._by_slot = {q.slot: q for q in self._names.quantities.values()} if self._names else {}

    def command(self, index: int) -> str:
        """Name of a command."""
        if index < 0:
            return "unknown command"
        commands = self._names.commands if self._names else ()
        return commands[index] if index < len(commands) else f"command {index}"

    def limit(self, line: int) -> str:
        """Name of a limit and its plain words, by its line in the names section."""
        if self._names is None or not 0 <= line < len(self._names.lines):
            return f"limit {line}"
        cells = self._names.lines[line]
        return f"{cells[1]}: {cells[2]}" if len(cells) == 3 else f"limit {line}"

    def value(self, slot: int, raw: int) -> str:
        """A field's value with its name and unit."""
        quantity = self._by_slot.get(slot)
        if quantity is None:
            return f"slot {slot} = {raw}"
        code = next((name for name, code in quantity.codes.items() if code == raw), None)
        return f"{quantity.name} {code or format(quantity.from_raw(raw), 'g')} {quantity.unit}".rstrip()


def reason_text(code: int) -> str:
    """Name and plain words of a reason."""
    return f"{reason_name(code)} ({TEXTS[code][1]})" if code in TEXTS else reason_name(code)


def _called(names: Sequence[str], code: int) -> str:
    """The name of a number, or the number where a damaged record or a newer guard has one without."""
    return names[code] if 0 <= code < len(names) else str(code)


def describe_event(event: dict[str, Any], labels: Labels) -> str:
    """One event as one line."""
    at = f"{event['at_ms'] / 1000:10.3f} s  "
    kind = event["kind"]
    reason = reason_text(event["reason"])
    if kind == "boot":
        return at + ("started" if event["reason"] == NONE else f"started after {reason}")
    if kind == "lost":
        return at + f"{event['extra']} records were lost before this one"
    if kind == "update":
        step = UPDATE_STEPS.get(event["extra"], f"step {event['extra']}")
        return at + f"update  {step}: " + (f"counter {event['value']}" if event["reason"] == NONE else reason)
    if kind == "state":
        return at + f"state   {_called(STATES, event['extra'])}: {reason}"
    if kind == "bad_frame":
        return at + f"dropped {event['extra']} x {reason}"
    if kind == "proposal":
        command = labels.command(event["command"])
        return at + f"propose {command} with {labels.value(event['blamed'], event['value'])}"
    return at + _describe_verdict(event, labels)


def _describe_verdict(event: dict[str, Any], labels: Labels) -> str:
    line = f"{_called(VERDICTS, event['verdict']):7} {labels.command(event['command'])}: {reason_text(event['reason'])}"
    if event["blamed"] >= 0:
        line += f"; blamed: {labels.value(event['blamed'], event['value'])}"
    if event["threshold"] >= 0:
        return line + f"; score {event['extra']}, held above {event['threshold']}"
    if event["extra"] >= 0:
        line += f"; limit {labels.limit(event['extra'])}"
    return line


def describe_status(status: dict[str, Any], labels: Labels, today: datetime.date) -> list[str]:
    """The whole status, a line each; `today` gives the age of the package."""
    lines = [
        f"state         {STATES[status['state']]}",
        f"reason        {reason_text(status['reason'])}",
        f"last reset    {reason_text(status['last_reset'])} {status['crash']}".rstrip(),
        f"firmware      {status['firmware']} on MicroPython {status['micropython']}",
        f"up            {status['uptime_ms'] / 1000:.1f} s",
    ]
    if status["refusal"] != NONE:
        lines.append(f"last refusal  {reason_text(status['refusal'])}")
    if status["on_trial"]:
        lines.append("on trial      the package waits to be confirmed")
    if "package" not in status:
        return lines
    age = age_note(status["package_issued"], today)
    digest = status["package_digest"][:16]
    passed, held, blocked = status["verdicts"]
    lines += [
        f"package       {status['package']} counter {status['package_counter']} {digest} {age}".rstrip(),
        f"mode          {MODES[status['mode']]}",
        f"relay         {'closed' if status['relay_closed'] else 'open'}"
        + ("" if status["relay_agrees"] else ", CONTACT DISAGREES"),
        f"verdicts      {passed} passed, {held} held ({status['released']} released), {blocked} blocked",
    ]
    for code, count in {**status["bad_frames"], **status["reasons"]}.items():
        lines.append(f"  {count:6} x {reason_text(int(code))}")
    if status["proposal"]:
        slot, raw = status["proposal"]
        lines.append(f"proposal      {labels.value(slot, raw)}")
    return lines
