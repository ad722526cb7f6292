"""`nnunet` and its commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

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
