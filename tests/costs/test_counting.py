import pytest
import torch
from torch import nn

from lightm_unet.costs.counting import count_network
from lightm_unet.errors import UsageError
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.networks.registry import build_network
from lightm_unet.networks.rvm import SSM


@pytest.mark.parametrize(
    ("dims", "in_channels", "classes", "size", "macs", "scan_flops"),
    [(3, 1, 3, 128, 64.17e9, 33.07e9), (2, 3, 2, 512, 21.53e9, 7.35e9)],
)
def test_the_paper_s_networks_cost_what_the_paper_s_text_implies(
    dims, in_channels, classes, size, macs, scan_flops
):
    cost = count_network(LightMUNet(dims, in_channels, classes), (size,) * dims)
    assert cost.macs == pytest.approx(macs, rel=1e-3)
    assert cost.scan_flops == pytest.approx(scan_flops, rel=1e-3)


def test_convolutions_and_linear_layers_cost_one_multiply_add_per_weight_and_place():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),  # 4*5 places, 8 channels out, 3*9 weights each: 4,320
        nn.ReLU(),
        nn.MaxPool2d(2),  # 2*2 places are left
        nn.Flatten(),
        nn.Linear(8 * 2 * 2, 10),  # 320
    )
    cost = count_network(network, (4, 5), in_channels=3)
    assert cost.macs == 4_320 + 320
    assert cost.scan_flops == 0
    assert cost.parameters == (3 * 9 * 8 + 8) + (320 + 10)


def test_a_scan_costs_nine_operations_per_state_and_two_per_channel_at_each_step():
    class OneScan(nn.Module):
        in_channels = 6

        def __init__(self):
            super().__init__()
            self.ssm = SSM(6, d_state=4, dt_rank=2)

        def forward(self, image):
            return self.ssm(image.flatten(2).transpose(1, 2))

    cost = count_network(OneScan(), (5, 7))
    steps = 5 * 7
    assert cost.scan_flops == steps * 6 * (9 * 4 + 2)
    assert cost.macs == steps * (6 * (2 + 4 + 4) + 2 * 6)  # x_proj and dt_proj
    assert cost.flops == 2 * cost.macs + cost.scan_flops


def test_a_parameter_that_is_used_twice_counts_once():
    twice = nn.Conv2d(4, 4, 1)
    cost = count_network(nn.Sequential(twice, twice), (3, 3), in_channels=4)
    assert cost.parameters == 4 * 4 + 4
    assert cost.macs == 2 * 3 * 3 * 4 * 4


def test_every_option_that_adds_work_is_counted():
    def cost(**options):
        options = {"width": 4, "encoder_layers": (1,), "bottleneck_layers": 1, **options}
        return count_network(LightMUNet(2, 1, 2, **options), (16, 16))

    plain = cost()
    assert cost(directions=4).scan_flops == 4 * plain.scan_flops
    assert cost(expand=4).scan_flops == 2 * plain.scan_flops
    # The causal filter has 4 weights, the spatial one 9: 5 more at each place and inner channel.
    assert cost(conv="spatial").macs - plain.macs == 5 * (16 * 16 * 8 + 8 * 8 * 16)


def test_in_training_the_extra_logits_of_deep_supervision_cost_their_share():
    network = build_network("nnu-net", 2, 1, 2, features=(4, 8, 8)).eval()
    alone, supervised = (count_network(network, (16, 16), training=t) for t in (False, True))
    assert supervised.macs - alone.macs == 8 * 8 * 8 * 2  # places, channels and classes at half
    assert supervised.parameters == alone.parameters


def test_the_network_is_left_as_it_was():
    network = LightMUNet(2, 1, 2, width=4, encoder_layers=(1,), bottleneck_layers=1).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count_network(network, (8, 8))
    assert network.training
    for name, tensor in network.state_dict().items():
        assert tensor.device.type == "cpu"
        assert torch.equal(tensor, before[name])


def test_a_network_that_does_not_tell_its_channels_is_asked_for_them():
    with pytest.raises(UsageError, match="Sequential does not say how many channels it takes"):
        count_network(nn.Sequential(nn.Conv2d(1, 1, 1)), (4, 4))


def test_a_size_that_the_network_refuses_is_a_usage_error():
    with pytest.raises(UsageError, match=r"takes \(batch, 1, H, W\), got \(1, 1, 8, 8, 8\)"):
        count_network(LightMUNet(2, 1, 2, width=4), (8, 8, 8))
