"""The whole job on phantoms: three tiny networks, stopped in the middle, resumed, reported."""

import csv
import json
import re
import shutil

import pytest
from PIL import Image

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.report import BenchReport
from lightm_unet.benchmark.results import Result
from lightm_unet.comparison.results import run_folder
from lightm_unet.comparison.single_run import describe
from lightm_unet.errors import DivergedError, UsageError
from lightm_unet.models.model_folder import load_model
from lightm_unet.networks.peers.lwnet import LittleWNet
from lightm_unet.networks.registry import register_network
from lightm_unet.system.files import write_json

TINY = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"


def test_finished_runs_are_kept_and_the_interrupted_one_goes_on(stopped_and_resumed):
    before, after, done = stopped_and_resumed
    ours, spatial, segresnet = done.plan.networks
    assert sum(line.startswith(f"{ours}, seed 0: epoch") for line in before) == 2
    assert any(line.startswith(f"{ours}, seed 0: kept, test Dice") for line in after)
    assert not any(line.startswith(f"{ours}, seed 0: epoch") for line in after)
    assert f"{spatial}, seed 0: resumes" in after
    epochs = [re.search(r"epoch \d/2", line)[0] for line in after if "epoch" in line]
    assert epochs == ["epoch 2/2", "epoch 1/2", "epoch 2/2"]
    assert [run.network for run in done.results] == [ours, spatial, segresnet]
    assert not done.failed


def test_every_network_trains_on_the_same_chosen_cases(stopped_and_resumed):
    _, _, done = stopped_and_resumed
    splits = [
        json.loads((run_folder(done.folder, run) / "split.json").read_text())
        for run in done.plan.runs
    ]
    assert splits[0] == splits[1] == splits[2]
    assert [len(splits[0][part]) for part in ("training", "validation", "test")] == [4, 1, 2]
    # and sees them as they were prepared once
    prepared = [file.name.split("-")[0] for file in (done.folder / "prepared").iterdir()]
    assert sorted(set(prepared)) == sorted(splits[0]["training"] + splits[0]["validation"])
    assert len(prepared) == 3 * 5


def test_a_finished_run_keeps_its_model_and_no_checkpoints(stopped_and_resumed):
    _, _, done = stopped_and_resumed
    for run in done.plan.runs:
        own = run_folder(done.folder, run)
        assert (own / "model" / "model.safetensors").is_file()
        assert len(list((own / "masks").glob("*.png"))) == 2
        assert not (own / "checkpoints").exists()


def test_the_tables_hold_every_network_with_its_scores(stopped_and_resumed):
    _, _, done = stopped_and_resumed
    with (done.folder / "networks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["network"] for row in rows] == list(map(str, done.plan.networks))
    assert all(0 <= float(row["dice_mean"]) <= 1 for row in rows)
    assert int(rows[2]["parameters"]) == 394_986
    content = json.loads((done.folder / "comparison.json").read_text())
    assert len(content["cut"]) == 3
    assert all(
        f"| {name} |" in (done.folder / "table.md").read_text() for name in done.plan.networks
    )


def test_the_report_holds_every_network_and_both_figures_and_loads_nothing(stopped_and_resumed):
    _, _, done = stopped_and_resumed
    page = (done.folder / "report.html").read_text()
    for network in done.plan.networks:
        assert f">{network}<" in page.replace("<wbr>", "")
    assert "Cases: 4 of the 6 training cases" in page
    # The scatter plot; of two test cases the reference and three networks.
    assert page.count('src="data:image/png;base64,') == 1 + 2 * 4
    assert page.count('alt="') == 1 + 2 * 4
    assert not re.search(r"""(src|href|url|@import)[=(\s]*["']?(?!data:)(https?:)?//""", page)
    assert "http" not in page.split("</style>")[1]
    for name in ("score-against-size.png", "slices.png"):
        with Image.open(done.folder / name) as picture:
            assert min(picture.size) > 300


def test_results_copied_without_masks_and_models_are_kept_and_reported(
    stopped_and_resumed, compare_tiny, listen, tmp_path
):
    _, _, done = stopped_and_resumed
    for run in done.plan.runs:
        result = run_folder(tmp_path, run) / "result.json"
        result.parent.mkdir(parents=True)
        shutil.copy(run_folder(done.folder, run) / "result.json", result)
        assert str(done.folder) not in result.read_text()
    shutil.copy(done.folder / "plan.json", tmp_path)
    said = []
    with listen(said.append):
        copied = compare_tiny(tmp_path)
    assert len(said) == 3
    assert all("kept, test Dice" in line for line in said)
    assert copied.rows == done.rows
    page = (tmp_path / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == 1  # there are no masks for slices


def test_a_network_with_its_options_in_another_order_is_the_one_that_was_trained(
    stopped_and_resumed, compare_tiny, listen
):
    _, _, done = stopped_and_resumed
    said = []
    name, *options = str(done.plan.networks[0]).split(":")
    with listen(said.append):
        again = compare_tiny(done.folder, [":".join([name, *reversed(options)])])
    assert said == [f"{done.plan.runs[0]}: kept, {describe(done.results[done.plan.runs[0]])}"]
    assert again.plan == done.plan


def test_another_configuration_is_refused_before_anything_is_changed(
    stopped_and_resumed, compare_tiny
):
    _, _, done = stopped_and_resumed
    plan = (done.folder / "plan.json").read_text()
    for change, message in (
        ({"epochs": 3}, "epochs 2, not 3"),
        ({"cases": 3}, "training cases"),
        ({"recipe": "paper"}, "recipe default, not paper"),
    ):
        with pytest.raises(UsageError, match=message):
            compare_tiny(done.folder, **change)
    assert (done.folder / "plan.json").read_text() == plan


def test_each_network_trains_by_its_own_recipe_which_plan_table_and_page_say(
    compare_tiny, tmp_path
):
    register_network("mine", LittleWNet, recipe="released")
    networks = (TINY, "mine:features=[4,8]")
    done = compare_tiny(tmp_path / "out", networks, recipe=None, epochs=1)
    recipes = ["adamw", "released"]
    trained = [load_model(run_folder(done.folder, run)).card for run in done.plan.runs]
    assert [card["training"]["recipe"] for card in trained] == recipes
    plan = json.loads((done.folder / "plan.json").read_text())
    assert plan["settings"]["recipe"] == "auto"
    assert plan["recipes"] == dict(zip(networks, recipes, strict=True))
    with (done.folder / "networks.csv").open(newline="") as file:
        assert [row["recipe"] for row in csv.DictReader(file)] == recipes
    for name in ("table.md", "report.html"):
        text = (done.folder / name).read_text()
        for recipe in recipes:
            assert recipe in text
    assert "| network | recipe |" in (done.folder / "table.md").read_text()


def test_a_part_makes_its_runs_only_and_says_what_is_missing(compare_tiny, tmp_path, monkeypatch):
    made = []

    def note(folder, plan, run, *_):
        made.append(run.network.name)

    monkeypatch.setattr("lightm_unet.comparison.compare.finish_run", note)
    done = compare_tiny(tmp_path / "out", ("nnu-net", "segresnet", "unetr"), part="2/2")
    assert made == ["segresnet"]
    assert [row.missing for row in done.rows] == [
        ("seed 0: not made yet; repeat the command without --part and --report-only",)
    ] * 3
    compare_tiny(tmp_path / "out", ("nnu-net", "segresnet", "unetr"), report_only=True)
    assert made == ["segresnet"]


def test_a_run_that_fails_does_not_stop_the_others(compare_tiny, tmp_path, monkeypatch):
    def fail(*_, network, **__):
        raise DivergedError("<b>nan</b>") if network.name == "nnu-net" else MemoryError("full")

    monkeypatch.setattr("lightm_unet.training.train.train", fail)
    done = compare_tiny(tmp_path / "out", ("nnu-net", "segresnet"))
    assert [result.status for result in done.failed] == ["diverged", "failed"]
    page = (done.folder / "report.html").read_text()
    assert "nnu-net, seed 0: diverged: &lt;b&gt;nan&lt;/b&gt;" in page
    assert "MemoryError: full" in page


def test_latency_and_memory_come_from_one_race_of_all_networks_at_the_runs_size(
    stopped_and_resumed, compare_tiny, monkeypatch
):
    _, _, done = stopped_and_resumed
    benches = []

    def bench(networks, output, *, sizes, in_channels, out_channels, **_):
        benches.append((sizes, in_channels, out_channels))
        results = [
            Result(
                BenchCase(name, sizes[0]), seconds=(0.25,), idle_bytes=10**6, peak_bytes=4 * 10**6
            )
            for name in networks[:-1]
        ]
        results.append(Result(BenchCase(networks[-1], sizes[0]), error="out of memory"))
        report = BenchReport({}, 1, tuple(results))
        write_json(report.to_json(), output / "bench.json")
        return report

    monkeypatch.setattr("lightm_unet.benchmark.bench.bench", bench)
    for _ in range(2):  # the second time it is read
        first, _, last = compare_tiny(done.folder, bench=True).rows
        assert first.speed.latency.median == 0.25
        assert first.speed.peak_above_idle == 3 * 10**6
        assert last.speed.error == "out of memory"
    assert benches == [([(32, 32)], 1, 2)]
    table = (done.folder / "table.md").read_text()
    assert "latency (ms)" in table
    assert "| 250 | 3 |" in table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"networks": ("lightm-unet:width=0",)}, "width needs a positive whole number"),
        ({"seed": 1}, "no setting seed; see networks and seeds"),
        ({"teacher": "run"}, "no setting teacher; see networks and seeds"),
        ({"architecture": "unetr"}, "no setting architecture; see networks and seeds"),
        ({"networks": ("vssm-to-conv3:blocks_down=[1]",)}, "blocks"),
        ({"size": (32, 32, 32)}, "size needs 2 positive values for a 2D image"),
        ({"cases": 7}, "1 to the 6 training cases"),
        ({"processes": 0}, "processes needs"),
        ({"processes": True}, "processes needs"),
        ({"cases": 0}, "cases needs"),
        ({"cases": "2"}, "cases needs"),
        ({"part": 2}, "part needs"),
        ({"bench": "no"}, "bench needs True or False"),
        ({"networks": "lightm-unet"}, "networks needs a list"),
        ({"epochs": 0}, "epochs needs"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_a_folder_is_made(
    compare_tiny, tmp_path, change, message
):
    with pytest.raises(UsageError, match=message):
        compare_tiny(tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()
