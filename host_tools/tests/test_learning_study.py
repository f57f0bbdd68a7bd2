"""The evaluation's other voices: ceiling, baselines, float; and the committed report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gantryguard import paths
from gantryguard.clinic.schema import OBJECTIVES
from gantryguard.learning import (
    baselines,
    ceiling,
    evaluate,
    floats,
    mlp,
    ranges,
    red_team,
    reference,
    report,
    sites,
    study,
    trial,
    views,
)
from gantryguard.learning.pipeline import Pipeline, nets_of
from gantryguard.profiles.profile import Profile

CT = paths.MODELS / "ct"
TEST = trial.trial(trial.Sample(normals=9000, per_kind=12, seed=700_000))


def quiet(_done: float, _text: str) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((CT / "report" / "metrics.json").read_text(encoding="utf-8"))
    return told


def test_the_committed_report_is_of_the_committed_package(metrics: dict[str, Any]) -> None:
    assert metrics["tables_sha256"] == study.tables_sha256(Profile((CT / "package.bin").read_bytes()))


def test_what_the_card_says_of_real_data_is_what_was_measured(metrics: dict[str, Any]) -> None:
    """On the tables of the committed package, and figure by figure."""
    measured = (CT / "report" / "nlst.md").read_text(encoding="utf-8")
    assert f"tables {metrics['tables_sha256'][:16]}" in measured
    card = (CT / "MODEL_CARD.md").read_text(encoding="utf-8").partition("## Real data")[2].partition("What commissioning")[0]
    figures = [figure.replace(" ", "") for figure in re.findall(r"\d[\d,.]*\d ?%|\b\d{2,3},\d{3}\b", card)]
    assert len(figures) >= 6
    assert [figure for figure in figures if figure not in measured] == []


def test_the_committed_report_meets_the_aims(metrics: dict[str, Any]) -> None:
    assert metrics["overall"]["normals"] >= 200_000
    assert metrics["overall"]["anomalies"] >= 100_000
    assert len(metrics["seeds"]) == 3
    assert all(context["f1_grades_1_3"] >= 0.995 for context in metrics["contexts"])
    assert all(context["false_alarm_ci95"][1] <= 0.003 for context in metrics["contexts"])
    assert metrics["overall"]["false_alarm_ci95"][1] <= 0.001
    commissioned = metrics["commissioned"]
    assert commissioned["overall"]["false_alarm_ci95"][1] <= 0.001
    assert all(context["false_alarm_ci95"][1] <= 0.003 for context in commissioned["contexts"])
    assert all(context["f1_grades_1_3"] >= 0.995 for context in commissioned["contexts"])
    assert commissioned["false_alarms_by_site"]["ci95"][1] <= 0.001
    assert set(commissioned["overall"]["ceiling_by_class"]) == set(metrics["overall"]["recall_by_class"])
    for name, ceiling_of_class in commissioned["overall"]["ceiling_by_class"].items():
        assert commissioned["overall"]["recall_by_class_grades_4_5"][name] >= 0.95 * ceiling_of_class
    for finds in ([find for find in metrics["red_team"] if find["aim"] == "most dose"], commissioned["red_team"]):
        assert {find["objective"] for find in finds} == set(OBJECTIVES)
        assert max(find["ratio"] for find in finds) <= 1.25
    assert metrics["blame"]["grades_1_3"] >= 0.95 <= commissioned["blame"]["grades_1_3"]
    assert metrics["blame"]["grade_4"] >= 0.8 <= commissioned["blame"]["grade_4"]
    assert metrics["proposals"]["usual"] >= 0.95
    assert metrics["proposals"]["dose_within_25_percent"] >= 0.8
    assert metrics["float_vs_int8"]["f1_points_lost"] <= 0.2
    assert all(row["guard"] >= row["best_baseline"] for row in metrics["better_than_baselines"].values())


def test_metrics_have_the_keys_of_the_house_plan(metrics: dict[str, Any]) -> None:
    keys = {"objective", "group", "normals", "anomalies", "f1_grades_1_3", "recall_by_grade", "recall_by_class"}
    keys |= {"ceiling_by_class", "undivided_ceiling_by_class", "false_alarm_rate", "false_alarm_ci95"}
    for context in (*metrics["contexts"], metrics["overall"]):
        assert keys <= set(context)
    assert {context["objective"] for context in metrics["contexts"]} == {"all", *OBJECTIVES}


def test_the_report_is_drawn_from_the_metrics(metrics: dict[str, Any], tmp_path: Path) -> None:
    written = report.write(tmp_path / "report", metrics)
    assert [path.name for path in written] == ["table.md", "contexts.png", "ceiling.png"]
    assert written[0].read_text(encoding="utf-8") == (CT / "report" / "table.md").read_text(encoding="utf-8")
    assert all(path.stat().st_size > 5000 for path in written[1:])


def test_the_table_does_not_depend_on_the_order_in_a_file(metrics: dict[str, Any]) -> None:
    backwards = {**metrics, "better_than_baselines": dict(reversed(metrics["better_than_baselines"].items()))}
    assert report.render(backwards) == report.render(metrics)


def test_the_table_has_both_ceilings_of_every_class(metrics: dict[str, Any]) -> None:
    rows = [line for line in report.render(metrics).splitlines() if line.startswith(("| CF", "| CS"))]
    local = metrics["commissioned"]["overall"]
    assert len(rows) == len(local["ceiling_by_class"])
    for row in rows:
        name, *_, top, _share, undivided = (cell.strip() for cell in row.strip("|").split("|"))
        assert top == f"{100 * local['ceiling_by_class'][name]:.1f} %"
        assert undivided == f"{100 * local['undivided_ceiling_by_class'][name]:.1f} %"


def test_the_table_names_the_worst_context_of_commissioned_sites(metrics: dict[str, Any]) -> None:
    contexts = metrics["commissioned"]["contexts"]
    assert {context["objective"] for context in contexts} == {"all", *OBJECTIVES}
    spoilt = [dict(context) for context in contexts]
    spoilt[3] |= {"false_alarm_rate": 0.02, "false_alarm_ci95": [0.01, 0.03]}
    spoilt[-1] |= {"f1_grades_1_3": 0.9}
    told = " ".join(report.render({**metrics, "commissioned": {**metrics["commissioned"], "contexts": spoilt}}).split())
    assert f"{spoilt[3]['objective']}, 2.000 % (1.000 to 3.000 %)" in told
    assert f"least F1 of grades 1 to 3: {spoilt[-1]['group']}, 0.9000." in told


def test_the_red_team_goes_where_a_range_ends_farthest_above_its_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two sites to the one whose ranges are wide; beside the higher of the two 99th percentiles."""
    monkeypatch.setattr(sites, "TESTED", 200)
    monkeypatch.setattr(sites, "PER_KIND", 1)
    nets = nets_of(Profile((CT / "package.bin").read_bytes()))
    found, _ = sites.commissioned_trials(CT, nets, 2)
    wide = {name: ranges.Range(span.low, 9.0, span.usual) for name, span in found[1].ranges.dose.items()}
    found[1] = found[1]._replace(ranges=replace(found[1].ranges, dose=wide))
    attacked: list[int | None] = []

    def attack(_pipeline: Pipeline, *, objectives: tuple[str], aims: tuple[str], site: int) -> list[red_team.Find]:
        attacked.append(site)
        return [red_team.Find(objectives[0], aims[0], 1.5, 3.0, 2.0, 1.1, {})]

    monkeypatch.setattr(red_team, "attack", attack)
    told = study._most_dose(found, {"chest": 2.5, "head": 1.5})
    assert attacked == [found[1].site] * 2
    assert [find["ratio"] for find in told] == [3.0 / 2.5, 3.0 / 2.0]


def test_a_ceiling_is_learnt_per_class_and_for_all_together() -> None:
    learnt = ceiling.learn(quiet, commands=12_000)
    hits = ceiling.found(learnt.by_class, TEST, 0.01)
    made = TEST.anomalies
    assert set(learnt.by_class) == {name for name, grade in zip(made.classes, made.grades, strict=True) if grade > 3}
    assert hits[made.grades <= 3].all()
    assert 0.2 < hits[made.grades > 3].mean() < 1
    for name, model in learnt.by_class.items():  # each has a threshold of its own
        rows = (np.array(made.classes) == name) & (made.grades > 3)
        assert (ceiling.found({name: model}, TEST, 0.01)[rows] == hits[rows]).all()
    undivided = ceiling.found(learnt.for_all(), TEST, 0.01)
    assert undivided[made.grades <= 3].all()
    assert 0.2 < undivided[made.grades > 3].mean() < 1
    assert (undivided != hits).any()


def test_every_class_weighs_the_same_and_all_together_as_the_normals() -> None:
    classes = np.repeat(["CF1", "CS3", "CS8"], [10, 30, 200])
    weights = ceiling.weights_of(600, classes)
    assert (weights[:600] == 1).all()
    assert [weights[600:][classes == name].sum() for name in ("CF1", "CS3", "CS8")] == pytest.approx([200, 200, 200])


def test_the_view_of_the_ceiling_is_finite_and_knows_the_site() -> None:
    told = views.everything(TEST.normals, TEST.place)
    assert np.isfinite(told).all()
    assert len(np.unique(told[:, -1])) > 50
    assert (told[TEST.place < 0, -1] == 0).all()


def test_baselines_report_every_layer_and_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "LEARNT", trial.Sample(normals=3600, per_kind=20, seed=250_000))
    monkeypatch.setattr(baselines, "TESTED", 1500)
    nothing = np.zeros(len(TEST.normals), bool), np.zeros(len(TEST.anomalies.commands), bool)
    rows = baselines.compare(TEST, nothing, quiet)
    first, second = len(baselines.CONTEXT_FREE), len(baselines.CONTEXT_SENSITIVE)
    assert first >= 6
    assert second >= 5
    assert len(rows) == 1 + first + second + first * second
    assert rows[0]["f1_grades_1_3"] == 0.0
    assert all(0 <= row["f1_grades_1_3"] <= 1 for row in rows)  # type: ignore[operator]  # a number
    assert max(row["f1_grades_1_3"] for row in rows) > 0.8  # type: ignore[type-var]  # numbers


def test_a_network_of_whole_numbers_is_the_same_in_floating_point() -> None:
    rows = np.random.default_rng(1).integers(0, 128, (300, 6))
    layers = mlp.fit(rows, rows, np.ones(6), mlp.Plan((8,), 1, 32, passed=(0, 1, 2, 3, 4, 5)))
    exact = floats.infer(layers, rows.astype(np.float64))
    assert np.abs(exact - rows).max() < 40
    net = nets_of(Profile((CT / "package.bin").read_bytes()))[0]
    targets = np.random.default_rng(2).integers(0, 128, (100, len(net.output_weights)))
    outputs = np.random.default_rng(3).integers(0, 128, targets.shape)
    whole, _ = reference.score(net, targets, outputs)
    real = floats.score(net, targets.astype(float), outputs.astype(float))
    assert np.abs(real / np.maximum(whole, 1) - 1).max() < 0.2


def test_blame_counts_single_fields_only() -> None:
    outcome = evaluate.run(Pipeline(Profile((CT / "package.bin").read_bytes())), [TEST])
    assert set(evaluate.blame(outcome)) == {"grades_1_3", "grade_4"}
    assert (outcome.truth != "").sum() < len(outcome.truth)
