"""The whole of it: processes, files, the request refused before anything starts."""

import json
import logging
from dataclasses import replace

import pytest
import torch

import lightm_unet
from lightm_unet.benchmark.bench import RoundRobin, with_limits
from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.plot import draw_latency
from lightm_unet.benchmark.ratios import ratios
from lightm_unet.benchmark.report import BenchReport
from lightm_unet.benchmark.results import Result, growths
from lightm_unet.benchmark.scan import bench_scan
from lightm_unet.benchmark.tables import markdown, print_report, remarks, table_rows, title
from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.ops.dispatch import native

TINY = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"
MACHINE = {
    "version": "1",
    "system": "s",
    "packages": {"torch": "2"},
    "devices": {"cpu": "c"},
    "instruction_sets": {"native kernels": "avx2", "torch": "AVX2"},
}
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
    assert native is None or 0 < good.share_of_limit < 1
    assert good.flops == lightm_unet.count_networks([TINY], size=(8, 8)).costs[TINY].flops
    assert "width needs a positive whole number" in bad.error
    folder = tmp_path / "out"
    names = {"bench.json", "table.md", "latency.png", "latency.svg"}
    assert {file.name for file in folder.iterdir()} == names
    stored = json.loads((folder / "bench.json").read_text())
    assert stored["machine"]["version"] == lightm_unet.__version__
    assert stored["results"] == json.loads(json.dumps([good.to_json(), bad.to_json()]))
    assert any("round 1 of 1" in line for line in caplog.messages)


@pytest.mark.slow
def test_inference_and_training_steps_of_one_run_are_set_in_relation():
    report = lightm_unet.bench(
        [TINY],
        what=["forward", "train"],
        sizes=[(8, 8)],
        threads=[1],
        allocators=["default"],
        rounds=1,
    )
    forward, train = report.results
    assert (forward.case.job, train.case.job) == ("forward", "train")
    assert (forward.ratio.median, train.ratio.median) == (1.0, 1.0)  # each with its own kind
    assert train.flops == 3 * forward.flops
    assert train.peak_above_idle > 0
    (ratio,) = report.ratios
    assert ratio.value == train.latency.median / forward.latency.median


@pytest.mark.slow
def test_onnx_runtime_runs_networks_after_agreeing_with_torch():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    results = lightm_unet.bench(
        [TINY, "segresnet:init_filters=8"],
        sizes=[(16, 16)],
        engines=["onnxruntime", "onnxruntime-basic"],
        threads=[1],
        allocators=["default"],
        rounds=1,
    ).results
    assert [result.error for result in results] == [None] * 4
    assert all(result.parameters > 1000 for result in results)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"networks": ["u-nett"]}, "network must be one of lightm-unet, .*; got 'u-nett'"),
        ({"rounds": 0}, "rounds needs a whole number from 1 up"),
        ({"turns": 3}, "bench has no setting turns; it has allocators, "),
        ({"networks": "nnu-net"}, "networks needs a list such as .*, got 'nnu-net'"),
        ({"what": "sleep"}, "got 'sleep'"),
        ({"what": ["forward", "scan"]}, "what must be one of forward, train; got 'scan'"),
        ({"what": []}, "what needs a list such as"),
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


@pytest.mark.parametrize(
    ("device", "probe", "note"),
    [
        ("cuda", lambda threads: 1e9, "that of the CPU alone is measured"),
        ("cpu", None, "not measured without the native kernels; see `lightm-unet doctor`"),
    ],
)
def test_a_missing_share_of_the_limit_has_its_reason(make_result, device, probe, note):
    result = make_result("lightm-unet-nano", (32, 32), in_channels=3, device=device)
    done = RoundRobin(1, probe=probe)
    done.results[result.case] = result
    (found,), notes = with_limits([result.case], done)
    assert found.share_of_limit is None
    assert found.flops > 0
    assert notes == [f"Share of limit: {note}"]


@pytest.fixture
def report(make_result):
    results = (
        make_result("a", (8, 8), (0.01, 0.01, 0.01)),
        make_result("b", (8, 8), (0.02, 0.03, 0.04), (0.01, 0.01, 0.01)),
        make_result("a", (16, 16), (0.04, 0.04, 0.04)),
        Result(BenchCase("b", (16, 16)), error="too large"),
    )
    return BenchReport(MACHINE, 3, results, ("a note",), tuple(growths(results)))


def test_the_table_has_a_row_for_each_contestant_and_the_failed_ones_have_reasons(report):
    rows = table_rows(report)
    assert rows[1] == (
        *("8×8", "b", "10", "30.0", "20.0 to 40.0", "33.3", "0.00213", "–", "0", "0"),
        "3.00 (2.00 to 4.00)",
    )
    assert rows[3][:4] == ("16×16", "b", "failed", "–")
    assert remarks(report) == [
        "Instruction sets: native kernels avx2, torch AVX2",
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


def test_the_share_of_the_limit_is_shown_with_the_limit_and_how_it_counts(make_result):
    one = replace(make_result("a", seconds=(0.01,)), flops=10**9, flops_limit=250e9)
    step = replace(make_result("a", seconds=(0.1,), job="train", threads=2), flops=3 * 10**9)
    results = (one, replace(step, flops_limit=500e9))
    report = BenchReport(MACHINE, 1, results, ratios=tuple(ratios(results)))
    assert [row[7] for row in table_rows(report)] == ["40%", "6%"]
    assert remarks(report)[1:] == [
        "Limit of the native kernels' multiply-adds: 250 GFLOP/s with 1 thread, 500 GFLOP/s with "
        "2 threads",
        "Share of limit: operations as in `count` / median / limit; a training step counts as 3 "
        "passes",
    ]
    assert title(report).startswith("Inference and training step on cpu, batch 1")


@pytest.mark.parametrize(
    ("kernels", "of_torch", "said"),
    [("avx2", "AVX512", True), ("avx512", "AVX512", False), ("portable", "DEFAULT", False)],
)
def test_other_instruction_sets_of_torch_are_told(make_result, kernels, of_torch, said):
    sets = {"native kernels": kernels, "torch": of_torch}
    result = replace(make_result(seconds=(1.0,)), flops=10**9, flops_limit=1e10)
    report = BenchReport({**MACHINE, "instruction_sets": sets}, 1, (result,))
    assert said == any("another instruction set" in line for line in remarks(report))


def test_ratios_have_a_table_of_their_own(make_result, capsys):
    results = (
        make_result("a", seconds=(0.01,)),
        make_result("a", seconds=(0.045,), job="train"),
    )
    report = BenchReport(MACHINE, 1, results, ratios=tuple(ratios(results)))
    assert "| 8×8 | a | training step / inference | 4.50 |" in markdown(report)
    print_report(report)
    assert "training step / inference" in capsys.readouterr().out
    alone = BenchReport(MACHINE, 1, results[:1])
    assert "Ratios" not in markdown(alone)


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
