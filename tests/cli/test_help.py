"""Every option is explained, and is what the Python function of its verb takes."""

import inspect
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

import lightm_unet
from lightm_unet.benchmark.settings import BenchSettings
from lightm_unet.cli import app
from lightm_unet.comparison.settings import OF_A_RUN, ComparisonSettings
from lightm_unet.costs.settings import CountSettings
from lightm_unet.datasets.importers import KINDS
from lightm_unet.datasets.settings import ImportSettings, PhantomSettings
from lightm_unet.evaluation.settings import EvaluationSettings
from lightm_unet.inference.settings import PredictSettings
from lightm_unet.preprocessing.augmentation import STRENGTHS
from lightm_unet.preprocessing.preprocessing import NORMALIZATIONS
from lightm_unet.training.recipes import AUTO, RECIPES
from lightm_unet.training.settings import TrainingSettings

TRAINING = (
    "--recipe --epochs --batch-size --learning-rate --size --patch --spacing --normalization "
    "--augmentation --mirror-axes --samples-per-case --device --precision --workers"
)
OPTIONS = {
    "doctor": "",
    "models": "",
    "import-dataset": "--kind --seed --labels --legend --patients --channel",
    "check-dataset": "--output",
    "phantom": "--cases --size --seed",
    "train": f"--output --resume --resume-anyway --teacher {TRAINING} --seed --devices --network",
    "predict": "--output --part --device --overlap --strict --probabilities --series "
    "--output-format --segmentation-type --ensemble --mirror --largest-component --minimum-size "
    "--fill-holes --nan-as --isolate --statistics --preview --report --keep-ids "
    "--manifest --shard --engine --ray-address --ray-workers",
    "merge": "--output --manifest",
    "evaluate": "--output --images --labels --tolerance-mm",
    "compare": f"--output --networks --network --seeds --cases {TRAINING} --devices --part "
    "--processes --bench --no-bench --report-only",
    "page": "--port --no-browser",
    "export": "--format --output --operators --size",
    "bench": "--what --size --engine --device --threads --allocator --rounds --batch --in-channels "
    "--out-channels --output",
    "count": "--size --in-channels --out-channels --paper --output",
}


def arguments(verb):
    return app[verb].assemble_argument_collection(parse_docstring=True).filter_by(show=True)


@pytest.mark.parametrize("verb", OPTIONS)
def test_a_verb_has_these_options_and_no_others(verb):
    names = {name for argument in arguments(verb) for name in argument.names}
    assert {name for name in names if name.startswith("--")} == set(OPTIONS[verb].split())


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_option_is_explained_in_whole_sentences_and_shown(verb, run):
    code, help, error = run(verb, "--help")
    assert (code, error) == (0, "")
    for argument in arguments(verb):
        sentence = argument.parameter.help
        assert sentence.endswith(".")
        assert sentence[0].isupper()
        assert not sentence.startswith(("Of ", "With ", "How many"))
        shown = argument.name if argument.name.startswith("-") else argument.name.upper()
        assert shown in help
    assert app[verb].help


def test_the_help_of_all_lists_every_verb(run):
    code, help, _ = run("--help")
    assert code == 0
    assert all(f"│ {verb} " in help for verb in [*OPTIONS, "nnunet"])


@pytest.mark.parametrize(
    ("verb", "options"),
    {
        "plans": "--dataset --configuration --network --plans",
        "path": "",
        "train": "",
        "predict": "",
        "import": "--fold --checkpoint",
        "export": "",
    }.items(),
)
def test_the_verbs_within_nnunet_have_these_options_each_explained(verb, options, run):
    code, help, _ = run("nnunet", verb, "--help")
    parsed = app["nnunet"][verb].assemble_argument_collection(parse_docstring=True)
    arguments = parsed.filter_by(show=True)
    names = {name for argument in arguments for name in argument.names}
    assert {name for name in names if name.startswith("--")} == set(options.split())
    assert all(argument.parameter.help.endswith(".") for argument in arguments)
    assert code == 0
    assert help.startswith(f"Usage: lightm-unet nnunet {verb}")


def test_the_help_shows_choices_and_defaults(run):
    _, help, _ = run("train", "--help")
    text = " ".join(help.replace("│", " ").split())
    assert "[choices: auto, adamw, default, paper, released] [default: auto]" in text
    _, help, _ = run("compare", "--help")
    text = " ".join(help.replace("│", " ").split())
    assert "[default: lightm-unet,nnu-net]" in text


@pytest.mark.parametrize(
    ("function", "settings"),
    [
        (lightm_unet.predict, PredictSettings),
        (lightm_unet.evaluate, EvaluationSettings),
        (lightm_unet.compare, ComparisonSettings),
        (lightm_unet.count_networks, CountSettings),
        (lightm_unet.import_dataset, ImportSettings),
        (lightm_unet.write_phantom_dataset, PhantomSettings),
    ],
)
def test_options_are_the_python_functions_own_arguments_with_its_defaults(function, settings):
    parameters = inspect.signature(function).parameters
    for field in fields(settings):
        assert parameters[field.name].default == field.default


def test_functions_without_such_arguments_take_the_fields_of_their_settings():
    for function in (lightm_unet.train, lightm_unet.compare, lightm_unet.bench):
        kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD in kinds
    own = {field.name for field in fields(ComparisonSettings)}
    assert not own & ({field.name for field in fields(TrainingSettings)} - {*OF_A_RUN})
    assert "what" in {field.name for field in fields(BenchSettings)}


def test_the_choices_of_the_command_line_are_those_of_the_package():
    hints = get_type_hints(TrainingSettings)
    assert set(get_args(hints["recipe"])) == {AUTO, *RECIPES}
    assert get_args(hints["augmentation"]) == STRENGTHS
    assert get_args(hints["normalization"]) == ("auto", *NORMALIZATIONS)
    assert get_args(get_type_hints(ImportSettings)["kind"]) == ("auto", *KINDS)
