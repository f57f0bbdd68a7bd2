"""Commissioning with a site's exams, and the red team's search."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np
import pytest

from gantryguard import paths
from gantryguard.cli.main import main
from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate_at_sites
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError
from gantryguard.learning import lessons, proposals, ranges, red_team, sites, trial
from gantryguard.learning.commission import EXAMS, FEWEST_EXAMS, MANY, WIDEST_OF_MANY, commission, levels, residuals
from gantryguard.learning.pipeline import Pipeline, nets_of
from gantryguard.learning.site_exams import read_exams
from gantryguard.profiles.profile import Profile
from interposer.core.suggestion import Suggestion
from interposer.core.verdict import Judge

CT = paths.MODELS / "ct"
SITE = 77
OBJECTIVES = ("head", "abdomen_pelvis", "paed_chest")


@pytest.fixture(scope="module")
def shipped() -> Profile:
    return Profile((CT / "package.bin").read_bytes())


def exams(count: int, site: int = SITE, seed: int = 5) -> Commands:
    return generate_at_sites(count, scanner=reference_scanner(), seed=seed, sites=[site], objectives=OBJECTIVES)[0]


def test_the_sites_own_level_is_found_and_its_ranges_are_narrower() -> None:
    found = commission(exams(600))
    assert set(found.levels) == set(OBJECTIVES)
    assert set(found.kept) == set(schema.OBJECTIVES) - set(OBJECTIVES)
    for name, level in found.levels.items():
        general = ranges.generated().dose[name]
        assert np.log(level.ratio / general.usual) == pytest.approx(levels(name, (SITE,), 400)[0], abs=0.1)
        assert general.low <= level.dose.low < level.ratio < level.dose.high <= general.high
        assert level.dose.factor < general.factor
    assert found.ranges.length == ranges.generated().length


SOME_SITES = range(60, 900)


def one_site(name: str, site: int = SITE, count: int = 120) -> Commands:
    """Normal scans of one objective."""
    return generate_at_sites(count, scanner=reference_scanner(), seed=9, sites=[site], objectives=(name,))[0]


def with_others(exams_of_one: Commands) -> Commands:
    """Enough exams to commission with."""
    return Commands.concat([exams_of_one, one_site("head")])


def test_a_range_reaches_a_high_sites_own_99th_percentile_and_no_further() -> None:
    """With 60 exams; sites below that of all sites gain nothing, and none more than what hardly any normal has."""
    name = "paed_abdomen_pelvis"
    general, expected, rarest = ranges.generated().dose[name], residuals(name), ranges.generated().rarest[name]
    site_levels = levels(name, tuple(SOME_SITES), 200)
    ends = {}
    for place in np.argsort(site_levels)[-12:]:
        found = commission(with_others(one_site(name, SOME_SITES[int(place)], 60))).levels[name]
        ends[SOME_SITES[int(place)]] = found.dose.high
        assert found.dose.high <= max(general.high, min(found.ratio * np.exp(expected.often), rarest)) * 1.001
    assert sum(general.high < end < rarest for end in ends.values()) >= 3
    ordinary = commission(with_others(one_site(name, SOME_SITES[int(np.argsort(site_levels)[420])], 60)))
    assert ordinary.levels[name].dose.high < general.high
    assert not any("make sure that these doses are meant" in line for line in ordinary.told())
    high = commission(with_others(one_site(name, SOME_SITES[int(np.argmax(site_levels))], 60)))
    assert [line for line in high.told() if "make sure that these doses are meant" in line]


def test_exams_that_hardly_differ_widen_no_range() -> None:
    """The same dose in every exam shows no 99th percentile above it: somebody made them up, or a default has crept."""
    name = "paed_abdomen_pelvis"
    general = ranges.generated().dose[name]
    scans = one_site(name, count=400)

    def ratio(commands: Commands) -> np.ndarray:
        return ranges.dose_ratio(commands, name, tables_of.tables(), reference_scanner())

    same = reference_scanner().restated(scans.replace(ma=np.clip(np.round(scans["ma"] * 1.88 / ratio(scans)), 20, 500)))
    alike = same.take(np.abs(ratio(same) - 1.88) < 0.03)
    assert len(alike) >= 60
    level = commission(with_others(alike)).levels[name]
    assert level.ratio == pytest.approx(1.88, abs=0.02)
    assert level.dose.high <= general.high


def test_few_exams_with_doses_that_no_site_has_are_refused_and_many_are_not() -> None:
    """One in six is three times the expected dose, which one in 8,000 normals of all sites is not."""
    name = "paed_abdomen_pelvis"
    assert ranges.generated().rarest[name] < 2.9 < ranges.generated().dose[name].high * WIDEST_OF_MANY
    for count in (60, 300):
        scans = one_site(name, count=count)
        ratio = ranges.dose_ratio(scans, name, tables_of.tables(), reference_scanner())
        ma, wanted = scans["ma"].copy(), np.round(scans["ma"] * 3 / ratio)
        within_the_tube = np.argsort(wanted)[: count // 6]
        ma[within_the_tube] = wanted[within_the_tube]
        odd = with_others(reference_scanner().restated(scans.replace(ma=ma)))
        if count < MANY:
            with pytest.raises(UserError, match="outside what sites usually do"):
                commission(odd)
        else:
            assert commission(odd).levels[name].exams == count


def test_the_red_team_gets_no_high_dose_past_a_site_with_high_doses(shipped: Profile) -> None:
    """Hardly more than the site's own 99th percentile, which is above that of all sites."""
    name = "paed_abdomen_pelvis"
    general, rarest = ranges.generated().dose[name], ranges.generated().rarest[name]
    for place in np.argsort(levels(name, tuple(SOME_SITES), 200))[::-1]:
        site = SOME_SITES[int(place)]
        found = commission(with_others(one_site(name, site, 60))).ranges
        if 1.02 * general.high < found.dose[name].high < 0.98 * rarest:
            break
    own = Pipeline(Profile(sites.package_for(CT, nets_of(shipped), found)))
    effort = red_team.Effort(normals=20_000, crowd=600, rounds=8, survivors=60)
    (find,) = red_team.attack(own, effort, objectives=(name,), aims=("most dose",), site=site)
    assert find.normal > general.high / ranges.HIGHEST_OF_P99
    assert 0.85 < find.ratio < 1.12


def test_no_two_draws_of_sites_share_a_seed() -> None:
    purposes = (sites.FOR_COMMISSIONING, sites.AS_NORMALS, sites.TO_TAMPER_WITH)
    seeds = [seed for site in range(4_000_000, 4_000_200) for purpose in purposes for seed in sites.seeds_of(site, purpose)]
    assert len(set(seeds)) == len(seeds) == 200 * 3 * len(schema.OBJECTIVES)


def test_neighbouring_sites_and_other_purposes_have_other_patients() -> None:
    """Seeds that are sums of site and objective once made one site's scans those of another."""
    weights = [
        set(sites.scans_of(site, 50, purpose)["weight_kg"].tolist())
        for site in (4_100_000, 4_100_001, 4_100_040, 4_100_050)
        for purpose in (sites.FOR_COMMISSIONING, sites.AS_NORMALS, sites.TO_TAMPER_WITH)
    ]
    same_by_chance = [len(one & other) / len(one) for place, one in enumerate(weights) for other in weights[:place]]
    assert max(same_by_chance) < 1.5 * min(same_by_chance)


def test_lessons_know_a_site_as_well_as_its_commissioning_exams_tell() -> None:
    """An objective of several protocols: what the generator draws for a site is not its usual dose."""
    name, first, scanner = "l_spine", 88_000, reference_scanner()
    sites_taught = tuple(range(first, first + lessons.SITES))
    placed = lessons.at_sites(9_000, name, scanner, 31, first)
    place = generate_at_sites(9_000, scanner=scanner, seed=31, sites=sites_taught, objectives=(name,))[1]
    doses = np.log2(ranges.dose_ratio(placed.commands, name, tables_of.tables(), scanner) / ranges.generated().dose[name].usual)
    far = [np.median((doses - placed.level)[place == number]) for number in range(lessons.SITES)]
    error_of_thirty = residuals(name).error_of_median(9_000 / lessons.SITES) * ranges.OCTAVES_PER_E
    assert np.std(far) < 1.3 * error_of_thirty
    told = levels(name, sites_taught, lessons.OF_A_SITE)[place] * ranges.OCTAVES_PER_E
    assert np.std(placed.level - told) == pytest.approx(lessons.level_error(name), rel=0.05)
    of_level, of_exams = (residuals(name).error_of_median(count) * ranges.OCTAVES_PER_E for count in (lessons.OF_A_SITE, EXAMS))
    assert np.hypot(lessons.level_error(name), of_level) == pytest.approx(of_exams)


def test_a_commissioned_guard_passes_its_site_and_holds_more(shipped: Profile) -> None:
    found = commission(exams(900))
    own = Profile(sites.package_for(CT, nets_of(shipped), found.ranges))
    normals = exams(4000, seed=6)
    assert Pipeline(own).judge(normals).is_alarm().mean() < 0.003
    tripled = normals.replace(ma=np.floor(normals["ma"] * 2.0))
    tripled = reference_scanner().restated(tripled)
    held = [Pipeline(profile).judge(tripled).is_alarm().mean() for profile in (shipped, own)]
    assert held[1] > held[0]


def test_too_few_or_implausible_exams_are_refused() -> None:
    with pytest.raises(UserError, match="too few"):
        commission(exams(FEWEST_EXAMS - 1))
    normal = exams(400)
    with pytest.raises(UserError, match="outside what sites usually do"):
        commission(normal.replace(ma=np.maximum(normal["ma"] / 5, 20)))
    with pytest.raises(UserError, match="none that the scanner reference can execute, most of them for"):
        commission(normal.replace(ma=normal["ma"] * 8))


def test_the_command_line_writes_a_package_and_expectations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, package = tmp_path / "site.csv", tmp_path / "site.bin"
    with table.open("w", encoding="utf-8") as file:
        exams(500).to_csv(file)
    assert len(read_exams(table)) == 500
    assert main(["model", "calibrate", str(table), "--output", str(package), "--exams-per-day", "40"]) == 0
    told = capsys.readouterr().out
    assert "false alarms expected in 40 scans a day" in told
    assert "ranges of all sites: neck" in told
    assert Profile(package.read_bytes()).name == "ct"
    assert main(["model", "calibrate", str(table), "--scanner", "nowhere"]) == 14
    table.write_text(",".join(schema.NAMES) + "\n", encoding="utf-8")
    assert main(["model", "calibrate", str(table)]) == 7


def test_the_red_team_finds_only_what_passes_and_no_high_dose(shipped: Profile) -> None:
    pipeline = Pipeline(shipped)
    finds = red_team.attack(pipeline, red_team.Effort(normals=20_000, crowd=600, rounds=8, survivors=60))
    assert {(find.objective, find.aim) for find in finds} == {(o, a) for o in schema.OBJECTIVES for a in red_team.AIMS}
    passing = Commands.from_rows([find.command for find in finds])
    assert not pipeline.judge(passing).is_alarm().any()
    assert max(find.ratio for find in finds if find.aim == "most dose") <= 1.25
    assert all(find.value >= find.normal for find in finds if find.aim == "most dose")


def test_proposals_pass_and_are_mostly_usual(shipped: Profile) -> None:
    test = trial.trial(trial.Sample(normals=9000, per_kind=12, seed=620_000))
    figures = proposals.measure(shipped, test)
    assert figures["refused"] > 200
    assert figures["proposed"] > 0.95
    assert figures["usual"] > 0.92
    assert figures["dose_within_25_percent"] > 0.74


@pytest.mark.parametrize(("field", "factor"), [("ma", 4.0), ("scan_length_mm", 2.5)])
def test_a_network_says_what_a_field_should_have_been(shipped: Profile, field: str, factor: float) -> None:
    """The output that says the value, not the one that accuses: it leads most of the way back."""
    judge = Judge(shipped.package)
    search = Suggestion(shipped.package, judge)
    before = exams(60).take(np.arange(60))
    before = before.take(before["scan_mode"] == schema.HELICAL)
    after = reference_scanner().restated(before.replace(**{field: before[field] * factor}))
    index, slot, left = shipped.command(proposals.COMMAND), shipped.slot(field), []
    for row in range(len(after)):
        judge.exam.trial[:] = array("i", shipped.matrix_from({k: [v] for k, v in after.row(row).items()})[0].tolist())
        judge.assess(judge.exam.trial, index)
        assert judge.mended(judge.exam.trial, index, slot)
        left.append(np.log(shipped.from_raw(field, search._from_network(judge.expected)) / before[field][row]) / np.log(factor))
    assert len(left) > 20
    assert np.median(np.abs(left)) < 0.5
    assert not judge.mended(judge.exam.trial, index, shipped.slot("phantom_cm"))


def test_without_a_guard_the_red_team_would_get_far() -> None:
    """The search itself is able: with the ranges and networks off it finds several times the normal dose."""
    limits_only = Pipeline(Profile.load(CT))
    limits_only._limits = 0
    effort = red_team.Effort(normals=4000, crowd=300, rounds=8, survivors=40)
    finds = [find for find in red_team.attack(limits_only, effort) if find.aim == "most dose"]
    assert np.median([find.ratio for find in finds]) > 2
