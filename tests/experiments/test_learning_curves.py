"""The learning curves: minutes are steps times the time of one step, and the best so far counts."""

from pathlib import Path

import pytest

from learning_curves import CSV, FIGURE, Curve, best_so_far, measure_steps, write_curves
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.reporting.text_tables import read_csv


def curve(network, seed, epochs):
    return Curve(NetworkSpec.parse(network), seed, (32, 32), 2, 1, 2, epochs)


def test_the_numbers_and_the_figure_of_two_networks(tmp_path: Path):
    curves = [
        curve("lightm-unet-tiny", 0, ((1, 10, 0.5), (2, 20, 0.75))),
        curve("lightm-unet-tiny", 1, ((1, 10, 0.25),)),
        curve("nnu-net", 0, ((1, 10, 0.875),)),
    ]
    seconds = {NetworkSpec.parse("lightm-unet-tiny"): 3.0, NetworkSpec.parse("nnu-net"): 12.0}

    write_curves(curves, seconds, tmp_path)

    rows = read_csv((tmp_path / CSV).read_text())
    found = [(r["network"], r["seed"], r["epoch"], float(r["minutes"])) for r in rows]
    assert found == [
        ("lightm-unet-tiny", "0", "1", 0.5),
        ("lightm-unet-tiny", "0", "2", 1.0),
        ("lightm-unet-tiny", "1", "1", 0.5),
        ("nnu-net", "0", "1", 2.0),
    ]
    assert (tmp_path / FIGURE).read_bytes().startswith(b"\x89PNG")


def test_a_worse_epoch_does_not_take_the_best_away():
    assert best_so_far([(1, 0.5), (2, 0.25), (3, 0.75)]) == [(1, 0.5), (2, 0.5), (3, 0.75)]


def test_runs_of_different_sizes_are_not_measured_together():
    other = Curve(NetworkSpec.parse("nnu-net"), 0, (64, 64), 2, 1, 2, ())
    with pytest.raises(SystemExit, match="one size"):
        measure_steps([curve("nnu-net", 0, ()), other])
