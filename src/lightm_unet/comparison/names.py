"""The networks that can be compared: by name and options, or by the name of a group."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from lightm_unet.errors import UsageError
from lightm_unet.networks.registry import check_spec, network_names
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.choices import check_choice

GROUPS: dict[str, tuple[str, ...]] = {
    # Tables 1 to 3 of the paper, and the two networks that its authors published.
    "paper": (
        "lightm-unet",
        "lightm-unet-released",
        "lightm-unet-first-upload",
        "nnu-net",
        "segresnet",
        "unetr",
        "swin-unetr",
        "u-mamba",
        "vssm-to-conv3",
        "vssm-to-self-attention",
        "without-adjustment-factors",
        "without-residual-connections",
    ),
    # The choices that the paper's text leaves open, changed one at a time.
    "ablations": (
        "lightm-unet",
        "lightm-unet:stem=conv",
        "lightm-unet:stem=dwconv-bias",
        "lightm-unet:conv=spatial",
        "lightm-unet:directions=2",
        "lightm-unet:directions=4",
        "lightm-unet:d_state=4",
        "lightm-unet:d_state=8",
        "lightm-unet:expand=1",
        "lightm-unet:bottleneck_layers=1",
        "lightm-unet:bottleneck_layers=2",
        "lightm-unet:bottleneck_width=128",
        "lightm-unet:bottleneck_width=192",
        "lightm-unet:width=16",
        "lightm-unet:width=24",
    ),
}
"""Names that stand for several networks."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "the authors' networks": ("lightm-unet-released", "lightm-unet-first-upload"),
    "the paper's ablations": (
        "vssm-to-conv3",
        "vssm-to-self-attention",
        "without-adjustment-factors",
        "without-residual-connections",
    ),
    "convolutions": ("nnu-net", "segresnet", "lwnet", "m2unet"),
    "transformers": ("unetr", "swin-unetr"),
    "other Mamba": ("u-mamba", "u-mamba-encoder"),
}
"""The family of each network, which decides its colour in figures; any other name that begins
with lightm-unet belongs to the family LightM-UNet."""
OWN_FAMILY = "LightM-UNet"
OTHERS = "others"
"""The family of networks added with `register_network`."""


def family_of(network: str | NetworkSpec) -> str:
    """The family of a network; its options do not matter.

    Example:
        >>> family_of("segresnet:init_filters=8"), family_of("lightm-unet:width=16")
        ('convolutions', 'LightM-UNet')
    """
    name = NetworkSpec.parse(network).name
    rest = OWN_FAMILY if name.startswith("lightm-unet") else OTHERS
    return next((family for family, names in FAMILIES.items() if name in names), rest)


def find_networks(texts: Sequence[str | NetworkSpec]) -> tuple[NetworkSpec, ...]:
    """The networks that a user named, each once, in the order of first mention.

    Args:
        texts: each is a network (`NAME` or `NAME:option=value:option=value`), a group of `GROUPS`,
                several of these separated by commas, or a spec.

    Raises:
        UsageError: no network, an unknown name or an unknown option.

    Example:
        >>> found = find_networks(["nnu-net,segresnet:blocks_up=[1,1]", "nnu-net"])
        >>> list(map(str, found))
        ['nnu-net', 'segresnet:blocks_up=[1,1]']
    """
    named: list[str | NetworkSpec] = []
    for text in texts:
        if isinstance(text, NetworkSpec):
            named.append(text)
            continue
        # A comma within brackets belongs to an option's list.
        words = (word.strip() for word in re.split(r",(?![^\[]*\])", text))
        named += [name for word in words if word for name in GROUPS.get(word, (word,))]
    if not named:
        raise UsageError("compare needs at least one network, got none")
    found = tuple(dict.fromkeys(map(NetworkSpec.parse, named)))
    for spec in found:
        check_choice("network", spec.name, (*network_names(), *GROUPS))
        check_spec(spec)
    return found


def folder_name(network: str | NetworkSpec) -> str:
    """A name for a network's folder: valid on every file system, different for each network.

    Example:
        >>> folder_name("lightm-unet:width=16"), folder_name("lightm-unet:encoder_layers=[1,1]")
        ('lightm-unet_width=16', 'lightm-unet_encoder_layers=-1-1-_648c')
    """
    text = str(network)
    plain = text.replace(":", "_")
    safe = re.sub(r"[^A-Za-z0-9.=_-]", "-", plain)
    if safe == plain:
        return safe
    return f"{safe}_{hashlib.sha256(text.encode()).hexdigest()[:4]}"
