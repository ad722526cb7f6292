"""The examples run as their first lines say, and print what they promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_example(name, *words):
    """Run an example as a reader would; returns what it prints and logs."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_every_example_is_tested_here_and_says_how_to_run_it():
    tests = Path(__file__).read_text()
    for example in EXAMPLES.glob("*.py"):
        assert f'run_example("{example.name}"' in tests
        assert f"    python examples/{example.name}" in example.read_text()


def test_every_backend_agrees_with_the_definition_of_the_scan():
    out = run_example("selective_scan.py", "--length", 33)
    assert "u     (2, 33, 32)" in out
    assert re.search("chosen by default: (cpu|torch)", out)
    differences = re.findall(r"^(\w+) +differs .* by (\S+) of .* output, (\S+) of", out, re.M)
    assert {"torch", "reference"} <= {name for name, *_ in differences}
    for _, *numbers in differences:
        assert max(map(float, numbers)) < 1e-4


@pytest.mark.slow
def test_a_picture_in_memory_gets_labels_and_probabilities():
    out = run_example("predict_in_memory.py", "lungs")
    assert "unlike the images that the model was trained on" in out  # it is artificial
    assert re.search(r"^image (\(128, \d+\)) uint8, labels \1 uint8$", out, re.M)
    shares = re.findall(r"^\w+: (\S+)% of the image, mean probability there (\S+)$", out, re.M)
    assert len(shares) == 2
    assert sum(float(share) for share, _ in shares) == pytest.approx(100, abs=0.1)
    assert all(0.5 <= float(probability) <= 1 for _, probability in shares)


@pytest.mark.slow
def test_a_network_is_trained_and_its_masks_are_scored(tmp_path):
    words = ["--cases", 10, "--size", 32, "--epochs", 4]
    out = run_example("train_and_predict.py", tmp_path, *words)
    assert "epoch 4/4" in out
    *_, last = re.findall(r"^phantom_\d+: Dice (\d\.\d+)", out, re.M)
    assert len(list((tmp_path / "masks").glob("*.png"))) == 2
    assert 0 < float(last) < 1
    assert f"see {tmp_path / 'report' / 'report.html'}" in out
    assert (tmp_path / "report" / "report.html").is_file()


@pytest.mark.slow
def test_other_processes_train_and_measure_a_network_of_one_s_own(tmp_path):
    out = run_example("compare_own_network.py", tmp_path, "--size", 32, "--epochs", 1)
    assert "pyramid:width=8, seed 0: test Dice 0." in out
    head, *rows = [line for line in out.splitlines() if line.startswith("|")]
    column = [cell.strip() for cell in head.split("|")].index("latency (ms)")
    (own,) = [row for row in rows if row.startswith("| pyramid:width=8 |")]
    assert float(own.split("|")[column]) > 0
    assert (tmp_path / "comparison" / "report.html").is_file()
