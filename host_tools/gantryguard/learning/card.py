"""Writes the model card: what the networks are for, what they were made from, how good they are, where they end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gantryguard.learning.commission import MANY
from gantryguard.learning.mlp import EVEN
from gantryguard.learning.train import BIAS_BYTES, Recipe
from gantryguard.profiles.nets import TrainedNet

TEXT = """\
# Model card: the detector of the CT profile

GENERATED from the profile's sources and seed {seed} by gantryguard.learning.artefacts: change those, then run `make gen`.

## Intended use

Judges one `scan_parameters` command of a CT console in two layers: is it normal at all, and is it normal for this objective
and this patient. Hard limits come first; then ranges of what is usual for the objective, the patient's size and height; then
{count} small integer networks. Ranges and networks only make the verdict of the limits stricter: they hold the command for the
technologist. A demonstration on generated data, no medical device; it must be commissioned for any real scanner.

## Parts

Usual ranges (`features.toml`, generated): dose for objective and size, length for objective and height, voltage, rotation,
pitch, collimation, slice, scan mode. A proposal starts from what is usual: the current at the usual dose for the patient, the
usual pitch and rotation time of the objective, else the middle of the range or what a network says. A scan that passes
through the unborn child of a patient who is known to be pregnant is always held: the guard cannot know how urgent it is.

| network | layers | multiplications | weights and biases, bytes | held-out threshold, least to largest |
|---|---|---|---|---|
{networks}

{macs} multiplications and {size} bytes in all; the package has {package} bytes. int8 weights, activations 0..127,
power-of-two scales: onnxruntime, the Python reference and the device agree to the bit. `context_free` is a denoising
autoencoder that has seen normal commands only. `context_sensitive` sees objective and patient as well. It learnt from normals
and generated anomalies: seven outputs accuse a field each, by the logarithm of the odds that it is wrong ({even} where they
are even, each normal counted {normal:g} times; their squares are the score), seven more say what the field should have been,
for the proposal. One input tells whether the usual dose is that of all sites, as shipped, or of the site itself, after
commissioning; the thresholds are apart for both.

## Data

Generated commands of the reference scanner (`gantryguard.clinic`, calibrated against published dose statistics; see
`objectives.toml`): {normals} normals for `context_free`; {lesson} normals (and more of slim and large patients), at most
{per_kind} anomalies of every kind and {blind} blindly spoilt scans for `context_sensitive`, which learns them with the site
known (pitches are odd as after commissioning) and one in {unknown_of} with the site unknown as well; twice {held_out} other
normals, objectives in equal numbers, for error weights and thresholds. The figures below are of one test set from other sites
and patients: {tested} normals (objectives in equal numbers, 5 % localisers) and {anomalies} anomalies, {kind_count} kinds.
`gantryguard model evaluate` repeats them with three seeds, beside the unconstrained ceiling and the published design:
`report/`.

## False alarms

{false_alarms}

## Recall, all parts together

| grade | 1 (gross) | 2 | 3 | 4 | 5 (subtle) |
|---|---|---|---|---|---|
| recall | {grades} |

F1 over grades 1 to 3, normals and anomalies in equal numbers: {f1:.4f}. The blamed field is right in {blame_gross} of the
single-field anomalies of grades 1 to 3 that are found, and in {blame_subtle} of those of grade 4.

| class | recall | recall, grades 4 and 5 |
|---|---|---|
{classes}

| context | normals | false alarms (95 % interval) | F1, grades 1 to 3 |
|---|---|---|---|
{contexts}

| kind of anomaly | grade | recall |
|---|---|---|
{kinds}

## Grades

Grades follow the catalogue of anomalies (`anomaly_kinds.py`). Where its wording leaves the size open, the kind is as gross as
the words: "adult head 49 mGy on 6 months" is 42 to 56 mGy under one year; "head protocol over abdomen, 50 mGy" is 45 to 55 mGy
below 110 kg (above that it is practice); "abdomen protocol on head" is the protocol of a patient below 100 kg, not what an
overloaded tube makes of it; "above the 99th percentile" is 1.5 to 3 times that percentile in grade 2 and 1 to 1.5 times in
grade 4; three and a half times a site's own dose is grade 4, because other sites do that. "Pregnant, abdomen, not urgent" is
any such scan of a pregnant patient.

## Real data

`report/nlst.md` (`gantryguard model nlst`): the guard commissioned on 500 series of each scanner model of the National Lung
Screening Trial and tested on the rest. On 2026-11-27: 0.30% (0.26% to 0.34%) of 67,246 series without a documented unit error
flagged, at most 0.57 % of any model, and all 728 with one; of two other draws of the 500 one leaves one model above 1 %
(1.09 %). What commissioning may take from so many exams: settings that at least 2 and 0.4 % of them have, the site's 99th
percentile of dose (at most 2.25 times beyond that of all sites, a figure chosen on these series: screening at 10 mGy stays an
alarm), thresholds up to tenfold (scores are squares). It may not go beyond the scanner's own limits; exams that the scanner
cannot execute are left out, more than a tenth of them are refused. The price is in the last column of that table: where a
trial's doses spread over a factor of four, three times the current is often normal.

## Limits

- Generated normals: sites, protocols and patients of one model of the world. Real consoles will differ, and the ranges with
  them: commission first.
- A dose within a factor of two or three of the usual one is normal in that world (sites differ that much), so a creeping or
  slightly raised dose is not seen in a single command. Commissioning narrows that to what patients of one site differ by.
- The figures above are of the guard as shipped; `report/table.md` has those of commissioned sites beside the ceiling.
- Slim patients (CS3): much of what is wrong with a patient's size is not seen in a single command even by the ceiling;
  `report/table.md` has both side by side. Patients who lie off centre are hardly ever found (`off_centre` above).
- A site whose own doses of an objective are far above the usual ones passes what its own level explains, up to the 99th
  percentile expected there and to what hardly a normal of any site has. More of its scans are held than elsewhere (up to
  one in a hundred of an objective): commission with {many} or more of it.
- Anomalies of the test are of the kinds that the second network has learnt from. What is of no such kind is left to the
  limits, the ranges and the autoencoder.
- Sequences (replay, order, repetition) are the business of the guard's rules, not of this detector.
"""


def render(nets: Sequence[TrainedNet], metrics: Mapping[str, Any], recipe: Recipe, package_bytes: int, seed: int) -> str:
    """The card as Markdown, from `evaluate.evaluate`'s metrics."""
    overall = metrics["overall"]
    return TEXT.format(
        seed=seed,
        count={1: "one", 2: "two"}.get(len(nets), len(nets)),
        networks="\n".join(map(_network, nets)),
        macs=f"{sum(net.macs for net in nets):,}",
        size=f"{sum(_size(net) for net in nets):,}",
        package=f"{package_bytes:,}",
        normals=f"{recipe.normals:,}",
        lesson=f"{recipe.lesson.normals:,}",
        per_kind=f"{recipe.lesson.per_kind:,}",
        blind=f"{recipe.lesson.blind:,}",
        held_out=f"{recipe.held_out:,}",
        even=EVEN,
        many=MANY,
        normal=recipe.normal,
        unknown_of=recipe.unknown_of,
        tested=f"{overall['normals']:,}",
        anomalies=f"{overall['anomalies']:,}",
        kind_count=len(metrics["recall_by_kind"]),
        false_alarms=_false_alarms(overall),
        grades=" | ".join(_percent(overall["recall_by_grade"].get(str(grade), 0.0)) for grade in range(1, 6)),
        f1=overall["f1_grades_1_3"],
        blame_gross=_percent(metrics["blame"]["grades_1_3"]),
        blame_subtle=_percent(metrics["blame"]["grade_4"]),
        classes=_classes(overall),
        kinds=_kinds(metrics),
        contexts="\n".join(map(_context, metrics["contexts"])),
    )


def _size(net: TrainedNet) -> int:
    return net.macs + BIAS_BYTES * sum(len(layer.bias) for layer in net.layers)


def _network(net: TrainedNet) -> str:
    widths = [net.layers[0].weights.shape[1], *(len(layer.bias) for layer in net.layers)]
    holds = net.thresholds[:, 0]
    return f"| {net.name} | {'-'.join(map(str, widths))} | {net.macs:,} | {_size(net):,} | {holds.min():,} to {holds.max():,} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _classes(overall: Mapping[str, Any]) -> str:
    subtle = overall["recall_by_class_grades_4_5"]
    shares = overall["recall_by_class"].items()
    return "\n".join(f"| {name} | {_percent(share)} | {_percent(subtle.get(name, share))} |" for name, share in shares)


def _kinds(metrics: Mapping[str, Any]) -> str:
    grades = metrics["grade_by_kind"]
    ordered = sorted(metrics["recall_by_kind"].items(), key=lambda item: (grades[item[0]], item[0]))
    return "\n".join(f"| {name} | {grades[name]} | {_percent(share)} |" for name, share in ordered)


def _interval(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:.3f} to {100 * ends[1]:.3f} %"


def _false_alarms(overall: Mapping[str, Any]) -> str:
    by = overall["false_alarms"]
    return (
        f"| cause | alarms in {overall['normals']:,} normals |\n|---|---|\n"
        f"| usual ranges and networks | {by['usual_ranges_and_networks']} |\n"
        f"| notification and alert values, as a dose check would ask | {by['dose_check']} |\n"
        f"| other limits | {by['other']} |\n\n"
        f"All together {100 * overall['false_alarm_rate']:.3f} % "
        f"(95 % Clopper-Pearson interval {_interval(overall['false_alarm_ci95'])})."
    )


def _context(context: Mapping[str, Any]) -> str:
    name = context["objective"] if context["group"] == "all" else context["group"]
    alarms = f"{100 * context['false_alarm_rate']:.3f} % ({_interval(context['false_alarm_ci95'])})"
    return f"| {name} | {context['normals']:,} | {alarms} | {context['f1_grades_1_3']:.4f} |"
