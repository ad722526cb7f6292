"""The command line from the outside: exit codes, messages, and the main job end to end."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

import lightm_unet
from lightm_unet.imaging.image import read_image
from lightm_unet.imaging.picture import write_picture
from lightm_unet.models.model_folder import save_model
from lightm_unet.preprocessing.preprocessing import Preprocessing

TINY = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data set of six phantoms and a network trained on it for one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    lightm_unet.write_phantom_dataset(folder / "data", "ct", cases=6, size=32)
    lightm_unet.train(
        folder / "data",
        folder / "run",
        size=(16, 16, 16),
        epochs=1,
        device="cpu",
        network={"width": 4, "encoder_layers": (1,), "bottleneck_layers": 1},
    )
    return folder


def test_the_main_job_runs_from_phantoms_to_a_report(run, tmp_path):
    network = ("--network", TINY)
    data, out = tmp_path / "data", tmp_path / "out"
    for words in (
        ("phantom", "xray", data, "--cases", 5, "--size", 32),
        ("check-dataset", data),
        ("train", data, "--output", out / "run", "--size", "32", "--epochs", 1, *network),
        ("predict", out / "run", "--part", "test", "--output", out / "masks"),
        ("evaluate", out / "masks", data, "--output", out / "report"),
    ):
        code, printed, error = run(*words)
        assert code == 0, words
        assert error == "" or words[0] == "train", words
    assert "report.html" in printed
    assert (out / "report" / "report.html").read_text().startswith("<!")
    summary = json.loads((out / "report" / "summary.json").read_text())
    assert summary["cases"] == 1


def test_another_network_is_trained_by_its_name_and_options_and_predicts(run, trained, tmp_path):
    code, _, error = run(
        *("train", trained / "data", "--output", tmp_path / "run", "--size", "16"),
        *("--epochs", 1, "--device", "cpu"),
        *("--network", "nnu-net:features=[4,8]:deep_supervision=true"),
    )
    assert code == 0
    assert "epoch 1/1" in error
    card = json.loads((tmp_path / "run" / "model" / "model.json").read_text())["network"]
    assert (card["name"], card["options"]["features"]) == ("nnu-net", [4, 8])
    code, _, error = run(
        "predict", tmp_path / "run", "--part", "test", "--output", tmp_path / "out"
    )
    assert (code, error) == (0, "")
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 1


def test_a_training_run_can_be_resumed_and_refuses_other_settings(run, trained):
    words = ("train", trained / "data", "--output", trained / "run")
    code, _, error = run(*words)
    assert code == 2
    assert "--resume" in error
    code, _, error = run(*words, "--resume", "--epochs", 7)
    assert code == 2
    assert "epochs 1, not 7" in error
    code, _, error = run(*words, "--resume")
    assert code == 0
    assert error.count("\n") == 1  # the cases; there is no epoch left


def test_one_bad_file_is_one_line_exit_code_3_and_nothing_written(run, trained, tmp_path):
    image = trained / "data" / "imagesTr"
    whole = sorted(image.iterdir())[0].read_bytes()
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(whole[: len(whole) // 2])
    code, printed, error = run("predict", trained / "run", broken, "--output", tmp_path / "masks")
    assert code == 3
    assert printed == ""
    assert error.count("\n") == 1
    assert "broken.nii.gz" in error
    assert "expected" in error
    assert not (tmp_path / "masks").exists()


def test_a_folder_with_one_bad_case_does_the_others_names_it_and_exits_1(run, trained, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    source = sorted((trained / "data" / "imagesTr").iterdir())[0]
    (folder / "good.nii.gz").write_bytes(source.read_bytes())
    volume = bytearray(nibabel.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)).to_bytes())
    volume[280:284] = np.float32("nan").tobytes()  # the header's srow_x[0]
    (folder / "bad.nii.gz").write_bytes(gzip.compress(volume))
    code, _, error = run("predict", trained / "run", folder, "--output", tmp_path / "masks")
    assert code == 1
    assert "bad.nii.gz" in error
    assert "affine" in error
    assert (tmp_path / "masks" / "good.nii.gz").exists()
    assert not (tmp_path / "masks" / "bad.nii.gz").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("predict", "nowhere", "x.png", "--output", "out"), 2, "no model.json"),
        (("predict", "nowhere", "--output", "out"), 2, "either INPUTS or --part"),
        (("check-dataset", "nowhere"), 3, "nowhere"),
        (("train", "nowhere", "--output", "out"), 3, "nowhere"),
        (
            ("train", "nowhere", "--output", "out", "--size", "big"),
            2,
            "--size needs whole numbers, such as 128x128, got 'big'",
        ),
        (("train", "nowhere", "--output", "out", "--network", "width"), 2, "got 'width'"),
        (
            ("train", "nowhere", "--output", "out", "--network", "width=16"),
            2,
            "a network with its options, such as lightm-unet:width=16, got 'width=16'",
        ),
        (("train", "nowhere", "--output", "out", "--network", "unetr:widht=4"), 2, "option widht"),
        (("train", "nowhere", "--output", "out", "--network", "lightm-unet:width"), 2, "=value"),
        (
            ("train", "nowhere", "--output", "out", "--recipe", "papper"),
            2,
            "default, paper, released; got 'papper'; did you mean 'paper'?",
        ),
        (
            ("train", "nowhere", "--output", "out", "--epochs", "ten"),
            2,
            "--epochs needs a whole number, got 'ten'",
        ),
        (
            ("train", "nowhere", "--output", "out", "--size", "-3x4"),
            2,
            "--size needs 1 to 3 whole numbers from 1 up, got (-3, 4)",
        ),
        (
            ("train", "nowhere", "--output", "out", "--spacing", "-1,nan", "--patch", "8"),
            2,
            "--spacing needs 1 to 3 numbers above 0, got (-1.0, nan)",
        ),
        (("train", "nowhere", "--output", "out", "--batch-size", "0"), 2, "--batch-size needs a"),
        (("train", "nowhere", "--output", "out", "--learning-rate", "nan"), 2, "--learning-rate"),
        (("train", "nowhere", "--output", "out", "--seed", "-1"), 2, "--seed needs a whole"),
        (("train", "nowhere", "--output", "out", "--resume"), 2, "no such folder, so there is no"),
        (("compare", "nowhere", "--output", "out", "--epochs", "0"), 2, "--epochs needs a whole"),
        (("train", "nowhere", "--output", "out", "--architecture", "unet"), 2, "got 'unet'"),
        (("train", "nowhere"), 2, "train needs --output; see `lightm-unet train --help`"),
        (("train", "nowhere", "--output"), 2, "--output needs a value"),
        (("train", "nowhere", "--output", "out", "--epoch", "1"), 2, "Did you mean --epochs?"),
        (
            ("train", "nowhere", "else", "--output", "out"),
            2,
            "train does not accept the arguments else",
        ),
        (("evaluate", "nowhere", "nowhere"), 3, "nowhere"),
        (("phantom", "mri", "out"), 2, "KIND must be one of ct, xray; got 'mri'"),
        (
            ("phantom", "ct", "out", "--cases", "0"),
            2,
            "--cases needs a whole number from 1 up, got 0",
        ),
        (("import-dataset", "nowhere", "out"), 3, "nowhere"),
        (("bench", "u-nett"), 2, "got 'u-nett'"),
        (("bench", "--size", "big"), 2, "--size needs whole numbers, such as 128x128, got 'big'"),
        (
            ("bench", "--what", "sleep"),
            2,
            "--what must be one of forward, train, scan, limits; got 'sleep'",
        ),
        (("bench", "--what", "scan", "--batch", "2"), 2, "--what scan accepts only"),
        (("bench", "--what", "scan", "--threads", "1", "--threads", "2"), 2, "one of --threads"),
        (("bench", "nnu-net", "--what", "scan"), 2, "leave out nnu-net"),
        (("bench", "nnu-net", "--what", "limits"), 2, "takes no networks; leave out nnu-net"),
        (("bench", "--what", "limits", "--what", "train"), 2, "alone; leave out --what train"),
        (("bench", "--what", "limits", "--size", "8x8"), 2, "only --threads, --rounds and --out"),
        (("bench", "--what", "limits", "--threads", "9999"), 2, "--threads needs at most "),
        (("bench", "--what", "limits", "--rounds", "0"), 2, "--rounds needs a whole number from 1"),
        (("count", "u-nett"), 2, "got 'u-nett'"),
        (("count", "--size", "8", "--output", "out"), 2, "size needs 2 or 3 positive numbers"),
        (("count", "unetr:image_size=[16,16]", "--size", "32x32"), 2, "images of up to 16x16"),
        (("count", "--paper", "--size", "32x32"), 2, "--paper accepts only --output"),
        (("count", "--size", "-3x4"), 2, "--size needs 2 or 3 positive numbers, got (-3, 4)"),
        (
            ("train", "nowhere", "--output", "out", "--spacing", "-1,1"),
            2,
            "--spacing needs 1 to 3 numbers above 0, got (-1.0, 1.0)",
        ),
        (("predict", "nowhere", "x.png", "--output", "out", "--overlap", "nan"), 2, "--overlap "),
        (("predict", "nowhere", "x.png", "--output", "out", "--device", "gpu"), 2, "--device "),
        (("bench", "--device", "gpu"), 2, "--device must exist: no device 'gpu'"),
        (("count", "--classes", "two"), 2, "--classes needs a whole number, got 'two'"),
        (("count", "--paper", "--classes", "2"), 2, "--paper accepts only --output"),
        (("fantom",), 2, "command must be one of import-dataset, "),
        (("fantom",), 2, "got 'fantom'; did you mean 'phantom'?"),
    ],
)
def test_a_mistake_ends_with_its_exit_code_a_message_and_nothing_written(
    run, tmp_path, monkeypatch, words, code, message
):
    monkeypatch.chdir(tmp_path)
    found, printed, error = run(*words)
    assert found == code
    assert message in error
    assert error.startswith("lightm-unet: ")
    assert error.count("\n") == 1
    assert printed == ""
    assert list(tmp_path.iterdir()) == []


def test_without_a_command_the_help_goes_to_standard_error(run):
    code, printed, error = run()
    assert (code, printed) == (2, "")
    assert "evaluate" in error


@pytest.mark.parametrize("module", ["lightm_unet", "lightm_unet.cli"])
def test_the_modules_run_the_command_and_the_version_is_told_without_heavy_libraries(module):
    code = (
        "import runpy, sys; sys.argv = ['x', '--version']\n"
        f"try: runpy.run_module({module!r}, run_name='__main__')\n"
        "except SystemExit as end: print(end.code, {'torch', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"lightm-unet {lightm_unet.__version__}\nNone set()\n"


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(run, trained, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lightm_unet.training.train.train", stop)
    code, _, error = run("train", trained / "data", "--output", trained / "run", "--resume")
    assert code == 130
    assert error == "lightm-unet: stopped; to continue, repeat the command with --resume\n"


def test_the_last_of_a_repeated_option_counts(run, tmp_path):
    code, printed, _ = run(
        "phantom", "xray", tmp_path / "out", "--cases", 9, "--size", 32, "--cases", 3
    )
    assert code == 0
    assert "3 cases" in printed


def test_checking_a_data_set_names_the_broken_case_describes_the_rest_and_exits_3(
    run, make_dataset
):
    root = make_dataset(cases=3)
    (root / "labelsTr" / "case_1.nii.gz").write_bytes(b"no image")
    code, printed, error = run("check-dataset", root)
    assert code == 3
    assert error.startswith("case_1: ")
    assert error.count("\n") == 1
    assert "voxels        min 6 x 7 x 8  median 6 x 7 x 8  max 6 x 7 x 8" in printed
    assert printed.endswith("3 cases, 1 problem\n")


def test_doctor_says_which_kernels_run(run):
    code, printed, _ = run("doctor")
    assert code == 0
    assert "selective scan on the CPU" in printed


@pytest.mark.slow
def test_bench_prints_a_table_and_exits_1_when_a_contestant_failed(run, tmp_path):
    tiny = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"
    settings = ("--size", "8x8", "--threads", 1, "--allocator", "default", "--rounds", 1)
    out = tmp_path / "out"
    code, printed, _ = run("bench", tiny, "lightm-unet:width=0", *settings, "--output", out)
    assert code == 1
    assert "1.00 (1.00 to 1.00)" in printed
    assert "width needs a positive whole number, got 0" in printed
    assert (out / "bench.json").exists()


def test_bench_of_the_scan_prints_a_row_for_each_shape(run):
    code, printed, _ = run("bench", "--what", "scan", "--size", "16x8", "--rounds", 1)
    assert code == 0
    assert "| 16 x 8 |" in printed


def test_bench_of_the_limits_prints_a_row_for_each_limit(run, monkeypatch):
    monkeypatch.setattr("lightm_unet.benchmark.limits.PROBE_SECONDS", 1e-6)
    monkeypatch.setattr("lightm_unet.benchmark.limits.STREAM_FLOATS", 1000)
    code, printed, _ = run("bench", "--what", "limits", "--rounds", 1, "--threads", 1)
    assert code == 0
    for text in ("multiply-adds in registers", "exponentials", "memory", "torch: 1024x1024"):
        assert text in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_count_prints_a_row_for_each_network_and_writes_json(run, tmp_path):
    code, printed, _ = run(
        "count", "nnu-net", "lightm-unet", "--size", "512x512", "--output", tmp_path / "count.json"
    )
    assert code == 0
    assert "One image of 512×512, 3 channels in, 2 classes" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["lightm-unet", "2,533,469", "21.53", "7.35", "50.41"] in rows
    assert list(json.loads((tmp_path / "count.json").read_text())["costs"]) == [
        "nnu-net",
        "lightm-unet",
    ]


def test_an_output_that_cannot_be_written_is_one_line(run, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, error = run("phantom", "xray", tmp_path / "file" / "x", "--size", 32)
    assert code == 3
    assert error.count("\n") == 1
    assert "choose another output" in error


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A model of pictures and a folder with one good picture."""
    folder = tmp_path_factory.mktemp("pictures")
    network = lightm_unet.LightMUNet(2, 1, 2, width=4, encoder_layers=(1,), bottleneck_layers=1)
    save_model(
        folder / "model",
        network,
        Preprocessing(spatial_dims=2, channels=1, size=(8, 8)),
        ("background", "lung"),
        ("X-ray",),
        {},
        {},
    )
    write_picture(np.eye(8, dtype=np.uint8), folder / "images" / "good.png")
    return folder


def test_if_every_case_failed_the_exit_code_is_3_and_each_is_named_in_one_line(
    run, pictures, tmp_path
):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    images, output = (tmp_path / "a.png", tmp_path / "b.png"), tmp_path / "out"
    code, printed, error = run("predict", pictures / "model", *images, "--output", output)
    assert code == 3
    assert error.startswith(f"{tmp_path / 'a.png'} and 1 more (b.png): found an empty file; ")
    assert error.count("\n") == 1
    assert printed == f"0 masks written to {output}, 2 failed\n"


def test_a_failed_case_is_one_line_whatever_its_name(run, pictures, tmp_path):
    name = os.fsdecode(b"two\nlines \x1b[31m \xff.png")
    (tmp_path / name).touch()
    code, _, error = run(
        *("predict", pictures / "model", pictures / "images", tmp_path / name),
        *("--output", tmp_path / "out"),
    )
    assert code == 1
    assert error.count("\n") == 1
    assert "\x1b" not in error
    assert r"two\nlines \x1b[31m" in error


def test_probabilities_are_written_on_request(run, pictures, tmp_path):
    words = ("predict", pictures / "model", pictures / "images", "--output", tmp_path / "out")
    assert run(*words, "--probabilities")[0] == 0
    names = sorted(file.name for file in (tmp_path / "out" / "probabilities").iterdir())
    assert names == ["good_0.png", "good_1.png"]


def test_an_output_folder_that_takes_no_file_is_told_before_the_work(run, pictures, monkeypatch):
    monkeypatch.setattr("lightm_unet.inference.job.prepared_logits", None)
    code, _, error = run("predict", pictures / "model", pictures / "images", "--output", "/proc/x")
    assert code == 3
    assert error.startswith("lightm-unet: /proc/x: found that it cannot be written (")
    assert error.count("\n") == 1


def test_ctrl_c_in_a_prediction_ends_with_130_and_leaves_the_record(
    run, pictures, tmp_path, monkeypatch
):
    write_picture(np.eye(8, dtype=np.uint8), tmp_path / "in" / "a.png")
    write_picture(np.eye(8, dtype=np.uint8), tmp_path / "in" / "b.png")

    def stop_at_b(case, channels, *_):
        if case.name == "b":
            raise KeyboardInterrupt
        return read_image(case.files, channels)

    monkeypatch.setattr("lightm_unet.inference.cases.InputCase.read", stop_at_b)
    out = tmp_path / "out"
    code, _, _ = run("predict", pictures / "model", tmp_path / "in", "--output", out)
    assert code == 130
    written = sorted(file.name for file in out.iterdir())
    assert written == ["a.png", "ledger.jsonl", "prediction.json"]


def test_an_earlier_name_of_an_option_still_works_and_is_not_in_the_help(run):
    small = "lightm-unet:width=4:encoder_layers=[1]"
    for option in ("--classes", "--out-channels"):
        code, printed, _ = run("count", small, "--size", "8x8", option, 5)
        assert code == 0
        assert "5 classes" in printed
    assert "--classes" not in run("count", "--help")[1]
    assert "--architecture" not in run("train", "--help")[1]


def test_a_plugin_that_ends_itself_is_named(run, tmp_path, monkeypatch):
    plugin = tmp_path / "my_plugin.py"
    plugin.write_text("import sys\nsys.exit(0)\n")
    monkeypatch.setenv("LIGHTM_UNET_PLUGINS", str(plugin))
    code, _, error = run("count", "lightm-unet", "--size", "8x8")
    assert code == 2
    assert f"'{plugin}', which cannot be imported (SystemExit: 0)" in error


def shell(command):
    """Run `lightm-unet` in a shell, where $L is the command; returns exit code and all errors."""
    environment = {**os.environ, "L": f"{sys.executable} -m lightm_unet"}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=120
    )
    return done.returncode, done.stderr


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        pytest.param("$L --version >/dev/full", 3, "No space left on device", marks=needs_full),
        pytest.param("$L --help >/dev/full", 3, "No space left on device", marks=needs_full),
        pytest.param("$L doctor >/dev/full", 3, "No space left on device", marks=needs_full),
        pytest.param("$L count nope 2>/dev/full", 2, "", marks=needs_full),
        ("$L count nope 2>&-", 2, ""),
        ("$L count nope >&- 2>&-", 2, ""),
        ("$L --version >&-", 0, ""),
        ("$L --help | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("$L doctor | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("$L --help | head -1; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_an_output_that_is_full_closed_or_no_longer_read_is_at_most_one_line(command, code, error):
    found, errors = shell(command)
    assert found == code
    assert error in errors
    assert errors.count("\n") == bool(error)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_ctrl_c_while_the_command_is_loaded_shows_no_traceback():
    stop = (
        "import builtins, os, runpy, signal, sys; sys.argv = ['x', '--help']\n"
        # A shell's background job ignores it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "usual = builtins.__import__\n"
        "def load(name, *rest, **named):\n"
        "    if name == 'cyclopts': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return usual(name, *rest, **named)\n"
        "builtins.__import__ = load\n"
        "runpy.run_module('lightm_unet', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", stop], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_wrong_path_of_an_image_is_told_before_torch_is_loaded():
    code = (
        "import sys; sys.argv = ['x', 'predict', 'lungs', 'nothing.png', '--output', 'out']\n"
        "from lightm_unet.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: print(stop.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "3 False"
    assert "nothing.png: found no such file or folder; expected images" in done.stderr


def test_a_data_set_of_pictures_is_told_of_in_pixels(run, tmp_path):
    run("phantom", "xray", tmp_path / "data", "--cases", "4", "--size", "32")
    code, printed, _ = run("check-dataset", tmp_path / "data")
    assert code == 0
    assert "no pixel size stored" in printed
    assert "voxels" not in printed
    assert " pixels in 4 cases" in printed


def test_masks_in_colour_are_refused_in_one_line_that_shows_a_legend(run, tmp_path):
    for folder, picture in (("images", np.eye(8)), ("masks", np.ones((8, 8, 3)) * (255, 0, 0))):
        (tmp_path / folder).mkdir()
        for name in "abc":
            file = tmp_path / folder / f"{name}.png"
            Image.fromarray(picture.astype(np.uint8)).save(file)
    code, _, error = run(
        *("import-dataset", tmp_path / "images", tmp_path / "masks", tmp_path / "data"),
        *("--kind", "pairs"),
    )
    assert code == 3
    assert "a.png and 2 more (b.png, c.png): found a colour picture" in error
    assert "with lines such as #ff0000,liver" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "data").exists()
