"""What many exams of a site may change, what a poisoned set may not, and real series from end to end."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from gantryguard import paths
from gantryguard.cli.main import main
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate_at_sites
from gantryguard.clinic.scanner import Scanner, nlst_scanners, reference_scanner, scanner_of
from gantryguard.errors import UserError
from gantryguard.learning import features, nlst_trial, ranges, sites, study
from gantryguard.learning.commission import WIDEST_OF_MANY, commission
from gantryguard.learning.pipeline import Pipeline, nets_of
from gantryguard.learning.site_thresholds import MOST_RAISED, raised
from gantryguard.profiles.files import load_profile
from gantryguard.profiles.profile import Profile

CT = paths.MODELS / "ct"
NAME = "chest_ldct"
ZOOM = nlst_scanners()["VZOOM"]


@pytest.fixture(scope="module")
def shipped() -> Profile:
    return load_profile("ct")


def exams(count: int, scanner: Scanner = ZOOM, seed: int = 3) -> Commands:
    """Screenings of one site, on a scanner whose pitch is 2."""
    made = generate_at_sites(count, scanner=scanner, seed=seed, sites=[5], objectives=(NAME,))[0]
    ma = np.clip(np.round(made["ma"] * scanner.pitch_max / made["pitch"]), 20, 400)
    return scanner.restated(made.replace(pitch=scanner.pitch_max, ma=ma))


def poisoned(share: float, **changes: float) -> Commands:
    """A site's exams of which some were altered."""
    normal = exams(500)
    altered = np.arange(500) < 500 * share
    return ZOOM.restated(normal.replace(**{key: np.where(altered, value, normal[key]) for key, value in changes.items()}))


def test_a_site_is_judged_by_its_own_scanner_and_settings(shipped: Profile) -> None:
    site = commission(exams(500), ZOOM)
    assert site.ranges.asked[NAME]["pitch"] == (2.0,)
    assert ranges.generated().settings[NAME]["pitch"].high < 2 < site.ranges.settings[NAME]["pitch"].high
    assert site.levels[NAME].is_known
    own = Profile(sites.commissioned(CT, nets_of(shipped), site))
    normal, again = exams(3000, seed=4), exams(3000, seed=4)
    assert Pipeline(shipped).judge(normal).is_alarm().all()
    assert Pipeline(own).judge(normal).is_alarm().mean() < 0.02
    beyond = ZOOM.restated(again.replace(pitch=2.1))
    assert Pipeline(own).judge(beyond).is_alarm().all()  # the scanner's own limit stays
    much = ZOOM.restated(again.replace(ma=again["ma"] * 3))
    assert Pipeline(own).judge(much).is_alarm().mean() > 0.95


def test_a_poisoned_set_widens_nothing_beyond_the_scanner() -> None:
    clean = commission(exams(500), ZOOM).ranges
    for changes in ({"pitch": 5.0}, {"kvp": 100.0}, {"slice_mm": 0.3}, {"ma": 900.0}, {"collimation_mm": 160.0}):
        site = commission(poisoned(0.08, **changes), ZOOM)
        assert site.left_out == 40
        assert site.ranges.settings[NAME] == clean.settings[NAME]
        assert site.ranges.dose[NAME].high == pytest.approx(clean.dose[NAME].high, rel=0.05)
        with pytest.raises(UserError, match="none that the scanner siemens_four_row can execute"):
            commission(poisoned(0.12, **changes), ZOOM)


def test_doses_widen_only_where_many_exams_have_them_and_only_so_far() -> None:
    usual, normal = ranges.generated().dose[NAME], exams(500)
    normal = normal.replace(rotation_s=1.0, ma=np.maximum(np.round(normal["ma"] / 2), 20))  # leaves the tube room for more
    dose = ranges.dose_ratio(ranges.sized(normal), NAME, _tables(), ZOOM)
    for factor in (1.5, 2.0, 3.0):
        wanted = np.where(np.arange(500) < 40, usual.high * factor / dose, 1.0)
        site = commission(ZOOM.restated(normal.replace(ma=np.round(normal["ma"] * wanted))), ZOOM)
        level = site.levels[NAME]
        assert level.dose.high <= usual.high * WIDEST_OF_MANY * 1.0001
        assert level.is_known == (factor > WIDEST_OF_MANY)  # what is too strange is left out, and changes nothing
        assert (level.dose.high > usual.high) == (factor < WIDEST_OF_MANY)
    few = normal.take(np.arange(150))
    few = ZOOM.restated(few.replace(ma=few["ma"] * np.where(np.arange(150) < 10, 2.0, 1.0)))
    assert commission(few, ZOOM).levels[NAME].dose.high <= usual.high


def _tables() -> object:
    from gantryguard.clinic import objectives

    return objectives.tables()


def test_thresholds_rise_where_exams_ask_for_it_and_no_further(shipped: Profile) -> None:
    nets = nets_of(shipped)
    site = commission(exams(500), ZOOM)
    profile = Profile(sites.package_for(CT, nets, site.ranges, ZOOM))
    same = raised(profile, nets, exams(150))
    assert all(np.array_equal(a.thresholds, b.thresholds) for a, b in zip(same, nets, strict=True))
    odd = exams(500)
    odd = ZOOM.restated(odd.replace(ma=np.round(odd["ma"] * 0.8), rotation_s=1.0))
    more = raised(profile, nets, odd)
    for before, after in zip(nets, more, strict=True):
        assert (after.thresholds >= before.thresholds).all()
        assert (after.thresholds[:, 0] <= before.thresholds[:, 0] * MOST_RAISED + MOST_RAISED).all()


def test_a_scanner_is_found_by_name_or_file_and_survives_writing(tmp_path: Path) -> None:
    path = tmp_path / "scanner.toml"
    path.write_text(ZOOM.to_toml(), encoding="utf-8")
    assert scanner_of(str(path)) == ZOOM == scanner_of("siemens_four_row")
    assert scanner_of("reference") == reference_scanner()
    assert tomllib.loads(ZOOM.to_toml())["pitch_max"] == 2.0
    with pytest.raises(UserError, match="no scanner 'elsewhere'") as error:
        scanner_of("elsewhere")
    assert error.value.exit_code == 14
    path.write_text("name = 3 =", encoding="utf-8")
    with pytest.raises(UserError) as error:
        scanner_of(str(path))
    assert error.value.exit_code == 4


def test_networks_read_no_setting_that_they_never_learnt() -> None:
    rows = {row["name"]: row for row in tomllib.loads(features.render(_tables(), None, ZOOM))["row"]}  # type: ignore[arg-type]
    pitch = next(feature for feature in features.TECHNIQUE if feature.name == "n_pitch")
    assert rows["n_pitch"]["clamp"][1] == round(pitch.at(reference_scanner().pitch_max)) < pitch.at(ZOOM.pitch_max)


def test_real_series_are_read_commissioned_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    dice = np.random.default_rng(1)
    told = []
    for number in range(900):
        mas = 480 if number % 15 == 0 else dice.choice([40, 60, 80], p=[0.7, 0.2, 0.1])
        told.append(f"0,OPA,GE,LS16,LUNG,360,{dice.choice(['2.5', '1.2'])},120,{mas},{mas / 1.4:.3f},1.4")
    rows = {name: [f"{name}{i}" for i in range(900)] for name in ("PatientID", "StudyInstanceUID")}
    rows |= {"collection_id": ["nlst"] * 900, "Modality": ["CT"] * 900, "SeriesDescription": told}
    rows |= {"PatientAge": [None] * 900, "PatientSex": [None] * 900}
    path = tmp_path / "index.parquet"
    parquet.write_table(arrow.table({**rows, "instanceCount": [9] * 900}), path)
    read = nlst_trial.read(path)
    assert [(one.model, len(one.commands), int(one.is_unit_error.sum())) for one in read] == [("LS16", 900, 60)]
    assert set(read[0].commands["slice_mm"]) == {1.25, 2.5}
    assert main(["model", "nlst", "--index", str(path)]) == 0
    table = capsys.readouterr().out
    assert "| GE LS16 | ge_eight_and_sixteen_row |" in table
    line = next(line for line in table.splitlines() if line.startswith("| all"))
    _, _, _, tested, flagged, wrong, found, tripled, _ = (cell.strip() for cell in line.split("|"))
    assert int(tested) + int(wrong) == 400
    assert float(flagged.split("%")[0]) <= 1
    assert found.startswith("100.00%")
    assert float(tripled.rstrip("%")) > 50


def test_the_committed_report_is_of_the_committed_package(shipped: Profile) -> None:
    text = (CT / "report" / "nlst.md").read_text(encoding="utf-8")
    assert study.tables_sha256(shipped)[:16] in text
    line = next(line for line in text.splitlines() if line.startswith("| all"))
    cells = [cell.strip() for cell in line.split("|")]
    assert float(cells[4].split("%")[0]) <= 1.0
    assert f"{cells[4]} of {cells[3]} series" in (CT / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert float(cells[6].split("%")[0]) >= 95.0
