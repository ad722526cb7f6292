"""Networks that cannot be built, or do not give what they promise, end in one line."""

import textwrap

import torch

from faults import fault
from lightm_unet import build_network, register_network
from lightm_unet.errors import UsageError
from lightm_unet.networks import plugins

SECTION = "Networks"


def refusal(act):
    try:
        act()
    except UsageError as error:
        return str(error)
    return "nothing refused"


@fault(
    SECTION,
    "sizes and numbers of layers that no machine holds, such as `lightm-unet:width=100000000`",
    "one line that names network and option or the memory needed",
)
def test_huge_networks():
    texts = {
        "lightm-unet:width=100000000": "lightm-unet: width is at most",
        "lightm-unet:expand=1e300": "lightm-unet: expand is at most",
        "lightm-unet:bottleneck_layers=100000000": "lightm-unet: bottleneck_layers is at most 1024",
        "lightm-unet:encoder_layers=[1,100000000]": "lightm-unet: encoder_layers is at most 1024",
        "lightm-unet:d_state=100000000": "lightm-unet: d_state is at most",
        "lightm-unet:width=200000": "lightm-unet: the network's parameters need",
        "nnu-net:features=[100000,100000]": "nnu-net: the network's parameters need",
        "unetr:mlp_dim=1e9": "unetr: mlp_dim is at most",
    }
    for text, expected in texts.items():
        found = refusal(lambda text=text: build_network(text, 2, 1, 2))
        if not found.startswith(expected) or "\n" in found:
            return f"{text}: {found}"
    return "one line that names network and option or the memory needed"


@fault(
    SECTION,
    "a slip in a network's name or option: `lightm-nuet`, `lightm-unet:widht=8`",
    "exit code 2, and the name that was meant comes first",
)
def test_slips(run):
    for text, meant in (("lightm-nuet", "lightm-unet"), ("lightm-unet:widht=8", "width")):
        code, _, error = run("count", text, "--size", "16x16")
        if code != 2 or f"did you mean '{meant}'" not in error or error.count("\n") > 1:
            return f"exit code {code}: {error}"
    return "exit code 2, and the name that was meant comes first"


PLUGIN = """
    import sys
    from torch import nn
    from lightm_unet import SegmentationNetwork, register_network

    def raises(spatial_dims, in_channels, out_channels):
        raise KeyError("gone")

    def leaves(spatial_dims, in_channels, out_channels):
        sys.exit(0)

    class Wrong(SegmentationNetwork):
        def __init__(self, spatial_dims, in_channels, out_channels, *, classes=0, stride=1):
            shape = spatial_dims, in_channels, out_channels
            options = {"classes": classes, "stride": stride}
            super().__init__("wrong", *shape, multiple=1, options=options)
            self.conv = nn.Conv2d(in_channels, out_channels + classes, 3, stride, 1)

        def compute(self, image):
            return self.conv(image)

    register_network("raises", raises)
    register_network("leaves", leaves)
    register_network("wrong", Wrong)
"""


@fault(
    SECTION,
    "networks of a plugin that raise, leave the program, or give another size or number of "
    "classes than asked for",
    "exit code 2, one line that names the network once",
)
def test_plugins(run, tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_imported", set())
    (tmp_path / "mine.py").write_text(textwrap.dedent(PLUGIN))
    monkeypatch.setenv("LIGHTM_UNET_PLUGINS", str(tmp_path / "mine.py"))
    for text in ("raises", "leaves", "wrong:classes=1", "wrong:stride=2"):
        code, _, error = run("count", text, "--size", "16x16")
        if code != 2 or error.count(text) != 1 or error.count("\n") != 1:
            return f"{text}: exit code {code}: {error}"
    return "exit code 2, one line that names the network once"


@fault(SECTION, "a plugin that leaves the program while it is imported", "exit code 2, named")
def test_a_plugin_that_exits(run, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("import sys\nsys.exit('bye')\n")
    monkeypatch.setenv("LIGHTM_UNET_PLUGINS", str(tmp_path / "mine.py"))
    code, _, error = run("count", "lightm-unet", "--size", "16x16")
    named = "mine.py" in error and "SystemExit: bye" in error
    return f"exit code {code}, {'named' if named else error}"


@fault(SECTION, "a network of one's own whose option has `object()` as default", "refused by name")
def test_defaults_of_plugins():
    def build(spatial_dims, in_channels, out_channels, *, width=object()):  # noqa: B008
        return None

    found = refusal(lambda: register_network("mine", build))
    return "refused by name" if found.startswith("mine: width needs a value") else found


@fault(
    SECTION,
    "training with norms on images whose coarsest grid would be one voxel",
    "logits of the image's size",
)
def test_norms_of_one_voxel():
    for norm in ("batch", "instance"):
        for size in ((1, 1), (8, 8), (5, 3)):
            network = build_network(f"lightm-unet:norm={norm}:width=8", 2, 1, 2).train()
            logits = network(torch.randn(1, 1, *size))
            if logits.shape != (1, 2, *size) or not logits.isfinite().all():
                return f"norm={norm} at {size}: {tuple(logits.shape)}"
    return "logits of the image's size"


@fault(SECTION, "an image of whole numbers", "refused by name")
def test_images_of_whole_numbers():
    network = build_network("lightm-unet", 2, 1, 2)
    kinds = (torch.uint8, torch.int16, torch.int64, torch.bool, torch.complex64)
    images = [torch.zeros(1, 1, 8, 8, dtype=kind) for kind in kinds]
    found = {refusal(lambda image=image: network(image)) for image in images}
    named = all("floating-point numbers, got torch." in each for each in found)
    return "refused by name" if named else str(found)
