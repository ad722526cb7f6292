"""Models that cannot be used: each gives a code and a sentence that says why."""

import hashlib
import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file

from c_library import CallFailed, Model
from small_models import random_network, write_model


@pytest.fixture
def files(tmp_path):
    """The description as an object, and the weights as bytes, of a small model."""
    write_model(tmp_path, random_network(norm="batch"))
    card = json.loads((tmp_path / "model.json").read_text())
    return card, (tmp_path / "model.safetensors").read_bytes()


def refusal(library, card, weights):
    """Status and sentence of opening them; the digest is the weights' own."""
    if isinstance(card, dict):
        if "weights" in card:
            card["weights"] = {"sha256": hashlib.sha256(weights).hexdigest()}
        card = json.dumps(card)
    with pytest.raises(CallFailed) as caught:
        Model(library, card if isinstance(card, bytes) else card.encode(), weights)
    return str(caught.value)


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ("network.name", "nnu-net", 'UNSUPPORTED_MODEL: model.json: the network is "nnu-net"; '),
        ("network.name", 3, "BAD_MODEL: model.json: network.name is the number 3, expected"),
        ("network.options.conv", "spatial", 'UNSUPPORTED_MODEL: model.json: the network has conv'),
        ("network.options.directions", 2, "UNSUPPORTED_MODEL: model.json: the network scans in 2"),
        ("network.options.directions", 3, "BAD_MODEL: model.json: network.options.directions is 3"),
        ("network.options.stem", "cnov", 'BAD_MODEL: model.json: network.options.stem is the text'),
        ("network.options.width", 0, "BAD_MODEL: model.json: network.options.width is the number"),
        ("network.options.width", 5.0, "BAD_MODEL: model.json: network.options.width is a number "),
        ("network.options.width", 8, 'BAD_MODEL: model.safetensors and model.json do not fit'),
        ("network.options.new", 8, 'BAD_MODEL: model.json: network.options has "new", which this'),
        ("network.options.expand", 1e300, "BAD_MODEL: model.json: network.options.expand leaves"),
        ("network.options.encoder_layers", [], "BAD_MODEL: model.json: network.options has 0"),
        ("network.options.encoder_layers", [1000], "BAD_MODEL: model.safetensors and model.json"),
        ("network.options.head", "dwconv-norm", "BAD_MODEL: model.safetensors and model.json"),
        ("preprocessing.size", None, "BAD_MODEL: model.json: preprocessing needs either size or"),
        ("preprocessing.size", [8], "BAD_MODEL: model.json: preprocessing.size has other sizes"),
        ("preprocessing.channels", 3, "BAD_MODEL: model.json: network, preprocessing and labels"),
        ("preprocessing.normalization", "ct", "BAD_MODEL: model.json: preprocessing needs intens"),
        ("labels", [], "BAD_MODEL: model.json: labels is a list of 0, expected a list of 1 to 256"),
        ("labels", None, "BAD_MODEL: model.json: it.labels is null, expected a list"),
        ("labels.1.name", "background", 'BAD_MODEL: model.json: labels has "background" twice'),
        ("labels.1.value", 2, "BAD_MODEL: model.json: labels[1].value is the number 2, expected"),
        ("labels.1.colour", [1, 2], "BAD_MODEL: model.json: labels[1].colour needs three whole"),
        ("profile", {"features": ["a"]}, "BAD_MODEL: model.json: profile has parts that are miss"),
        ("format", 2, "UNSUPPORTED_MODEL: model.json: format is the number 2, expected 1; use a"),
    ],
)  # fmt: skip
def test_a_description_that_cannot_be_used(library, files, entry, value, expected):
    card, weights = files
    *path, last = [int(name) if name.isdecimal() else name for name in entry.split(".")]
    place = card
    for name in path:
        place = place[name]
    place[last] = value
    assert refusal(library, card, weights).startswith(expected)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "an early end at byte 0"),
        (b"{} x", "something behind the end of the JSON value at byte 3"),
        (b'{"a": 1, "a": 2}', "an object with a name twice at byte 16"),
        (b'{"a": 1,}', "no name in quotation marks at byte 8"),
        (b"[1 2]", "no comma or closing bracket at byte 3"),
        (b"[01]", "a number with a 0 in front at byte 3"),
        (b"[1.]", "no digit behind a point at byte 3"),
        (b"[1e400]", "a number too large at byte 6"),
        (b"[NaN]", "no JSON value at byte 1"),
        (b'["\\ud800"]', "half of a surrogate pair at byte 8"),
        (b'["\xff"]', "bytes that are not UTF-8 at byte 2"),
        (b'["\xc0\x80"]', "bytes that are not UTF-8 at byte 2"),
        (b'["\n"]', "a control character in a text at byte 2"),
        (b'["', "a text without an end at byte 2"),
        (b"[" * 33, "too many levels at byte 32"),
        (b" " * (2**24 + 1), "more than 16 MiB of JSON at byte 0"),
    ],
)
def test_a_text_that_is_no_json(library, text, fault):
    expected = f"BAD_MODEL: model.json is no JSON ({fault}); copy the whole model folder again"
    assert refusal(library, text, b"12345678") == expected


@pytest.mark.parametrize("text", ["1.25", "-0.5e-3", "123456789012345678901234567890", "1e-320"])
def test_numbers_in_any_notation(library, files, text):
    """A voxel size is taken from 0.000001 to 1000 mm."""
    card, weights = files
    card["preprocessing"] |= {"size": None, "roi_size": [8, 8], "spacing_mm": ["SPACING", 1.0]}
    card["weights"] = {"sha256": hashlib.sha256(weights).hexdigest()}
    written = json.dumps(card).replace('"SPACING"', text)
    if 1e-6 <= float(text) <= 1000:
        with Model(library, written.encode(), weights):
            return
    assert "preprocessing.spacing_mm has other sizes" in refusal(library, written, weights)


def with_table(table, data=b""):
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(kind="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        (b"", "it has 0 bytes"),
        (struct.pack("<Q", 2**63), "its table ends behind the file"),
        (struct.pack("<Q", 1) + b"{", "its table: no name in quotation marks at byte 1"),
        (struct.pack("<Q", 2) + b"[]", "its table is no object"),
        (with_table({"a": {}}), '"a" lacks dtype, shape or data_offsets'),
        (with_table({"a": entry("F31")}, b"1234"), '"a" has numbers of the unknown kind "F31"'),
        (with_table({"a": entry(shape=[-1])}, b"1234"), 'a size of "a" is the number -1'),
        (with_table({"a": entry(offsets=(0, 8))}, b"1234"), '"a" lies outside the file'),
        (with_table({"a": entry(offsets=(4, 0))}, b"1234"), '"a" lies outside the file'),
        (with_table({"a": entry(shape=[2**40, 2**40])}, b"1234"), '"a" is larger than the file'),
        (with_table({"a": entry(shape=[2])}, b"1234"), '"a" has 4 bytes; its shape and kind need'),
        (with_table({"a": entry(), "b": entry()}, b"1234"), "its tensors overlap or leave a gap"),
        (with_table({"a": entry(offsets=(4, 8))}, b"12345678"), "its tensors overlap or leave"),
        (with_table({"a": entry()}, b"12345678"), "8 bytes behind its table, which needs 4"),
    ],
)
def test_weights_that_are_no_safetensors(library, files, weights, found):
    sentence = refusal(library, files[0], weights)
    assert sentence.startswith(f"BAD_MODEL: model.safetensors is damaged ({found}")


def changed(weights, tmp_path, change):
    (tmp_path / "in").write_bytes(weights)
    tensors = load_file(tmp_path / "in")
    change(tensors)
    return save(tensors)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda t: t.pop("head.depthwise.bias"), '"head.depthwise.bias" is missing'),
        (lambda t: t.update(extra=torch.zeros(1)), '"extra", which the network has not'),
        (
            lambda t: t.update({"head.depthwise.bias": torch.zeros(6)}),
            '"head.depthwise.bias" is 6, expected 5',
        ),
    ],
)
def test_weights_of_another_network(library, files, tmp_path, change, found):
    card, weights = files
    sentence = refusal(library, card, changed(weights, tmp_path, change))
    expected = f"BAD_MODEL: model.safetensors and model.json do not fit together: {found}"
    assert sentence.startswith(expected)


def test_one_changed_bit_of_the_weights(library, files):
    card, weights = files
    card = json.dumps(card)
    sentence = refusal(library, card, weights[:-1] + bytes([weights[-1] ^ 1]))
    assert sentence.startswith("BAD_MODEL: model.safetensors is not the file that model.json was")


@pytest.mark.parametrize(("kind", "most"), [(torch.float16, 1e-2), (torch.bfloat16, 1e-1)])
def test_weights_of_half_the_size(library, tmp_path, kind, most):
    """Python's network with the same rounded numbers gives the same logits."""
    network = random_network(2)
    folder = write_model(tmp_path, network)
    rounded = {name: tensor.to(kind) for name, tensor in network.state_dict().items()}
    rounded["stem.pointwise.weight"].view(-1)[0] = 1e-7 if kind is torch.float16 else 1e-30
    save_file(rounded, folder / "model.safetensors")
    card = json.loads((folder / "model.json").read_text())
    del card["weights"]
    (folder / "model.json").write_text(json.dumps(card))
    network.load_state_dict(rounded)
    image = torch.randn(2, 12, 20)
    with torch.no_grad():
        expected = network(image[None])[0].numpy()
    with library.model(folder) as model:
        found = model.run_network(image.numpy())
    assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())


def test_weights_of_a_kind_that_is_not_read(library, files, tmp_path):
    card, weights = files
    doubled = changed(weights, tmp_path, lambda t: t.update({n: v.double() for n, v in t.items()}))
    sentence = refusal(library, card, doubled)
    assert sentence.startswith("UNSUPPORTED_MODEL: model.safetensors: ")
    assert sentence.endswith("numbers of the kind F64; this library reads F32, F16 and BF16")
