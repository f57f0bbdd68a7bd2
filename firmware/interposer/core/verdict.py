"""The pipeline: a frame and the exam in, a verdict with reason, blamed field and score out.

Order: fields, freshness, rate, sequence, derived quantities, hard limits, networks. Limits come before learning, and a
network can only make a verdict stricter. A command that always passes (a stop) is asked for its integrity alone.
"""

from array import array

from interposer.core.codec import (
    ANY_SEQUENCE,
    C_FLAGS,
    C_NETS,
    COMMAND_WORDS,
    FOUND_COMMAND,
    Codec,
)
from interposer.core.compat import micropython, pointers
from interposer.core.exam import (
    SENT_ONCE,
    X_FATE,
    X_LENGTH,
    Exam,
    note,
)
from interposer.core.link import BACKWARD, FORWARD, same
from interposer.core.network import (
    N_OUTPUT_AT,
    N_OUTPUTS,
    N_REASON,
    NET_WORDS,
    O_FIELD,
    O_VALUE,
    OUTPUT_WORDS,
    Network,
    layers,
)
from interposer.core.package import P_NETS, P_WIDEST, POLICY_BLOCK
from interposer.core.pipeline import (
    R_ASKED,
    R_BLAMED,
    R_COMMAND,
    R_FLAGS,
    R_IS_LAST,
    R_IS_RETRY,
    R_LIMIT,
    R_NETWORK,
    R_POLICY,
    R_REASON,
    R_VERDICT,
    RESULT_WORDS,
    derive,
    follow_reply,
    judge_frame,
    let_through,
    take_over,
    weigh,
)
from interposer.core.quantities import evaluate
from interposer.core.reasons import BLOCK, HOLD, OUT_OF_SEQUENCE


class Judge:
    """Judges the frames of one link by one package. All results stay valid until the next call of `judge` or `assess`.

    `result` holds them, one word each (R_...); the properties say the same. `scores` and `thresholds` hold each network's
    last score and its hold threshold; `output_at` and `expected`, after `mended`, the output that knows the field, and what
    it should be. `layers` and `evaluate` are the kernels, readable or optimised, and `ahead` is what `core.ahead.split` says.
    `engine`: the networks of an earlier judge of the same package, ready to run, in place of `layers`; that judge must not be
    used any more.
    """

    def __init__(self, package, layers=layers, evaluate=evaluate, ahead=None, engine=None):
        tables = package.table
        self.evaluate = evaluate
        if ahead is None:
            from interposer.core.ahead import split

            ahead = split(tables)
        self.ahead = ahead
        params = tables("params")
        self.commands = tables("commands")
        self.rows = tables("rows")
        self.curves = tables("curves")
        self.limits = tables("limits")
        self.nets = tables("nets")
        self.policies = tables("policy")
        self.forward = Codec(FORWARD, tables("framings"), self.commands, tables("fields"), tables("ranges"))
        self.backward = Codec(BACKWARD, tables("framings"), self.commands, tables("fields"), tables("ranges"))
        self.exam = exam = Exam(package)
        if engine is None:
            engine = Network(self.nets, tables("weights"), params[P_WIDEST], params[P_NETS], layers)
        self.network_engine = engine
        self.scores = self.network_engine.scores
        self.thresholds = self.network_engine.hold_above
        for index in range(len(self.scores)):
            self.scores[index] = self.thresholds[index] = 0  # of an earlier judge
        self.output_at = 0
        self.expected = 0
        self.result = array("i", bytes(4 * RESULT_WORDS))
        self.block = pointers(
            self.result,
            params,
            self.commands,
            tables("fields"),
            tables("ranges"),
            self.rows,
            self.curves,
            self.limits,
            exam.latches,
            self.policies,
            exam.order,
            exam.session,
            exam.values,
            exam.trial,
            exam.last_frame,
            self.forward.framing,
            self.forward.index_of,
            self.backward.framing,
            self.backward.index_of,
            ahead,
        )

    @micropython.native
    def judge(self, frame, length, now, is_blocked=False):
        """Verdict on `frame[:length]`, an intact frame from the console, at `now` ms.

        While the link `is_blocked` nothing but a stop can pass, so that the costly part is left out.
        """
        verdict = judge_frame(self.block, self.evaluate, frame, length, now, is_blocked)
        return self._ask_networks(self.exam.trial) if self.result[R_ASKED] else verdict

    def derive(self, values, command):
        """Evaluate a command's rows."""
        derive(self.block, self.evaluate, values, command, 0)

    def assess(self, values, command):
        """Quantities, limits and networks on a value vector; used for held frames and for proposed corrections."""
        weigh(self.block, self.evaluate, values, command, 0)
        return self._ask_networks(values)

    @micropython.native
    def _ask_networks(self, values):
        return self.hear(self.network_engine.first_suspect(0, self.result[R_ASKED], values), values)

    def hear(self, index, values):
        """The verdict, `index` being the first network that found its score above a threshold, or -1."""
        result = self.result
        engine = self.network_engine
        while index >= 0:
            self._suspect(index)
            index = engine.first_suspect(index + 1, result[R_ASKED], values)
        return result[R_VERDICT]

    def _suspect(self, index):
        """Network `index` found its score above a threshold."""
        engine = self.network_engine
        result = self.result
        verdict = BLOCK if engine.scores[index] > engine.block_above() else HOLD
        if verdict <= result[R_VERDICT]:
            return
        net = index * NET_WORDS
        result[R_VERDICT] = verdict
        result[R_REASON] = self.nets[net + N_REASON]
        result[R_LIMIT] = result[R_BLAMED] = -1
        result[R_NETWORK] = index
        result[R_POLICY] = POLICY_BLOCK
        worst = engine.worst()
        if worst >= 0:
            result[R_BLAMED] = self.nets[self.nets[net + N_OUTPUT_AT] + worst * OUTPUT_WORDS + O_FIELD]

    def mended(self, values, command, slot):
        """Ask a command's networks what a field should be: `output_at` and `expected` tell. False where none knows it."""
        asked = self.commands[command * COMMAND_WORDS + C_NETS]
        nets = self.nets
        engine = self.network_engine
        found = False
        index = 0
        while asked >> index:
            net = index * NET_WORDS
            at = nets[net + N_OUTPUT_AT] if asked >> index & 1 else 0
            end = at + nets[net + N_OUTPUTS] * OUTPUT_WORDS if at else 0
            while at < end:
                if nets[at + O_FIELD] == slot:
                    engine.first_suspect(index, 1 << index, values)
                    self.output_at = at
                    self.expected = engine.output()[nets[at + O_VALUE]]
                    found = True
                    end = at
                at += OUTPUT_WORDS
            index += 1
        return found

    @micropython.native
    def accept(self, frame, length, now):
        """The frame just judged is let through."""
        let_through(self.block, frame, length, now)

    def assess_held(self, frame, length):
        """Verdict on a held frame at the moment of its release: what happened meanwhile may have made it impossible."""
        trial = self.exam.start_trial()
        result = self.result
        self.forward.read(frame, length, trial)
        command = result[R_COMMAND] = self.forward.command
        result[R_FLAGS] = self.commands[command * COMMAND_WORDS + C_FLAGS]
        result[R_IS_RETRY] = result[R_IS_LAST] = 0
        result[R_POLICY] = POLICY_BLOCK
        if self.exam.may_follow(command):
            return self.assess(trial, command)
        result[R_VERDICT] = BLOCK
        result[R_REASON] = OUT_OF_SEQUENCE
        result[R_BLAMED] = result[R_LIMIT] = result[R_NETWORK] = -1
        result[R_POLICY] = self.policies[OUT_OF_SEQUENCE]
        return BLOCK

    def accept_held(self, frame, length, now):
        """The held frame just assessed is let through: its command becomes part of the exam, and no retry is any more."""
        exam = self.exam
        take_over(self.block, self.result[R_COMMAND])
        if self.result[R_FLAGS] & ANY_SEQUENCE:
            note(exam.session, exam.last_frame, frame, length, self.forward.sequence_of(frame), now)
        if same(frame, length, exam.last_frame, exam.session[X_LENGTH]):
            exam.session[X_FATE] = SENT_ONCE

    @micropython.native
    def follow(self, frame, length):
        """Read a reply of the gantry into the exam, as far as the link table gives it fields. Its command, or -1."""
        backward = self.backward
        follow_reply(self.block, frame, length, backward.found)
        return backward.found[FOUND_COMMAND]

    @property
    def command(self):
        """Index of the command, or -1."""
        return self.result[R_COMMAND]

    @property
    def verdict(self):
        """PASS, HOLD or BLOCK."""
        return self.result[R_VERDICT]

    @property
    def reason(self):
        """Why it is not PASS; NONE otherwise."""
        return self.result[R_REASON]

    @property
    def blamed(self):
        """Slot of the field to blame, or -1."""
        return self.result[R_BLAMED]

    @property
    def limit(self):
        """Index of the broken limit that counts, or -1."""
        return self.result[R_LIMIT]

    @property
    def network(self):
        """Index of the network that found it abnormal, or -1."""
        return self.result[R_NETWORK]

    @property
    def policy(self):
        """How a block ends: POLICY_BLOCK, POLICY_MOMENTARY or POLICY_REFUSE."""
        return self.result[R_POLICY]

    @property
    def flags(self):
        """Flags of the command."""
        return self.result[R_FLAGS]

    @property
    def is_retry(self):
        """1 where the frame is the last one again, else 0."""
        return self.result[R_IS_RETRY]
