"""A model on disk: model.safetensors and model.json. Everything that runs a model reads only this.

model.json holds the network's name and options, the preprocessing, the labels with their colours,
what it was trained on, by which recipe, and with which scores; and the SHA-256 of the weights, so
that a damaged file or one of another model is not used. Loading executes nothing from the folder:
safetensors holds numbers only.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, overload

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from lightm_unet import __version__
from lightm_unet.errors import DataError, UsageError
from lightm_unet.models.image_in_memory import NAME, image_in_memory
from lightm_unet.models.likeness import NOT_COMPARED, TrainingProfile
from lightm_unet.models.logits import check_overlap
from lightm_unet.models.predict_image import image_logits, judge_image
from lightm_unet.models.shipped_models import FOLDER as SHIPPED
from lightm_unet.models.shipped_models import shipped_names
from lightm_unet.networks.registry import TO_REGISTER, build_network, network_names
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.reporting.palette import Colour, label_colour, read_colour
from lightm_unet.system.device import choose_device
from lightm_unet.system.files import new_folder, read_bytes, refuse_used, write_bytes
from lightm_unet.system.hub import fetch, hub_address, upload
from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.system.records import read_record, write_record

_log = logging.getLogger(__name__)

WEIGHTS, CARD = "model.safetensors", "model.json"
ABOUT = "README.md"
"""The model's card in words; not every model has one."""
MODEL_FILES = (CARD, WEIGHTS, ABOUT)
MOST_LABELS = 256
"""A mask is uint8."""
MOST_LAYERS, LARGEST_OPTION = 1000, 2**20
"""The largest number of layers or blocks, and of anything else, among a network's options."""


@dataclass(frozen=True)
class ModelFolder:
    """A trained network with everything that is needed to use it."""

    network: torch.nn.Module
    """In evaluation mode, on the CPU."""
    preprocessing: Preprocessing
    """From an image to the network's input."""
    label_names: tuple[str, ...]
    """The index is the label's value; the first is the background."""
    label_colours: tuple[Colour, ...]
    """Colour of each label in pictures."""
    card: dict[str, Any]
    """All of model.json but its format."""
    path: Path
    """The folder."""
    profile: TrainingProfile | None = None
    """The usual features of its training images; None in models of few cases and earlier ones."""

    @property
    def weights_hash(self) -> str:
        """The SHA-256 of model.safetensors; empty where the card does not say."""
        return str(self.card.get("weights", {}).get("sha256", ""))

    @overload
    def predict(
        self,
        image: Any,
        *,
        spacing_mm: Sequence[float] | float | None = ...,
        channel_axis: int | None = ...,
        device: str = ...,
        overlap: float = ...,
        return_probabilities: Literal[False] = ...,
    ) -> np.ndarray: ...

    @overload
    def predict(
        self,
        image: Any,
        *,
        spacing_mm: Sequence[float] | float | None = ...,
        channel_axis: int | None = ...,
        device: str = ...,
        overlap: float = ...,
        return_probabilities: Literal[True],
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def predict(
        self,
        image: Any,
        *,
        spacing_mm: Sequence[float] | float | None = None,
        channel_axis: int | None = None,
        device: str = "auto",
        overlap: float = 0.5,
        return_probabilities: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Segment one image in memory, as `lightm_unet.predict` segments files.

        An array of a model with one channel has the shape `(height, width)` or `(i, j, k)`; an axis
        of length 1 before or after is its channel. With more channels they are the first axis or
        the last. A volume's axes are those of an array that nibabel reads, to the right, to the
        front and upwards; an array ordered `(depth, height, width)` has to be transposed. Pass
        `nibabel.Nifti1Image(array, affine)` where the axes run otherwise: its affine is used.

        Args:
            image: a numpy array or torch tensor of integers, floats or booleans, or a nibabel
                image. It is not changed.
            spacing_mm: voxel size of an array along each spatial axis, or one number for all;
                needed where the model resamples images to a voxel size, which
                `preprocessing.spacing_mm` tells.
            channel_axis: 0 or -1, where the first and the last axis of an array could both be the
                channels.
            device: "auto", "cpu", "cuda", "cuda:N" or "mps"; the network stays on it.
            overlap: of neighbouring sliding windows, 0 to below 1; whole-image models ignore it.
            return_probabilities: also return the probability of each label.

        Returns:
            uint8 labels of the image's spatial shape. With probabilities a pair: the labels, and
            float32 `(labels, *shape)`, which sum to 1 over the first axis and are largest at the
            label.

        Raises:
            DataError: the image has other dimensions or channels than the model, NaN or infinite
                voxels, complex numbers or objects.
            UsageError: `image` is of another kind, or another argument is missing or wrong.
            MissingPartError: the device is not available.

        Example:
            >>> from lightm_unet.networks.lightm_unet import LightMUNet
            >>> network = LightMUNet(2, 1, 2, width=4, encoder_layers=(1,), bottleneck_layers=1)
            >>> preprocessing = Preprocessing(spatial_dims=2, channels=1, size=(16, 16))
            >>> colours = ((0, 0, 0), (230, 159, 0))
            >>> model = ModelFolder(
            ...     network, preprocessing, ("background", "lung"), colours, {}, Path()
            ... )
            >>> labels, probabilities = model.predict(
            ...     np.zeros((20, 30)), device="cpu", return_probabilities=True
            ... )
            >>> labels.shape, probabilities.shape
            ((20, 30), (2, 20, 30))
        """
        check_overlap(overlap)
        chosen = choose_device(device)
        held = image_in_memory(image, self.preprocessing, spacing_mm, channel_axis)
        logits = image_logits(self, held, device=chosen, overlap=overlap)
        if self.profile is not None:
            judgement = judge_image(self.profile, logits, self.label_names)
            if judgement is None or judgement.unlike:
                _log.warning("%s: %s; check the result", NAME, judgement or NOT_COMPARED)
        shape = logits.geometry.stored_shape
        labels = logits.labels.reshape(shape)
        if not return_probabilities:
            return labels
        return labels, np.stack([each.reshape(shape) for each in logits.probabilities()])

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the model's files, byte for byte, into a new folder that `load_model` takes.

        Returns:
            The folder.

        Raises:
            UsageError: something is there already.
        """
        target = Path(folder)
        refuse_used(target)
        with new_folder(target) as made:
            for name in MODEL_FILES:
                if (self.path / name).is_file():
                    (made / name).write_bytes(read_bytes(self.path / name))
        return target

    def push_to_hub(
        self, repository: str, *, private: bool = False, message: str = "Upload a model"
    ) -> str:
        """Upload the model's files to the Hugging Face Hub; `load_model("hf://...")` reads them.

        Args:
            repository: OWNER/NAME; made where it is missing.
            private: whether a new repository is visible to its owner alone.
            message: of the commit.

        Returns:
            The commit's address.

        Raises:
            UsageError: the repository cannot be written, for example because nobody is logged in.
            MissingPartError: huggingface_hub is not installed.
        """
        return upload(self.path, repository, MODEL_FILES, message=message, private=private)


class ModelFiles(NamedTuple):
    """The content of a model folder."""

    weights: bytes
    """Of model.safetensors."""
    card: Mapping[str, Any]
    """Of model.json, but its format."""

    def write(self, folder: Path) -> None:
        """Write both files; each is replaced in one step."""
        write_bytes(self.weights, folder / WEIGHTS)
        write_record(self.card, folder / CARD)

    def are_in(self, folder: Path) -> bool:
        """Whether a folder holds just these, and perhaps a profile, which is added later."""
        try:
            card = read_record(folder / CARD)
            card.pop("profile", None)
            return read_bytes(folder / WEIGHTS) == self.weights and card == self.card
        except DataError:
            return False


def save_model(
    folder: Path,
    network: torch.nn.Module,
    preprocessing: Preprocessing,
    label_names: tuple[str, ...],
    channel_names: tuple[str, ...],
    training: dict[str, Any],
    scores: dict[str, Any],
) -> None:
    """Write a model folder; each of its files is replaced in one step.

    Args:
        folder: made where missing.
        network: built by `build_network`; its `config` and weights are stored.
        preprocessing: what it was trained with.
        label_names: the index is the label's value.
        channel_names: of the images, in order.
        training: data set, recipe and settings, JSON-able.
        scores: measured on validation cases, JSON-able.
    """
    files = model_files(network, preprocessing, label_names, channel_names, training, scores)
    files.write(folder)


def model_files(
    network: torch.nn.Module,
    preprocessing: Preprocessing,
    label_names: tuple[str, ...],
    channel_names: tuple[str, ...],
    training: dict[str, Any],
    scores: dict[str, Any],
) -> ModelFiles:
    """What `save_model` writes, with the same arguments."""
    weights = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()},
        metadata={"format": "pt"},
    )
    options = to_json(cast("dict[str, Any]", network.config))
    name = options.pop("name")
    card = {
        "lightm_unet": __version__,
        "network": {"name": name, "options": options},
        "preprocessing": to_json(preprocessing),
        "channels": list(channel_names),
        "labels": [
            {"value": value, "name": name, "colour": list(label_colour(value))}
            for value, name in enumerate(label_names)
        ],
        "training": training,
        "scores": scores,
        "weights": {"sha256": hashlib.sha256(weights).hexdigest()},
    }
    return ModelFiles(weights, card)


def load_model(path: str | os.PathLike[str]) -> ModelFolder:
    """Load a model folder, the model of a training run, or a model of the package.

    Args:
        path: a folder with model.json, or one with model/model.json; a name that
            `lightm-unet models` lists; or `hf://OWNER/NAME`, a repository of the Hugging Face Hub,
            with `@REVISION` a branch, tag or commit of it.

    Returns:
        The network with its preprocessing and labels; `predict` segments an image in memory.
            `LightMUNet.from_pretrained` gives the network alone.

    Raises:
        UsageError: no model is there.
        DataError: the folder is damaged, or of a format that this version does not know.
    """
    folder = find_model(path)
    try:
        return _load(folder)
    except _OtherWeights:
        # A run that trains here may have been between its two files.
        time.sleep(_BETWEEN_FILES_S)
        return _load(folder)


class _OtherWeights(DataError):
    """The weights are not those that the card describes."""


def _load(folder: Path) -> ModelFolder:
    card = read_record(folder / CARD)
    try:
        network = _build_network(_entry(card, "network", dict), folder / CARD)
        preprocessing = from_json(
            Preprocessing, _entry(card, "preprocessing", dict), "preprocessing"
        )
        names, colours = _labels(_entry(card, "labels", list))
        digest = _weights_digest(card)
        profile = from_json(TrainingProfile | None, card.get("profile"), "profile")
        _check_fit(network, preprocessing, names)
    except (DataError, OSError):
        raise
    except Exception as error:  # the options of a damaged card can raise any error in a network
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(
            folder / CARD,
            f"a description that cannot be used ({reason})",
            "a file written by `lightm-unet train`",
            "train the model again, or copy the whole folder again",
        ) from error
    _load_weights(network, folder / WEIGHTS, digest)
    return ModelFolder(network.eval(), preprocessing, names, colours, card, folder, profile)


def add_profile(folder: Path, profile: TrainingProfile) -> None:
    """Store the usual features of a model's training images in its model.json."""
    card = read_record(folder / CARD)
    write_record({**card, "profile": to_json(profile)}, folder / CARD)


def find_model(path: str | os.PathLike[str]) -> Path:
    """The folder that holds model.json: `path` itself, model/ in it, or a model of the package.

    One of the Hugging Face Hub is fetched into its cache.

    Raises:
        UsageError: none of them does.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UsageError(f"a model is the path of its folder, got {path!r:.60}")
    if (repository := hub_address(os.fspath(path))) is not None:
        return fetch(repository, MODEL_FILES)
    shipped = SHIPPED / Path(path)
    is_shipped = os.fspath(path) in shipped_names()
    for folder in (Path(path), Path(path) / "model"):
        if (folder / CARD).is_file():
            if is_shipped:
                _log.warning("%s: the folder is used, not the package's model of this name", folder)
            return folder
    if is_shipped:
        return shipped
    raise UsageError(
        f"{path}: no {CARD} here or in {Path(path) / 'model'}; expected a model folder, the folder "
        "of a training run that has finished its first epoch, or a model of the package: "
        f"{', '.join(shipped_names())}"
    )


def _entry(card: dict[str, Any], name: str, kind: type) -> Any:
    if name not in card:
        raise UsageError(f"it lacks {name}")
    if not isinstance(card[name], kind):
        raise UsageError(f"{name} is {card[name]!r:.60}, expected {_KINDS[kind]}")
    return card[name]


def _labels(entries: list[Any]) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    if not 1 <= len(entries) <= MOST_LABELS:
        raise UsageError(f"labels has {len(entries)} entries, expected 1 to {MOST_LABELS}")
    names, colours = [], []
    for value, entry in enumerate(entries):
        place = f"labels[{value}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise UsageError(f"{place} is {entry!r:.60}, expected an object with a name")
        if entry.get("value", value) != value or isinstance(entry.get("value"), bool):
            raise UsageError(f"{place}.value is {entry['value']!r:.60}, expected {value}")
        names.append(entry["name"])
        try:
            colours.append(read_colour(entry.get("colour")))
        except ValueError as error:
            raise UsageError(f"{place}.colour: {error}") from error
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"labels has {twice[0]!r} twice")
    return tuple(names), tuple(colours)


def _weights_digest(card: dict[str, Any]) -> str | None:
    """The SHA-256 of the weights; models of earlier versions have none."""
    if "weights" not in card:
        return None
    digest = _entry(card, "weights", dict).get("sha256")
    if not isinstance(digest, str) or len(digest) != 64:
        raise UsageError(f"weights.sha256 is {digest!r:.60}, expected 64 hexadecimal digits")
    return digest


def _check_fit(
    network: torch.nn.Module, preprocessing: Preprocessing, names: tuple[str, ...]
) -> None:
    for what, found, wanted in (
        ("preprocessing.spatial_dims", preprocessing.spatial_dims, network.spatial_dims),
        ("preprocessing.channels", preprocessing.channels, network.in_channels),
        ("the number of labels", len(names), network.out_channels),
    ):
        if found != wanted:
            raise UsageError(
                "network, preprocessing and labels do not fit together: "
                f"{what} is {found}, but the network has {wanted}"
            )


def _build_network(description: dict[str, Any], path: Path) -> torch.nn.Module:
    """The network without values: a damaged card may describe one larger than the memory."""
    name, options = description.get("name"), description.get("options")
    if name not in network_names():
        known = f"one of {', '.join(network_names())}"
        raise DataError(path, f"a network called {name!r:.60}", known, TO_REGISTER)
    if not isinstance(options, dict):
        raise UsageError(f"network.options is {options!r:.60}, expected an object")
    for key in ("spatial_dims", "in_channels", "out_channels"):
        if type(options.get(key)) is not int or options[key] < 1:
            raise UsageError(
                f"network.options.{key} is {options.get(key)!r:.60}, expected a whole number from 1"
            )
    _check_numbers("options", options)
    with torch.device("meta"):
        return build_network(_name_for(name, options), **options)


def _name_for(name: str, options: Mapping[str, Any]) -> str:
    """The network's name; before they had norms, the small networks were other ones."""
    had_none = name in ("lightm-unet-small", "lightm-unet-tiny") and options.get("stem") == "conv"
    return "lightm-unet" if had_none else name


def _check_numbers(place: str, value: Any) -> None:
    """Refuse numbers that no network has; building millions of layers would take hours."""
    if isinstance(value, dict):
        for name, each in value.items():
            _check_numbers(f"{place}.{name}", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _check_numbers(f"{place}[{index}]", each)
    elif isinstance(value, (int, float)):
        most = MOST_LAYERS if "layers" in place or "blocks" in place else LARGEST_OPTION
        if not abs(value) <= most:  # NaN is not below anything
            raise UsageError(f"{place} is {value!r:.60}, expected a number from {-most} to {most}")


def _load_weights(network: torch.nn.Module, path: Path, digest: str | None) -> None:
    advice = "copy the whole model folder again, or train the model again"
    try:
        content = path.read_bytes()
        weights = load(content)
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(path, f"unreadable weights ({error})", "safetensors", advice) from error
    expected = network.state_dict()
    for name in [*expected, *weights]:
        found = tuple(weights[name].shape) if name in weights else "nothing"
        wanted = tuple(expected[name].shape) if name in expected else "nothing"
        if found != wanted:
            raise DataError(path, f"{found} for {name}", f"{wanted}", advice)
    if digest is not None and (own := hashlib.sha256(content).hexdigest()) != digest:
        raise _OtherWeights(
            path,
            f"weights with SHA-256 {own[:12]}...",
            f"{digest[:12]}..., as {CARD} says: the file is damaged or of another model",
            advice,
        )
    if len(expected) < len(
        [*network.parameters(), *network.buffers()]
    ):  # buffers that no file holds
        network.to_empty(device="cpu").load_state_dict(weights)
        return
    # Not `to_empty`, which imports half a second's worth of torch's compiler.
    own_copies = {name: weights[name].to(like.dtype, copy=True) for name, like in expected.items()}
    network.load_state_dict(own_copies, assign=True)


_KINDS: dict[type, str] = {dict: "an object", list: "a list"}
_BETWEEN_FILES_S = 0.2
