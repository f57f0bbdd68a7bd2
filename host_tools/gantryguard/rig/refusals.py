"""A gantry's own reasons to refuse. The link leaves it the codes from 128 on: no guard's refusal can be mistaken for one."""

from __future__ import annotations

from gantryguard.reasons import reason_name

UNREADABLE, IMPOSSIBLE_NOW, OLD_NUMBER, BEYOND = range(128, 132)
REFUSALS = {
    UNREADABLE: "GANTRY_UNREADABLE",
    IMPOSSIBLE_NOW: "GANTRY_IMPOSSIBLE_NOW",
    OLD_NUMBER: "GANTRY_OLD_NUMBER",
    BEYOND: "GANTRY_BEYOND",
}


def name_of_reason(code: int) -> str:
    """The name of a reason in a reply, of the guard's or of the gantry's own."""
    return REFUSALS.get(code) or str(reason_name(code))
