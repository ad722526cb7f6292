"""The moving average of the weights: its value, its buffers, and what a run does with it."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lightm_unet.models.model_folder import load_model
from lightm_unet.networks.peers.lwnet import LittleWNet
from lightm_unet.training import lightning_module
from lightm_unet.training.ema import PREFIXES, AveragedNetwork
from lightm_unet.training.recipes import RECIPES
from run_checks import assert_same_training, last_weights, log_of

LITTLE = "lwnet:features=[4,8]"  # with BatchNorm


def number(value):
    """A network of one weight."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


# --------------------------------------------------------------------------------- the average


def test_it_moves_by_a_ninth_of_the_steps_so_far_and_later_by_the_decay():
    layer = number(0.0)
    averaged, expected = AveragedNetwork(layer, decay=0.5), 0.0
    for step, kept in enumerate(
        [1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5]
    ):
        nn.init.constant_(layer.weight, float(step + 1))
        averaged.update(layer)
        expected = kept * expected + (1 - kept) * (step + 1)
        assert averaged.network.weight.item() == pytest.approx(expected)
    assert int(averaged.steps) == 10


def test_in_a_long_run_each_step_weighs_one_minus_the_decay():
    layer = number(1.0)
    averaged = AveragedNetwork(layer, decay=0.75)
    averaged.steps.fill_(10**6)
    nn.init.constant_(layer.weight, 3.0)
    averaged.update(layer)
    assert averaged.network.weight.item() == 1.5


def test_average_and_weights_can_change_places_and_back():
    layer = nn.BatchNorm1d(1).train()
    averaged = AveragedNetwork(layer, decay=0.5)
    nn.init.constant_(layer.weight, 3.0)
    layer(torch.tensor([[10.0], [12.0]]))
    weight, mean = layer.weight, layer.running_mean.item()
    for here, there in (((1.0, 0.0), (3.0, mean)), ((3.0, mean), (1.0, 0.0))):
        averaged.exchange(layer)
        other = averaged.network
        assert (layer.weight.item(), layer.running_mean.item()) == here
        assert (other.weight.item(), other.running_mean.item()) == there
    assert layer.weight is weight  # an optimizer holds it


def test_statistics_of_batch_norm_are_averaged_and_counters_copied():
    layer = nn.BatchNorm1d(1).train()
    averaged = AveragedNetwork(layer, decay=0.5)
    averaged.steps.fill_(100)
    layer(torch.tensor([[10.0], [12.0]]))  # mean 11 and variance 2, by a tenth
    averaged.update(layer)
    assert layer.running_mean.item() == pytest.approx(1.1)
    assert averaged.network.running_mean.item() == pytest.approx(0.55)
    assert averaged.network.running_var.item() == pytest.approx((1 + (0.9 + 0.2)) / 2)
    assert averaged.network.num_batches_tracked.item() == 1


def test_it_stays_in_eval_mode_without_gradients_and_leaves_the_network_alone():
    network = LittleWNet(2, 1, 2, features=(4, 8))
    before = copy.deepcopy(network.state_dict())
    whole = nn.ModuleDict({"network": network, "averaged": AveragedNetwork(network, 0.9)}).train()
    assert network.training
    assert not any(module.training for module in whole["averaged"].modules())
    assert not any(parameter.requires_grad for parameter in whole["averaged"].parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    whole["averaged"].update(network)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


# ----------------------------------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def averaged(xray, train_tiny, tmp_path_factory):
    """A run of four epochs by the recipe with an average; read only."""
    return train_tiny(
        xray, tmp_path_factory.mktemp("averaged") / "run", recipe="adamw", network=LITTLE
    )


def test_only_the_recipe_for_light_networks_averages():
    assert {name: recipe.ema for name, recipe in RECIPES.items() if recipe.ema} == {"adamw": 0.999}


def test_the_average_is_scored_in_the_second_half_of_the_epochs(averaged):
    rows = log_of(averaged.folder)
    assert [bool(row["val_dice_ema"]) for row in rows] == [False, False, True, True]
    for row in rows:
        both = [float(row[name]) for name in ("val_dice_raw", "val_dice_ema") if row[name]]
        assert float(row["val_dice"]) == max(both)
        assert row["ema_is_better"] == ("1" if len(both) == 2 and both[1] > both[0] else "0")
    assert len(rows) == 4
    assert list(rows[0]) == list(rows[-1])


def test_the_checkpoint_holds_the_average_of_all_steps_so_far(averaged):
    weights = last_weights(averaged.folder)
    assert int(weights["averaged.steps"]) == 4 * 2
    name = "first.head.weight"
    assert not torch.equal(weights[f"network.{name}"], weights[f"averaged.network.{name}"])


@pytest.fixture
def run_of_which(xray, train_tiny, tmp_path, monkeypatch):
    """A run of two epochs, in the second of which the named weights score better."""

    def run(better):
        scores = iter([0.2] + ([0.3, 0.4] if better == "ema" else [0.4, 0.3]))

        def scored(logits, labels):
            return torch.full((1, logits.shape[1] - 1), next(scores))

        monkeypatch.setattr(lightning_module, "hard_dice", scored)  # one validation case
        return train_tiny(xray, tmp_path / "run", recipe="adamw", network=LITTLE, epochs=2)

    return run


@pytest.mark.parametrize(("better", "part"), PREFIXES.items())
def test_the_model_has_the_weights_that_scored_better_and_says_which(better, part, run_of_which):
    run = run_of_which(better)
    card = load_model(run.model).card
    assert (card["scores"]["weights"], card["scores"]["epoch"]) == (better, 2)
    assert card["scores"]["val_dice"] == run.best_dice == pytest.approx(0.4)
    assert card["training"]["ema"] == 0.999
    last = last_weights(run.folder)
    for name, tensor in load_file(run.model / "model.safetensors").items():
        assert torch.equal(tensor, last[f"{part}{name}"]), name


@pytest.mark.parametrize("better", PREFIXES)
def test_a_damaged_model_is_saved_again_from_the_weights_that_scored_better(
    better, xray, run_of_which, train_tiny, listen
):
    run, said = run_of_which(better), []
    weights = run.model / "model.safetensors"
    content = weights.read_bytes()
    with listen(said.append):
        train_tiny(xray, run.folder, resume=True)
    assert not [line for line in said if "saved again" in line]
    weights.write_bytes(content[:-50])
    train_tiny(xray, run.folder, resume=True)
    assert weights.read_bytes() == content
    assert load_model(run.model).card["scores"]["weights"] == better


def test_a_model_without_an_average_says_nothing_of_it(finished):
    card = load_model(finished.model).card
    assert "weights" not in card["scores"]
    assert "ema" not in card["training"]
    assert not [name for name in log_of(finished.folder)[0] if "ema" in name]
    assert not [name for name in last_weights(finished.folder) if "averaged" in name]


@pytest.mark.parametrize("stopped_in", [2, 4])
def test_a_resumed_run_has_the_same_average_to_the_bit(
    stopped_in, xray, averaged, train_tiny, listen, stop_in_epoch, tmp_path
):
    settings = {"recipe": "adamw", "network": LITTLE}
    with pytest.raises(stop_in_epoch.error), listen(stop_in_epoch(stopped_in)):
        train_tiny(xray, tmp_path / "run", **settings)
    resumed = train_tiny(xray, tmp_path / "run", resume=True)
    assert_same_training(averaged.folder, resumed.folder)
    assert resumed.best_dice == averaged.best_dice


def test_a_run_from_before_there_was_an_average_goes_on_without_one(
    xray, train_tiny, listen, stop_in_epoch, tmp_path, monkeypatch
):
    with monkeypatch.context() as before:
        before.setitem(RECIPES, "adamw", RECIPES["adamw"].__class__(
            **{**vars(RECIPES["adamw"]), "ema": None}
        ))  # fmt: skip
        with pytest.raises(stop_in_epoch.error), listen(stop_in_epoch(3)):
            train_tiny(xray, tmp_path / "run", recipe="adamw")
    said = []
    with listen(said.append):
        run = train_tiny(xray, tmp_path / "run", resume=True)
    assert "an earlier version began this run; it goes on without averaged weights" in said
    assert len(log_of(run.folder)) == 4
    assert not [name for name in last_weights(run.folder) if "averaged" in name]


TWO_PROCESSES = """
import sys
import torch
from lightm_unet.training import lightning_module, train

class Module(lightning_module.SegmentationModule):
    def on_validation_end(self):
        rank = self.trainer.global_rank
        torch.save({**self.state_dict(), "better": self.better}, f"{sys.argv[2]}-{rank}.pt")

lightning_module.SegmentationModule = Module
train.train(
    sys.argv[1], sys.argv[2], recipe="adamw", device="cpu", devices=2, epochs=1, batch_size=1,
    size=(24,), network="lwnet:features=[4,8]",
)
"""


@pytest.mark.slow
def test_all_processes_have_the_same_average(xray, tmp_path):
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    done = subprocess.run(
        [sys.executable, script, xray, tmp_path / "run"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"run-{rank}.pt") for rank in (0, 1))
    assert first.pop("better") == second.pop("better")
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    assert int(first["averaged.steps"]) == 2
