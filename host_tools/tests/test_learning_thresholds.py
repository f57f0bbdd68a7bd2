"""How thresholds follow from held-out normals: shares of all, of a group, and of groups in a pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gantryguard.clinic import schema
from gantryguard.learning import features, train


def test_thresholds_hold_the_budget_on_what_they_were_set_by() -> None:
    scores = np.arange(10_000, dtype=np.int64)
    threshold = train.threshold_of(scores, 0.001, 1.0)
    assert (scores > threshold).mean() == 0.001
    assert train.threshold_of(scores, 0.001, 1.1) == int(threshold * 1.1)


def test_a_group_of_which_the_common_threshold_would_hold_too_many_gets_a_higher_one() -> None:
    budget = train.Budget(0.001, 0.01)
    scores = np.arange(10_000, dtype=np.int64)
    groups = np.full(10_000, 7)
    assert budget.bounds(groups, scores, 9_950.0, 1.0) == {7: 9_950}
    assert budget.bounds(groups, scores, 9_000.0, 1.0) == {7: 9_899}
    assert budget.bounds(groups[:10], scores[:10], 9_000.0, 1.0) == {7: 9_000}


def test_groups_of_a_pool_share_a_threshold_up_to_what_one_of_them_may_cost() -> None:
    """One group scores twice as high as the other; the pool's share of both is held, whatever the common threshold."""
    scores = np.concatenate([np.arange(10_000), 2 * np.arange(10_000), np.arange(10_000)])
    groups = np.repeat([1, 2, 3], 10_000)
    pool = train.Pool(frozenset([1, 2, 4]), 0.2, 1.0)
    found = train.Budget(0.001, 1.0, (pool,)).bounds(groups, scores, 5_000.0, 1.0)
    together = scores[groups != 3]
    assert found[1] == found[2] == np.sort(together)[::-1][4_000]
    assert found[3] == 5_000
    above = train.Budget(0.001, 1.0, (pool,)).bounds(groups, scores, 15_000.0, 1.0)
    assert above == {1: found[1], 2: found[1], 3: 15_000}
    assert train.Budget(0.001, 1.0, (pool,)).bounds(groups, scores, 5_000.0, 1.02)[1] == int(found[1] * 1.02)
    capped = train.Budget(0.001, 1.0, (replace(pool, most=0.1),)).bounds(groups, scores, 5_000.0, 1.0)
    assert capped == {1: found[1], 2: 2 * 8_999, 3: 5_000}
    elsewhere = train.Budget(0.001, 1.0, (train.Pool(frozenset([4]), 0.2, 1.0),)).bounds(groups, scores, 5_000.0, 1.0)
    assert set(elsewhere.values()) == {5_000}


def test_too_few_normals_set_no_threshold_of_their_own() -> None:
    """Neither for a pool, nor for a group of one, which gets the higher one of its pool's threshold and the common one."""
    scores = np.concatenate([np.arange(10_000), np.array([5, 7])])
    groups = np.repeat([1, 2], [10_000, 2])
    small = train.Budget(0.001, 1.0, (train.Pool(frozenset([2]), 0.2, 1.0),))
    for common in (3.0, 8_900.0):
        assert small.bounds(groups, scores, common, 1.0) == {1: common, 2: common}
    large = train.Budget(0.001, 1.0, (train.Pool(frozenset([1, 2]), 0.2, 1.0),))
    assert large.bounds(groups, scores, 8_900.0, 1.0) == {1: 7_999, 2: 8_900}
    assert large.bounds(groups, scores, 100.0, 1.0) == {1: 7_999, 2: 7_999}


def test_pools_are_trunks_of_slim_adults_and_large_patients() -> None:
    shipped, commissioned = ([pool.groups for pool in budget.pools] for budget in (train.SHIPPED, train.COMMISSIONED))
    groups = [group for pool in (*shipped, *commissioned) for group in pool]
    count = len(schema.OBJECTIVES)
    names = {code: name for name, code in schema.OBJECTIVES.items()}
    sizes = [{(group - 1) // count % features.SIZES for group in pool} for pool in (*shipped, *commissioned)]
    assert sizes == 2 * [{features.LARGE}, {features.SLIM}]
    assert len(set(groups)) == len(groups)
    unknown = features.SIZES * count  # groups up to this one are of unknown sites
    assert all(group <= unknown for pool in shipped for group in pool)
    assert all(group > unknown for pool in commissioned for group in pool)
    assert max(groups) < features.SCAN_GROUPS
    told = {names[(group - 1) % count + 1] for group in groups}
    assert {"chest", "ctpa", "abdomen_pelvis", "cap"} <= told
    assert not told & {"head", "extremity", "sinus"}
