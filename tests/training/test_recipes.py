import math

import pytest
import torch
from torch import nn

from lightm_unet.errors import UsageError
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.networks.peers.m2unet import M2UNet
from lightm_unet.networks.registry import build_network, network_names, register_network
from lightm_unet.networks.rvm import CausalConv
from lightm_unet.training.recipes import (
    Recipe,
    build_optimizer,
    decayed_names,
    find_recipe,
    learning_rate_factor,
    settle_recipe,
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


@pytest.mark.parametrize("name", network_names())
def test_of_every_network_matrices_and_filters_are_decayed_and_nothing_else(name):
    with torch.device("meta"):
        network = build_network(name, 2, 1, 2, image_size=(64, 64))
    decayed = decayed_names(network)
    for parameter_name in dict(network.named_parameters()):
        owner, _, last = parameter_name.rpartition(".")
        layer = network.get_submodule(owner)
        is_layer = isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd, CausalConv))
        assert (parameter_name in decayed) == (is_layer and last == "weight"), parameter_name


@pytest.mark.parametrize(
    "name", ["lightm-unet", "lightm-unet-tiny", "u-mamba", "lightm-unet-released"]
)
def test_no_rate_of_the_scan_no_norm_and_no_bias_is_decayed(name):
    with torch.device("meta"):
        network = build_network(name, 2, 1, 2, image_size=(64, 64))
    names, decayed = set(dict(network.named_parameters())), decayed_names(network)
    for ending in ("A_log", ".D", "dt_proj.bias", "norm.weight", "norm.bias", ".bias"):
        found = {parameter for parameter in names if parameter.endswith(ending)}
        assert found, ending
        assert not found & decayed, ending
    assert {
        n for n in names if n.endswith(("x_proj.weight", "dt_proj.weight", "in_proj.weight"))
    } <= decayed


def test_a_norm_over_several_axes_and_an_embedding_are_no_matrices():
    network = nn.Sequential(
        nn.LayerNorm((4, 5)), nn.RMSNorm((4, 5)), nn.Embedding(3, 4), nn.Conv1d(2, 3, 1)
    )
    assert decayed_names(network) == {"3.weight"}


def test_adamw_has_its_usual_moments(network):
    groups = build_optimizer(recipe_with("adamw"), network, 1.0).param_groups
    assert [group["betas"] for group in groups] == [(0.9, 0.999)] * 2


@pytest.mark.parametrize("name", network_names())
def test_every_network_names_a_recipe_that_there_is(name):
    assert settle_recipe("auto", name) == "adamw"
    assert settle_recipe("paper", f"{name}") == "paper"


def test_a_network_of_one_s_own_may_name_its_recipe():
    register_network("my-net", M2UNet, recipe="released")
    assert settle_recipe("auto", "my-net") == "released"
    assert settle_recipe("adamw", "my-net") == "adamw"


def test_a_recipe_that_a_network_names_but_is_none_is_an_error_that_names_both():
    register_network("my-net", M2UNet, recipe="adamm")
    with pytest.raises(UsageError, match=r"the recipe of my-net must be .*; got 'adamm'; did you"):
        settle_recipe("auto", "my-net")


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
