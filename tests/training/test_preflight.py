import pytest
import torch

from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.networks.registry import network_names
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.training.preflight import check_settings, find_precision
from lightm_unet.training.settings import TrainingSettings


def test_the_defaults_can_be_trained_anywhere():
    check_settings(TrainingSettings())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs needs a whole number from 1 up, got 0"),
        ({"epochs": 2.5}, "epochs needs a whole number from 1 up, got 2.5"),
        ({"batch_size": -1}, "batch_size needs a whole number from 1 up, got -1"),
        ({"samples_per_case": 0}, "samples_per_case needs a whole number from 1 up, got 0"),
        ({"devices": 0}, "devices needs a whole number from 1 up, got 0"),
        ({"workers": -1}, "workers needs a whole number from 0 up, got -1"),
        ({"seed": -1}, "seed needs a whole number from 0 up, got -1"),
        ({"learning_rate": 0.0}, r"learning_rate needs a number above 0, got 0\.0"),
        ({"learning_rate": float("nan")}, "learning_rate needs a number above 0, got nan"),
        ({"learning_rate": float("inf")}, "learning_rate needs a number above 0, got inf"),
        ({"learning_rate": "fast"}, "learning_rate needs a number above 0, got 'fast'"),
        ({"epochs": True}, "epochs needs a whole number from 1 up, got True"),
        ({"epochs": 10**12}, "epochs needs a whole number up to 2147483647, got 1000000000000"),
        ({"seed": 2**64}, "seed needs a whole number up to 18446744073709551615, got 1844"),
        ({"seed": 0.5}, r"seed needs a whole number from 0 up, got 0\.5"),
        ({"size": 0}, r"size needs 1 to 3 whole numbers from 1 up, got \(0,\)"),
        ({"size": (-3, 4)}, r"size needs 1 to 3 whole numbers from 1 up, got \(-3, 4\)"),
        ({"size": (2.5, 4)}, r"size needs 1 to 3 whole numbers from 1 up, got \(2\.5, 4\)"),
        ({"size": ()}, r"size needs 1 to 3 whole numbers from 1 up, got \(\)"),
        ({"size": "64x64"}, "size needs 1 to 3 whole numbers from 1 up, got '64x64'"),
        ({"size": "{0} {1}"}, r"size needs 1 to 3 whole numbers from 1 up, got '"),
        ({"patch": (8, 8, 8, 8)}, "patch needs 1 to 3 whole numbers from 1 up"),
        ({"patch": 8, "spacing_mm": -1}, r"spacing_mm needs 1 to 3 numbers above 0, got \(-1,\)"),
        ({"patch": 8, "spacing_mm": float("nan")}, r"spacing_mm needs .* got \(nan,\)"),
        ({"patch": 8, "spacing_mm": float("inf")}, r"spacing_mm needs .* got \(inf,\)"),
        ({"spacing_mm": 1.0}, "spacing_mm goes with patch"),
        ({"size": 8, "patch": 8}, "size and patch exclude each other"),
        ({"device": 3}, "device needs a name such as cpu, got 3"),
        ({"teacher": 3}, "teacher needs a model's folder, got 3"),
        ({"normalization": "minmax"}, "normalization must be one of auto, zscore, ct; got 'minm"),
        ({"recipe": "papper"}, "default, adamw; got 'papper'; did you mean 'paper'"),
        (
            {"augmentation": "lots"},
            "augmentation must be one of none, default, strong, radiograph; got 'lots'",
        ),
        ({"device": "tpu"}, "no device 'tpu'; expected auto, cpu, cuda, cuda:N or mps"),
        ({"precision": "8"}, "must be one of auto, 32-true, bf16-mixed, 16-mixed; got '8'"),
        ({"network": "lightm-unet:width=0"}, "width needs a positive whole number, got 0"),
        ({"network": "lightm-unet:widht=8"}, "no option widht"),
        ({"network": "lightm-unet:spatial_dims=3"}, "no option spatial_dims; it has width"),
        ({"network": "unetr:image_size=[8,8]"}, "no option image_size; it has feature_size"),
        ({"network": "unet"}, "network must be one of lightm-unet, .*; got 'unet'"),
        ({"network": "nnu-net:width=8"}, "nnu-net has no option width"),
        ({"network": "lightm-unet-tiny:width=8"}, "lightm-unet-tiny means width=16, got 8"),
        ({"device": "cpu", "precision": "16-mixed"}, "16-mixed needs a GPU"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_named_with_what_was_expected(settings, message):
    with pytest.raises(UsageError, match=message):
        check_settings(TrainingSettings(**settings))


@pytest.mark.parametrize("name", network_names())
def test_every_network_can_be_trained(name):
    check_settings(TrainingSettings(network=NetworkSpec(name)))


def test_options_of_a_huge_network_are_checked_without_its_memory():
    check_settings(TrainingSettings(network=f"lightm-unet:width={2**20}:bottleneck_layers=1"))


def test_the_number_of_devices_is_checked_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_settings(TrainingSettings(device="cuda"))
    with pytest.raises(MissingPartError, match="finds only 1 of 2 devices 'cuda' here"):
        check_settings(TrainingSettings(device="cuda", devices=2))


@pytest.mark.parametrize(
    ("device", "supported", "precision"),
    [
        ("cuda", True, "bf16-mixed"),
        ("cuda", False, "32-true"),
        ("cpu", True, "32-true"),
        ("mps", True, "32-true"),
        ("cuda:0", True, "bf16-mixed"),
    ],
)
def test_auto_computes_in_bfloat16_where_a_gpu_has_it(monkeypatch, device, supported, precision):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_precision(TrainingSettings(device=device)) == precision
    assert find_precision(TrainingSettings(device=device, precision="16-mixed")) == "16-mixed"


def test_the_largest_seed_can_be_used():
    check_settings(TrainingSettings(seed=2**64 - 1))
    torch.manual_seed(2**64 - 1)
