"""Writes the model card: what the networks are for, what they were made from, how good they are, where they end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gantryguard.learning.train import BIAS_BYTES, Recipe
from gantryguard.profiles.nets import TrainedNet

TEXT = """\
# Model card: the networks of the CT profile

GENERATED from the profile's sources and seed {seed} by gantryguard.learning.artefacts: change those, then run `make gen`.

## Intended use

{count} small integer networks judge one `scan_parameters` command of a CT console: is it normal at all, and is it normal
for this objective and this patient. They can only make the verdict of the limits stricter: a score above its threshold
holds the command for the technologist. They are a demonstration on generated data, no medical device, and must be
trained and calibrated again for any real scanner.

## Networks

| network | layers | multiplications | weights and biases, bytes | held-out threshold, least to largest |
|---|---|---|---|---|
{networks}

{macs} multiplications and {size} bytes in all; the package has {package} bytes. int8 weights, activations 0..127,
power-of-two scales: onnxruntime, the Python reference and the device agree to the bit. The network that sees what it is
to say is a denoising autoencoder; the others predict a field from the context and from what was decided before it.

## Data

{normals} normal commands of the generator (`gantryguard.clinic`, calibrated against published dose statistics; see
`objectives.toml`) for training, {held_out} more, in equal numbers by objective, for error weights and thresholds, all of
the reference scanner. Training sees no anomaly. Evaluation: {tested} other normals and {anomalies} anomalies.

## False alarms

{false_alarms}

Commands above a notification or alert value are held as a dose check on the console would do it, whoever sent them.

## Recall, limits and networks together

| grade | 1 (gross) | 2 | 3 | 4 | 5 (subtle) |
|---|---|---|---|---|---|
| recall | {grades} |

F1 over grades 1 to 3: {f1:.3f}.

| class | recall |
|---|---|
{classes}

| kind of anomaly | recall |
|---|---|
{kinds}

| objective | false alarms of the networks (95 % interval) | F1, grades 1 to 3 |
|---|---|---|
{objectives}

## Limits

- Generated normals: sites, protocols and patients of one model of the world. Real consoles will differ, and the thresholds
  with them.
- A dose within a factor of 2.5 of the usual one is normal in that world (sites differ that much), so a creeping or slightly
  raised dose is not seen in a single command.
- Sequences (replay, order, repetition) are the business of the guard's rules, not of these networks.
"""


def render(nets: Sequence[TrainedNet], metrics: Mapping[str, Any], recipe: Recipe, package_bytes: int, seed: int) -> str:
    """The card as Markdown, from `evaluate.evaluate`'s metrics."""
    overall = metrics["overall"]
    return TEXT.format(
        seed=seed,
        count=len(nets),
        networks="\n".join(map(_network, nets)),
        macs=f"{sum(net.macs for net in nets):,}",
        size=f"{sum(_size(net) for net in nets):,}",
        package=f"{package_bytes:,}",
        normals=f"{recipe.normals:,}",
        held_out=f"{recipe.held_out:,}",
        tested=f"{overall['normals']:,}",
        anomalies=f"{overall['anomalies']:,}",
        false_alarms=_false_alarms(overall),
        grades=" | ".join(_percent(overall["recall_by_grade"].get(str(grade), 0.0)) for grade in range(1, 6)),
        f1=overall["f1_grades_1_3"],
        classes=_table(overall["recall_by_class"]),
        kinds=_table(metrics["recall_by_kind"]),
        objectives="\n".join(map(_objective, metrics["contexts"])),
    )


def _size(net: TrainedNet) -> int:
    return net.macs + BIAS_BYTES * sum(len(layer.bias) for layer in net.layers)


def _network(net: TrainedNet) -> str:
    widths = [net.layers[0].weights.shape[1], *(len(layer.bias) for layer in net.layers)]
    holds = net.thresholds[:, 0]
    return f"| {net.name} | {'-'.join(map(str, widths))} | {net.macs:,} | {_size(net):,} | {holds.min():,} to {holds.max():,} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _table(shares: Mapping[str, float]) -> str:
    return "\n".join(f"| {name} | {_percent(share)} |" for name, share in shares.items())


def _interval(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:.4f} to {100 * ends[1]:.4f} %"


def _false_alarms(overall: Mapping[str, Any]) -> str:
    by = overall["false_alarms"]
    return (
        f"| cause | alarms in {overall['normals']:,} normals |\n|---|---|\n| networks | {by['networks']} |\n"
        f"| notification and alert values | {by['dose_check']} |\n| other limits | {by['other']} |\n\n"
        f"Networks: {100 * overall['false_alarm_rate_networks']:.4f} % "
        f"(95 % Clopper-Pearson interval {_interval(overall['false_alarm_ci95_networks'])}). All together: "
        f"{100 * overall['false_alarm_rate']:.4f} % ({_interval(overall['false_alarm_ci95'])})."
    )


def _objective(context: Mapping[str, Any]) -> str:
    alarms = f"{100 * context['false_alarm_rate_networks']:.4f} % ({_interval(context['false_alarm_ci95_networks'])})"
    return f"| {context['objective']} | {alarms} | {context['f1_grades_1_3']:.3f} |"
