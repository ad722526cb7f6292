"""The step that `bench` times is the one that Lightning takes in `train`."""

from copy import deepcopy

import pytest
import pytorch_lightning as pl
import torch

from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.training.lightning_module import SegmentationModule
from lightm_unet.training.lightning_setup import quiet_lightning
from lightm_unet.training.recipes import RECIPES, build_optimizer
from lightm_unet.training.step import clip_gradients, take_step

DEEP = {"features": (4, 8, 8), "deep_supervision": True}


class FirstRate(SegmentationModule):
    """Without a schedule, whose warm-up would start from another learning rate."""

    def configure_optimizers(self):
        return super().configure_optimizers()["optimizer"]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_changes_the_weights_exactly_as_lightning_does(name, precision, tmp_path):
    recipe = RECIPES[name]
    torch.manual_seed(0)
    network = build_network("nnu-net", 2, 1, 3, **DEEP).train()
    batches = [
        {"image": torch.randn(2, 1, 16, 16), "labels": torch.randint(3, (2, 1, 16, 16))}
        for _ in range(3)
    ]
    first, alone = deepcopy(network.state_dict()), deepcopy(network)
    optimizer = build_optimizer(recipe, alone, recipe.learning_rate)
    for batch in batches:
        loss = take_step(alone, optimizer, recipe, batch["image"], batch["labels"], precision)
        assert loss > 0
    with quiet_lightning():
        module = FirstRate(
            network, recipe, recipe.learning_rate, ("0", "1", "2"), Preprocessing(2, 1, (16, 16))
        )
        trainer = pl.Trainer(
            accelerator="cpu",
            precision=precision,
            max_epochs=1,
            limit_val_batches=0,
            default_root_dir=tmp_path,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, torch.utils.data.DataLoader(batches, batch_size=None))
    by_lightning, by_hand = network.state_dict(), alone.state_dict()
    for key, value in by_lightning.items():
        assert torch.equal(by_hand[key], value), key
    assert any(not torch.equal(first[key], by_hand[key]) for key in first)


def test_gradients_are_shortened_together_to_the_recipes_norm_and_left_alone_without_one():
    network = torch.nn.Linear(1, 1)
    for recipe, expected in (("paper", (3.0, 4.0)), ("default", (0.6, 0.8))):
        network.weight.grad, network.bias.grad = torch.tensor([[3.0]]), torch.tensor([4.0])
        clip_gradients(network, RECIPES[recipe])
        shortened = network.weight.grad.item(), network.bias.grad.item()
        assert shortened == pytest.approx(expected, rel=1e-5)
