"""The whole of it: processes, files, the request refused before anything starts."""

import json
import logging

import pytest
import torch

import lightm_unet
from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.plot import draw_latency
from lightm_unet.benchmark.report import BenchReport
from lightm_unet.benchmark.results import Result, growths
from lightm_unet.benchmark.scan import bench_scan
from lightm_unet.benchmark.tables import markdown, remarks, table_rows
from lightm_unet.errors import MissingPartError, UsageError

TINY = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"
PNG, SVG = b"\x89PNG", b"<?xml"


@pytest.mark.slow
def test_bench_measures_the_good_names_the_bad_and_writes_all_files(tmp_path, caplog):
    caplog.set_level(logging.INFO, "lightm_unet")
    report = lightm_unet.bench(
        [TINY, "lightm-unet:width=0"],
        tmp_path / "out",
        sizes=[(8, 8)],
        threads=[1],
        allocators=["default"],
        rounds=1,
    )
    good, bad = report.results
    assert good.ratio.median == 1.0
    assert good.peak_bytes > good.idle_bytes
    assert "width needs a positive whole number" in bad.error
    folder = tmp_path / "out"
    names = {"bench.json", "table.md", "latency.png", "latency.svg"}
    assert {file.name for file in folder.iterdir()} == names
    stored = json.loads((folder / "bench.json").read_text())
    assert stored["machine"]["version"] == lightm_unet.__version__
    assert stored["results"] == json.loads(json.dumps([good.to_json(), bad.to_json()]))
    assert any("round 1 of 1" in line for line in caplog.messages)


@pytest.mark.slow
def test_onnx_runtime_runs_a_peer_after_agreeing_with_torch():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    (result,) = lightm_unet.bench(
        ["segresnet:init_filters=8"],
        sizes=[(16, 16)],
        engines=["onnxruntime"],
        threads=[1],
        allocators=["default"],
        rounds=1,
    ).results
    assert result.error is None
    assert result.parameters > 10_000


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"networks": ["u-nett"]}, "network must be one of lightm-unet, .*; got 'u-nett'"),
        ({"rounds": 0}, "rounds needs a whole number from 1 up"),
        ({"turns": 3}, "bench has no setting turns; it has allocators, "),
        ({"networks": "nnu-net"}, "networks needs a list such as .*, got 'nnu-net'"),
        ({"what": "sleep"}, "got 'sleep'"),
        ({"devices": ["tpu"]}, "no device 'tpu'; expected auto, cpu, cuda, cuda:N or mps"),
    ],
)
def test_a_wrong_request_starts_nothing_and_writes_nothing(tmp_path, request_, message):
    with pytest.raises(UsageError, match=message):
        lightm_unet.bench(**{"output": tmp_path / "out", **request_})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("measure", [lightm_unet.bench, bench_scan])
def test_a_device_that_is_not_here_is_missed_before_anything_starts(tmp_path, measure):
    device = {"device": "cuda"} if measure is bench_scan else {"devices": ["cpu", "cuda"]}
    with pytest.raises(MissingPartError, match="finds no device 'cuda' here; use --device cpu"):
        measure(output=tmp_path / "out", **device)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_refused_before_the_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr("lightm_unet.benchmark.bench.RoundRobin", None)
    (tmp_path / "precious").touch()
    with pytest.raises(UsageError, match="found files there already"):
        lightm_unet.bench(output=tmp_path)


@pytest.fixture
def report(make_result):
    results = (
        make_result("a", (8, 8), (0.01, 0.01, 0.01)),
        make_result("b", (8, 8), (0.02, 0.03, 0.04), (0.01, 0.01, 0.01)),
        make_result("a", (16, 16), (0.04, 0.04, 0.04)),
        Result(BenchCase("b", (16, 16)), error="too large"),
    )
    machine = {"version": "1", "system": "s", "packages": {"torch": "2"}, "devices": {"cpu": "c"}}
    return BenchReport(machine, 3, results, ("a note",), tuple(growths(results)))


def test_the_table_has_a_row_for_each_contestant_and_the_failed_ones_have_reasons(report):
    rows = table_rows(report)
    assert rows[1] == (
        *("8×8", "b", "10", "30.0", "20.0 to 40.0", "33.3", "0.00213", "0", "0"),
        "3.00 (2.00 to 4.00)",
    )
    assert rows[3][:4] == ("16×16", "b", "failed", "–")
    assert remarks(report) == [
        "a: time at 2x the voxels / time is 2.00 from 8×8 to 16×16 (from size to size: 2.00); "
        "2.00 is linear",
        "b, 8×8: the slowest round took 2.0 times the fastest; did something else run on this "
        "machine?",
        "b (torch), 16×16 failed: too large",
        "a note",
    ]
    page = markdown(report)
    assert page.count("\n| ") == 6  # head, rule and four rows
    assert "- a note\n" in page


@pytest.mark.parametrize("sizes", [[(8, 8)], [(8, 8), (16, 16)], [(8, 8), (4, 4, 4), (8, 8, 8)]])
def test_the_plot_is_drawn_for_one_size_several_and_both_dimensions(make_result, tmp_path, sizes):
    results = [
        make_result(network, size, engine=engine)
        for size in sizes
        for network in ("a", "b")
        for engine in ("torch", "onnxruntime")
    ]
    draw_latency(results, "title", tmp_path / "x.png", tmp_path / "x.svg")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)
    assert (tmp_path / "x.svg").read_bytes().startswith(SVG)
