"""A trained nnU-Net folder to a model folder and back, and everything that is refused."""

import json
import pickle

import numpy as np
import pytest
import torch

from lightm_unet.deploy.nnunet.convert import export_model, import_model
from lightm_unet.deploy.nnunet.preparation import STATISTICS
from lightm_unet.models.model_folder import load_model
from nnunet_folders import CONFIGURATION, plans, write_trained
from small_models import random_network, write_model

BORDER = {"median_relative_size_after_cropping": 0.7}
LABELS = {"background": 0, "liver": 1, "tumour": 2}


def dataset(**changes):
    return {"channel_names": {"0": "CT"}, "labels": LABELS, "file_ending": ".nii.gz", **changes}


def test_weights_labels_and_preparation_come_over(tmp_path, run):
    planned = write_trained(tmp_path / "trained")
    code, out, _ = run("nnunet", "import", tmp_path / "trained", tmp_path / "model")
    assert (code, out) == (0, f"the model is in {tmp_path / 'model'}\n")
    model = load_model(tmp_path / "model")
    for name, tensor in planned.network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], tensor)
    made = model.preprocessing
    assert made.roi_size == (20, 16, 12)  # nnU-Net's 12 x 16 x 20 are k, j, i
    assert made.spacing_mm == (1.0, 2.0, 3.0)
    assert (made.normalization, made.flat_axes) == ("nnunet-ct", "file")
    assert (made.intensity_range, made.intensity_mean, made.intensity_std) == (
        (-107.0, 151.0),
        93.5,
        36.1,
    )
    assert model.label_names == tuple(LABELS)
    assert model.card["training"]["trainer"] == "nnUNetTrainerLightMUNet"
    labels = model.predict(np.zeros((24, 20, 16)), spacing_mm=(1, 2, 3), device="cpu")
    assert labels.shape == (24, 20, 16)


def test_the_way_back_and_again_is_the_same_model(tmp_path, run):
    planned = write_trained(tmp_path / "trained")
    import_model(tmp_path / "trained", tmp_path / "model")
    code, out, _ = run("nnunet", "export", tmp_path / "model", tmp_path / "back")
    assert (code, out.startswith("nnUNetv2_predict_from_modelfolder -m ")) == (0, True)
    checkpoint = torch.load(tmp_path / "back" / "fold_0" / "checkpoint_final.pth")
    for name, tensor in planned.state_dict().items():
        assert torch.equal(checkpoint["network_weights"][name], tensor)
    assert checkpoint["inference_allowed_mirroring_axes"] == (0, 1, 2)
    written = json.loads((tmp_path / "back" / "plans.json").read_text())["configurations"]
    assert written["exported"]["patch_size"] == [12, 16, 20]
    assert written["exported"]["spacing"] == [3.0, 2.0, 1.0]
    import_model(tmp_path / "back", tmp_path / "again")
    first, second = load_model(tmp_path / "model"), load_model(tmp_path / "again")
    assert first.preprocessing == second.preprocessing
    assert first.card["weights"] == second.card["weights"]
    assert first.card["labels"] == second.card["labels"]


def test_zscores_and_volumes_that_nnunet_turns(tmp_path):
    content = plans(normalization_schemes=["ZScoreNormalization"])
    content["image_reader_writer"] = "NibabelIOWithReorient"
    write_trained(tmp_path / "trained", content, fingerprint={**BORDER, **dict.fromkeys(BORDER, 1)})
    made = load_model(import_model(tmp_path / "trained", tmp_path / "model")).preprocessing
    assert (made.normalization, made.flat_axes) == ("nnunet-zscore", "anatomical")


def test_a_data_set_that_nnunet_turned_has_its_patch_in_the_files_order(tmp_path):
    content = {**plans(), "transpose_forward": [2, 0, 1], "transpose_backward": [1, 2, 0]}
    write_trained(tmp_path / "trained", content)
    made = load_model(import_model(tmp_path / "trained", tmp_path / "model")).preprocessing
    assert made.roi_size == (12, 20, 16)  # nnU-Net's 12 x 16 x 20 are i, k, j


def test_a_label_that_is_ignored_is_no_output(tmp_path):
    write_trained(tmp_path / "trained", dataset=dataset(labels={**LABELS, "ignore": 3}))
    model = load_model(import_model(tmp_path / "trained", tmp_path / "model"))
    assert model.label_names == tuple(LABELS)


@pytest.mark.parametrize(
    ("of_configuration", "of_plans", "more", "said"),
    [
        ({"normalization_schemes": ["RescaleTo01Normalization"]}, {}, {}, "RescaleTo01Norm"),
        ({"normalization_schemes": ["NoNormalization"]}, {}, {}, "NoNormalization"),
        ({}, {"image_reader_writer": "Tiff3DIO"}, {}, "the reader Tiff3DIO"),
        ({}, {"image_reader_writer": "NaturalImage2DIO"}, {}, "the reader NaturalImage2DIO"),
        ({"preprocessor_name": "Mine"}, {}, {}, "the preprocessor Mine"),
        (
            {"resampling_fn_data": "resample_torch_fornnunet"},
            {},
            {},
            "resampling_fn_data resample",
        ),
        ({"resampling_fn_data_kwargs": {"order": 1}}, {}, {}, "resampling_fn_data_kwargs"),
        ({"resampling_fn_probabilities_kwargs": {"order": 0}}, {}, {}, "resampling_fn_probabilit"),
        (
            {"normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [True]},
            {},
            {},
            "use_mask_for_norm",
        ),
        (
            {"normalization_schemes": ["ZScoreNormalization"]},
            {},
            {"fingerprint": BORDER},
            "cropping to what is not 0",
        ),
        ({}, {}, {"dataset": dataset(labels={"background": 0, "all": [1, 2]})}, "regions"),
        ({}, {}, {"dataset": dataset(labels={"background": 0, "a": 2})}, "labels need the values"),
    ],
)
def test_what_has_no_form_here_is_refused_by_name(
    tmp_path, run, of_configuration, of_plans, more, said
):
    write_trained(tmp_path / "trained", {**plans(**of_configuration), **of_plans}, **more)
    code, out, error = run("nnunet", "import", tmp_path / "trained", tmp_path / "model")
    assert (code, out, error.count("\n")) == (2, "", 1), error
    assert said in error
    assert not (tmp_path / "model").exists()


def test_channels_with_different_statistics_are_refused(tmp_path, run):
    content = plans(normalization_schemes=["CTNormalization"] * 2)
    statistics = content["foreground_intensity_properties_per_channel"]
    statistics["1"] = {**statistics["0"], "mean": 1.0}
    two = dataset(channel_names={"0": "CT", "1": "CT2"})
    write_trained(tmp_path / "trained", content, two)
    code, _, error = run("nnunet", "import", tmp_path / "trained", tmp_path / "model")
    assert (code, "statistics that differ by channel" in error) == (2, True)


class Evil:
    """Written to a pickle, it would print when it is loaded."""

    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("content", [{"network_weights": Evil()}, Evil(), b"no pickle", [1], {}])
def test_nothing_in_a_checkpoint_is_executed(tmp_path, run, content):
    write_trained(tmp_path / "trained")
    file = tmp_path / "trained" / "fold_0" / "checkpoint_final.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    code, out, error = run("nnunet", "import", tmp_path / "trained", tmp_path / "model")
    assert (code, out, error.count("\n")) == (3, "", 1)
    assert "weights_only" not in error
    assert not (tmp_path / "model").exists()
    file.write_bytes(pickle.dumps(content))
    assert run("nnunet", "import", tmp_path / "trained", tmp_path / "model")[:2] == (3, "")


def test_weights_that_do_not_fit_and_plans_of_another_network_are_refused(tmp_path, run):
    write_trained(tmp_path / "trained")
    file = tmp_path / "trained" / "fold_0" / "checkpoint_final.pth"
    checkpoint = torch.load(file, weights_only=False)
    for weights in ({}, {"conv.weight": torch.zeros(1)}, {"network.conv": torch.zeros(1)}):
        torch.save({**checkpoint, "network_weights": weights}, file)
        code, _, error = run("nnunet", "import", tmp_path / "trained", tmp_path / "model")
        assert (code, error.count("\n")) == (3, 1)
    torch.save({**checkpoint, "init_args": {"configuration": "3d_fullres"}}, file)
    code, _, error = run("nnunet", "import", tmp_path / "trained", tmp_path / "model")
    assert (code, "PlainConvUNet, none of ours" in error) == (2, True)
    torch.save({**checkpoint, "init_args": {"configuration": "4d"}}, file)
    assert run("nnunet", "import", tmp_path / "trained", tmp_path / "model")[0] == 3


def test_the_fold_must_be_named_where_there_are_several(tmp_path, run):
    write_trained(tmp_path / "trained")
    words = ("nnunet", "import", tmp_path / "trained", tmp_path / "model")
    (tmp_path / "trained" / "fold_0").rename(tmp_path / "trained" / "fold_all")
    assert run(*words, "--fold", "1")[0] == 2
    assert run(*words, "--checkpoint", "checkpoint_best.pth")[0] == 2
    (tmp_path / "trained" / "fold_2").mkdir()
    file = tmp_path / "trained" / "fold_all" / "checkpoint_final.pth"
    (tmp_path / "trained" / "fold_2" / file.name).write_bytes(file.read_bytes())
    code, _, error = run(*words)
    assert (code, "2, all have checkpoint_final.pth" in error) == (2, True)
    assert run(*words, "--fold", "all")[0] == 0
    assert load_model(tmp_path / "model").card["training"]["fold"] == "all"


def test_missing_files_of_a_trained_folder_are_told(tmp_path, run):
    words = ("nnunet", "import", tmp_path / "trained", tmp_path / "model")
    assert run(*words)[0] == 3
    write_trained(tmp_path / "trained")
    (tmp_path / "trained" / "dataset.json").write_text("{}")
    code, _, error = run(*words)
    assert (code, "found no channel_names" in error) == (3, True)
    broken = json.loads((tmp_path / "trained" / "plans.json").read_text())
    del broken["configurations"]["3d_fullres"]["spacing"]
    (tmp_path / "trained" / "plans.json").write_text(json.dumps(broken))
    (tmp_path / "trained" / "dataset.json").write_text(json.dumps(dataset()))
    code, _, error = run(*words)
    assert (code, "spacing" in error) == (3, True)
    assert CONFIGURATION in broken["configurations"]


def test_entries_of_another_kind_are_told_in_one_line(tmp_path, run):
    write_trained(tmp_path / "trained")
    words = ("nnunet", "import", tmp_path / "trained", tmp_path / "model")
    for file, change in (
        ("dataset.json", lambda content: content["labels"].update(liver="one")),
        ("dataset.json", lambda content: content["labels"].update(liver=[])),
        ("plans.json", lambda content: content["configurations"]["3d_fullres"].update(spacing="x")),
        ("plans.json", lambda content: arguments(content).update(options=[1])),
        ("plans.json", lambda content: arguments(content).pop("network")),
        ("plans.json", lambda content: arguments(content).update(axes=[5, 6, 7])),
        ("plans.json", lambda content: content.pop("image_reader_writer")),
        ("plans.json", lambda content: content[STATISTICS].clear()),
    ):
        path = tmp_path / "trained" / file
        whole = path.read_text()
        content = json.loads(whole)
        change(content)
        path.write_text(json.dumps(content))
        code, out, error = run(*words)
        assert (code, out, error.count("\n")) == (3, "", 1), error
        path.write_text(whole)
    assert run(*words)[0] == 0


def arguments(content):
    return content["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]


def test_models_that_nnunet_has_not_trained_are_refused_on_the_way_back(tmp_path, run):
    write_model(tmp_path / "model", random_network(3))
    code, _, error = run("nnunet", "export", tmp_path / "model", tmp_path / "back")
    assert (code, error.count("\n"), "zscore normalization" in error) == (2, 1, True)
    assert not (tmp_path / "back").exists()
    write_trained(tmp_path / "trained")
    export_model(import_model(tmp_path / "trained", tmp_path / "mine"), tmp_path / "back")
    assert run("nnunet", "export", tmp_path / "mine", tmp_path / "back")[0] == 2  # not empty


def test_the_browser_refuses_such_a_model_and_says_what_takes_it(tmp_path, run):
    write_trained(tmp_path / "trained")
    import_model(tmp_path / "trained", tmp_path / "model")
    words = ("export", tmp_path / "model", "--format", "web", "--output", tmp_path / "page")
    code, _, error = run(*words)
    assert (code, "prepared as nnU-Net does" in error) == (2, True)
