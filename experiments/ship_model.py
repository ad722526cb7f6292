"""Put a trained model into the package, with its card.

    python experiments/ship_model.py lungs RUN DATASET --part validation

writes src/lightm_unet/models/shipped/lungs: the weights of RUN as float16, model.json with the
profile of the training images, and README.md, the card. Its numbers are measured here, with the
weights as they are shipped, on the images' own grids; its words stand in models/lungs/facts.toml.
`--part test` scores the test cases, once, when the model is final.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomllib
import torch
from safetensors.torch import save

from claim import ITEMS
from lightm_unet import evaluate, predict
from lightm_unet.costs.counting import count_network
from lightm_unet.datasets.dataset import Dataset, open_dataset
from lightm_unet.datasets.splits import Split, read_split
from lightm_unet.evaluation.scores import CaseScores, Evaluation
from lightm_unet.models.model_folder import CARD, WEIGHTS, load_model
from lightm_unet.models.shipped_models import FOLDER
from lightm_unet.system.files import new_folder, write_bytes
from lightm_unet.system.records import read_record, write_record
from lightm_unet.training.profile import store_profile

ROOT = Path(__file__).parents[1]
TITLES = {"dice": "DSC", "iou": "IoU", "hd95": "HD95", "nsd": "NSD"}
WORST = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("run", type=Path, help="folder of the training run")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--part", choices=["validation", "test"], default="validation")
    given = parser.parse_args()
    facts = tomllib.loads((ROOT / "models" / given.name / "facts.toml").read_text())
    data, split = open_dataset(given.dataset), read_split(given.run / "split.json")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / given.name
        write_halves(given.run / "model", folder)
        store_profile(folder, data, split, torch.device("cpu"), None)
        scores = score(folder, data, getattr(split, given.part), Path(temporary))
        describe(folder, facts, scores)
        text = write_card(given.name, folder, facts, scores, split, given.part, given.run)
        write_bytes(text.encode(), folder / "README.md")
        target = FOLDER / given.name
        shutil.rmtree(target, ignore_errors=True)
        with new_folder(target) as empty:
            shutil.copytree(folder, empty, dirs_exist_ok=True)
    print(text)


def write_halves(source: Path, folder: Path) -> None:
    """A model's files with its weights as float16; counters of BatchNorm stay whole numbers."""
    weights = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in load_model(source).network.state_dict().items()
    }
    content = save(weights, metadata={"format": "pt"})
    write_bytes(content, folder / WEIGHTS)
    card = read_record(source / CARD)
    card["weights"] = {"sha256": hashlib.sha256(content).hexdigest()}
    card["preprocessing"].setdefault("flat_axes", "anatomical")  # trained on pictures or volumes
    card["training"].pop("device", None)
    write_record(card, folder / CARD)


def score(folder: Path, data: Dataset, names: Sequence[str], work: Path) -> Evaluation:
    """Predict and evaluate these cases."""
    references = work / "references"
    references.mkdir()
    images = []
    for name in names:
        case = data.case(name)
        assert case.labels is not None
        shutil.copy(case.labels, references)
        images += case.images
    predict(folder, images, work / "masks", device="cpu")
    labels = load_model(folder).label_names[1:]
    return evaluate(work / "masks", references, labels=labels)


def describe(folder: Path, facts: dict[str, Any], scores: Evaluation) -> None:
    """What `lightm-unet models` shows."""
    card = read_record(folder / CARD)
    network = load_model(folder).network
    parameters = sum(parameter.numel() for parameter in network.parameters())
    card["about"] = {
        "purpose": facts["purpose"],
        "parameters": parameters,
        "dice": round(scores.mean("dice"), 4),
    }
    write_record(card, folder / CARD)


def write_card(
    name: str,
    folder: Path,
    facts: dict[str, Any],
    scores: Evaluation,
    split: Split,
    part: str,
    run: Path,
) -> str:
    """The card, in Markdown."""
    model = load_model(folder)
    training, profile = model.card["training"], model.profile
    cost = count_network(model.network, model.preprocessing.size)
    size = "x".join(map(str, model.preprocessing.size))
    trained = (
        f"{training['epochs']} epochs, recipe `{training['recipe']}`, "
        f"batch {training['batch_size']}, "
        f"augmentation `{training['augmentation']}`, seed {training['seed']}; "
        f"`models/{name}/train.sh` trains it again"
    )
    selected = (
        "These cases selected the epoch, so the scores flatter a little. The test cases are not "
        "scored yet."
        if part == "validation"
        else "Scored once, after all choices had been made on the validation cases."
    )
    unlike = (
        f"an image with a score above {profile.limit:.2f} is told as unlike the training images; "
        f"{profile.false_alarms:.1%} of the validation cases are above it"
        if profile
        else "no check"
    )
    about = {
        "intended use": facts["intended_use"],
        "not intended": facts["not_intended"],
        "not tried": facts["not_tried"],
        "check of the input": unlike,
        "use": f"`lightm-unet predict {name} {facts['example']} --output masks`",
    }
    made = {
        "network": f"`{training['network']}`, {cost.parameters:,} parameters, "
        f"{cost.macs / 1e9:.2f} GMACs for an image of {size}",
        "weights": f"float16, SHA-256 `{model.card['weights']['sha256']}`",
        "version": f"lightm-unet {model.card['lightm_unet']}, commit "
        f"{commit()}; the run of {training_date(run)}",
        "data": facts["data"],
        "terms of the data": facts["terms"],
        "split": f"{len(split.training)} cases for training, {len(split.validation)} for "
        f"validation, {len(split.test)} for the test, by {facts['split_by']}; "
        f"`models/{name}/split.json`",
        "training": trained,
    }
    lines = [f"# {facts['title']}", "", facts["summary"], "", *pairs(about)]
    lines += ["", "## How it was made", "", *pairs(made)]
    lines += ["", f"## Scores on the {part} cases", ""]
    lines += [f"On the images' own grids, mean and standard deviation. {selected}", ""]
    lines += score_table(scores, facts.get("groups", {}))
    lines += ["", f"## The {WORST} worst cases", "", facts["worst"], "", *worst_table(scores)]
    lines += ["", "## CLAIM 2024", ""]
    lines += ["The items of the Checklist for Artificial Intelligence in Medical Imaging.", ""]
    lines += ["| | item | answer |", "| --- | --- | --- |"]
    answers = facts["claim"]
    lines += [f"| {number} | {item} | {answers[str(number)]} |" for number, item in ITEMS.items()]
    return "\n".join(lines) + "\n"


def pairs(rows: dict[str, str]) -> list[str]:
    """A table of two columns without a head."""
    return ["| | |", "| --- | --- |", *(f"| {key} | {text} |" for key, text in rows.items())]


def score_table(scores: Evaluation, groups: dict[str, str]) -> list[str]:
    """A row for each class and each group of cases."""
    metrics = list(TITLES)
    heads = [f"{TITLES[m]}{f', {scores.unit}' if m == 'hd95' else ''}" for m in metrics]
    lines = [f"| class | cases | {' | '.join(heads)} |", f"| {'--- | ' * (2 + len(metrics))}"]
    for label, name in scores.label_names.items():
        for group, pattern in {"all": "", **groups}.items():
            cases = [case for case in scores.cases if re.search(pattern, case.name)]
            values = [mean_and_std([getattr(c.of(label), m) for c in cases]) for m in metrics]
            lines.append(f"| {name} | {group} ({len(cases)}) | {' | '.join(values)} |")
    if len(scores.label_names) > 1:
        digits = {"hd95": 2}
        means = [f"{scores.mean(metric):.{digits.get(metric, 3)}f}" for metric in metrics]
        lines.append(f"| mean | all ({len(scores.cases)}) | {' | '.join(means)} |")
    return lines


def mean_and_std(values: Sequence[float]) -> str:
    finite = [value for value in values if value < float("inf")]
    if not finite:
        return "–"
    spread = statistics.stdev(finite) if len(finite) > 1 else 0.0
    digits = 3 if max(finite) <= 1 else 2
    return f"{statistics.mean(finite):.{digits}f} ± {spread:.{digits}f}"


def worst_table(scores: Evaluation) -> list[str]:
    """The cases with the lowest Dice."""

    def dice(case: CaseScores) -> float:
        return scores.case_mean(case, "dice")

    lines = ["| case | DSC | share found | share of what was found that is right |"]
    lines += ["| --- | --- | --- | --- |"]
    for case in sorted(scores.cases, key=dice)[:WORST]:
        found, right = shares(case)
        lines.append(f"| {case.name} | {dice(case):.3f} | {found:.3f} | {right:.3f} |")
    return lines


def shares(case: CaseScores) -> tuple[float, float]:
    """Sensitivity and precision of all classes together, from Dice and the masks' sizes."""
    pred = sum(scores.pred_voxels for scores in case.labels.values())
    ref = sum(scores.ref_voxels for scores in case.labels.values())
    both = sum(s.dice * (s.pred_voxels + s.ref_voxels) / 2 for s in case.labels.values())
    return both / ref if ref else 1.0, both / pred if pred else 1.0


def commit() -> str:
    words = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def training_date(run: Path) -> str:
    import datetime

    stamp = (run / "model" / WEIGHTS).stat().st_mtime
    return datetime.date.fromtimestamp(stamp).isoformat()


if __name__ == "__main__":
    main()
