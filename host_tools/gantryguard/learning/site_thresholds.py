"""Thresholds of the networks at a site: raised where its many normal exams ask for it, up to a bound.

Only the groups of objectives of which the site has many exams change, and never downwards. What still exceeds the bound
stays an alarm: a commissioning set cannot switch a network off.
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
    objectives = matrix[:, profile.slot("objective")]
    found = {net.name: net for net in nets}
    for index, packed in enumerate(pipeline.nets):
        own = packed.net.thresholds.copy()
        for one in np.unique(objectives):
            here = objectives == one
            if here.sum() >= MANY:
                _raise(own, packed, matrix[here], scores[here, index])
        found[packed.net.name] = replace(found[packed.net.name], thresholds=own)
    return list(found.values())


def _raise(thresholds: np.ndarray, packed: PackedNet, matrix: Whole, scores: Whole) -> None:
    """Raise the thresholds of all groups that an objective's exams are in by one factor: no group alone has many of them."""
    shipped = np.maximum(packed.net.thresholds[:, 0], 1)
    group = matrix[:, packed.group] if packed.group != NOBODY else np.zeros(len(matrix), np.int64)
    ratio = np.sort(scores / shipped[group])[::-1]
    factor = min(max(ratio[int(len(ratio) * ALARMS)] * MARGIN, 1.0), MOST_RAISED)
    held = np.unique(group)
    if factor > 1:
        thresholds[held, 0] = np.maximum(thresholds[held, 0], shipped[held] * factor)
