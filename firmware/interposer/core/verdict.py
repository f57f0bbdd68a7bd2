"""The pipeline: a frame and the exam in, a verdict with reason, blamed field and score out.

Order: fields, freshness, rate, sequence, derived quantities, hard limits, networks. Limits come before learning, and a
network can only make a verdict stricter. A command that always passes (a stop) is asked for its integrity alone.
"""

from interposer.core.codec import (
    ALWAYS_PASSES,
    ANY_SEQUENCE,
    C_FLAGS,
    C_LIMIT,
    C_LIMITS,
    C_NETS,
    C_ROW,
    C_ROWS,
    COMMAND_WORDS,
    Codec,
)
from interposer.core.exam import SENT, SENT_ONCE, Exam
from interposer.core.limits import L_BLAMED, L_MOMENTARY, L_REASON, L_VERDICT, LIMIT_WORDS, first_broken
from interposer.core.link import BACKWARD, FORWARD, same
from interposer.core.network import (
    N_OUTPUT_AT,
    N_REASON,
    NET_WORDS,
    O_FIELD,
    OUTPUT_WORDS,
    Network,
)
from interposer.core.package import P_NETS, P_WIDEST, POLICY_BLOCK
from interposer.core.quantities import evaluate
from interposer.core.reasons import BLOCK, BLOCKED, HOLD, NONE, OUT_OF_SEQUENCE, PASS, STALE


class Judge:
    """Judges the frames of one link by one package. All results stay valid until the next call of `judge`.

    `command` (index or -1), `verdict`, `reason`, `blamed` (slot or -1), `limit` (index or -1), `network` (index or -1),
    `policy` (how a block ends), `flags` of the command, `is_retry`; `scores` and `thresholds` hold each network's last
    score and its hold threshold.
    """

    def __init__(self, package, kernel):
        tables = package.table
        self.params = tables("params")
        self.commands = tables("commands")
        self.rows = tables("rows")
        self.curves = tables("curves")
        self.limits = tables("limits")
        self.nets = tables("nets")
        self.policies = tables("policy")
        self.forward = Codec(FORWARD, tables("framings"), self.commands, tables("fields"), tables("ranges"))
        self.backward = Codec(BACKWARD, tables("framings"), self.commands, tables("fields"), tables("ranges"))
        self.exam = Exam(package)
        self.network_engine = Network(self.nets, tables("weights"), self.params[P_WIDEST], self.params[P_NETS], kernel)
        self.scores = self.network_engine.scores
        self.thresholds = self.network_engine.hold_above
        self.output_at = 0  # word of the suspect network's worst output, and what it should have been
        self.expected = 0
        self._clear(-1)

    def _clear(self, command):
        self.command = command
        self.verdict = PASS
        self.reason = NONE
        self.blamed = -1
        self.limit = -1
        self.network = -1
        self.policy = POLICY_BLOCK
        self.is_retry = False
        self.is_noted = False  # the exam remembers this very frame as its last
        self.flags = 0

    def judge(self, frame, length, now, blocked=False):
        """Verdict on `frame[:length]`, an intact frame from the console, at `now` ms.

        While the link is `blocked` nothing but a stop can pass, so that the costly part is left out.
        """
        command = self.forward.command_of(frame)
        self._clear(command)
        reason = self.forward.read(frame, length, command, self.exam.start_trial())
        self.blamed = self.forward.bad_slot
        if reason == NONE:
            self.flags = self.commands[command * COMMAND_WORDS + C_FLAGS]
            reason = self._admissible(frame, length, command, now)
        if reason != NONE:
            return self._refuse(reason)
        if self.flags & ALWAYS_PASSES:
            return PASS
        if blocked:
            return self._refuse(BLOCKED)
        if self.is_retry and self.exam.last_fate == SENT:
            return PASS
        return self.assess(self.exam.trial, command)

    def _admissible(self, frame, length, command, now):
        """NONE, or why this command may not come now. A stop is never asked."""
        exam = self.exam
        sequence = self.forward.sequence_of(frame)
        if self.flags & ALWAYS_PASSES:
            return NONE
        reason = exam.within_rate(now)
        if reason != NONE:
            return reason
        self.is_retry = exam.is_retry(frame, length, sequence, now)
        if self.is_retry:
            reason = exam.count_retry()
            return reason if reason != NONE or exam.last_fate == SENT else exam.in_sequence(command)
        if exam.is_next(sequence):
            exam.note(frame, length, sequence, now)
            self.is_noted = True
        elif not self.flags & ANY_SEQUENCE:
            return STALE
        return exam.in_sequence(command)

    def _refuse(self, reason):
        self.verdict = BLOCK
        self.reason = reason
        self.policy = self.policies[reason]
        return BLOCK

    def derive(self, values, command):
        """Evaluate a command's rows."""
        at = command * COMMAND_WORDS
        evaluate(values, self.rows, self.commands[at + C_ROW], self.commands[at + C_ROWS], self.curves)

    def assess(self, values, command):
        """Quantities, limits and networks on a value vector; used for frames and for proposed corrections."""
        at = command * COMMAND_WORDS
        commands = self.commands
        self.derive(values, command)
        self.verdict = PASS
        self.reason = NONE
        self.blamed = self.limit = self.network = -1
        found = first_broken(values, self.limits, commands[at + C_LIMIT], commands[at + C_LIMITS])
        if found >= 0:
            limit = found * LIMIT_WORDS
            self.limit = found
            self.verdict = self.limits[limit + L_VERDICT]
            self.reason = self.limits[limit + L_REASON]
            self.blamed = self.limits[limit + L_BLAMED]
            self.policy = self.limits[limit + L_MOMENTARY]
        self._ask_networks(values, commands[at + C_NETS])
        return self.verdict

    def _ask_networks(self, values, asked):
        index = 0
        engine = self.network_engine
        while asked:
            if asked & 1 and engine.run(index, values):
                self._suspect(index)
            asked >>= 1
            index += 1

    def _suspect(self, index):
        """Network `index` found its score above a threshold."""
        engine = self.network_engine
        verdict = BLOCK if engine.scores[index] > engine.block_above else HOLD
        if verdict > self.verdict:
            net = index * NET_WORDS
            self.verdict = verdict
            self.reason = self.nets[net + N_REASON]
            self.limit = -1
            self.network = index
            self.policy = POLICY_BLOCK
            self.blamed = -1
            if engine.worst >= 0:
                self.output_at = self.nets[net + N_OUTPUT_AT] + engine.worst * OUTPUT_WORDS
                self.expected = engine.output[engine.worst]
                self.blamed = self.nets[self.output_at + O_FIELD]

    def accept(self, frame, length, now):
        """The frame just judged is let through: its command becomes part of the exam, unless it already is.

        Only now does a command that may have any sequence number set the count: a refused one must not.
        """
        exam = self.exam
        if not self.is_retry and not self.is_noted and self.flags & ANY_SEQUENCE:
            exam.note(frame, length, self.forward.sequence_of(frame), now)
            self.is_noted = True
        if self.command >= 0 and not (self.is_retry and exam.last_fate == SENT):
            exam.commit(self.command)
        if self.is_retry or self.is_noted:
            exam.last_fate = SENT

    def assess_held(self, frame, length):
        """Verdict on a held frame at the moment of its release: what happened meanwhile may have made it impossible."""
        command = self.forward.command_of(frame)
        self._clear(command)
        trial = self.exam.start_trial()
        self.forward.read(frame, length, command, trial)
        if self.exam.in_sequence(command) != NONE:
            return self._refuse(OUT_OF_SEQUENCE)
        return self.assess(trial, command)

    def accept_held(self, frame, length, now):
        """The held frame just assessed is let through: its command becomes part of the exam, and no retry is any more."""
        exam = self.exam
        exam.commit(self.command)
        if self.commands[self.command * COMMAND_WORDS + C_FLAGS] & ANY_SEQUENCE:
            exam.note(frame, length, self.forward.sequence_of(frame), now)
        if same(frame, length, exam.last_frame, exam.last_length):
            exam.last_fate = SENT_ONCE

    def follow(self, frame, length):
        """Read a reply of the gantry into the exam, as far as the link table gives it fields."""
        command = self.backward.command_of(frame)
        exam = self.exam
        if command >= 0 and self.backward.read(frame, length, command, exam.start_trial()) == NONE:
            exam.values, exam.trial = exam.trial, exam.values
            exam.go_on(command)
        return command
