"""A tiny data set through nnU-Net on the CPU, by our trainer and by its own; see test_whole_way.

It is a program: nnU-Net starts processes that load this file again.
"""

import json
import math
import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np
import torch

from lightm_unet.datasets.dataset import open_dataset
from lightm_unet.datasets.phantom import write_phantom_dataset
from nnunet_folders import SMALL, plans

NAME = "Dataset004_Made"
CONFIGURATION = "3d_fullres_lightm-unet_width_4_encoder_layers_1_bottleneck_layers_1_d_state_2"
TINY = """
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.network_architecture import (
    nnUNetTrainerNoDeepSupervision as without,
)
from lightm_unet.deploy.nnunet.trainers.nnUNetTrainerLightMUNet import nnUNetTrainerLightMUNet


class Tiny:
    def __init__(self, plans, configuration, fold, dataset_json, device):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 40, 1


class TinyOurs(Tiny, nnUNetTrainerLightMUNet):
    pass


class TinyStock(Tiny, without.nnUNetTrainerNoDeepSupervision):
    pass


class TinyDeep(Tiny, nnUNetTrainer):
    pass
"""


def prepare(root: Path) -> None:
    """Raw and prepared images, with plans as nnU-Net makes them but small."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    raw, prepared = root / "nnUNet_raw" / NAME, root / "nnUNet_preprocessed" / NAME
    write_phantom_dataset(raw, "ct", cases=3, size=32)
    prepared.mkdir(parents=True)
    content = plans(patch_size=[16, 16, 16], spacing=[12.0, 10.0, 10.0])
    (prepared / "nnUNetPlans.json").write_text(json.dumps(content))
    shutil.copy(raw / "dataset.json", prepared)
    fingerprint = {"median_relative_size_after_cropping": 1.0}
    (prepared / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
    shutil.copytree(raw / "labelsTr", prepared / "gt_segmentations")
    names = [case.name for case in open_dataset(raw).training]
    split = [{"train": names[1:], "val": names[:1]}]
    (prepared / "splits_final.json").write_text(json.dumps(split))
    manager = PlansManager(content)
    folder = prepared / "nnUNetPlans_3d_fullres"
    folder.mkdir()
    for name in names:
        DefaultPreprocessor(verbose=False).run_case_save(
            str(folder / name),
            [str(raw / "imagesTr" / f"{name}_0000.nii.gz")],
            str(raw / "labelsTr" / f"{name}.nii.gz"),
            manager,
            manager.get_configuration("3d_fullres"),
            str(raw / "dataset.json"),
        )


def train_and_predict(root: Path, trainer: str) -> Path:
    """One epoch with the final validation, then a prediction; returns the trained folder."""
    from lightm_unet.deploy.nnunet import run

    run.train(["4", CONFIGURATION, "0", "-tr", trainer, "-device", "cpu"])
    images, masks = root / "nnUNet_raw" / NAME / "imagesTr", root / f"masks_{trainer}"
    words = f"-d 4 -c {CONFIGURATION} -f 0 -tr {trainer} -i {images} -o {masks} -device cpu"
    run.predict([*words.split(), "--disable_tta", "-npp", "0", "-nps", "0"])
    return root / "nnUNet_results" / NAME / f"{trainer}__nnUNetPlans__{CONFIGURATION}"


def resume(root: Path, trained: Path) -> None:
    """What a training that goes on has: the trained weights, and the average apart from them."""
    from nnunetv2.run.run_training import get_trainer_from_args

    file = trained / "fold_0" / "checkpoint_final.pth"
    trainer = get_trainer_from_args("4", CONFIGURATION, 0, "TinyOurs", device=torch.device("cpu"))
    trainer.load_checkpoint(str(file))
    checkpoint = torch.load(file, weights_only=False)
    weights = checkpoint["lightm_unet_trained"]["weights"]
    average = checkpoint["network_weights"]
    found, averaged = trainer.network.state_dict(), trainer.averaged.network.state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert all(torch.equal(averaged[name], average[name]) for name in average)
    assert any(not torch.equal(weights[name], average[name]) for name in average)
    assert int(trainer.averaged.steps) == 40
    rates = [trainer.optimizer.param_groups[0]["lr"]]
    for epoch in (0, 1):
        trainer.lr_scheduler.step(epoch)
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert math.isclose(rates[1], 1e-3)  # the first of two steps of warm-up
    assert math.isclose(rates[2], 2e-5)  # all steps are done: 1 % of the highest
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [1e-2, 0.0]


def compare(root: Path, trained: Path, masks: Path) -> dict[str, float]:
    """The least share of voxels with the same label here and in nnU-Net, and the largest
    difference of the two labels' probabilities where they are others."""
    from lightm_unet import load_model
    from lightm_unet.deploy.nnunet.convert import import_model

    model = load_model(import_model(trained, root / f"model_{masks.name}"))
    shares, gaps = [], [0.0]
    for file in masks.glob("*.nii.gz"):
        image = root / "nnUNet_raw" / NAME / "imagesTr" / file.name.replace(".nii", "_0000.nii")
        here, chances = model.predict(nibabel.load(image), device="cpu", return_probabilities=True)
        there = np.asarray(nibabel.load(file).dataobj).astype(int)
        shares.append(float((there == here).mean()))
        both = [np.take_along_axis(chances, each[None].astype(int), 0)[0] for each in (here, there)]
        gaps.append(float((both[0] - both[1]).max()))
    return {"masks": len(shares), "same": min(shares), "gap": max(gaps)}


def main(root: Path) -> None:
    from lightm_unet.deploy.nnunet.plans import add_configurations

    prepare(root)
    (root / "trainers").mkdir()
    (root / "trainers" / "tiny.py").write_text(TINY)
    (root / "nnUNet_results").mkdir()
    assert add_configurations("4", ["3d_fullres"], SMALL).configurations == (CONFIGURATION,)
    found = {}
    for trainer in ("TinyOurs", "TinyStock", "TinyDeep"):
        trained = train_and_predict(root, trainer)
        summary = json.loads((trained / "fold_0" / "validation" / "summary.json").read_text())
        found[trainer] = {
            "validated": len(summary["metric_per_case"]),
            **compare(root, trained, root / f"masks_{trainer}"),
        }
        if trainer == "TinyOurs":
            resume(root, trained)
    (root / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
