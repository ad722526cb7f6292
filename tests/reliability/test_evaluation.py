"""Evaluations of masks that are empty, tiny, many or oddly named, and outputs that cannot be."""

import csv
import json
import math
import os
import re
import resource
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lightm_unet
from faults import fault
from lightm_unet.errors import LightMUNetError, UsageError
from lightm_unet.imaging.nifti import write_nifti

SECTION = "Evaluation and reports"
FILES = ["cases.csv", "report.html", "summary.json"]


@pytest.fixture
def save(tmp_path):
    """Write a pair of masks, each 8x9 with values at places: `save("a", {(1, 1): 2}, {})`."""

    def save(name, pred, ref, shape=(8, 9)):
        for folder, places in (("pred", pred), ("ref", ref)):
            mask = np.zeros(shape, np.uint8)
            for place, value in places.items():
                mask[place] = value
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(mask).save(os.fsencode(tmp_path / folder / name) + b".png")

    return save


@pytest.fixture
def evaluate(run, tmp_path):
    """Run `evaluate` on what was saved; returns exit code, standard output and error."""
    return lambda *words: run(
        "evaluate", tmp_path / "pred", tmp_path / "ref", "--output", tmp_path / "out", *words
    )


def written(tmp_path):
    out = tmp_path / "out"
    return sorted(file.name for file in out.iterdir()) if out.exists() else []


def rows(tmp_path):
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary(tmp_path):
    return json.loads((tmp_path / "out" / "summary.json").read_text(), parse_constant=refuse)


def refuse(literal):
    raise AssertionError(f"{literal} is not JSON")


def page(tmp_path):
    return (tmp_path / "out" / "report.html").read_text()


DOT, OTHER = {(2, 3): 1}, {(5, 6): 1}


@fault(
    SECTION,
    "healthy masks at the limits: two empty ones, all of them empty, one pixel, one case, a label "
    "only in the prediction, only in the reference, another one in each",
    "7 of 7 have a report, exit code 0",
)
def test_small_masks(save, evaluate, tmp_path):
    good = 0
    for pairs, shape in (
        ([({}, {})], (8, 9)),
        ([({}, {}), ({}, {}), ({}, {})], (8, 9)),
        ([({(0, 0): 1}, {(0, 0): 1})], (1, 1)),
        ([(DOT, OTHER)], (8, 9)),
        ([(DOT, {})], (8, 9)),
        ([({}, DOT)], (8, 9)),
        ([({(1, 1): 1}, {(1, 1): 2})], (8, 9)),
    ):
        for folder in ("pred", "ref", "out"):
            for file in (tmp_path / folder).glob("*"):
                file.unlink()
        for number, pair in enumerate(pairs):
            save(f"case {number}", *pair, shape=shape)
        code, _, _ = evaluate()
        good += code == 0 and written(tmp_path) == FILES
    return f"{good} of 7 have a report, exit code 0"


@fault(
    SECTION,
    "a label with a name that occurs in no mask",
    "shown as `does not occur`, no score, and the mean over the classes is that of the others, 0.5",
)
def test_an_absent_label(save, evaluate, tmp_path):
    save("a", {(1, 1): 1, (1, 2): 1, (1, 3): 1}, {(1, 3): 1})
    _, out, _ = evaluate("--labels", "liver,tumour")
    shown = "does not occur" in out and "does not occur in any mask" in page(tmp_path)
    found = summary(tmp_path)
    score = found["labels"][1]["dice"]["mean"]
    return (
        f"shown as `{'does not occur' if shown else '?'}`, {'no' if score is None else 'a'} score, "
        f"and the mean over the classes is that of the others, {found['mean']['dice']}"
    )


@fault(
    SECTION,
    "a case in which neither mask has any label, among others",
    "it has no score and is neither the best case nor the worst; the mean is over the other 2",
)
def test_an_empty_case(save, evaluate, tmp_path):
    save("nothing", {}, {})
    save("good", DOT, DOT)
    save("bad", DOT, OTHER)
    evaluate("--labels", "liver")
    (label,) = summary(tmp_path)["labels"]
    text = page(tmp_path)
    ranked = re.findall(r"(?:Best|Median|Worst): \w+", text) == ["Best: good", "Worst: bad"]
    score = next(row["dice"] for row in rows(tmp_path) if row["case"] == "nothing")
    return (
        f"it has {score if score else 'no score'} and is "
        f"{'neither the best case nor the worst' if ranked else 'shown'}; "
        f"the mean is over the other {label['dice']['n']}"
    )


@fault(
    SECTION,
    "8 of 20 cases where only one of the two masks has the label, which have no distance",
    "terminal and page say that HD95 is the mean of 12 of 20 cases; no NaN and no infinity in "
    "CSV and JSON",
)
def test_distances_that_do_not_exist(save, evaluate, tmp_path):
    for number in range(20):
        save(f"{number:02}", DOT, {} if number < 8 else OTHER)
    _, out, _ = evaluate()
    said = "12 of 20" in out and "HD95 is the mean of 12 of 20 cases" in page(tmp_path)
    empty = [row["hd95"] for row in rows(tmp_path)].count("") == 8
    summary(tmp_path)  # it refuses them
    text = (tmp_path / "out" / "cases.csv").read_text()
    clean = empty and "nan" not in text and "inf" not in text
    return (
        f"terminal and page {'say' if said else 'do not say'} that HD95 is the mean of 12 of 20 "
        f"cases; {'no NaN and no infinity' if clean else text} in CSV and JSON"
    )


@fault(
    SECTION,
    "200 labels in one mask",
    "a row for each in cases.csv, a page below 1 MB",
)
def test_many_labels(save, evaluate, tmp_path):
    places = {divmod(number, 20): number + 1 for number in range(200)}
    save("a", places, places | {(0, 0): 2}, shape=(10, 20))
    evaluate()
    size = (tmp_path / "out" / "report.html").stat().st_size
    each = len(rows(tmp_path)) == 200
    return (
        f"{'a row for each' if each else len(rows(tmp_path))} in cases.csv, "
        f"a page {'below 1 MB' if size < 1e6 else f'of {size} bytes'}"
    )


class _Texts(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


@fault(
    SECTION,
    "names of labels and cases with HTML, formulas, pipes, quotes, dollars, brackets, 300 letters",
    "text on the page, no element of theirs; no CSV cell that a spreadsheet runs",
)
def test_names_that_are_code(save, evaluate, tmp_path):
    names = ["=1+1", "@SUM(A1)", "-2+3|x", "+4", "<iframe src=x>", "$x^{", "a'b\"c", "[red]&amp;"]
    for number, name in enumerate(names, 1):
        save(name.replace("/", " "), {(1, number): number}, {(1, number): number}, shape=(3, 12))
    save("n" * 200, DOT, DOT, shape=(3, 12))
    labels = [name.replace(",", " ") for name in names] + [("long " * 60).strip()]
    code, _, _ = evaluate("--labels", ",".join(labels))
    parsed = _Texts(page(tmp_path))
    shown = code == 0 and all(name in parsed.text for name in labels)
    foreign = "iframe" in parsed.tags
    cells = [cell for row in rows(tmp_path) for cell in row.values()]
    runs = [cell for cell in cells if cell[:1] in ("=", "+", "-", "@") and cell != "+4"]
    return (
        f"{'text' if shown else 'not'} on the page, {'an' if foreign else 'no'} element of theirs; "
        f"{runs[0] if runs else 'no CSV cell that a spreadsheet runs'}"
    )


@fault(
    SECTION,
    "a file's name that is not valid text (bytes FF FE)",
    "exit code 0, all three files written",
)
def test_names_that_are_no_text(save, evaluate, tmp_path):
    save(os.fsdecode(b"\xff\xfe"), DOT, DOT)
    try:
        code, _, _ = evaluate()
    except UnicodeEncodeError as error:
        return str(error)
    files = "all three" if written(tmp_path) == FILES else "not all"
    return f"exit code {code}, {files} files written"


@fault(
    SECTION,
    "predictions and references without a name in common",
    "exit code 3, one line, nothing written",
)
def test_nothing_in_common(save, evaluate, tmp_path):
    save("a", DOT, DOT)
    (tmp_path / "ref" / "a.png").rename(tmp_path / "ref" / "b.png")
    code, _, error = evaluate()
    return (
        f"exit code {code}, {_lines(error)}, {'nothing' if not written(tmp_path) else '?'} written"
    )


def _lines(error):
    return "one line" if error.count("\n") == 1 and "Traceback" not in error else error


@contextmanager
def full_disk(free):
    """Let no file become larger than so many bytes, as on a disk without more room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@fault(
    SECTION,
    "an output folder that cannot be: a file is there, below a file, in /proc, in the read-only "
    "/sys, a name of 300 letters, a folder named `report.html` in it",
    "6 of 6 end with exit code 2 and one line before the first mask is read",
)
def test_outputs_that_cannot_be(save, run, tmp_path, monkeypatch):
    save("a", DOT, DOT)
    monkeypatch.setattr("lightm_unet.evaluation.evaluate.pair_masks", _never)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "taken" / "report.html").mkdir(parents=True)
    good = 0
    for output in (
        tmp_path / "file",
        tmp_path / "file" / "below",
        Path("/proc/report"),
        Path("/sys/report"),
        tmp_path / ("n" * 300),
        tmp_path / "taken",
    ):
        code, _, error = run("evaluate", tmp_path / "pred", tmp_path / "ref", "--output", output)
        good += code == 2 and _lines(error) == "one line"
    assert (tmp_path / "file").read_text() == "mine"
    return f"{good} of 6 end with exit code 2 and one line before the first mask is read"


def _never(*_):
    raise AssertionError("the masks were read before the output was tried")


@fault(
    SECTION,
    "a disk that becomes full while the report is written, over an earlier report",
    "exit code 2, one line, the earlier report as it was, nothing half-written",
)
def test_a_full_disk(save, evaluate, tmp_path):
    save("a", DOT, DOT)
    evaluate()
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    save("b", OTHER, DOT)
    with full_disk(4096):  # enough for the two small files, not for the page
        code, _, error = evaluate()
    after = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    return (
        f"exit code {code}, {_lines(error)}, "
        f"the earlier report {'as it was' if after == before else 'changed'}, "
        f"{'nothing' if after.keys() == before.keys() else 'files'} half-written"
    )


@fault(
    SECTION,
    "an evaluation that fails after its output folder was tried",
    "the folder is not left behind",
)
def test_a_tried_folder(save, evaluate, tmp_path):
    save("a", DOT, DOT)
    (tmp_path / "pred" / "a.png").write_text("rubbish")
    evaluate()
    return f"the folder is {'' if (tmp_path / 'out').exists() else 'not '}left behind"


@fault(
    SECTION,
    "100 cases of two labels, on a page for a phone",
    "the page is below 1 MB, loads nothing, every picture has words, headings are in order",
)
def test_a_page_of_many_cases(save, evaluate, tmp_path):
    for number in range(100):
        save(f"case {number}", DOT | {(6, 2): 2}, (OTHER if number % 3 else DOT) | {(6, 3): 2})
    evaluate()
    html = page(tmp_path)
    parsed = _Page(html)
    return (
        f"the page is {'below 1 MB' if len(html) < 1e6 else f'{len(html)} bytes'}, "
        f"loads {'nothing' if parsed.inside else 'something'}, "
        f"{'every picture has words' if parsed.described else 'a picture has no words'}, "
        f"headings {'are in order' if parsed.in_order else 'skip a level'}"
    )


class _Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.inside, self.described, self.in_order, self.level = True, True, True, 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        for name in ("src", "href", "srcset"):
            self.inside &= values.get(name, "data:").startswith("data:")
        if tag == "img":
            self.described &= len(values.get("alt") or "") > 10
        if tag in ("h1", "h2", "h3", "h4"):
            self.in_order &= int(tag[1]) <= self.level + 1
            self.level = int(tag[1])


def encoded(path, value):
    """A mask of one dot of this value; 16 bits where it needs them."""
    mask = np.zeros((8, 9), np.uint8 if value < 256 else np.uint16)
    mask[2, 3] = value
    if path.suffix == ".nii":
        write_nifti(np.stack([mask, mask]), np.eye(4), path)
    else:
        Image.fromarray(mask).save(path)
    return path


def compared(tmp_path, endings, values, **settings):
    """The Dice of a prediction and a reference of one dot, or the first words of the refusal."""
    files = [
        encoded(tmp_path / f"{side}{ending}", value)
        for side, ending, value in zip(("p", "r"), endings, values, strict=True)
    ]
    try:
        case = lightm_unet.evaluate(*files, **settings).cases[0]
    except LightMUNetError:
        return "refused"
    return "; ".join(f"label {n}: DSC {each.dice:g}" for n, each in sorted(case.labels.items()))


def once(answers):
    """Equal answers as one."""
    return "; ".join(dict.fromkeys(answers))


@fault(
    SECTION,
    "pictures of one label without a name: 0 and 255 against 0 and 1, 0 and 65535 (16 bits) "
    "against 0 and 1, 0 and 255 against 0 and 65535",
    "label 1: DSC 1",
)
def test_white_in_pictures(tmp_path):
    pairs = ((255, 1), (1, 255), (65535, 1), (1, 65535), (255, 65535), (65535, 65535))
    return once(compared(tmp_path, (".png", ".png"), pair) for pair in pairs)


@fault(
    SECTION,
    "the same values in NIfTI, in the prediction, the reference or both, with the label's name or "
    "without",
    "refused",
)
def test_white_in_volumes(tmp_path):
    pairs = ((255, 1), (1, 255), (255, 255), (65535, 1), (1, 65535), (65535, 65535), (255, 65535))
    return once(
        compared(tmp_path, (".nii", ".nii"), pair, labels=labels)
        for pair in pairs
        for labels in (None, ["liver"])
    )


@fault(
    SECTION,
    "predictions of 0 and 128, references of 0 and 1: no label in common",
    "scored, and one line says that every score is 0 and why",
)
def test_no_label_in_common(save, evaluate):
    save("a", {(2, 3): 128}, DOT)
    code, _, error = evaluate()
    said = "no value in common, so every score is 0" in error
    return (
        f"{'scored' if code == 0 else code}, and "
        f"{'one line says that every score is 0 and why' if said else 'nothing is said'}"
    )


@fault(
    SECTION,
    "a picture as the prediction of a NIfTI reference, or the other way round: their axes run "
    "differently",
    "refused",
)
def test_a_picture_and_a_volume(tmp_path):
    slice_ = np.zeros((8, 9, 1), np.uint8)
    slice_[2, 3] = 1
    write_nifti(slice_, np.eye(4), tmp_path / "flat.nii")
    picture = encoded(tmp_path / "a.png", 1)
    found = []
    for pair in ((picture, tmp_path / "flat.nii"), (tmp_path / "flat.nii", picture)):
        try:
            found.append(f"DSC {lightm_unet.evaluate(*pair).cases[0].of(1).dice}")
        except UsageError as error:
            found.append("refused" if "axes run differently" in str(error) else str(error))
    return once(found)


def by_name(call, given):
    """How many of these arguments are refused in one line that begins with their name."""
    good = 0
    for name, value in given:
        try:
            call(**{name: value})
        except UsageError as error:
            text = str(error)
            good += text.startswith(name) and "\n" not in text and len(text) < 400
    return good


@fault(
    SECTION,
    "in Python: a tolerance that is a text, None, true, NaN, infinite, below 0, of 400 digits; "
    "labels as one text, twice the same, empty, None, none at all, a dict",
    "13 of 13 refused by name",
)
def test_arguments_of_another_kind(tmp_path):
    mask = encoded(tmp_path / "a.png", 1)
    given = [
        *(("tolerance_mm", v) for v in ("2", None, True, math.nan, math.inf, -1, 10**400)),
        *(("labels", v) for v in ("liver", ["a", "a"], [""], [None], [], {"liver": 1})),
    ]
    good = by_name(lambda **settings: lightm_unet.evaluate(mask, mask, **settings), given)
    return f"{good} of {len(given)} refused by name"


@fault(
    SECTION,
    "--tolerance-mm nan, inf, -1, 1e400, two; --labels with a name twice, with an empty one",
    "7 of 7 end with exit code 2 and one line that names the option",
)
def test_options_of_another_kind(save, evaluate):
    save("a", DOT, DOT)
    good = 0
    options = [f"--tolerance-mm={value}" for value in ("nan", "inf", "-1", "1e400", "two")]
    for option in (*options, "--labels=a,a", "--labels=a,,b"):
        code, _, error = evaluate(option)
        named = option.split("=")[0] in error
        good += code == 2 and named and _lines(error) == "one line"
    return f"{good} of 7 end with exit code 2 and one line that names the option"


NO_WHOLE_NUMBERS = ("3", None, True, 2.5, math.nan, -1, 10**400)
NO_LISTS = ("lightm-unet", 3, {"lightm-unet": 1})
NO_PATHS = ("", 3, b"folder", ["folder"])


@fault(
    SECTION,
    "the other functions in Python (check, import, phantom, count, bench, compare): a number that "
    "is a text, None, true, 2.5, NaN, below 0, of 400 digits; a text, a number, a dict for a list; "
    "an empty text, a number, bytes, a list for a path",
    "all refused by name, nothing is written",
)
def test_arguments_of_other_functions(tmp_path):
    new, there = tmp_path / "new", tmp_path / "there"
    there.mkdir()

    def optional(values):
        return [value for value in values if value is not None]

    calls = (
        (
            lambda **given: lightm_unet.check_dataset(**given),
            {"root": (*NO_PATHS, None)},
        ),
        (
            lambda **given: lightm_unet.import_dataset(
                **{"source": there, "target": new, "kind": "pairs", "masks": there, **given}
            ),
            {
                "source": (*NO_PATHS, None),
                "target": (*NO_PATHS, None),
                "masks": NO_PATHS,
                "legend": NO_PATHS,
                "seed": NO_WHOLE_NUMBERS,
                "labels": ("liver", ["a", "a"], [""], [None], [], 3),
                "patients": ("", 3, ["a"]),
                "channel": ("", 3, ["CT"]),
            },
        ),
        (
            lambda **given: lightm_unet.write_phantom_dataset(
                **{"target": new, "kind": "xray", **given}
            ),
            {
                "target": (*NO_PATHS, None),
                "cases": NO_WHOLE_NUMBERS,
                "size": NO_WHOLE_NUMBERS,
                "seed": NO_WHOLE_NUMBERS,
            },
        ),
        (
            lambda **given: lightm_unet.count_networks(**{"networks": ["nnu-net"], **given}),
            {
                "networks": NO_LISTS,
                "output": NO_PATHS,
                "size": (*NO_LISTS, None, [None, 8], [True, 8], ["8", "8"], [math.nan, 8]),
                "in_channels": optional(NO_WHOLE_NUMBERS),
                "out_channels": optional(NO_WHOLE_NUMBERS),
            },
        ),
        (
            lambda **given: lightm_unet.bench(**{"networks": ["nnu-net"], "output": new, **given}),
            {
                "networks": (*NO_LISTS, None),
                "output": NO_PATHS,
                "sizes": (*NO_LISTS, None, [8, 8], ["88"], [[None, 8]]),
                "engines": (*NO_LISTS, None),
                "devices": (*NO_LISTS, None, [None]),
                "threads": (*NO_LISTS, [True], ["2"], [10**400]),
                "allocators": NO_LISTS,
                "rounds": NO_WHOLE_NUMBERS,
                "batch": NO_WHOLE_NUMBERS,
                "in_channels": optional(NO_WHOLE_NUMBERS),
                "out_channels": optional(NO_WHOLE_NUMBERS),
            },
        ),
        (
            lambda **given: lightm_unet.compare(**{"dataset": there, "output": new, **given}),
            {
                "dataset": (*NO_PATHS, None),
                "output": (*NO_PATHS, None),
                "networks": (*NO_LISTS, None),
                "seeds": (*NO_LISTS, None, [True], ["0"], [10**400]),
                "cases": optional(NO_WHOLE_NUMBERS),
                "part": ("", 3, "2"),
                "processes": NO_WHOLE_NUMBERS,
                "bench": ("no", None, 1),
                "report_only": ("no", None, 1),
            },
        ),
    )
    count = refused = 0
    for call, arguments in calls:
        given = [(name, value) for name, values in arguments.items() for value in values]
        count += len(given)
        refused += by_name(call, given)
    which = "all" if refused == count else f"{refused} of {count}"
    written = "something" if new.exists() else "nothing"
    return f"{which} refused by name, {written} is written"


@fault(
    SECTION,
    "masks of the images that the model was trained on, among others",
    "scored, and a line says that 2 of 3 cases trained or selected the model, with the command "
    "that segments unseen ones",
)
def test_cases_that_trained_the_model(save, evaluate, tmp_path):
    for name in "abc":
        save(name, DOT, DOT)
    run, images = tmp_path / "run", tmp_path / "data" / "imagesTr"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"dataset": str(images.parent)}))
    split = {"training": ["a"], "validation": ["b"], "test": ["c"]}
    (run / "split.json").write_text(json.dumps(split))
    cases = [{"name": name, "input": str(images / f"{name}_0000.png")} for name in "abc"]
    record = {"model": str(run / "model"), "cases": cases}
    (tmp_path / "pred" / "prediction.json").write_text(json.dumps(record))
    code, out, err = evaluate()
    told = re.search(r"2 of 3 cases trained or selected this model.*predict .*--part test", err)
    return (
        f"{'scored' if code == 0 and '1.000' in out else 'not scored'}, and a line says "
        f"{'that 2 of 3 cases trained or selected the model' if told else '?'}, with the command "
        "that segments unseen ones"
    )


@fault(
    SECTION,
    "`a.png` with `a_mask.png`; `b.png` with `b_mask.png` and `b_seg.png`; a folder of nnU-Net's "
    "images `a_0000.png` in place of masks",
    "a is scored, b is listed since two masks could be meant, and the images are refused",
)
def test_names_of_masks(run, save, evaluate, tmp_path):
    for name in ("a", "b"):
        save(name, DOT, DOT)
    (tmp_path / "images").mkdir()
    for old, new in (("a", "a_mask"), ("b", "b_mask"), ("a_mask", "../images/a_0000")):
        picture = (tmp_path / "ref" / f"{old}.png").read_bytes()
        (tmp_path / "ref" / f"{new}.png").write_bytes(picture)
    (tmp_path / "ref" / "a.png").unlink()
    (tmp_path / "ref" / "b.png").rename(tmp_path / "ref" / "b_seg.png")
    code, _, err = evaluate()
    scored = [row["case"] for row in rows(tmp_path) if row["dice"]]
    listed = re.findall(r"^(\w+): ", err, re.MULTILINE)
    refused = run("evaluate", tmp_path / "pred", tmp_path / "images")[0] == 3
    left = "b" if code == 1 and "b" in listed else "nothing"
    return (
        f"{', '.join(dict.fromkeys(scored))} is scored, {left} is listed since two masks "
        f"could be meant, and the images are {'refused' if refused else 'scored'}"
    )


@fault(
    SECTION,
    "a folder of photographs in place of masks of 0 and 255",
    "exit code 3, and the question whether it is the folder of images",
)
def test_images_in_place_of_masks(save, evaluate, tmp_path):
    save("a", {(1, 1): 255}, {(i // 9, i % 9): 3 * i for i in range(72)})
    code, _, err = evaluate()
    asked = "the question whether it is" if "the folder of images?" in err else "nothing about"
    return f"exit code {code}, and {asked} the folder of images"
