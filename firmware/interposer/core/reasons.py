"""Every cause of a verdict and every state of the guard, as small integers with one name each.

This is the only list: the device reports the numbers, the host prints the names, profiles refer to the names.
"""

from interposer.core.compat import const

PASS = const(0)
HOLD = const(1)
BLOCK = const(2)
VERDICTS = ("PASS", "HOLD", "BLOCK")

# 0: nothing to say. 1-19: the link. 20-39: the exam. 40-59: limits. 60-69: networks. 70-79: the technologist. 80-86: the guard.
# 87-100: packages and root records. 101-109: an update.
NONE = const(0)
BAD_LENGTH = const(1)
BAD_CHECK = const(2)
INCOMPLETE = const(3)
UNKNOWN_COMMAND = const(4)
WRONG_LENGTH = const(5)
BAD_FIELD = const(6)
OVERRUN = const(7)
STRAY_BYTES = const(8)
OUT_OF_SEQUENCE = const(20)
STALE = const(21)
RATE = const(22)
TOO_MANY_RETRIES = const(23)
ENVELOPE = const(40)
IMPOSSIBLE = const(41)
MISMATCH = const(42)
NOTIFICATION = const(43)
ALERT = const(44)
REPEATED = const(45)
RANGE = const(46)
ABNORMAL = const(60)
ABNORMAL_FOR_CONTEXT = const(61)
HOLD_PENDING = const(70)
HOLD_TIMEOUT = const(71)
CANCELLED = const(72)
STOPPED = const(73)
OVERRIDDEN = const(74)
BLOCKED = const(75)
ACKNOWLEDGED = const(76)
NO_PACKAGE = const(80)
PACKAGE_CORRUPT = const(81)
PACKAGE_FOREIGN = const(82)
PACKAGE_UNUSABLE = const(83)
RELAY_FAULT = const(84)
CRASH = const(85)
WATCHDOG = const(86)
PACKAGE_UNSIGNED = const(87)
PACKAGE_WRONG_KEY = const(88)
PACKAGE_FORGED = const(89)
PACKAGE_DUPLICATE_KEY = const(90)
PACKAGE_TOO_FEW = const(91)
PACKAGE_BOARD = const(92)
PACKAGE_WIRE = const(93)
PACKAGE_SCHEMA = const(94)
PACKAGE_OLD = const(95)
PACKAGE_TOO_LONG = const(96)
PACKAGE_UNPROVEN = const(97)
ROOT_UNUSABLE = const(98)
ROOT_UNTRUSTED = const(99)
ROOT_OLD = const(100)
UPDATING = const(101)
ON_TRIAL = const(102)
UPDATE_UNCONFIRMED = const(103)
UPDATE_BUSY = const(104)
UPDATE_ORDER = const(105)
UPDATE_SILENT = const(106)
UPDATE_TOO_MUCH = const(107)
UPDATE_GARBLED = const(108)
UPDATE_ABORTED = const(109)

TEXTS = {
    NONE: ("NONE", "nothing to report"),
    BAD_LENGTH: ("BAD_LENGTH", "the frame states a length that the link does not have"),
    BAD_CHECK: ("BAD_CHECK", "the frame's check does not fit its bytes"),
    INCOMPLETE: ("INCOMPLETE", "the frame stopped before its end"),
    UNKNOWN_COMMAND: ("UNKNOWN_COMMAND", "no such command on this link"),
    WRONG_LENGTH: ("WRONG_LENGTH", "too few or too many bytes for this command"),
    BAD_FIELD: ("BAD_FIELD", "a field holds a value that it cannot have"),
    OVERRUN: ("OVERRUN", "bytes came faster than they could be received, some are lost"),
    STRAY_BYTES: ("STRAY_BYTES", "bytes outside any frame"),
    OUT_OF_SEQUENCE: ("OUT_OF_SEQUENCE", "this command may not come at this point of an exam"),
    STALE: ("STALE", "the command repeats an earlier one or skips too far ahead (replay)"),
    RATE: ("RATE", "more commands in a short time than any console sends (flood)"),
    TOO_MANY_RETRIES: ("TOO_MANY_RETRIES", "the same frame was sent again too often"),
    ENVELOPE: ("ENVELOPE", "beyond what the scanner can do"),
    IMPOSSIBLE: ("IMPOSSIBLE", "parameters that exclude each other"),
    MISMATCH: ("MISMATCH", "a stated value differs from what the command itself computes to"),
    NOTIFICATION: ("NOTIFICATION", "above the notification value of this kind of exam"),
    ALERT: ("ALERT", "the exam's accumulated value would pass the alert value"),
    REPEATED: ("REPEATED", "the same range again without a clinical ground for it"),
    RANGE: ("RANGE", "outside the range that this exam may use"),
    ABNORMAL: ("ABNORMAL", "no normal command looks like this"),
    ABNORMAL_FOR_CONTEXT: ("ABNORMAL_FOR_CONTEXT", "not normal for this objective and this patient"),
    HOLD_PENDING: ("HOLD_PENDING", "another command is held and waits for the technologist"),
    HOLD_TIMEOUT: ("HOLD_TIMEOUT", "nobody decided about the held command in time"),
    CANCELLED: ("CANCELLED", "the technologist cancelled the held command"),
    STOPPED: ("STOPPED", "a stop command ended the hold"),
    OVERRIDDEN: ("OVERRIDDEN", "the technologist let the held command through"),
    BLOCKED: ("BLOCKED", "the link is blocked until somebody acknowledges at the device"),
    ACKNOWLEDGED: ("ACKNOWLEDGED", "a block was acknowledged at the device"),
    NO_PACKAGE: ("NO_PACKAGE", "no profile package on the device"),
    PACKAGE_CORRUPT: ("PACKAGE_CORRUPT", "the profile package is damaged"),
    PACKAGE_FOREIGN: ("PACKAGE_FOREIGN", "the profile package is of another format than this firmware's"),
    PACKAGE_UNUSABLE: ("PACKAGE_UNUSABLE", "the profile package's tables contradict each other"),
    RELAY_FAULT: ("RELAY_FAULT", "the relay's contact does not follow its coil"),
    CRASH: ("CRASH", "the guard's own program failed"),
    WATCHDOG: ("WATCHDOG", "the guard's own program hung"),
    PACKAGE_UNSIGNED: ("PACKAGE_UNSIGNED", "the profile package carries no signature"),
    PACKAGE_WRONG_KEY: ("PACKAGE_WRONG_KEY", "the profile package is signed by a key that this guard does not trust"),
    PACKAGE_FORGED: ("PACKAGE_FORGED", "a signature of the profile package does not fit its content"),
    PACKAGE_DUPLICATE_KEY: ("PACKAGE_DUPLICATE_KEY", "the profile package is signed twice by the same key"),
    PACKAGE_TOO_FEW: ("PACKAGE_TOO_FEW", "the profile package has fewer signatures than this guard asks for"),
    PACKAGE_BOARD: ("PACKAGE_BOARD", "the profile package is for another board"),
    PACKAGE_WIRE: ("PACKAGE_WIRE", "the profile package is for another link"),
    PACKAGE_SCHEMA: ("PACKAGE_SCHEMA", "the profile package's networks belong to other features"),
    PACKAGE_OLD: ("PACKAGE_OLD", "the profile package is not newer than the installed one"),
    PACKAGE_TOO_LONG: ("PACKAGE_TOO_LONG", "the profile package is larger than a slot"),
    PACKAGE_UNPROVEN: ("PACKAGE_UNPROVEN", "the profile package's golden frames were judged otherwise on this device"),
    ROOT_UNUSABLE: ("ROOT_UNUSABLE", "the root record is missing or damaged"),
    ROOT_UNTRUSTED: ("ROOT_UNTRUSTED", "the new root record is not signed by enough old and new root keys"),
    ROOT_OLD: ("ROOT_OLD", "the new root record is not newer than the installed one"),
    UPDATING: ("UPDATING", "an update is under way: stop alone passes"),
    ON_TRIAL: ("ON_TRIAL", "a new package waits to be confirmed: stop alone passes"),
    UPDATE_UNCONFIRMED: ("UPDATE_UNCONFIRMED", "the new package was not confirmed in time, the one before is back"),
    UPDATE_BUSY: ("UPDATE_BUSY", "a command is held, or a package is on trial: no update now"),
    UPDATE_ORDER: ("UPDATE_ORDER", "this step of an update may not come now"),
    UPDATE_SILENT: ("UPDATE_SILENT", "the host fell silent in the middle of an update"),
    UPDATE_TOO_MUCH: ("UPDATE_TOO_MUCH", "more bytes came than the update had announced"),
    UPDATE_GARBLED: ("UPDATE_GARBLED", "bytes of the update were changed on their way"),
    UPDATE_ABORTED: ("UPDATE_ABORTED", "the host gave the update up"),
}


def reason_name(code):
    """The name of a reason code, or its number where this version does not know it."""
    entry = TEXTS.get(code)
    return entry[0] if entry else "REASON_" + str(code)
