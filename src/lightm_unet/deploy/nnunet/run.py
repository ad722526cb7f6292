"""nnU-Net's own commands, with our trainers found and this machine's device chosen.

The words of a command are nnU-Net's. What is missing in them is filled in: our trainer, and the
device that there is. What would end in a traceback of nnU-Net is refused here in one line.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lightm_unet.deploy.nnunet.folders import (
    PREPROCESSED,
    RESULTS,
    TRAINERS,
    find_dataset,
    folder_of,
    trainers_path,
)
from lightm_unet.deploy.nnunet.plans import read_plans
from lightm_unet.deploy.nnunet.settings import PlansSettings
from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.system.choices import check_choice
from lightm_unet.system.device import choose_device

TRAINER = "nnUNetTrainerLightMUNet"
"""The trainer if the words name none."""
PLANS = PlansSettings.plans
OLDEST = (2, 8)
"""nnU-Net's oldest version that is tested."""


def train(words: Sequence[str]) -> None:
    """Run `nnUNetv2_train` with these words.

    Args:
        words: as after `nnUNetv2_train`: data set, configuration and fold, then options. Without
            -tr it is our trainer, without -device the one that there is.

    Raises:
        MissingPartError: nnU-Net is not installed, is too old, or there is no such device.
        UsageError: a variable is unset, or there is no such data set or configuration.
        DataError: the plans file is missing or damaged.
    """
    require_nnunet()
    words = _complete(words)
    folder_of(RESULTS)
    if len(words) >= 2 and not any(word.startswith("-") for word in words[:2]):
        plans = find_dataset(words[0], PREPROCESSED) / f"{_value(words, '-p', PLANS)}.json"
        check_choice("configuration", words[1], read_plans(plans)["configurations"])
    from nnunetv2.run.run_training import run_training_entry

    _call(run_training_entry, "nnUNetv2_train", words)


def predict(words: Sequence[str]) -> None:
    """Run `nnUNetv2_predict` with these words.

    Args:
        words: as after `nnUNetv2_predict`. Without -tr it is our trainer, without -device the one
            that there is.

    Raises:
        MissingPartError: nnU-Net is not installed, is too old, or there is no such device.
        UsageError: a variable is unset, or there is no such trained model or folder of images.
    """
    require_nnunet()
    words = _complete(words)
    images, dataset, configuration = (_value(words, option) for option in ("-i", "-d", "-c"))
    if images and not Path(images).is_dir():
        raise UsageError(f"{images} is no folder; -i needs the folder of the images")
    if dataset and configuration:
        trainer, plans = _value(words, "-tr"), _value(words, "-p", PLANS)
        folder = find_dataset(dataset, RESULTS) / f"{trainer}__{plans}__{configuration}"
        checkpoint = _value(words, "-chk", "checkpoint_final.pth")
        folds = _values(words, "-f") or list("01234")
        missing = [fold for fold in folds if not (folder / f"fold_{fold}" / checkpoint).is_file()]
        if missing:
            raise UsageError(
                f"{folder}: no {checkpoint} of fold {', '.join(missing)}; train it first, or name "
                "the folds that there are with -f, the trainer with -tr and a checkpoint with -chk"
            )
    from nnunetv2.inference.predict_from_raw_data import predict_entry_point

    _call(predict_entry_point, "nnUNetv2_predict", words)


def require_nnunet() -> None:
    """Stop unless an nnU-Net that is new enough is installed; nothing is imported.

    Raises:
        MissingPartError: it is not.
    """
    try:
        found = version("nnunetv2")
    except PackageNotFoundError:
        raise MissingPartError("nnU-Net is not installed; pip install nnunetv2 brings it") from None
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        raise MissingPartError(
            f"nnU-Net {found} is too old, expected {'.'.join(map(str, OLDEST))} or later; "
            "pip install --upgrade nnunetv2"
        )


def _complete(words: Sequence[str]) -> list[str]:
    """The words with a trainer and a device, if they have none.

    Raises:
        MissingPartError: the device that they name is not there.
    """
    completed = list(words)
    if "-tr" not in completed:
        completed += ["-tr", TRAINER]
    if "-device" not in completed:
        completed += ["-device", choose_device("auto").type]
    choose_device(_value(completed, "-device", "auto"))
    return completed


def _values(words: Sequence[str], option: str) -> list[str]:
    """The words after an option, up to the next one."""
    if option not in words:
        return []
    following = words[list(words).index(option) + 1 :]
    return list(itertools.takewhile(lambda word: not word.startswith("-"), following))


def _value(words: Sequence[str], option: str, default: str = "") -> str:
    """The word after an option."""
    return (_values(words, option) or [default])[0]


def _call(command: Callable[[], None], name: str, words: Sequence[str]) -> None:
    with _arguments([name, *words]):
        os.environ[TRAINERS] = trainers_path()  # stays: the processes that it starts need it
        command()


@contextmanager
def _arguments(words: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, words
    try:
        yield
    finally:
        sys.argv = before
