"""What `carry.py` works on, is told and answers: places in rows of words that bytecode and machine code share."""

from interposer.core.compat import const, pointers

# What carrying works on: places in its list of pointers.
K_FORWARD = const(0)  # ring from the console
K_FORWARD_FRAMES = const(1)  # its deframer
K_BACKWARD = const(2)
K_BACKWARD_FRAMES = const(3)
K_TO_GANTRY = const(4)  # senders
K_TO_CONSOLE = const(5)
K_JUDGE = const(6)
K_NETWORKS = const(7)
K_FOUND = const(8)  # what `follow_reply` found
K_COUNTS = const(9)  # verdicts by kind
K_REASONS = const(10)  # verdicts other than PASS by reason
K_EVENTS = const(11)
K_TALLY = const(12)  # of the events
K_WATCH = const(13)  # per direction, at K_FORWARD and K_BACKWARD: bytes that had come, and when that changed; then:
W_IS_TOLD = const(4)  # 1: the gantry has told its state since a command was passed that may change it
W_TOLD_AT = const(5)  # when it did last
W_STROBE = const(6)  # the bit of the strobe's pin
W_BYTE_US = const(7)
W_REST_US = const(8)  # how long nobody else wants a turn; with BRIEFLY, until somebody does
W_NOW = const(9)  # until when the last turn lasted
W_LOST = const(10)  # lines of which bytes were lost: LOST_FORWARD, LOST_BACKWARD
W_BACK = const(11)  # bytes of the gantry that were carried in the last turn
WATCH_WORDS = const(12)
LOST_FORWARD = const(1)
LOST_BACKWARD = const(2)
K_CLOCK = const(14)  # microseconds
K_STROBE = const(15)  # two registers of pins: to set, to clear
K_REST = const(16)  # row of words for resting
K_WORKS = const(17)  # functions: rows, networks; of a port room, transmit, is_behind, has_lost; resting; of the flash
K_FORWARD_LOSS = const(18)  # what tells that bytes of a line were lost
K_BACKWARD_LOSS = const(19)
K_CHIP = const(20)  # row of words for the flash; behind what `hal/flash_chip.py` needs:
C_ENABLE = const(6)  # addresses of commands: one byte that enables writing,
C_STATUS = const(7)  # two that ask for the status,
C_COMMAND = const(8)  # and what is to be done, of so many bytes:
C_COUNT = const(9)

# What the lines want; numbers above 0: so many bytes are awaited.
REST = const(0)
SOME = const(-1)
SILENT_CONSOLE = const(-2)
SILENT_GANTRY = const(-3)

# What became of the console's bytes.
NOTHING = const(-3)  # no frame is complete
CARRIED = const(-2)  # frames have passed; there may be more
JUDGED = const(-1)  # a frame waits for what the gate says; numbers from 0 on: a network that has to be heard
# What `turn` is to do: look, let the gantry's bytes come back, also where its frame will never be complete, or carry.
LOOK = const(0)
BACK = const(1)
BACK_AT_ONCE = const(2)
STROBE = const(3)
CARRY = const(16)
# To carry, one of these, and IS_BLOCKED while the gate blocks. Which frames are dealt with here: none; those that are refused
# without an answer, where the gate blocks or in the safe mode; those of a verdict PASS; of these only the ones that pass while
# another is held.
NONE_HERE = const(0)
SILENTLY = const(1)
EVERYTHING = const(2)
WHAT_MAY = const(3)
WAY = const(3)
IS_BLOCKED = const(4)
MAY_REST = const(8)  # at a line where nothing comes, for as long as W_REST_US says
BRIEFLY = const(32)  # for so long only: somebody else is at work
BESIDE = const(64)  # the flash, which does what was laid out for it: no interrupt may come, and nothing but RAM is there


def block_of(bridge):
    """The list of pointers, in the order of the places above, into what a bridge keeps."""
    judge = bridge.judge
    return pointers(
        bridge.console.ring,
        bridge.forward.block,
        bridge.gantry.ring,
        bridge.backward.block,
        bridge.gantry.sender,
        bridge.console.sender,
        judge.block,
        judge.network_engine.block,
        judge.backward.found,
        bridge.verdicts,
        bridge.reasons,
        bridge.events.words,
        bridge.events.tally,
        bridge.watch,
        bridge.console.clock,
        bridge.console.pins,
        bridge.console.resting,
        bridge.works,
        bridge.console.loss,
        bridge.gantry.loss,
        bridge.console.chip.words,
    )
