"""The network that nnU-Net builds from a plans file: its name, arguments, axes and outputs."""

import copy
import pydoc

import pytest
import torch

from lightm_unet.deploy.nnunet.network import CLASS_NAME, PREFIX, PlannedNetwork
from lightm_unet.deploy.nnunet.plans import our_configuration
from lightm_unet.errors import UsageError
from lightm_unet.networks.registry import build_network
from lightm_unet.networks.spec import NetworkSpec
from nnunet_folders import SMALL, plans

ARGUMENTS = {
    "network": "lightm-unet",
    "options": {"width": 4, "encoder_layers": [1], "bottleneck_layers": 1, "d_state": 2},
}


@pytest.fixture
def image():
    return torch.randn(2, 1, 4, 6, 8, generator=torch.Generator().manual_seed(0))


def test_nnunet_finds_it_by_the_name_in_the_plans_and_builds_it_by_their_arguments(image, tmp_path):
    _, entry = our_configuration(plans(), "3d_fullres", NetworkSpec.parse(SMALL), tmp_path)
    architecture = entry["architecture"]
    assert pydoc.locate(architecture["network_class_name"]) is PlannedNetwork
    assert architecture["network_class_name"] == CLASS_NAME
    # As nnU-Net's get_network_from_plans calls it.
    network = PlannedNetwork(
        input_channels=1, num_classes=3, **architecture["arch_kwargs"], deep_supervision=False
    )
    assert network(image).shape == (2, 3, 4, 6, 8)
    assert not hasattr(network, "initialize")  # nnU-Net would draw other weights by it


def test_the_network_sees_the_axes_in_the_order_of_the_file(image):
    planned = PlannedNetwork(1, 2, **ARGUMENTS, axes=[2, 0, 1]).eval()
    network = build_network("lightm-unet", 3, 1, 2, **ARGUMENTS["options"]).eval()
    network.load_state_dict(planned.network.state_dict())
    with torch.no_grad():
        found, expected = planned(image), network(image.permute(0, 1, 4, 2, 3))
    assert torch.equal(found.permute(0, 1, 4, 2, 3), expected)


def test_the_switch_of_nnunets_trainers_turns_the_list_on_and_off(image):
    network = PlannedNetwork(1, 2, **ARGUMENTS, axes=[2, 1, 0], deep_supervision=True).eval()
    listed = network(image)
    assert isinstance(listed, list)
    assert len(listed) == 2
    network.decoder.deep_supervision = False
    assert torch.equal(network(image), listed[0])
    assert copy.deepcopy(network).decoder.deep_supervision is False


def test_a_checkpoint_has_the_networks_own_names_behind_a_prefix():
    planned = PlannedNetwork(1, 2, **ARGUMENTS, axes=[2, 1, 0])
    own = build_network("lightm-unet", 3, 1, 2, **ARGUMENTS["options"]).state_dict()
    assert list(planned.state_dict()) == [PREFIX + name for name in own]


@pytest.mark.parametrize("axes", [[0, 1, 1], [1, 2, 3], [0]])
def test_axes_that_are_no_order_are_refused(axes):
    with pytest.raises(UsageError, match=r"axes needs each axis once|spatial_dims is 2 or 3"):
        PlannedNetwork(1, 2, **ARGUMENTS, axes=axes)
