"""Networks, recipes, averages, teachers and comparisons that could go wrong without a word."""

import json
import logging
import os
import shutil
import subprocess
import sys

import pytest
import torch

from faults import fault
from lightm_unet.comparison.compare import compare
from lightm_unet.comparison.results import run_folder
from lightm_unet.costs.count import count_networks
from lightm_unet.datasets.phantom import write_phantom_dataset
from lightm_unet.errors import DivergedError, LightMUNetError
from lightm_unet.models.model_folder import load_model
from lightm_unet.networks import registry
from lightm_unet.networks.peers.lwnet import LittleWNet
from lightm_unet.networks.registry import build_network, network_names, register_network
from lightm_unet.system.files import read_json
from lightm_unet.training import lightning_module
from lightm_unet.training.losses import dice_cross_entropy
from lightm_unet.training.recipes import decayed_names, settle_recipe
from lightm_unet.training.train import train
from run_checks import last_weights, log_of, model_weights

TRAINING, COMPARING = "Training", "Comparing"
LITTLE = "lwnet:features=[4,8]"
SETTINGS = {"epochs": 2, "batch_size": 2, "size": (24,), "device": "cpu", "network": LITTLE}
COMPARED = {"epochs": 2, "size": (24,), "device": "cpu", "bench": False}


@pytest.fixture(scope="module")
def xray(tmp_path_factory):
    """Six pictures of 32x32; read only."""
    return write_phantom_dataset(tmp_path_factory.mktemp("x") / "xray", "xray", 6, 32).root


@pytest.fixture(scope="module")
def teacher(xray, tmp_path_factory):
    """A finished run; read only."""
    return train(xray, tmp_path_factory.mktemp("teacher") / "run", **SETTINGS).folder


def refusal(action, *words):
    """Whether an action is refused in one line with these words."""
    try:
        action()
    except LightMUNetError as error:
        text = str(error)
        missing = [word for word in words if word not in text]
        return f"without {missing}: {text}" if missing or "\n" in text else "refused"
    return "accepted"


def once(answers):
    """Equal answers as one."""
    return " / ".join(dict.fromkeys(answers))


def stop_in_epoch(number, action):
    """Stop an action from outside when this epoch is about to end."""

    class Stop(logging.Handler):
        def emit(self, record):
            if f"epoch {number}/" in record.getMessage():
                raise KeyboardInterrupt

    logger, handler = logging.getLogger("lightm_unet"), Stop()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            action()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def same_weights(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


# ------------------------------------------------------------------------------------- networks


@fault(
    TRAINING,
    "volumes for a network that is for pictures (`lwnet`, `m2unet`), in `train`, `compare` and "
    "`count`",
    "refused by the network's name, nothing written",
)
def test_volumes_for_a_network_for_pictures(tmp_path):
    ct = write_phantom_dataset(tmp_path / "ct", "ct", 6, 32).root
    found = []
    for name in ("lwnet", "m2unet"):
        out = tmp_path / name
        settings = {"size": (16,), "device": "cpu"}
        for action in (
            lambda n=name, o=out, s=settings: train(ct, o, network=n, **s),
            lambda n=name, o=out, s=settings: compare(ct, o, ["lightm-unet-tiny", n], **s),
            lambda n=name: count_networks([n], size=(32, 32, 32)),
        ):
            found.append(refusal(action, name, "2D images only, not 3D"))
            found += ["something written"] if out.exists() else []
    return f"{once(found)} by the network's name, nothing written"


@fault(
    TRAINING,
    "a single image of one pixel, in training and in inference, for networks with BatchNorm",
    "finite logits of one pixel",
)
def test_one_pixel():
    found = []
    for name in ("lwnet", "m2unet"):
        for mode in (True, False):
            logits = build_network(name, 2, 1, 2).train(mode)(torch.zeros(1, 1, 1, 1))
            for each in logits if isinstance(logits, tuple) else (logits,):
                ok = each.isfinite().all() and each.shape == (1, 2, 1, 1)
                found.append("finite logits of one pixel" if ok else str(each))
    return once(found)


# -------------------------------------------------------------------------------------- recipes


@fault(
    TRAINING,
    "weight decay, which would pull the scan's rates, norms and biases away from where they start",
    "none on A_log, D, the bias of delta, norms, biases, scales and embeddings of any network",
)
def test_what_weight_decay_leaves_alone():
    wrong = []
    for name in network_names():
        with torch.device("meta"):
            network = build_network(name, 2, 1, 2, image_size=(64, 64))
        wrong += [
            f"{name}: {parameter}"
            for parameter in decayed_names(network)
            if not parameter.endswith("weight") or "norm" in parameter.split(".")[-2]
        ]
    what = "A_log, D, the bias of delta, norms, biases, scales and embeddings of any network"
    return f"{wrong or 'none'} on {what}"


@fault(
    TRAINING,
    "a network of one's own that names a recipe which does not exist, in `train` and `compare`",
    "refused with the network's name and the recipe meant, nothing written",
)
def test_a_recipe_that_does_not_exist(xray, tmp_path):
    register_network("mine", LittleWNet, recipe="adamm")
    settings = {"size": (24,), "device": "cpu"}
    words = ("the recipe of mine", "'adamm'", "did you mean 'adamw'?")
    found = [
        refusal(lambda: settle_recipe("auto", "mine"), *words),
        refusal(lambda: train(xray, tmp_path / "a", network="mine", **settings), *words),
        refusal(lambda: compare(xray, tmp_path / "b", ["mine"], **settings), *words),
    ]
    written = "something" if any(tmp_path.iterdir()) else "nothing"
    return f"{once(found)} with the network's name and the recipe meant, {written} written"


@fault(
    TRAINING,
    "a run that is resumed after its network has come to name another recipe",
    "goes on by the recipe that it began with, to the same weights",
)
def test_a_run_keeps_its_recipe(xray, tmp_path, monkeypatch):
    whole = train(xray, tmp_path / "whole", **SETTINGS).folder
    stop_in_epoch(2, lambda: train(xray, tmp_path / "run", **SETTINGS))
    other = registry.NETWORKS["lwnet"]._replace(recipe="paper")
    monkeypatch.setitem(registry.NETWORKS, "lwnet", other)
    train(xray, tmp_path / "run", resume=True)
    same = same_weights(last_weights(whole), last_weights(tmp_path / "run"))
    recipe = read_json(tmp_path / "run" / "run.json")["settings"]["recipe"]
    kept = "the recipe that it began with" if recipe == "adamw" else recipe
    return f"goes on by {kept}, to {'the same' if same else 'other'} weights"


# ---------------------------------------------------------------------------- averaged weights


@fault(
    TRAINING,
    "a run with averaged weights that is stopped and resumed",
    "the same average to the bit, the statistics of BatchNorm and its counter of steps too",
)
def test_the_average_of_a_resumed_run(xray, teacher, tmp_path):
    stop_in_epoch(2, lambda: train(xray, tmp_path / "run", **SETTINGS))
    train(xray, tmp_path / "run", resume=True)
    one, other = last_weights(teacher), last_weights(tmp_path / "run")
    assert {"averaged.steps", "averaged.network.first.skips.0.2.running_mean"} <= one.keys()
    what = "average to the bit, the statistics of BatchNorm and its counter of steps too"
    return f"{'the same' if same_weights(one, other) else 'another'} {what}"


@fault(
    TRAINING,
    "averaged weights that score worse on the validation cases than those of the last step",
    "the model has those of the last step, and model.json says so",
)
def test_an_average_that_is_worse(xray, tmp_path, monkeypatch):
    scores = iter([0.2, 0.4, 0.3])  # epoch 1; then raw and averaged

    def scored(logits, labels):
        return torch.full((1, 1), next(scores))

    monkeypatch.setattr(lightning_module, "hard_dice", scored)
    run = train(xray, tmp_path / "run", **SETTINGS)
    last = last_weights(run.folder)
    raw = all(torch.equal(t, last[f"network.{n}"]) for n, t in model_weights(run.folder).items())
    said = load_model(run.model).card["scores"]["weights"]
    which = "those of the last step" if raw else "others"
    return f"the model has {which}, and model.json says {'so' if said == 'raw' else said}"


@fault(
    TRAINING,
    "a loss that becomes NaN while weights are averaged",
    "the run stops; model and checkpoint, average included, are finite",
)
def test_an_average_of_nan(xray, tmp_path, monkeypatch):
    steps = iter(range(100))

    def broken(logits, labels):
        factor = float("nan") if next(steps) == 2 else 1.0  # the first step of the second epoch
        return factor * dice_cross_entropy(logits.last, labels)

    monkeypatch.setattr(lightning_module, "training_loss", broken)
    with pytest.raises(DivergedError):
        train(xray, tmp_path / "run", **SETTINGS)
    kept = {**last_weights(tmp_path / "run"), **model_weights(tmp_path / "run")}
    finite = all(tensor.isfinite().all() for tensor in kept.values())
    state = "finite" if finite else "not finite"
    return f"the run stops; model and checkpoint, average included, are {state}"


# ------------------------------------------------------------------------------------- teachers


@fault(
    TRAINING,
    "a teacher with other labels, channels, dimensions, image size, patches or normalisation",
    "refused with the difference, nothing written",
)
def test_a_teacher_of_something_else(xray, teacher, tmp_path):
    changes = {
        "labels": lambda card: card["labels"][1].update(name="heart"),
        "channels": lambda card: card.update(channels=["CT"]),
        "normalization": lambda card: card["preprocessing"].update(
            normalization="ct", intensity_range=[0, 1], intensity_mean=0.5, intensity_std=0.2
        ),
    }
    found = []
    for what, change in changes.items():
        model = tmp_path / what
        shutil.copytree(teacher / "model", model)
        card = read_json(model / "model.json")
        change(card)
        (model / "model.json").write_text(json.dumps(card))
        given = {**SETTINGS, "teacher": model}
        found.append(refusal(lambda g=given: train(xray, tmp_path / "out", **g), f"has {what}"))
    for settings in ({"size": (32,)}, {"size": None, "patch": (24,)}):
        given = {**SETTINGS, **settings, "teacher": teacher}
        found.append(refusal(lambda g=given: train(xray, tmp_path / "out", **g), "has size 24, 24"))
    ct = write_phantom_dataset(tmp_path / "ct", "ct", 6, 32).root
    given = {**SETTINGS, "network": "lightm-unet-tiny", "size": (16,), "teacher": teacher}
    found.append(refusal(lambda: train(ct, tmp_path / "out", **given), "a teacher must be trained"))
    written = "something" if (tmp_path / "out").exists() else "nothing"
    return f"{once(found)} with the difference, {written} written"


@fault(
    TRAINING,
    "a teacher whose files have changed or gone since the run began, at `--resume`",
    "refused",
)
def test_a_teacher_that_has_changed(xray, teacher, tmp_path):
    copy = shutil.copytree(teacher, tmp_path / "teacher")
    stop_in_epoch(2, lambda: train(xray, tmp_path / "run", **SETTINGS, teacher=copy))
    card, weights = copy / "model" / "model.json", copy / "model" / "model.safetensors"
    before = card.read_text()
    card.write_text(json.dumps({**read_json(card), "scores": {}}))  # as if trained again
    found = [refusal(lambda: train(xray, tmp_path / "run", resume=True), "another teacher")]
    card.write_text(before)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    found.append(refusal(lambda: train(xray, tmp_path / "run", resume=True), "damaged or of an"))
    shutil.rmtree(copy)
    found.append(refusal(lambda: train(xray, tmp_path / "run", resume=True), "no model.json"))
    return once(found)


@fault(
    TRAINING,
    "a teacher that was trained on cases which validate or test the run",
    "a warning that names one of them",
)
def test_a_teacher_that_knows_the_test_cases(xray, teacher, listen, tmp_path):
    copy = shutil.copytree(teacher, tmp_path / "teacher")
    split = read_json(copy / "split.json")
    case = split["test"].pop()
    split["training"].append(case)
    (copy / "split.json").write_text(json.dumps(split))
    said = []
    with listen(said.append):
        train(xray, tmp_path / "run", **{**SETTINGS, "epochs": 1}, teacher=copy)
    warned = any("scores will be too good" in line and case in line for line in said)
    return "a warning that names one of them" if warned else "no word"


# ----------------------------------------------------------------------------------- comparisons


@fault(
    COMPARING,
    "networks that are trained by different recipes",
    "plan, table, page and CSV say which; `--recipe` trains all by one",
)
def test_recipes_of_a_comparison(xray, tmp_path):
    register_network("mine", LittleWNet, recipe="released")
    networks = [LITTLE, "mine:features=[4,8]"]
    settings = {**COMPARED, "epochs": 1}
    compare(xray, tmp_path / "own", networks, **settings)
    names = ["plan.json", "table.md", "report.html", "networks.csv"]
    texts = [(tmp_path / "own" / name).read_text() for name in names]
    said = [
        n for n, text in zip(names, texts, strict=True) if "adamw" in text and "released" in text
    ]
    same = compare(xray, tmp_path / "same", networks, recipe="adamw", **settings)
    recipes = {
        read_json(run_folder(same.folder, run) / "run.json")["settings"]["recipe"]
        for run in same.plan.runs
    }
    which = "plan, table, page and CSV say which" if said == names else f"only {said}"
    return f"{which}; `--recipe` trains all by {'one' if recipes == {'adamw'} else recipes}"


@fault(
    COMPARING,
    "a comparison that is repeated with another recipe",
    "refused, and the results stay",
)
def test_another_recipe_for_the_same_comparison(xray, tmp_path):
    settings = {**COMPARED, "epochs": 1}
    compare(xray, tmp_path / "out", [LITTLE], recipe="adamw", **settings)
    before = (tmp_path / "out" / "networks.csv").read_text()
    found = [
        refusal(
            lambda r=recipe: compare(xray, tmp_path / "out", [LITTLE], recipe=r, **settings),
            f"recipe adamw, not {recipe}",
        )
        for recipe in ("paper", "auto")
    ]
    stay = "stay" if (tmp_path / "out" / "networks.csv").read_text() == before else "changed"
    return f"{once(found)}, and the results {stay}"


KILLED = """
import logging, os, signal, sys
from lightm_unet.comparison.compare import compare

class Kill(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("lwnet:features=[4,8], seed 0: epoch 2/2"):
            os.kill(os.getpid(), signal.SIGKILL)

logging.getLogger("lightm_unet").addHandler(Kill())
logging.getLogger("lightm_unet").setLevel(logging.INFO)
compare(
    sys.argv[1], sys.argv[2], ["lwnet:features=[4,8]"], epochs=2, size=(24,), device="cpu",
    bench=False,
)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no SIGKILL")
@fault(
    COMPARING,
    "SIGKILL in the second epoch of one of a comparison's trainings",
    "the same command goes on with the second epoch, to the same weights as one left alone",
)
def test_a_killed_comparison(xray, listen, tmp_path):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, xray, tmp_path / "out"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    assert killed.returncode == -9, killed.stderr
    said = []
    with listen(said.append):
        done = compare(xray, tmp_path / "out", [LITTLE], **COMPARED)
    whole = compare(xray, tmp_path / "whole", [LITTLE], **COMPARED)
    folders = [run_folder(each.folder, each.plan.runs[0]) for each in (done, whole)]
    epochs = [line.split(": epoch ")[1][0] for line in said if ": epoch " in line]
    assert len(log_of(folders[0])) == 2
    where = "the second epoch" if epochs == ["2"] else f"epochs {epochs}"
    same = same_weights(*map(model_weights, folders))
    return (
        f"the same command goes on with {where}, to {'the same' if same else 'other'} weights as "
        "one left alone"
    )
