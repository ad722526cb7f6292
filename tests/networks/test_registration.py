"""Networks of one's own: by name like the others, in every process, and refused with a reason."""

import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from lightm_unet import SegmentationNetwork, build_network, count_networks, register_network
from lightm_unet.errors import DataError, UsageError
from lightm_unet.models.model_folder import load_model, save_model
from lightm_unet.networks import plugins, registry
from lightm_unet.networks.registry import network_names, network_options
from lightm_unet.preprocessing.preprocessing import Preprocessing

PLUGIN = textwrap.dedent(
    """
    import lightm_unet
    from torch import nn

    class Mine(lightm_unet.SegmentationNetwork):
        def __init__(self, spatial_dims, in_channels, out_channels, *, kernel=3):
            shape = spatial_dims, in_channels, out_channels
            super().__init__("mine", *shape, multiple=1, options={"kernel": kernel})
            conv = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
            self.layer = conv(in_channels, out_channels, kernel, padding="same")

        def compute(self, image):
            return self.layer(image)

    lightm_unet.register_network("mine", Mine)
    """
)


class OneLayer(SegmentationNetwork):
    def __init__(self, spatial_dims, in_channels, out_channels, *, kernel=3):
        shape = spatial_dims, in_channels, out_channels
        super().__init__("any", *shape, multiple=4, options={"kernel": kernel})
        self.layer = nn.Conv2d(in_channels, out_channels, kernel, padding="same")

    def compute(self, image):
        return self.layer(image)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A file that registers "mine", named by the environment; returns its path."""
    monkeypatch.setattr(plugins, "_imported", set())
    path = tmp_path / "my_networks.py"
    path.write_text(PLUGIN)
    monkeypatch.setenv("LIGHTM_UNET_PLUGINS", str(path))
    return path


def test_a_registered_network_is_one_of_the_networks():
    register_network("my-net", OneLayer)
    assert network_names()[-1] == "my-net"
    assert network_options("my-net") == ("kernel",)
    network = build_network("my-net", 2, 1, 3, kernel=1)
    assert network(torch.zeros(2, 1, 5, 7)).shape == (2, 3, 5, 7)
    assert network.config["name"] == "my-net"
    assert build_network(**network.config).layer.weight.shape == (3, 1, 1, 1)
    # 2 classes x 9 weights x 8 x 8 pixels, the image padded from 7 x 6 to multiples of 4.
    assert count_networks(["my-net"], size=(7, 6), in_channels=1).costs["my-net"].macs == 2 * 9 * 64


def test_a_function_may_build_it_and_be_told_the_images_size():
    def build(spatial_dims, in_channels, out_channels, *, image_size=None):
        network = OneLayer(spatial_dims, in_channels, out_channels)
        network.seen = image_size
        return network

    register_network("sized", build)
    assert build_network("sized", 2, 1, 2, image_size=(8, 9)).seen == (8, 9)
    with pytest.raises(UsageError, match="sized has no option kernel"):
        build_network("sized", 2, 1, 2, kernel=1)


@pytest.mark.parametrize("name", ["my net", "mine:width=2", "a,b", "", ".hidden", "a/b", 7])
def test_a_name_that_cannot_stand_in_a_command_or_a_path_is_refused(name):
    with pytest.raises(UsageError, match=r"needs letters, digits and -_\. only, got"):
        register_network(name, OneLayer)


def test_a_name_is_given_once():
    with pytest.raises(UsageError, match="a network is called 'nnu-net' already"):
        register_network("nnu-net", OneLayer)


@pytest.mark.parametrize(
    "build",
    [
        lambda in_channels, out_channels: None,
        lambda spatial_dims, in_channels, out_channels, width=3: None,
        lambda spatial_dims, in_channels, out_channels, *, width: None,
        lambda spatial_dims, in_channels, out_channels, **options: None,
        lambda spatial_dims, in_channels, out_channels, /: None,
    ],
)
def test_a_builder_that_could_not_be_called_is_refused(build):
    with pytest.raises(UsageError, match=r"my-net: build needs \(spatial_dims, .*, got \("):
        register_network("my-net", build)


def test_what_is_no_builder_is_refused():
    with pytest.raises(UsageError, match="my-net: build needs a class or a function, got 3"):
        register_network("my-net", 3)


def plain_module(spatial_dims, in_channels, out_channels):
    return nn.Conv2d(in_channels, out_channels, 1)


def nothing(spatial_dims, in_channels, out_channels):
    return None


def forgetful(spatial_dims, in_channels, out_channels, *, width=3):
    return OneLayer(spatial_dims, in_channels, out_channels)


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (nothing, {}, "build gave None, expected a torch.nn.Module"),
        (plain_module, {}, "has no spatial_dims, config; a subclass of lightm_unet.Segmentation"),
        (forgetful, {"width": 5}, "config lacks width, so that it could not be built again"),
    ],
)
def test_a_network_that_does_not_know_itself_is_refused(build, options, message):
    register_network("my-net", build)
    with pytest.raises(UsageError, match=f"my-net: .*{message}"):
        build_network("my-net", 2, 1, 2, **options)


def test_a_model_of_a_network_that_is_not_registered_says_so(tmp_path, monkeypatch):
    register_network("my-net", OneLayer)
    preprocessing = Preprocessing(spatial_dims=2, channels=1, size=(8, 8))
    network = build_network("my-net", 2, 1, 2)
    save_model(tmp_path, network, preprocessing, ("background", "lung"), ("X-ray",), {}, {})
    assert load_model(tmp_path).network.config == network.config
    monkeypatch.delitem(registry.NETWORKS, "my-net")
    with pytest.raises(DataError, match=r"a network called 'my-net'.* LIGHTM_UNET_PLUGINS name"):
        load_model(tmp_path)


def test_a_file_named_by_the_environment_is_imported_once(plugin):
    assert "mine" in network_names()
    assert build_network("mine", 3, 1, 2).spatial_dims == 3


def test_commands_know_the_networks_of_plugins(plugin, run):
    code, out, _ = run("count", "mine:kernel=1", "--size", "8x8")
    assert code == 0
    assert "mine:kernel=1" in out


def test_a_command_without_the_plugin_says_how_to_name_it(run):
    code, _, err = run("count", "mine", "--size", "8x8")
    assert code == 2
    assert "'mine'" in err
    assert "lightm_unet.register_network" in err
    assert "LIGHTM_UNET_PLUGINS" in err


def test_a_module_that_python_finds_will_do(plugin, monkeypatch):
    plugin = plugin.rename(plugin.with_name("networks_of_a_package.py"))
    monkeypatch.syspath_prepend(plugin.parent)
    monkeypatch.setenv("LIGHTM_UNET_PLUGINS", " networks_of_a_package, ")
    assert network_names()[-1] == "mine"


def test_a_program_that_names_itself_is_not_imported_again(plugin):
    program = PLUGIN + 'print(lightm_unet.network_names()[-1], "in", Mine.__module__)\n'
    plugin.write_text(program)
    done = subprocess.run([sys.executable, plugin], capture_output=True, text=True, check=True)
    assert done.stdout == "mine in __main__\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('no weights')", "RuntimeError: no weights"),
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        (
            PLUGIN.replace("mine", "nnu-net"),
            "UsageError: a network is called 'nnu-net' already; cho",
        ),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_each_time(plugin, text, reason):
    plugin.write_text(text)
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            network_names()
        assert f"'{plugin}', which cannot be imported ({reason}" in str(caught.value)


def test_a_plugin_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("LIGHTM_UNET_PLUGINS", "no_such_module")
    with pytest.raises(UsageError, match=r"'no_such_module', .* path of a .py file"):
        build_network("unet", 2, 1, 2)


def shaped(answer):
    """A builder of a plain module that gives `answer(image)`."""

    class Plain(nn.Module):
        def __init__(self, spatial_dims, in_channels, out_channels):
            super().__init__()
            self.spatial_dims, self.in_channels = spatial_dims, in_channels
            self.out_channels, self.config = out_channels, {}

        def forward(self, image):
            return answer(image)

    return Plain


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda image: image, r"gave \(2, 1, 9, 8\) .* expected \(2, 3, 9, 8\)"),
        (lambda image: image.repeat(1, 3, 1, 1)[..., :8, :], r"gave \(2, 3, 8, 8\)"),
        (lambda image: image.repeat(1, 3, 1, 1)[:1], r"gave \(1, 3, 9, 8\)"),
        (lambda image: [image], "gave a list, expected logits"),
        (lambda image: None, "gave a NoneType, expected logits"),
    ],
)
def test_logits_of_another_shape_are_refused_whenever_they_come(answer, message):
    register_network("my-net", shaped(answer))
    network = build_network("my-net", 2, 1, 3)
    for _ in range(2):
        with pytest.raises(UsageError, match=f"my-net: the network {message}"):
            network(torch.zeros(2, 1, 9, 8))
    with pytest.raises(UsageError, match=f"my-net: the network {message}"):
        network(image=torch.zeros(2, 1, 9, 8))


def test_deep_supervision_may_give_halves_while_training():
    def halves(image):
        logits = image.repeat(1, 3, 1, 1)
        return logits, logits[..., :5, :4]

    register_network("my-net", shaped(halves))
    network = build_network("my-net", 2, 1, 3)
    assert len(network(torch.zeros(2, 1, 9, 8))) == 2
    with pytest.raises(UsageError, match="gave a tuple, expected logits"):
        network.eval()(torch.zeros(2, 1, 9, 8))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("gone"), r"my-net: it cannot be built \(KeyError: 'gone'\); mend its build func"),
        (SystemExit(3), r"my-net: it cannot be built \(SystemExit: 3\)"),
        (UsageError("my-net: too wide"), "^my-net: too wide$"),
        (UsageError("too wide"), "^my-net: too wide$"),
    ],
)
def test_a_builder_that_fails_is_named_once(error, message):
    def build(spatial_dims, in_channels, out_channels):
        raise error

    register_network("my-net", build)
    with pytest.raises(UsageError, match=message):
        build_network("my-net", 2, 1, 2)


def test_a_network_for_other_channels_than_asked_for_is_refused():
    def build(spatial_dims, in_channels, out_channels):
        return OneLayer(spatial_dims, in_channels, out_channels + 1)

    register_network("my-net", build)
    with pytest.raises(UsageError, match="my-net: out_channels of the network is 3, expected 2"):
        build_network("my-net", 2, 1, 2)


@pytest.mark.parametrize("default", [object(), {1, 2}, b"x", nn.ReLU, float("nan"), 1j])
def test_a_default_that_no_file_can_hold_is_refused(default):
    def build(spatial_dims, in_channels, out_channels, *, width=default):
        return None

    with pytest.raises(UsageError, match="my-net: width needs a value that JSON can hold"):
        register_network("my-net", build)
