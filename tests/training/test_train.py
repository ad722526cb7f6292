"""Whole runs, each a fraction of a second: what they learn, leave, repeat and go on with."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest
import torch
from safetensors.torch import load_file

from lightm_unet.datasets.splits import read_split
from lightm_unet.errors import DivergedError, UsageError
from lightm_unet.models.logits import compute_logits
from lightm_unet.models.model_folder import load_model
from lightm_unet.networks import registry
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.networks.registry import build_network
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.files import read_json
from lightm_unet.training import lightning_module
from lightm_unet.training import train as training
from lightm_unet.training.losses import dice_cross_entropy
from lightm_unet.training.recipes import RECIPES, Recipe
from lightm_unet.training.train import _share
from run_checks import assert_same_training, last_weights, log_of


def first_weights(seed, model):
    torch.manual_seed(seed)
    return build_network(**model.network.config)


# ----------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_changes_every_first_weight(recipe, xray, train_tiny, tmp_path):
    run = train_tiny(xray, tmp_path / "run", recipe=recipe, epochs=1, learning_rate=0.01)
    model = load_model(run.model)
    assert model.card["training"]["recipe"] == recipe
    for (name, before), after in zip(
        first_weights(0, model).named_parameters(), model.network.parameters(), strict=True
    ):
        assert not torch.equal(before, after), name


def test_what_is_easy_is_learnt_in_a_few_epochs(squares, train_tiny, tmp_path):
    run = train_tiny(squares, tmp_path / "run", epochs=10)
    losses = [float(row["train_loss"]) for row in log_of(run.folder)]
    assert losses[-1] < losses[0] / 4
    assert run.best_dice > 0.9


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("nnu-net", {"features": (4, 8, 8)}),  # with deep supervision
        ("u-mamba", {"features": (4, 8)}),
        ("unetr", {"hidden_size": 12, "mlp_dim": 16, "feature_size": 4}),
        ("lightm-unet-released", {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)}),
    ],
)
@pytest.mark.parametrize("grid", [{"size": (24, 20)}, {"patch": (16,)}], ids=str)
def test_any_network_is_trained_by_its_name_whole_and_in_patches(
    architecture, options, grid, squares, train_tiny, tmp_path
):
    settings = {"architecture": architecture, "network": options, "epochs": 2, **grid}
    run = train_tiny(squares, tmp_path / "run", **settings)
    model = load_model(run.model)
    assert model.network.name == architecture
    assert NetworkSpec.parse(model.card["training"]["network"]).name == architecture
    assert all(float(row["train_loss"]) < 3 for row in log_of(run.folder))
    logits = compute_logits(model.network, torch.zeros(1, 1, 24, 20), model.preprocessing)
    assert logits.shape == (1, 2, 24, 20)


def test_a_network_for_one_image_size_is_built_for_the_run_s(squares, train_tiny, tmp_path):
    options = {"hidden_size": 12, "mlp_dim": 16, "feature_size": 4}
    settings = {"architecture": "unetr", "network": options, "epochs": 1, "size": (24, 40)}
    run = train_tiny(squares, tmp_path / "run", **settings)
    assert load_model(run.model).network.config["image_size"] == (32, 48)


@pytest.mark.parametrize(
    ("data", "settings", "size", "roi_size"),
    [
        ("xray", {"size": (24, 32)}, (24, 32), None),
        ("xray", {"patch": (16,)}, None, (16, 16)),
        ("ct", {"size": (16,)}, (16, 16, 16), None),
        ("ct", {"patch": (16, 8, 24), "precision": "bf16-mixed"}, None, (16, 8, 24)),
        ("ct", {"patch": (16,), "spacing_mm": (12.0,), "augmentation": "none"}, None, (16,) * 3),
    ],
    ids=["pictures", "patches of pictures", "volumes", "patches in bfloat16", "with a spacing"],
)
def test_pictures_and_volumes_are_trained_whole_and_in_patches(
    data, settings, size, roi_size, request, train_tiny, tmp_path
):
    run = train_tiny(request.getfixturevalue(data), tmp_path / "run", epochs=1, **settings)
    model = load_model(run.model)
    assert (model.preprocessing.size, model.preprocessing.roi_size) == (size, roi_size)
    assert model.preprocessing.normalization == ("ct" if data == "ct" else "zscore")
    assert model.preprocessing.spacing_mm == (
        settings["spacing_mm"] * 3 if "spacing_mm" in settings else None
    )
    with torch.no_grad():
        logits = model.network(torch.zeros(1, 1, *(size or roi_size)))
    assert logits.shape == (1, len(model.label_names), *(size or roi_size))
    assert logits.isfinite().all()


def test_mixed_precision_runs_the_network_under_autocast(xray, train_tiny, tmp_path, monkeypatch):
    forward, seen = LightMUNet.forward, set()

    def spy(self, image):
        seen.add((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
        return forward(self, image)

    monkeypatch.setattr(LightMUNet, "forward", spy)
    train_tiny(xray, tmp_path / "run", epochs=1, precision="bf16-mixed")
    assert seen == {(True, torch.bfloat16)}


def test_samples_per_case_and_batch_size_make_the_steps_of_an_epoch(xray, train_tiny, tmp_path):
    settings = {"epochs": 1, "batch_size": 3, "samples_per_case": 2}
    run = train_tiny(xray, tmp_path / "run", **settings)
    assert log_of(run.folder)[0]["step"] == "3"  # 4 cases twice are 8 samples: 3, 3 and 2


def test_gradients_are_clipped_as_the_recipe_says(xray, train_tiny, tmp_path, monkeypatch):
    held = Recipe("sgd", 1.0, "poly", weight_decay=0.0, clip=1e-12, epochs=1, batch_size=(2, 2))
    monkeypatch.setitem(RECIPES, "paper", held)
    run = train_tiny(xray, tmp_path / "run", recipe="paper", epochs=1)
    model = load_model(run.model)
    for before, after in zip(
        first_weights(0, model).parameters(), model.network.parameters(), strict=True
    ):
        torch.testing.assert_close(before, after, rtol=0, atol=1e-9)


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_what_was_before(
    xray, train_tiny, tmp_path, monkeypatch
):
    losses = iter(range(100))

    def broken_in_step_4(logits, labels):
        factor = float("nan") if next(losses) == 3 else 1.0  # the second step of the second epoch
        return factor * dice_cross_entropy(logits, labels)

    monkeypatch.setattr(lightning_module, "training_loss", broken_in_step_4)
    with pytest.raises(DivergedError, match=r"became nan in epoch 2; .* rate below 0\.02"):
        train_tiny(xray, tmp_path / "run")
    assert [row["epoch"] for row in log_of(tmp_path / "run")] == ["1"]
    assert all(tensor.isfinite().all() for tensor in last_weights(tmp_path / "run").values())
    assert load_model(tmp_path / "run").card["scores"]["epoch"] == 1


# -------------------------------------------------------------------------- what a run leaves


def test_a_run_leaves_its_record_log_checkpoints_and_best_model(xray, finished):
    folder = finished.folder
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "checkpoints", "log.csv", "model", "prepared", "run.json", "split.json", "tensorboard",
    ]  # fmt: skip
    assert sorted(file.name for file in (folder / "checkpoints").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]
    assert [row["epoch"] for row in log_of(folder)] == ["1", "2", "3", "4"]
    assert read_split(folder / "split.json") == read_split(xray / "split.json")
    record = read_json(folder / "run.json")
    assert record["dataset"] == str(xray.resolve())
    assert record["settings"]["size"] == [24]
    assert record["best_dice"] == finished.best_dice
    assert record["seconds"] == pytest.approx(
        sum(float(row["seconds"]) for row in log_of(folder)), abs=0.01
    )


def test_the_model_is_that_of_the_epoch_with_the_highest_validation_dice(finished):
    dice = [float(row["val_dice"]) for row in log_of(finished.folder)]
    card = load_model(finished.model).card
    assert card["scores"]["val_dice"] == finished.best_dice == pytest.approx(max(dice), rel=1e-5)
    assert card["scores"]["epoch"] == dice.index(max(dice)) + 1
    best = torch.load(finished.folder / "checkpoints" / "best.ckpt", weights_only=True)
    for name, tensor in load_file(finished.model / "model.safetensors").items():
        assert torch.equal(tensor, best["state_dict"][f"network.{name}"]), name


def test_the_model_tells_what_it_was_trained_with_also_where_the_recipe_chose(
    xray, train_tiny, tmp_path
):
    run = train_tiny(xray, tmp_path / "run", epochs=1, batch_size=None, learning_rate=None)
    training = load_model(run.model).card["training"]
    assert (training["dataset"], training["cases"]) == ("Phantom X-ray", 4)
    recipe = RECIPES["released"]
    assert (training["recipe"], training["epochs"]) == ("released", 1)
    assert training["batch_size"] == recipe.batch_size_for(2)
    assert training["learning_rate"] == recipe.learning_rate


def test_without_a_recipe_the_network_s_own_trains_and_is_recorded_by_its_name(
    xray, train_tiny, tmp_path, monkeypatch
):
    run = train_tiny(xray, tmp_path / "run", recipe=None, epochs=2)
    assert read_json(run.folder / "run.json")["settings"]["recipe"] == "adamw"
    assert load_model(run.model).card["training"]["recipe"] == "adamw"
    # It is this run's recipe, even if the network names another one by then.
    own = registry.NETWORKS["lightm-unet"]._replace(recipe="paper")
    train_tiny(xray, run.folder, resume=True, recipe="adamw")
    monkeypatch.setitem(registry.NETWORKS, "lightm-unet", own)
    train_tiny(xray, run.folder, resume=True)
    with pytest.raises(UsageError, match="this run has recipe 'adamw', not 'paper'"):
        train_tiny(xray, run.folder, resume=True, recipe="auto")


def test_checkpoints_take_no_way_through_the_system_s_temporary_folder(
    xray, train_tiny, tmp_path, monkeypatch
):
    # From another file system they would be copied, and a run killed meanwhile left without one.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    run = train_tiny(xray, tmp_path / "run", epochs=1)
    assert (run.folder / "checkpoints" / "last.ckpt").is_file()


def test_the_log_tells_of_the_cases_and_then_of_each_epoch(xray, train_tiny, listen, tmp_path):
    said = []
    with listen(said.append):
        train_tiny(xray, tmp_path / "run", epochs=2)
    assert [line.split("  ")[0] for line in said] == [
        "cases: 4 for training, 1 for validation, 1 for the test; 2,307 parameters",
        "epoch 1/2",
        "epoch 2/2",
    ]
    assert "  recipe released" in said[0]


def test_progress_tells_of_the_cases_and_then_of_the_steps_of_each_epoch(
    xray, train_tiny, tmp_path
):
    events = []
    train_tiny(xray, tmp_path / "run", epochs=1, progress=events.append)
    cases = json.loads((tmp_path / "run" / "split.json").read_text())
    assert [event.item for event in events[:14]] == [
        *cases["training"],
        *cases["validation"],
        *cases["test"],
        "",
        *cases["training"],
        "",
        *cases["validation"],
        "",
    ]
    assert [(event.task, event.done, event.total) for event in events] == [
        *(("check cases", done, 6) for done in range(7)),
        *(("prepare training cases", done, 4) for done in range(5)),
        *(("prepare validation cases", done, 1) for done in range(2)),
        *(("train, epoch 1/1", done, 2) for done in range(3)),
        *(("validate, epoch 1/1", done, 1) for done in range(2)),
    ]


# ---------------------------------------------------------------------------------- repeating


def test_the_same_seed_trains_the_same_network_and_another_seed_another(
    xray, finished, train_tiny, tmp_path
):
    torch.manual_seed(123)  # whatever has drawn random numbers before does not matter
    again = train_tiny(xray, tmp_path / "again")
    assert_same_training(finished.folder, again.folder)
    other = train_tiny(xray, tmp_path / "other", seed=1, epochs=1, learning_rate=1e-30)
    model = load_model(other.model)
    for name, tensor in first_weights(1, model).state_dict().items():
        torch.testing.assert_close(model.network.state_dict()[name], tensor, rtol=0, atol=1e-20)


@pytest.mark.parametrize(
    "still",
    [{"learning_rate": 1e-30, "batch_size": 4}, {"augmentation": "none"}],
    ids=["their changes", "their order"],
)
def test_the_seed_draws_the_samples_too(still, xray, train_tiny, tmp_path, monkeypatch):
    def same_weights(plan):
        torch.manual_seed(0)
        return build_network(plan.settings.network, 2, 1, 2)

    monkeypatch.setattr(training, "_first_weights", same_weights)
    runs = [
        train_tiny(xray, tmp_path / f"{seed}", **{"seed": seed, "epochs": 1, **still})
        for seed in (0, 1)
    ]
    one, other = (float(log_of(run.folder)[0]["train_loss"]) for run in runs)
    assert one != pytest.approx(other, rel=1e-4)


def test_workers_change_nothing(xray, finished, train_tiny, tmp_path):
    assert_same_training(finished.folder, train_tiny(xray, tmp_path / "run", workers=1).folder)


# ----------------------------------------------------------------------------------- going on

KILLED_IN_EPOCH_3 = """
import logging, os, signal, sys
from lightm_unet.training.train import train

class Kill(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("epoch 3/"):
            os.kill(os.getpid(), signal.SIGKILL)

logging.getLogger("lightm_unet").addHandler(Kill())
logging.getLogger("lightm_unet").setLevel(logging.INFO)
train(
    sys.argv[1], "run", recipe="released", device="cpu", epochs=4, batch_size=2, size=(24,),
    learning_rate=0.02,
    network={"width": 4, "encoder_layers": (1,), "bottleneck_layers": 1},
)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no SIGKILL")
def test_a_killed_run_printed_nothing_and_goes_on_to_the_same_end_even_if_moved(
    xray, finished, train_tiny, listen, tmp_path, recwarn
):
    killed = subprocess.run(
        [sys.executable, "-W", "error", "-c", KILLED_IN_EPOCH_3, str(xray)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (killed.returncode, killed.stdout, killed.stderr) == (-9, "", "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]

    moved, said = (tmp_path / "run").rename(tmp_path / "moved"), []
    with listen(said.append):
        resumed = train_tiny(xray, moved, resume=True)

    assert "which trained here, has ended without a word" in said[0]
    assert [line.split("  ")[0] for line in said[2:]] == ["epoch 3/4", "epoch 4/4"]
    assert_same_training(finished.folder, resumed.folder)
    assert resumed.best_dice == finished.best_dice
    assert [entry.name for entry in tmp_path.iterdir()] == ["moved"]
    assert [str(warning.message) for warning in recwarn] == []


def test_a_run_goes_on_from_its_last_epoch_even_if_that_was_not_its_best(
    xray, train_tiny, listen, stop_in_epoch, tmp_path
):
    # Without learning no epoch is better than the first.
    with pytest.raises(stop_in_epoch.error), listen(stop_in_epoch(4)):
        train_tiny(xray, tmp_path / "run", learning_rate=1e-30)
    said = []
    with listen(said.append):
        train_tiny(xray, tmp_path / "run", resume=True)
    assert [line.split("  ")[0] for line in said[1:]] == ["epoch 4/4"]


def test_resuming_a_finished_run_trains_nothing_and_tells_its_result(
    xray, finished, train_tiny, listen, tmp_path
):
    said = []
    with listen(said.append):
        again = train_tiny(xray, shutil.copytree(finished.folder, tmp_path / "run"), resume=True)
    assert len(said) == 1
    assert again.best_dice == finished.best_dice
    assert_same_training(finished.folder, again.folder)


def test_a_gpu_named_by_its_index_is_the_one_that_trains(xray, train_tiny, tmp_path, monkeypatch):
    asked = []

    def trainer(**options):
        asked.append((options["accelerator"], options["devices"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr("pytorch_lightning.Trainer", trainer)
    for device, devices in (("cuda:3", 1), ("cuda", 2)):
        with pytest.raises(KeyboardInterrupt):
            train_tiny(
                xray,
                tmp_path / device,
                device=device,
                devices=devices,
                precision="32-true",
            )
    assert asked == [("cuda", [3]), ("cuda", 2)]


# ---------------------------------------------------------------------------- several processes


@pytest.mark.parametrize(("cases", "processes"), [(5, 2), (4, 2), (3, 3), (1, 1)])
def test_processes_share_the_validation_cases_each_taken_once(cases, processes):
    shares = [_share(cases, rank, processes) for rank in range(processes)]
    assert sorted(index for share in shares for index in share) == list(range(cases))
    assert all(len(share) > 0 for share in shares)


def test_with_fewer_validation_cases_than_processes_each_takes_all_so_that_none_waits():
    assert [list(_share(2, rank, 3)) for rank in range(3)] == [[0, 1]] * 3
