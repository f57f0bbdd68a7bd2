"""From profile sources to trained networks: features, training, thresholds, the vectorised judge, metrics, artefacts."""

from __future__ import annotations

import json
import shutil
from array import array
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gantryguard import paths
from gantryguard.clinic import objectives, schema
from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError
from gantryguard.learning import (
    artefacts,
    evaluate,
    features,
    lessons,
    mlp,
    onnx_graph,
    ranges,
    readings,
    reference,
    sources,
    train,
    trial,
)
from gantryguard.learning.pipeline import Pipeline, nets_of
from gantryguard.profiles.nets import TrainedLayer, TrainedNet
from gantryguard.profiles.package import build, compile_profile
from gantryguard.profiles.profile import Profile
from interposer.core import network as core
from interposer.core.reasons import ABNORMAL, ABNORMAL_FOR_CONTEXT, BAD_FIELD, BLOCK, PASS
from interposer.core.verdict import Judge


def recipe(rows: int, epochs: int, held_out: int = 300) -> train.Recipe:
    """A training that takes seconds."""
    whole = train.Recipe()
    return replace(
        whole,
        normals=rows,
        lesson=lessons.Amounts(normals=rows, per_kind=max(rows // 100, 2), blind=rows),
        held_out=18 * held_out,
        free=replace(whole.free, epochs=epochs),
        sensitive=replace(whole.sensitive, epochs=epochs, batch=128),
    )


SMALL = recipe(6000, 2)
GOLDEN_IN_TEST = 10_000
IN_CORE = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CT profile with features as its sources give them."""
    place = tmp_path_factory.mktemp("ct")
    for source in (paths.MODELS / "ct").glob("*.toml"):
        shutil.copy(source, place)
    (place / "features.toml").write_text(features.render(objectives.tables()), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def nets(folder: Path) -> list[TrainedNet]:
    return train.train_profile(folder, 5, recipe=SMALL)


@pytest.fixture(scope="module")
def profile(folder: Path, nets: list[TrainedNet]) -> Profile:
    return Profile(build(folder, nets))


def normals(rows: int, seed: int = 77) -> Commands:
    return generate(rows, scanner=reference_scanner(), seed=seed)


def normals_and_anomalies(rows: int = 400) -> Commands:
    scanner = reference_scanner()
    return Commands.concat([normals(rows), make_anomalies(normals(4000, 78), 9, scanner=scanner, per_kind=6).commands])


# ---- features


def test_one_command_in_four_is_taught_where_the_site_is_unknown_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    monkeypatch.setattr(mlp, "fit", lambda inputs, *_rest, **named: told.append((inputs, named)))
    train.train_layers(folder, 1, None, SMALL)
    inputs, named = told[1]
    known = inputs[:, features.NETWORKS[1].inputs.index("n_site_is_known")] > 0
    assert known.sum() > 1000
    assert SMALL.unknown_of == 4
    technique = slice(0, len(features.MENDED))
    assert np.array_equal(inputs[~known][:, technique], inputs[known][::4][:, technique])
    for column in (named["accused"], named["emphasis"]):
        assert np.array_equal(column[~known], column[known][::4])


def test_features_follow_from_the_protocol_table() -> None:
    assert (paths.MODELS / "ct" / "features.toml").read_text(encoding="utf-8") == features.render(objectives.tables())


def test_every_network_is_declared_as_compiled(folder: Path) -> None:
    compiled = compile_profile(folder).networks
    assert [network.name for network in compiled] == [declared.name for declared in features.NETWORKS]
    assert [network.name for network in compiled] == [features.CONTEXT_FREE, features.CONTEXT_SENSITIVE]


def test_ranges_hold_nearly_all_normals_of_other_seeds(folder: Path) -> None:
    """The rows of the device say of dose and length what the ranges were found by."""
    profile = Profile.load(folder)
    for name in schema.OBJECTIVES:
        commands = generate(4000, scanner=reference_scanner(), seed=3, objectives=(name,), localiser_share=0)
        matrix = profile.matrix_from(commands.columns)
        profile.evaluate(matrix, readings.COMMAND)
        found = ranges.generated()
        ratio = ranges.dose_ratio(commands, name, objectives.tables(), reference_scanner()) / found.dose[name].middle
        octaves = matrix[:, profile.slot("log_dose_excess")] / 1024
        np.testing.assert_allclose(octaves, np.log2(ratio), atol=0.02)
        assert (matrix[:, profile.slot("dose_error")] != 0).mean() < 0.003, name
        assert (matrix[:, profile.slot("length_error")] != 0).mean() < 0.003, name


def test_an_excess_beyond_the_range_is_an_error_of_its_own_size(folder: Path) -> None:
    profile = Profile.load(folder)
    commands = generate(200, scanner=reference_scanner(), seed=3, objectives=("abdomen_pelvis",), localiser_share=0)
    matrix = profile.matrix_from(commands.replace(ma=commands["ma"] * 12).columns)
    profile.evaluate(matrix, readings.COMMAND)
    np.testing.assert_array_equal(matrix[:, profile.slot("dose_error")], matrix[:, profile.slot("log_dose_excess")])
    assert (matrix[:, profile.slot("dose_error")] > 1024).all()


def test_the_second_network_passes_on_what_it_mends_and_accuses_the_same_fields(folder: Path) -> None:
    declared = features.NETWORKS[1]
    assert set(declared.targets) <= set(declared.inputs)
    network = compile_profile(folder).networks[1]
    count = len(declared.targets)
    assert network.accuses() == [False] * count + [True] * count
    for number, target in enumerate(network.targets[count:]):
        assert (target.field, target.value) == (network.targets[number].field, number)


def test_a_known_site_is_seen_as_its_own_package_sees_it(folder: Path) -> None:
    """What training makes of a command is what the commissioned package says, but for rounding: dose, pitch and group."""
    name, octaves = "chest", 0.8
    commands = generate(2000, scanner=reference_scanner(), seed=4, objectives=(name,), localiser_share=0)
    commands = commands.replace(pitch=commands["pitch"] + np.arange(2000) % 3 * 0.01)
    networks = list(compile_profile(folder).networks)
    taught = readings.Guards.of(folder).read(networks, commands, np.full(len(commands), octaves))[1]
    found = ranges.generated()
    level = replace(found.dose[name], usual=found.dose[name].usual * 2**octaves)
    here = frozenset([name])
    with sources.rendered(folder, replace(found, dose={**found.dose, name: level}, known=here, exact=here)) as own:
        told = readings.gathered(Profile.load(own), networks, commands)[1]
    assert np.array_equal(taught.groups, told.groups)
    assert np.abs(taught.inputs.astype(int) - told.inputs.astype(int)).max() <= 1
    odd = [quantity.name for quantity in networks[1].inputs].index("n_odd_pitch")
    assert set(taught.inputs[:, odd].tolist()) == {0, 127}


def test_a_site_is_known_by_objective(folder: Path) -> None:
    groups = len(schema.OBJECTIVES) * features.SIZES
    commands = generate(3000, scanner=reference_scanner(), seed=4)
    guards, networks = readings.Guards.of(folder), list(compile_profile(folder).networks)
    plain, known = (guards.read(networks, commands, level)[1] for level in (None, np.zeros(3000)))
    turns = commands["scan_mode"] != schema.LOCALISER
    assert set((known.groups - plain.groups)[turns]) == {groups}
    assert not known.groups[~turns].any()
    assert plain.groups.max() <= groups
    assert known.groups.max() < features.SCAN_GROUPS


def test_pitches_are_exact_where_there_are_any() -> None:
    helical = readings.helical_objectives(objectives.tables())
    assert {"chest", "head", "ccta"} <= helical
    assert not helical & {"calcium_score", "perfusion", "paed_head"}


# ---- training


def test_training_is_reproducible(folder: Path, nets: list[TrainedNet]) -> None:
    again = train.train_profile(folder, 5, recipe=SMALL)
    assert build(folder, again) == build(folder, nets)
    assert [onnx_graph.export(net) for net in again] == [onnx_graph.export(net) for net in nets]
    other = train.train_profile(folder, 6, recipe=SMALL)
    assert build(folder, other) != build(folder, nets)


def test_training_tells_its_progress(folder: Path) -> None:
    told: list[float] = []
    train.train_profile(folder, 5, lambda done, _text: told.append(done), recipe(600, 1, 20))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_networks_never_block_and_fit_the_device(nets: list[TrainedNet]) -> None:
    for net in nets:
        assert (net.thresholds[:, 1] == train.NEVER).all()
        assert (net.thresholds[:, 0] < train.NEVER).all()
    train.check_size(nets)
    assert sum(net.macs for net in nets) <= train.MOST_MACS


def test_networks_beyond_the_device_are_refused(nets: list[TrainedNet]) -> None:
    wide = TrainedLayer(np.zeros((100, 61), np.int8), np.zeros(100, np.int32), 6)
    with pytest.raises(UserError, match="6100 multiplications"):
        train.check_size([TrainedNet("wide", (wide,), nets[0].thresholds)])


# ---- the vectorised judge


def test_pipeline_equals_the_judge_of_the_device(profile: Profile) -> None:
    commands = normals_and_anomalies()
    pipeline = Pipeline(profile)
    raw = profile.matrix_from(commands.columns)
    evaluated = raw.copy()
    profile.evaluate(evaluated, readings.COMMAND)
    result = pipeline.assess(evaluated)
    judge = Judge(profile.package, core.layers)
    index = profile.command(readings.COMMAND)
    for row in range(len(commands)):
        if np.abs(raw[row]).max() >= 1 << 30:
            continue
        judge.assess(array("i", raw[row].tolist()), index)
        assert judge.verdict == result.verdict[row]
        assert judge.reason == result.reason[row]
        assert judge.blamed == result.blamed[row]
        assert list(judge.scores) == result.scores[row].tolist()
        assert list(judge.thresholds) == result.thresholds[row].tolist()
    assert {ABNORMAL, ABNORMAL_FOR_CONTEXT} & set(result.reason.tolist())
    assert (result.verdict == PASS).any()
    assert (result.verdict == BLOCK).any()


def test_values_that_the_wire_cannot_carry_are_bad_fields(profile: Profile) -> None:
    commands = normals(50).replace(ma=1e9)
    result = Pipeline(profile).judge(commands)
    assert (result.verdict == BLOCK).all()
    assert (result.reason == BAD_FIELD).all()
    assert (result.blamed == profile.slot("ma")).all()


def test_a_package_can_be_built_again_from_its_own_networks(folder: Path, profile: Profile) -> None:
    assert build(folder, nets_of(profile)) == profile.blob


def test_pipeline_reads_back_what_was_trained(profile: Profile, nets: list[TrainedNet]) -> None:
    for packed, net in zip(Pipeline(profile).nets, nets, strict=True):
        assert onnx_graph.export(packed.net) == onnx_graph.export(net)
        assert np.array_equal(packed.net.thresholds, net.thresholds)
        assert np.array_equal(packed.net.output_weights, net.output_weights)


# ---- parity of the trained networks


def test_ten_thousand_vectors_agree_in_three_runtimes(profile: Profile) -> None:
    pipeline = Pipeline(profile)
    engine = core.Network(profile.package.table("nets"), profile.package.table("weights"), 64, len(profile.network_names))
    rows = GOLDEN_IN_TEST
    for index, (packed, inputs, targets) in enumerate(artefacts.golden_inputs(pipeline, 4, rows)):
        outputs = reference.infer(packed.net, inputs)
        assert np.array_equal(onnx_graph.run(onnx_graph.export(packed.net), inputs), outputs)
        scores, worst = reference.score(packed.net, targets, outputs)
        for row in range(0, rows, rows // IN_CORE):
            values = array("i", bytes(4 * profile.size))
            for slot, value in zip(packed.inputs, inputs[row], strict=True):
                values[slot] = int(value)
            shared = set(packed.inputs.tolist()) & set(packed.targets.tolist())
            if not shared:
                for slot, value in zip(packed.targets, targets[row], strict=True):
                    values[slot] = int(value)
            engine.first_suspect(0, 1 << index, values)
            assert engine.output()[: len(packed.targets)].tolist() == outputs[row].tolist()
            if not shared:
                assert (engine.scores[index], engine.worst()) == (scores[row], worst[row])


# ---- metrics


def test_evaluation_counts_what_the_pipeline_says(profile: Profile) -> None:
    sample = trial.Sample(normals=3600, per_kind=5, seed=11_000)
    metrics = evaluate.evaluate(profile, sample)
    overall, contexts = metrics["overall"], metrics["contexts"]
    assert isinstance(overall, dict)
    assert isinstance(contexts, list)
    names = [(name, "all") for name in schema.OBJECTIVES] + [("all", name) for name in trial.PATIENT_GROUPS]
    assert [(context["objective"], context["group"]) for context in contexts] == names
    assert sum(context["normals"] for context in contexts) == 2 * overall["normals"] == 2 * 3780
    alarms = Pipeline(profile).judge(trial.trial(sample).normals).is_alarm()
    assert overall["false_alarm_rate"] == pytest.approx(alarms.mean(), abs=1e-6)
    assert sum(overall["false_alarms"].values()) == alarms.sum()
    assert overall["recall_by_class"]["CF1"] == 1.0
    assert json.loads(json.dumps(metrics)) == metrics


# ---- what is committed


@pytest.fixture(scope="module")
def committed() -> Profile:
    return Profile((artefacts.CT / artefacts.PACKAGE).read_bytes())


def test_committed_golden_vectors_hold(committed: Profile) -> None:
    told = json.loads((artefacts.CT / artefacts.GOLDEN).read_text(encoding="utf-8"))
    for packed, vectors in zip(Pipeline(committed).nets, told["networks"], strict=True):
        assert packed.net.name == vectors["name"]
        inputs, targets, outputs = (
            np.array([list(bytes.fromhex(row)) for row in vectors[key]]) for key in ("inputs", "targets", "outputs")
        )
        model = (artefacts.CT / f"{packed.net.name}.onnx").read_bytes()
        assert np.array_equal(onnx_graph.run(model, inputs), outputs)
        assert np.array_equal(reference.infer(packed.net, inputs), outputs)
        scores, worst = reference.score(packed.net, targets, outputs)
        assert scores.tolist() == vectors["scores"]
        assert worst.tolist() == vectors["worst"]


def test_the_committed_detector_meets_its_aims(committed: Profile) -> None:
    """F1 of grades 1 to 3 in every context, and false alarms; floors a little under the model card's figures."""
    metrics = evaluate.evaluate(committed, trial.Sample(normals=120_000, per_kind=400, seed=900_000))
    overall, contexts = metrics["overall"], metrics["contexts"]
    assert isinstance(overall, dict)
    assert isinstance(contexts, list)
    assert overall["false_alarm_rate"] <= 0.001
    assert all(context["false_alarm_rate"] <= 0.003 for context in contexts)
    assert {f"{c['objective']}/{c['group']}" for c in contexts if c["f1_grades_1_3"] < 0.995} == set()
    assert overall["recall_by_grade"]["4"] >= 0.75
    assert overall["recall_by_grade"]["5"] >= 0.45


def test_the_committed_detector_fits_the_device(committed: Profile) -> None:
    nets = nets_of(committed)
    assert sum(net.macs for net in nets) <= 5100
    assert committed.program(readings.COMMAND)[1] <= 250  # rows evaluated for a command


def test_the_right_field_is_blamed(committed: Profile) -> None:
    blame = evaluate.evaluate(committed, trial.Sample(normals=36_000, per_kind=150, seed=910_000))["blame"]
    assert isinstance(blame, dict)
    assert blame["grades_1_3"] >= 0.95
    assert blame["grade_4"] >= 0.8


def test_check_names_what_differs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(artefacts, "contents", lambda *_rest, **_: {"one": b"1", "two": b"2", "three": b"3"})
    monkeypatch.setattr(artefacts, "_up_to_date", lambda _folder, _seed: None)
    artefacts.write(tmp_path)
    assert artefacts.check_trained(tmp_path) == []
    (tmp_path / "two").write_bytes(b"other")
    (tmp_path / "three").unlink()
    assert artefacts.check_trained(tmp_path) == ["two", "three"]


def test_artefacts_are_reproducible(folder: Path) -> None:
    sample = trial.Sample(normals=1800, per_kind=3, seed=11_000)
    first, second = (artefacts.contents(folder, 2, None, recipe(1000, 1, 50), sample) for _ in range(2))
    assert first == second
    assert set(first) == {"features.toml", "training.json", "package.bin", "golden.json", "MODEL_CARD.md"} | {
        f"{declared.name}.onnx" for declared in features.NETWORKS
    }
    assert len(first["golden.json"]) < 200_000
