"""Thresholds of the networks at a site: raised where its many normal exams ask for it, up to a bound.

Only the groups in which the site has many exams change, and never downwards. What still exceeds the bound stays an alarm: a
commissioning set cannot switch a network off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gantryguard.clinic.commands import Commands
from gantryguard.learning.commission import MANY
from gantryguard.learning.pipeline import NOBODY, PackedNet, Pipeline, Whole
from gantryguard.profiles.nets import TrainedNet
from gantryguard.profiles.profile import Profile

ALARMS = 0.002  # share of the site's exams that may exceed a raised threshold
MARGIN = 1.1
MOST_RAISED = 10.0  # scores are squares: three times the accusation


def raised(profile: Profile, nets: Sequence[TrainedNet], exams: Commands) -> list[TrainedNet]:
    """The networks with thresholds for a site whose ranges the profile already has; what its limits hold is not asked."""
    pipeline, limits = Pipeline(profile), Pipeline(profile)
    limits.nets = []
    matrix = pipeline.values(exams)
    matrix = matrix[~limits.assess(matrix).is_alarm()]
    scores = pipeline.assess(matrix).scores
    found = {net.name: net for net in nets}
    for index, packed in enumerate(pipeline.nets):
        own = _raised(packed, matrix, scores[:, index])
        found[packed.net.name] = replace(found[packed.net.name], thresholds=own)
    return list(found.values())


def _raised(packed: PackedNet, matrix: Whole, scores: Whole) -> np.ndarray:
    thresholds = packed.net.thresholds.copy()
    group = matrix[:, packed.group] if packed.group != NOBODY else np.zeros(len(matrix), np.int64)
    for one in np.unique(group):
        here = np.sort(scores[group == one])[::-1]
        if len(here) >= MANY:
            needed = here[int(len(here) * ALARMS)] * MARGIN
            bound = thresholds[one, 0] * MOST_RAISED
            thresholds[one, 0] = max(thresholds[one, 0], min(needed, bound))
    return thresholds
