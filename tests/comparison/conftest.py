"""Phantoms, three tiny networks compared on them once, and plans and rows made by hand."""

from pathlib import Path

import pytest

from lightm_unet.comparison.compare import compare
from lightm_unet.comparison.plan import Plan, Run, plan_runs
from lightm_unet.comparison.results import DONE, RunResult
from lightm_unet.costs.counting import NetworkCost
from lightm_unet.datasets.phantom import write_phantom_dataset
from lightm_unet.datasets.splits import Split
from lightm_unet.evaluation.scores import CaseScores, Evaluation, LabelScores
from lightm_unet.training.settings import TrainingSettings

OURS = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"
SPATIAL = OURS + ":conv=spatial"
SEGRESNET = "segresnet:init_filters=8"
TINY = (OURS, SPATIAL, SEGRESNET)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """Nine X-ray phantoms of 32x32: six train, one validates, two test; read only."""
    return write_phantom_dataset(tmp_path_factory.mktemp("phantoms") / "x", "xray", 9, 32).root


@pytest.fixture(scope="session")
def compare_tiny(phantoms):
    """Compare on the phantoms, two epochs of four cases; keywords replace this."""

    def compare_(output, networks=TINY, **settings):
        usual = {
            "recipe": "default",
            "epochs": 2,
            "cases": 4,
            "size": (32, 32),
            "device": "cpu",
            "bench": False,
        }
        return compare(phantoms, output, networks, **usual | settings)

    return compare_


@pytest.fixture(scope="session")
def stopped_and_resumed(compare_tiny, listen, tmp_path_factory):
    """A comparison that Ctrl-C stopped within the second network's second epoch, and that went on.

    Returns what it logged before, what it logged after, and what it returned.
    """
    folder = tmp_path_factory.mktemp("compared") / "out"
    before: list[str] = []
    after: list[str] = []

    def hear_until_stopped(line):
        before.append(line)
        if line.startswith(f"{SPATIAL}, seed 0: epoch 2/2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), listen(hear_until_stopped):
        compare_tiny(folder)
    with listen(after.append):
        return before, after, compare_tiny(folder)


@pytest.fixture
def make_plan():
    """A plan of two labels and four test cases, made by hand."""

    def make(networks=("lightm-unet", "nnu-net"), seeds=(0,), **fields):
        usual = {"recipe": "default", "epochs": 3, "size": (32, 32)}
        settings = TrainingSettings(**{**usual, **fields.pop("settings", {})})
        usual = {
            "dataset": "Lungs",
            "label_names": ("background", "left", "right"),
            "split": Split(("a", "b"), ("c",), ("d", "e", "f", "g"), seed=0),
            "training_cases": 2,
            "channels": 1,
            "size": (32, 32),
            "settings": settings,
        }
        return Plan(**usual | fields).with_runs(plan_runs(networks, seeds))

    return make


@pytest.fixture
def make_result():
    """The result of a run from the Dice of both labels in each test case."""

    def make(network, dice: dict[str, tuple[float, float]], seed=0):
        cases = [
            CaseScores(
                name,
                {
                    label: LabelScores(value, value / 2, 1.0, 1.0, 5, 5)
                    for label, value in enumerate(values, 1)
                },
                (1.0, 1.0),
            )
            for name, values in dice.items()
        ]
        evaluation = Evaluation(
            {1: "left", 2: "right"}, tuple(cases), (), "px", 2.0, Path("p"), Path("r"), 1.0
        )
        return RunResult(Run(network, seed), DONE, None, 0.9, 60.0, evaluation)

    return make


@pytest.fixture
def costs():
    """A cost for each network of a plan."""
    return lambda plan: {name: NetworkCost(2_000_000, 3 * 10**9, 0) for name in plan.networks}
