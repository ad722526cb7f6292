"""A run with a teacher: its loss, what is refused, and that it goes on exactly."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from lightm_unet.errors import DataError, UsageError
from lightm_unet.models.model_folder import load_model
from lightm_unet.networks.base import TwoStages
from lightm_unet.system.files import read_json
from lightm_unet.training.distillation import Teacher, digest_of, distillation_loss
from run_checks import assert_same_training, last_weights, log_of

LITTLE = "lwnet:features=[4,8]"


def logits(*values):
    """Logits of one voxel."""
    return torch.tensor(values).reshape(1, len(values), 1, 1)


def other_folder(teacher, folder, change):
    """A copy of a teacher's model whose description is changed."""
    shutil.copytree(teacher, folder)
    card = read_json(folder / "model.json")
    change(card)
    (folder / "model.json").write_text(json.dumps(card))
    return folder


# ------------------------------------------------------------------------------------- the loss


def test_it_is_the_softened_divergence_times_the_temperature_squared():
    # Teacher: 3 and 1 parts at T = 3; student: halves.
    teacher, student = logits(3 * math.log(3.0), 0.0), logits(0.0, 0.0)
    expected = 9 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert distillation_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)
    assert distillation_loss(teacher + 7, teacher).item() == pytest.approx(0, abs=1e-5)


def test_it_is_a_mean_over_images_and_voxels():
    teacher, student = logits(1.0, -1.0, 0.5), logits(0.0, 2.0, 0.0)
    one = distillation_loss(student, teacher)
    many = distillation_loss(student.expand(2, 3, 4, 5), teacher.expand(2, 3, 4, 5))
    torch.testing.assert_close(many, one)


def test_its_gradient_points_from_the_student_to_the_teacher():
    student = logits(0.0, 0.0).requires_grad_()
    distillation_loss(student, logits(2.0, -2.0)).backward()
    assert student.grad.flatten()[0] < 0 < student.grad.flatten()[1]


class Says(torch.nn.Module):
    """A teacher that gives the same logits whatever it sees."""

    def __init__(self, said):
        super().__init__()
        self.said = torch.nn.Parameter(said)

    def forward(self, image):
        return self.said * 1.0


def test_of_several_outputs_the_network_s_answer_learns_from_the_teacher_by_three_tenths():
    teacher, student = logits(1.0, -1.0), logits(0.0, 0.5)
    expected = 0.3 * distillation_loss(student, teacher)
    for output in (student, (student, teacher), TwoStages(student, teacher)):
        torch.testing.assert_close(
            Teacher(Says(teacher), Path(), "").loss(output, student), expected
        )


# ----------------------------------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def distilled(xray, finished, train_tiny, tmp_path_factory):
    """A run of four epochs with `finished` as the teacher; read only."""
    output = tmp_path_factory.mktemp("distilled") / "run"
    return train_tiny(xray, output, network=LITTLE, recipe="adamw", teacher=finished.folder)


def test_the_teacher_changes_what_is_learnt_and_stays_outside_the_model(
    xray, finished, distilled, train_tiny, tmp_path
):
    alone = train_tiny(xray, tmp_path / "run", network=LITTLE, recipe="adamw", epochs=1)
    with_teacher, without = (float(log_of(r.folder)[0]["train_loss"]) for r in (distilled, alone))
    assert with_teacher > without + 1e-3  # the soft labels' loss is added
    assert last_weights(distilled.folder).keys() == last_weights(alone.folder).keys()
    record = read_json(distilled.folder / "run.json")
    assert record["settings"]["teacher"] == str(finished.folder.resolve())
    assert record["teacher_sha256"] == digest_of(finished.model)
    model = load_model(distilled.model)
    assert model.network.name == "lwnet"
    told = {"network": "lightm-unet", "sha256": digest_of(finished.model)}
    assert model.card["training"]["teacher"] == told
    assert load_model(alone.model).card["training"]["teacher"] is None
    assert read_json(alone.folder / "run.json")["teacher_sha256"] is None


def test_the_teacher_sees_the_student_s_images_in_eval_mode_and_is_not_trained(
    xray, finished, train_tiny, tmp_path, monkeypatch
):
    seen = []

    class Spy(Teacher):
        def loss(self, student, image):
            seen.append((self.network.training, tuple(image.shape), student[0].shape[-2:]))
            return super().loss(student, image)

    monkeypatch.setattr("lightm_unet.training.distillation.Teacher", Spy)
    before = finished.model.joinpath("model.safetensors").read_bytes()
    train_tiny(xray, tmp_path / "run", network=LITTLE, epochs=1, teacher=finished.model)
    assert seen == [(False, (2, 1, 24, 24), (24, 24))] * 2
    assert finished.model.joinpath("model.safetensors").read_bytes() == before


def test_a_resumed_run_with_a_teacher_ends_as_if_it_had_not_been_stopped(
    xray, finished, distilled, train_tiny, listen, stop_in_epoch, tmp_path, monkeypatch
):
    settings = {"network": LITTLE, "recipe": "adamw", "teacher": finished.folder}
    with pytest.raises(stop_in_epoch.error), listen(stop_in_epoch(3)):
        train_tiny(xray, tmp_path / "run", **settings)
    monkeypatch.chdir(tmp_path)  # the path in run.json is whole
    resumed = train_tiny(xray, Path("run"), resume=True)
    assert_same_training(distilled.folder, resumed.folder)


def test_another_teacher_than_at_the_beginning_is_refused(
    xray, finished, train_tiny, listen, stop_in_epoch, tmp_path
):
    teacher = shutil.copytree(finished.model, tmp_path / "teacher")
    with pytest.raises(stop_in_epoch.error), listen(stop_in_epoch(2)):
        train_tiny(xray, tmp_path / "run", network=LITTLE, teacher=teacher)
    with pytest.raises(UsageError, match=r"this run has teacher '.*teacher', not '.*model'"):
        train_tiny(xray, tmp_path / "run", resume=True, teacher=finished.model)
    card = read_json(teacher / "model.json")
    (teacher / "model.json").write_text(json.dumps({**card, "scores": {}}))
    with pytest.raises(DataError, match=r"found another teacher than .*--resume-anyway"):
        train_tiny(xray, tmp_path / "run", resume=True)
    train_tiny(xray, tmp_path / "run", resume=True, resume_anyway=True)
    record = read_json(tmp_path / "run" / "run.json")
    assert record["passed_over"] == ["teacher: another teacher than when this run began"]
    assert record["teacher_sha256"] == digest_of(teacher)
    shutil.rmtree(teacher)
    with pytest.raises(UsageError, match=r"teacher: no model\.json here"):
        train_tiny(xray, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            lambda card: card["labels"][1].update(name="heart"),
            {},
            "it has labels background, heart",
        ),
        (lambda card: card.update(channels=["CT"]), {}, "it has channels CT, this run"),
        (lambda card: None, {"size": (32,)}, "it has size 24, 24, this run 32, 32"),
        (lambda card: None, {"patch": (24,)}, "it has size 24, 24, this run none"),
    ],
    ids=["labels", "channels", "size", "patches"],
)
def test_a_teacher_of_something_else_is_refused_by_name_before_anything_is_written(
    change, settings, message, xray, finished, train_tiny, tmp_path
):
    teacher = other_folder(finished.model, tmp_path / "teacher", change)
    with pytest.raises(UsageError, match=f"teacher .*teacher: {message}"):
        train_tiny(xray, tmp_path / "run", teacher=teacher, **settings)
    assert not (tmp_path / "run").exists()


def test_a_teacher_of_pictures_is_none_for_volumes(ct, finished, train_tiny, tmp_path):
    with pytest.raises(UsageError, match=r"teacher .*: it has (labels|channels|spatial_dims)"):
        train_tiny(ct, tmp_path / "run", size=(16,), teacher=finished.folder)


def test_a_teacher_that_is_no_model_is_refused(xray, train_tiny, tmp_path):
    with pytest.raises(UsageError, match=r"nowhere: no model\.json here"):
        train_tiny(xray, tmp_path / "run", teacher=tmp_path / "nowhere")


def test_a_teacher_that_knows_the_cases_that_score_the_run_is_warned_of(
    xray, finished, train_tiny, listen, tmp_path
):
    teacher = shutil.copytree(finished.folder, tmp_path / "teacher")
    split = read_json(teacher / "split.json")
    scoring = split["test"][0]
    split["training"].append(scoring)
    split["test"].remove(scoring)
    (teacher / "split.json").write_text(json.dumps(split))
    said = {}
    for name, folder in (("other", teacher), ("same", finished.folder)):
        said[name] = []
        with listen(said[name].append):
            train_tiny(xray, tmp_path / name, epochs=1, teacher=folder)
    assert any("trained on 1 cases of the same names" in line for line in said["other"])
    assert not any("same names" in line for line in said["same"])


def test_deep_supervision_and_a_teacher_go_together(xray, finished, train_tiny, tmp_path):
    network = "nnu-net:features=[4,8,8]"
    run = train_tiny(xray, tmp_path / "run", network=network, epochs=1, teacher=finished.folder)
    assert math.isfinite(float(log_of(run.folder)[0]["train_loss"]))
