"""`nnunet` and its commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from lightm_unet import __version__
from lightm_unet.cli.options import NONE_GIVEN, options
from lightm_unet.deploy.nnunet.settings import PlansSettings

if TYPE_CHECKING:
    Settings = Mapping[str, Any]
else:
    Settings = options(
        PlansSettings,
        names={
            "configurations": ("--configuration", "-c"),
            "network": "--network",
            "plans": ("--plans", "-p"),
        },
    )
Words = Annotated[str, Parameter(allow_leading_hyphen=True)]

nnunet = App(
    name="nnunet",
    version=f"lightm-unet {__version__}",
    help="Train and run our networks within nnU-Net, on its data sets and by its commands.",
    group_commands="Commands",
)


@nnunet.command
def plans(
    *,
    dataset: Annotated[str, Parameter(name=("--dataset", "-d"))],
    settings: Settings = NONE_GIVEN,
) -> None:
    """Add configurations that name one of our networks to a data set's plans file.

    Args:
        dataset: Number or name of the data set, in the folder that nnUNet_preprocessed names.
    """
    from lightm_unet.deploy.nnunet.plans import add_configurations

    planned = add_configurations(dataset, **settings)
    done = "added to" if planned.changed else "there already in"
    print(f"{', '.join(planned.configurations)}: {done} {planned.path}")


@nnunet.command
def path() -> None:
    """Print the folder of our trainers, for nnU-Net's variable nnUNet_extTrainer."""
    from lightm_unet.deploy.nnunet.folders import OUR_TRAINERS

    print(OUR_TRAINERS)


@nnunet.command
def train(*words: Words) -> None:
    """Run nnUNetv2_train with our trainer, unless -tr names another.

    `lightm-unet nnunet train 4 3d_fullres_lightm-unet-small 0`

    Args:
        words: As after nnUNetv2_train; nnUNetv2_train -h lists them. Without -device it runs on
            the device that there is.
    """
    from lightm_unet.deploy.nnunet.run import train as run

    run(words)


@nnunet.command
def predict(*words: Words) -> None:
    """Run nnUNetv2_predict with our trainer, unless -tr names another.

    `lightm-unet nnunet predict -d 4 -c 3d_fullres_lightm-unet-small -f 0 -i images -o masks`

    Args:
        words: As after nnUNetv2_predict; nnUNetv2_predict -h lists them. Without -device it runs
            on the device that there is.
    """
    from lightm_unet.deploy.nnunet.run import predict as run

    run(words)


@nnunet.command(name="import")
def import_(
    trained: Path,
    output: Path,
    /,
    *,
    fold: str | None = None,
    checkpoint: str = "checkpoint_final.pth",
) -> None:
    """Make a model folder of what nnU-Net has trained with one of our networks.

    Args:
        trained: Folder TRAINER__PLANS__CONFIGURATION of nnU-Net.
        output: Folder for the model, new or empty.
        fold: Fold to take, such as 0 or all; by default the only one.
        checkpoint: Name of the checkpoint's file.
    """
    from lightm_unet.deploy.nnunet.convert import import_model

    print(f"the model is in {import_model(trained, output, fold, checkpoint)}")


@nnunet.command
def export(model: Path, output: Path, /) -> None:
    """Make a folder for nnU-Net's prediction of a model that nnU-Net has trained.

    Args:
        model: Folder of the model.
        output: Folder for nnU-Net, new or empty.
    """
    from lightm_unet.deploy.nnunet.convert import export_model

    made = export_model(model, output)
    print(f"nnUNetv2_predict_from_modelfolder -m {made} -f 0 predicts with it")
