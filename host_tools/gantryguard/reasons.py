"""Names of verdicts, and name and text of every reason code: the device reports numbers alone."""

from __future__ import annotations

from collections.abc import Mapping

from interposer.core import reasons as codes

VERDICTS = ("PASS", "HOLD", "BLOCK")

TEXTS: Mapping[int, tuple[str, str]] = {
    codes.NONE: ("NONE", "nothing to report"),
    codes.BAD_LENGTH: ("BAD_LENGTH", "the frame states a length that the link does not have"),
    codes.BAD_CHECK: ("BAD_CHECK", "the frame's check does not fit its bytes"),
    codes.INCOMPLETE: ("INCOMPLETE", "the frame stopped before its end"),
    codes.UNKNOWN_COMMAND: ("UNKNOWN_COMMAND", "no such command on this link"),
    codes.WRONG_LENGTH: ("WRONG_LENGTH", "too few or too many bytes for this command"),
    codes.BAD_FIELD: ("BAD_FIELD", "a field holds a value that it cannot have"),
    codes.OVERRUN: ("OVERRUN", "bytes came faster than they could be received, some are lost"),
    codes.STRAY_BYTES: ("STRAY_BYTES", "bytes outside any frame"),
    codes.OUT_OF_SEQUENCE: ("OUT_OF_SEQUENCE", "this command may not come at this point of an exam"),
    codes.STALE: ("STALE", "the command repeats an earlier one or skips too far ahead (replay)"),
    codes.RATE: ("RATE", "more commands in a short time than any console sends (flood)"),
    codes.TOO_MANY_RETRIES: ("TOO_MANY_RETRIES", "the same frame was sent again too often"),
    codes.ENVELOPE: ("ENVELOPE", "beyond what the scanner can do"),
    codes.IMPOSSIBLE: ("IMPOSSIBLE", "parameters that exclude each other"),
    codes.MISMATCH: ("MISMATCH", "a stated value differs from what the command itself computes to"),
    codes.NOTIFICATION: ("NOTIFICATION", "above the notification value of this kind of exam"),
    codes.ALERT: ("ALERT", "the exam's accumulated value would pass the alert value"),
    codes.REPEATED: ("REPEATED", "the same range again without a clinical ground for it"),
    codes.RANGE: ("RANGE", "outside the range that this exam may use"),
    codes.ABNORMAL: ("ABNORMAL", "no normal command looks like this"),
    codes.ABNORMAL_FOR_CONTEXT: ("ABNORMAL_FOR_CONTEXT", "not normal for this objective and this patient"),
    codes.HOLD_PENDING: ("HOLD_PENDING", "another command is held and waits for the technologist"),
    codes.HOLD_TIMEOUT: ("HOLD_TIMEOUT", "nobody decided about the held command in time"),
    codes.CANCELLED: ("CANCELLED", "the technologist cancelled the held command"),
    codes.STOPPED: ("STOPPED", "a stop command ended the hold"),
    codes.OVERRIDDEN: ("OVERRIDDEN", "the technologist let the held command through"),
    codes.BLOCKED: ("BLOCKED", "the link is blocked until somebody acknowledges at the device"),
    codes.ACKNOWLEDGED: ("ACKNOWLEDGED", "a block was acknowledged at the device"),
    codes.NO_PACKAGE: ("NO_PACKAGE", "no profile package on the device"),
    codes.PACKAGE_CORRUPT: ("PACKAGE_CORRUPT", "the profile package is damaged"),
    codes.PACKAGE_FOREIGN: ("PACKAGE_FOREIGN", "the profile package is of another format than this firmware's"),
    codes.PACKAGE_UNUSABLE: ("PACKAGE_UNUSABLE", "the profile package's tables contradict each other"),
    codes.RELAY_FAULT: ("RELAY_FAULT", "the relay's contact does not follow its coil"),
    codes.CRASH: ("CRASH", "the guard's own program failed"),
    codes.WATCHDOG: ("WATCHDOG", "the guard's own program hung"),
    codes.PACKAGE_UNSIGNED: ("PACKAGE_UNSIGNED", "the profile package carries no signature"),
    codes.PACKAGE_WRONG_KEY: ("PACKAGE_WRONG_KEY", "the profile package is signed by a key that this guard does not trust"),
    codes.PACKAGE_FORGED: ("PACKAGE_FORGED", "a signature of the profile package does not fit its content"),
    codes.PACKAGE_DUPLICATE_KEY: ("PACKAGE_DUPLICATE_KEY", "the profile package is signed twice by the same key"),
    codes.PACKAGE_TOO_FEW: ("PACKAGE_TOO_FEW", "the profile package has fewer signatures than this guard asks for"),
    codes.PACKAGE_BOARD: ("PACKAGE_BOARD", "the profile package is for another board"),
    codes.PACKAGE_WIRE: ("PACKAGE_WIRE", "the profile package is for another link"),
    codes.PACKAGE_SCHEMA: ("PACKAGE_SCHEMA", "the profile package's networks belong to other features"),
    codes.PACKAGE_OLD: ("PACKAGE_OLD", "the profile package is not newer than the installed one"),
    codes.PACKAGE_TOO_LONG: ("PACKAGE_TOO_LONG", "the profile package is larger than a slot"),
    codes.PACKAGE_UNPROVEN: ("PACKAGE_UNPROVEN", "the profile package's golden frames were judged otherwise on this device"),
    codes.ROOT_UNUSABLE: ("ROOT_UNUSABLE", "the root record is missing or damaged"),
    codes.ROOT_UNTRUSTED: ("ROOT_UNTRUSTED", "the new root record is not signed by enough old and new root keys"),
    codes.ROOT_OLD: ("ROOT_OLD", "the new root record is not newer than the installed one"),
    codes.UPDATING: ("UPDATING", "an update is under way: stop alone passes"),
    codes.ON_TRIAL: ("ON_TRIAL", "a new package waits to be confirmed: stop alone passes"),
    codes.UPDATE_UNCONFIRMED: ("UPDATE_UNCONFIRMED", "the new package was not confirmed in time, the one before is back"),
    codes.UPDATE_BUSY: ("UPDATE_BUSY", "a command is held, or a package is on trial: no update now"),
    codes.UPDATE_ORDER: ("UPDATE_ORDER", "this step of an update may not come now"),
    codes.UPDATE_SILENT: ("UPDATE_SILENT", "the host fell silent in the middle of an update"),
    codes.UPDATE_TOO_MUCH: ("UPDATE_TOO_MUCH", "more bytes came than the update had announced"),
    codes.UPDATE_GARBLED: ("UPDATE_GARBLED", "bytes of the update were changed on their way"),
    codes.UPDATE_ABORTED: ("UPDATE_ABORTED", "the host gave the update up"),
    codes.SERVICE: ("SERVICE", "the service strap was in place when power came: no guard ran"),
}


def reason_name(code: int) -> str:
    """The name of a reason code, or its number where this version does not know it."""
    return TEXTS[code][0] if code in TEXTS else f"REASON_{code}"
