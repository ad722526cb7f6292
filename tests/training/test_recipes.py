import math

import pytest
import torch

from lightm_unet.errors import UsageError
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.training.recipes import (
    Recipe,
    build_optimizer,
    find_recipe,
    learning_rate_factor,
)


@pytest.fixture(scope="module")
def network():
    return LightMUNet(2, 1, 2, width=4, encoder_layers=(1,), bottleneck_layers=1)


def recipe_with(optimizer):
    return Recipe(optimizer, 1e-3, "poly", 0.01, None, 1, (1, 1))


def test_the_paper_s_recipe_is_that_of_its_section_3():
    recipe = find_recipe("paper")
    assert (recipe.optimizer, recipe.learning_rate, recipe.schedule) == ("sgd", 1e-4, "poly")
    assert (recipe.epochs, recipe.weight_decay, recipe.clip) == (100, 3e-5, None)
    assert (recipe.batch_size_for(2), recipe.batch_size_for(3)) == (12, 2)


def test_the_released_recipe_is_that_of_the_authors_trainer():
    recipe = find_recipe("released")
    assert (recipe.optimizer, recipe.learning_rate) == ("adam", 1e-4)
    assert (recipe.weight_decay, recipe.clip) == (1e-5, 12.0)


def test_the_recipe_for_networks_with_norms_decays_weights_alone(network):
    recipe = find_recipe("adamw")
    assert (recipe.learning_rate, recipe.schedule, recipe.clip) == (2e-3, "cosine", 1.0)
    optimizer = build_optimizer(recipe, network, recipe.learning_rate)
    decayed, left_out = (set(map(id, group["params"])) for group in optimizer.param_groups)
    names = {name: id(parameter) for name, parameter in network.named_parameters()}
    for name, parameter in names.items():
        exempt = name.endswith(("bias", "A_log", ".D", "scale")) or "norm" in name
        assert parameter in (left_out if exempt else decayed), name


def test_an_unknown_recipe_is_named_with_the_known_ones():
    with pytest.raises(UsageError, match="one of paper, released, default, adamw; got 'sgd'"):
        find_recipe("sgd")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)],
)
def test_the_optimizer_has_every_parameter_once_and_the_run_s_learning_rate(network, name, kind):
    optimizer = build_optimizer(recipe_with(name), network, 0.5)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert type(optimizer) is kind
    assert sorted(map(id, held)) == sorted(map(id, network.parameters()))
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}
    assert optimizer.param_groups[0]["weight_decay"] == 0.01


def test_sgd_has_the_momentum_of_nnu_net(network):
    (group,) = build_optimizer(recipe_with("sgd"), network, 1.0).param_groups
    assert (group["momentum"], group["nesterov"]) == (0.99, True)


def test_adamw_decays_filters_and_matrices_but_no_norm_bias_scale_or_rate_of_the_scan(network):
    decayed, left_out = build_optimizer(recipe_with("adamw"), network, 1.0).param_groups
    assert (decayed["weight_decay"], left_out["weight_decay"]) == (0.01, 0.0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    layer = "encoder.0.0"
    assert {names[id(p)] for p in decayed["params"]} >= {
        "stem.depthwise.weight",
        "stem.pointwise.weight",
        f"{layer}.vssm.in_proj.weight",
        f"{layer}.vssm.conv.weight",
        f"{layer}.vssm.ssm.0.x_proj.weight",
        f"{layer}.vssm.ssm.0.dt_proj.weight",
        f"{layer}.projection.weight",
        "decoder.0.halve.weight",
    }
    assert {names[id(p)] for p in left_out["params"]} >= {
        f"{layer}.norm.weight",
        f"{layer}.norm.bias",
        f"{layer}.scale",
        f"{layer}.vssm.conv.bias",
        f"{layer}.vssm.ssm.0.dt_proj.bias",
        f"{layer}.vssm.ssm.0.A_log",
        f"{layer}.vssm.ssm.0.D",
        f"{layer}.vssm.norm.weight",
        f"{layer}.projection.bias",
        "decoder.0.scale",
        "head.pointwise.bias",
    }


def test_poly_falls_from_all_of_the_rate_to_none_by_the_power_0_9():
    factor = learning_rate_factor("poly", 100)
    assert factor(0) == 1
    assert factor(50) == pytest.approx(0.5**0.9)
    assert factor(100) == factor(101) == 0


def test_cosine_rises_over_a_twentieth_of_the_steps_then_falls_to_a_hundredth():
    factor = learning_rate_factor("cosine", 200)
    assert [factor(step) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    halfway = 10 + (200 - 10) // 2
    assert factor(10) == 1
    assert factor(halfway) == pytest.approx(0.01 + 0.99 / 2)
    assert factor(200) == factor(300) == pytest.approx(0.01)


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_even_a_run_of_one_step_has_a_schedule(schedule):
    factor = learning_rate_factor(schedule, 1)
    assert factor(0) == 1
    assert math.isfinite(factor(1))
