"""Every network by its name, so that commands, model folders and tables can speak of them."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightm_unet.errors import LightMUNetError, UsageError
from lightm_unet.networks.base import SegmentationNetwork, check_channels, check_logits
from lightm_unet.networks.lightm_unet import LightMUNet, LightMUNetOptions
from lightm_unet.networks.peers.authors import AuthorsLightMUNet
from lightm_unet.networks.peers.lwnet import LittleWNet
from lightm_unet.networks.peers.m2unet import M2UNet
from lightm_unet.networks.peers.monai_peers import UNETR, SegResNet, SwinUNETR
from lightm_unet.networks.peers.nnunet import PlainUNet
from lightm_unet.networks.peers.umamba import UMamba
from lightm_unet.networks.plugins import PLUGINS, import_plugins
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.choices import nearest
from lightm_unet.system.memory import free_bytes

TO_REGISTER = (
    "one of your own needs lightm_unet.register_network first, in each process: "
    f"let {PLUGINS} name the module or .py file that calls it"
)
"""Advice for an unknown name."""
SUITS_MOST = "adamw"
"""The training recipe that was the better of two for every network that was tried, nnU-Net
included: docs/notes.md, "Which recipe suits which network"."""


class Entry(NamedTuple):
    """The function that builds a network, and its options."""

    build: Callable[..., nn.Module]
    """Takes spatial_dims, in_channels, out_channels, and options by keyword."""
    presets: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    """Options that make it what its name says, and so cannot be given otherwise."""
    is_registered: bool = False
    """Whether it came by `register_network`."""
    spatial_dims: tuple[int, ...] = (2, 3)
    """Kinds of images that it takes."""
    recipe: str = SUITS_MOST
    """Name of the training recipe that suits it."""


LARGEST = 2**20
"""No number that a built-in network is built from is larger."""
MOST_LAYERS = 1024
"""Nor one that counts layers or blocks."""
LAYER_COUNTS = {
    "encoder_layers",
    "bottleneck_layers",
    "blocks_down",
    "blocks_up",
    "blocks_encoder",
    "blocks_decoder",
    "depths",
    "num_layers",
}
"""Options that count them."""

_NORMALISED = {
    "stem": "conv-norm",
    "norm": "batch",
    "head": "dwconv-norm",
    "expand": 1,
    "d_state": 8,
}
"""Common to the networks that are smaller than the paper's."""

NETWORKS: dict[str, Entry] = {
    "lightm-unet": Entry(LightMUNet),
    # As small as the paper says its own is (1.09 million) and as its ratio to nnU-Net says (46.3
    # million / 116), all counted, and below a tenth of that. Why these options: docs/notes.md,
    # "Small networks with norms".
    "lightm-unet-small": Entry(
        LightMUNet,
        {**_NORMALISED, "width": 24, "bottleneck_width": 252, "bottleneck_layers": 3},
    ),
    "lightm-unet-tiny": Entry(LightMUNet, {**_NORMALISED, "width": 16}),
    "lightm-unet-nano": Entry(LightMUNet, {**_NORMALISED, "width": 8, "bottleneck_layers": 2}),
    "lightm-unet-released": Entry(AuthorsLightMUNet, {"form": "released"}),
    "lightm-unet-first-upload": Entry(AuthorsLightMUNet, {"form": "first-upload"}),
    "nnu-net": Entry(PlainUNet),
    "segresnet": Entry(SegResNet),
    "unetr": Entry(UNETR),
    "swin-unetr": Entry(SwinUNETR),
    "u-mamba": Entry(UMamba, {"form": "bottleneck"}),
    "u-mamba-encoder": Entry(UMamba, {"form": "encoder"}),
    "lwnet": Entry(LittleWNet, spatial_dims=(2,)),
    "m2unet": Entry(M2UNet, spatial_dims=(2,)),
    "vssm-to-conv3": Entry(AuthorsLightMUNet, {"form": "first-upload", "layer": "conv3"}),
    "vssm-to-self-attention": Entry(
        AuthorsLightMUNet, {"form": "first-upload", "layer": "self-attention"}
    ),
    "without-adjustment-factors": Entry(
        AuthorsLightMUNet, {"form": "first-upload", "layer": "unscaled"}
    ),
    "without-residual-connections": Entry(
        AuthorsLightMUNet, {"form": "first-upload", "layer": "without-residual"}
    ),
}
"""The names, in the order in which tables list them."""


def network_names(spatial_dims: int | None = None) -> tuple[str, ...]:
    """The names that `build_network` knows, in the order of tables.

    Args:
        spatial_dims: 2 or 3 for the networks that take such images; by default all.

    Example:
        >>> sorted(set(network_names(2)) - set(network_names(3)))
        ['lwnet', 'm2unet']
    """
    import_plugins()
    return tuple(
        name
        for name, entry in NETWORKS.items()
        if spatial_dims is None or spatial_dims in entry.spatial_dims
    )


def network_options(name: str) -> tuple[str, ...]:
    """The options that a network takes.

    Raises:
        UsageError: there is no such network.

    Example:
        >>> network_options("segresnet")
        ('init_filters', 'blocks_down', 'blocks_up')
    """
    build = _find(name).build
    if build is LightMUNet:
        return tuple(LightMUNetOptions.__dataclass_fields__)
    return tuple(
        parameter.name
        for parameter in inspect.signature(build).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name != "image_size"
    )


def check_spec(spec: str | NetworkSpec) -> NetworkSpec:
    """The spec of a network that there is, with options that it has.

    Whether the options' values can be built from shows when the network is built.

    Raises:
        UsageError: an unknown name or option, or one that the name has settled otherwise.

    Example:
        >>> check_spec("segresnet:init_filters=8").options
        {'init_filters': 8}
    """
    spec = NetworkSpec.parse(spec)
    _check_options(spec.name, spec.options)
    return spec


def build_network(
    name: str | NetworkSpec,
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    image_size: Sequence[int] | None = None,
    **options: Any,
) -> nn.Module:
    """Build a network by its name or spec, with random weights.

    Args:
        name: one of `network_names()`, with options if wanted (`lightm-unet:width=16`); or a spec.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        image_size: of the images it is meant for; matters to unetr, which is built for one size,
            and to nnu-net and both u-mambas, which have fewer stages for small images. By default
            the paper's 512x512 or 128x128x128. One in the spec goes before.
        options: of the network besides those in the spec, see `network_options(name)`.

    Returns:
        A module from `(batch, in_channels, *spatial)` to logits `(batch, out_channels, *spatial)`
        for any spatial size (unetr: up to `image_size`). In training mode, one with deep
        supervision gives a tuple of logits, full resolution first, each half the one before; lwnet
        gives the logits of both its stages, `TwoStages`.
        It has `.name`, `.spatial_dims`, `.in_channels`, `.out_channels` and `.config`, from which
        `build_network(**config)` builds it again.

    Raises:
        UsageError: an unknown name or option, or a value that no network can be built from.

    Example:
        >>> network = build_network("segresnet", 2, 1, 2, init_filters=8)
        >>> sum(p.numel() for p in network.parameters())
        394986
        >>> build_network("segresnet:init_filters=8", 2, 1, 2).config == network.config
        True
    """
    spec = NetworkSpec.parse(name)
    if twice := sorted(set(spec.options) & set(options)):
        raise UsageError(f"{spec}: {', '.join(twice)} is given beside it too; give it once")
    options = {**spec.options, **options}
    image_size = options.pop("image_size", image_size)
    _check_options(spec.name, options)
    entry = _find(spec.name)
    if not entry.is_registered:
        channels = {"in_channels": in_channels, "out_channels": out_channels}
        _check_sizes(spec.name, {**channels, **options})
    check_channels(spatial_dims, in_channels, out_channels)
    if spatial_dims not in entry.spatial_dims:
        (only,) = entry.spatial_dims
        raise UsageError(
            f"{spec.name} takes {only}D images only, not {spatial_dims}D; of the other networks "
            f"{', '.join(network_names(spatial_dims)[:3])} and more take these"
        )
    if "image_size" in inspect.signature(entry.build).parameters:
        options["image_size"] = image_size
    shape = spatial_dims, in_channels, out_channels
    build = functools.partial(entry.build, *shape, **{**entry.presets, **options})
    try:
        if options and not entry.is_registered:
            _check_memory(build)
        network = build()
    except UsageError as error:
        raise UsageError(NetworkSpec(spec.name).in_front_of(error)) from error
    except LightMUNetError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and not entry.is_registered:
            raise  # no fault of the options: a full disk, for one
        # What torch says of too much memory goes on for a page.
        lines = str(error).strip().splitlines() or ["no message"]
        raise UsageError(
            f"{spec.name}: it cannot be built ({type(error).__name__}: {lines[0][:200]}); "
            + ("mend its build function" if entry.is_registered else "choose other options")
        ) from error
    # nn.Module declares its attributes as tensors and modules; a text is neither.
    network.name = spec.name  # type: ignore[assignment]
    return network


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    entry, known = _find(name), network_options(name)
    if unknown := sorted(set(options) - set(known)):
        meant = nearest(unknown[0], known)
        has = ", ".join(known) or "none"
        raise UsageError(f"{meant}{name} has no option {', '.join(unknown)}; it has {has}")
    for option, value in entry.presets.items():
        if options.get(option, value) != value:
            raise UsageError(f"{name} means {option}={value}, got {options[option]!r}")


def _check_sizes(name: str, options: Mapping[str, Any]) -> None:
    """Refuse numbers that are a slip of the keys, before hours of building layers."""
    for option, value in options.items():
        largest = MOST_LAYERS if option in LAYER_COUNTS else LARGEST
        for number in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(number, (int, float)) and number > largest:
                raise UsageError(f"{name}: {option} is at most {largest}, got {number!r}")
        if isinstance(value, (list, tuple)) and len(value) > 16:
            raise UsageError(f"{name}: {option} has at most 16 numbers, got {len(value)}")


def _check_memory(build: Callable[[], nn.Module]) -> None:
    """Refuse a network whose parameters do not fit, before the system ends the process for it."""
    if torch.get_default_device().type != "cpu":
        return
    try:
        with torch.device("meta"):
            network = build()
    except UsageError:
        raise
    except Exception:  # some initial values need a real device: then building it tells
        return
    needed = sum(p.numel() * p.element_size() for p in network.parameters())
    if needed > (free := free_bytes()):
        raise UsageError(
            f"the network's parameters need {needed / 2**30:.0f} GiB, and {free / 2**30:.1f} GiB "
            "are free; choose smaller options"
        )


def recipe_named_by(network: str | NetworkSpec) -> str:
    """The name of the training recipe that suits a network; its options do not matter.

    Raises:
        UsageError: there is no such network.

    Example:
        >>> recipe_named_by("lightm-unet:width=16")
        'adamw'
    """
    return _find(NetworkSpec.parse(network).name).recipe


def register_network(
    name: str, build: Callable[..., nn.Module], *, recipe: str = SUITS_MOST
) -> None:
    """Let a network of your own be called by a name, wherever this package takes one.

    The name is known in this process. Others (the processes of `bench` and of `compare` with
    several processes, and every command) know it if LIGHTM_UNET_PLUGINS names the module or the
    .py file that registers it. Models on disk hold the name: it must be registered before one is
    loaded.

    Args:
        name: letters, digits and `-_.`, and not the name of another network.
        build: a class or function, called as `build(spatial_dims, in_channels, out_channels)` with
            the network's options by keyword; each has a default that JSON can hold. One that is
            called image_size is given the size of the images. What it returns must be as
            `build_network` promises; a subclass of `SegmentationNetwork` is.
        recipe: name of the training recipe that suits it, used unless `train` or `compare` is given
            another; must be one that `train` knows.

    Raises:
        UsageError: a name that is taken or cannot be used, or another signature.

    Example:
        >>> from lightm_unet import SegmentationNetwork, build_network, register_network
        >>> class OneLayer(SegmentationNetwork):
        ...     def __init__(self, spatial_dims, in_channels, out_channels, *, kernel=3):
        ...         shape = spatial_dims, in_channels, out_channels
        ...         super().__init__("one-layer", *shape, multiple=1, options={"kernel": kernel})
        ...         conv = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        ...         self.layer = conv(in_channels, out_channels, kernel, padding="same")
        ...
        ...     def compute(self, image):
        ...         return self.layer(image)
        >>> register_network("one-layer", OneLayer)
        >>> sum(p.numel() for p in build_network("one-layer", 2, 1, 2, kernel=5).parameters())
        52
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"a network's name needs letters, digits and -_. only, got {name!r}")
    if name in NETWORKS:
        raise UsageError(f"a network is called {name!r} already; choose another name")
    _check_signature(name, build)
    NETWORKS[name] = Entry(_checked(name, build), is_registered=True, recipe=recipe)


def _check_signature(name: str, build: Callable[..., nn.Module]) -> None:
    try:
        signature = inspect.signature(build)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: build needs a class or a function, got {build!r}") from error
    parameters = list(signature.parameters.values())
    first, others = parameters[:3], parameters[3:]
    shape = [p.name for p in first if p.kind is p.POSITIONAL_OR_KEYWORD]
    options = [p for p in others if p.kind is p.KEYWORD_ONLY and p.default is not p.empty]
    if shape != ["spatial_dims", "in_channels", "out_channels"] or len(options) < len(others):
        raise UsageError(
            f"{name}: build needs (spatial_dims, in_channels, out_channels, *, option=default), "
            f"got {signature}"
        )
    NetworkSpec(name, {p.name: p.default for p in options})  # refuses what JSON cannot hold


def _checked(name: str, build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A builder that refuses what `build` gives unless it is as `build_network` promises."""

    @functools.wraps(build)
    def checked(*shape: int, **options: Any) -> nn.Module:
        network = build(*shape, **options)
        if not isinstance(network, nn.Module):
            raise UsageError(f"{name}: build gave {network!r}, expected a torch.nn.Module")
        asked = dict(zip(("spatial_dims", "in_channels", "out_channels"), shape, strict=True))
        promised = (*asked, "config")
        if missing := [attribute for attribute in promised if not hasattr(network, attribute)]:
            raise UsageError(
                f"{name}: the network has no {', '.join(missing)}; a subclass of "
                "lightm_unet.SegmentationNetwork has them"
            )
        for attribute, value in asked.items():
            if getattr(network, attribute) != value:
                raise UsageError(
                    f"{name}: {attribute} of the network is {getattr(network, attribute)!r}, "
                    f"expected {value}, for which it was to be built"
                )
        config: Any = network.config  # a mapping, not the tensor nn.Module declares
        if not isinstance(config, Mapping):
            raise UsageError(f"{name}: the network's config is {config!r}, expected a dict")
        if lost := sorted(set(options) - {"image_size"} - set(config)):
            raise UsageError(
                f"{name}: the network's config lacks {', '.join(lost)}, so that it could not be "
                "built again; a SegmentationNetwork is told all of its options"
            )
        NetworkSpec(name, config)  # refuses what JSON cannot hold
        if not isinstance(network, SegmentationNetwork):  # which looks at its logits itself
            check = _LogitsCheck(name, asked["out_channels"])
            network.register_forward_hook(check, with_kwargs=True)
        return network

    return checked


class _LogitsCheck:
    """A hook that refuses logits of another shape than `build_network` promises."""

    def __init__(self, name: str, out_channels: int) -> None:
        self.name, self.out_channels = name, out_channels

    def __call__(
        self, network: nn.Module, places: tuple[Any, ...], names: dict[str, Any], logits: Any
    ) -> None:
        image = next(a for a in (*places, *names.values()) if isinstance(a, Tensor))
        check_logits(self.name, logits, image, self.out_channels, network.training)


def _find(name: str) -> Entry:
    import_plugins()
    if name not in NETWORKS:
        raise UsageError(
            f"{nearest(name, NETWORKS)}network must be one of {', '.join(NETWORKS)}; "
            f"got {name!r}; {TO_REGISTER}"
        )
    return NETWORKS[name]
