import json

import pytest

from lightm_unet import count_networks
from lightm_unet.costs import count
from lightm_unet.costs.counting import NetworkCost
from lightm_unet.costs.paper_costs import PRINTED, PaperCosts, PaperRow, Ratio
from lightm_unet.costs.thop_convention import ThopCount
from lightm_unet.errors import UsageError

SMALL = "nnu-net:features=[4,8]"


def test_networks_are_counted_in_the_order_of_the_request_and_written(tmp_path):
    names = [SMALL, "lightm-unet:width=4"]
    report = count_networks(names, tmp_path / "count.json", size=(16, 24), in_channels=1)
    assert (report.size, report.in_channels, report.out_channels) == ((16, 24), 1, 2)
    assert list(report.costs) == names
    # 1 to 4 and 4 to 4, 4 to 8 and 8 to 8, 8 to 4 transposed, 8 to 4 and 4 to 4, head 4 to 2;
    # each with a bias, the convolutions of stages with a norm's two numbers for a channel.
    convolutions = 9 * (1 * 4 + 4 * 4 + 4 * 8 + 8 * 8 + 8 * 4 + 4 * 4) + 3 * (4 * 4 + 2 * 8)
    assert report.costs[SMALL].parameters == convolutions + (8 * 4 * 4 + 4) + (4 * 2 + 2)
    assert report.costs[SMALL].scan_flops == 0 < report.costs[names[1]].scan_flops
    written = json.loads((tmp_path / "count.json").read_text())
    assert written["size"] == [16, 24]
    assert written["costs"][SMALL]["parameters"] == report.costs[SMALL].parameters


def test_channels_and_classes_are_the_papers_by_default():
    assert count_networks([SMALL], size=(8, 8)).in_channels == 3
    report = count_networks([SMALL], size=(8, 8, 8))
    assert (report.in_channels, report.out_channels) == (1, 3)


def test_a_network_made_for_one_size_is_made_for_the_size_asked_for():
    costs = [count_networks(["unetr"], size=size).costs["unetr"] for size in ((32, 32), (64, 64))]
    embeddings = 768 * (4 * 4 - 2 * 2)  # one for each patch of 16x16
    assert costs[1].parameters - costs[0].parameters == embeddings


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        ("u-nett", {}, "network must be one of lightm-unet, .*; got 'u-nett'"),
        ("nnu-net:depth=3", {}, "nnu-net has no option depth"),
        ("nnu-net", {"size": (8,)}, r"size needs 2 or 3 positive numbers, got \(8,\)"),
        ("nnu-net", {"size": (8, 0)}, "positive numbers, got"),
        ("nnu-net", {"in_channels": 0}, "^in_channels needs a whole number from 1 up"),
        ("nnu-net", {"out_channels": 0}, "^out_channels needs a whole number from 1 up"),
        ("unetr:image_size=[16,16]", {"size": (32, 32)}, "built for images of up to 16x16, got 32"),
        ("nnu-net", {"size": (10**12, 10**12)}, "nnu-net cannot be counted at"),
    ],
)
def test_what_cannot_be_counted_is_refused_and_nothing_written(
    tmp_path, network, settings, message
):
    with pytest.raises(UsageError, match=message):
        count_networks([network], tmp_path / "count.json", **settings)
    assert list(tmp_path.iterdir()) == []


def test_the_papers_count_is_written_with_the_cells_that_were_not_reproduced(tmp_path, monkeypatch):
    cost = NetworkCost(93_029_619, 175_992_995_840, 0)
    row = PaperRow(PRINTED[2], ThopCount(92_617_971, 391_346_388_992), cost)
    costs = PaperCosts((row,), (Ratio(3, "operations", None, 1.2, 5.9),))
    monkeypatch.setattr(count, "count_paper_networks", lambda: costs)
    assert count.count_paper(tmp_path / "paper.json") == costs
    written = json.loads((tmp_path / "paper.json").read_text())
    (only,) = written["rows"]
    assert only["printed"] == {"mega_parameters": 92.62, "giga_operations": 1891.35}
    assert only["reproduced"] == {"parameters": True, "operations": False}
    assert only["true"]["parameters"] == 93_029_619
    assert written["ratios"][0]["printed"] is None
