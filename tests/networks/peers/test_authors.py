"""The authors' networks go by the authors' names, and Table 3's variants change what they say."""

import json

import pytest
import torch

from golden_values import GOLDEN, digest
from lightm_unet.networks.peers.authors import MambaLayer, SelfAttention
from lightm_unet.networks.registry import build_network


def test_the_released_network_has_the_authors_names_and_shapes():
    golden = json.loads((GOLDEN / "released_keys.json").read_text())
    with torch.device("meta"):
        network = build_network("lightm-unet-released", 3, 1, 3, init_filters=32)
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    assert {name: shapes.get(name) for name in golden["shapes"]} == golden["shapes"]
    assert digest(shapes) == golden["digest"]


class Doubled(torch.nn.Module):
    def forward(self, tokens):
        return 2 * tokens


@pytest.mark.parametrize(
    ("residual", "s", "factor"), [("scaled", 5.0, 0.5), ("plain", 1, 1.0), ("none", 0, 2.0)]
)
def test_a_layer_adds_its_input_scaled_plain_or_not_at_all(residual, s, factor):
    layer = MambaLayer(4, 4, Doubled(), residual)
    assert sum(p.numel() for p in layer.parameters()) == 8 + 20 + (residual == "scaled")
    x = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    x = x - x.mean(1, keepdim=True)
    with torch.no_grad():
        layer.proj.weight.copy_(torch.eye(4))
        layer.proj.bias.zero_()
        if residual == "scaled":
            assert layer.skip_scale == 1
            layer.skip_scale.fill_(s)
        layer.norm.bias.copy_(torch.arange(4.0))

        def norm(x):
            return layer.norm(x.movedim(1, -1)).movedim(-1, 1)

        torch.testing.assert_close(layer(x), norm(2 * norm(x) + s * x))


def test_attention_weighs_values_by_the_likeness_of_queries_and_keys():
    attention = SelfAttention(64)  # two heads of 32 channels
    tokens = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(0))
    expected = torch.empty_like(tokens)
    with torch.no_grad():
        q, k, v = attention.qkv(tokens).chunk(3, dim=-1)
        for head in (slice(0, 32), slice(32, 64)):
            scores = q[..., head] @ k[..., head].transpose(1, 2) / 32**0.5
            expected[..., head] = scores.softmax(-1) @ v[..., head]
        torch.testing.assert_close(attention(tokens), expected)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("vssm-to-conv3", "conv3"),
        ("vssm-to-self-attention", "self-attention"),
        ("without-adjustment-factors", "unscaled"),
        ("without-residual-connections", "without-residual"),
    ],
)
def test_the_variants_of_table_3_are_made_of_the_first_upload(name, layer):
    config = build_network(name, 2, 1, 2, init_filters=8).config
    assert (config["form"], config["layer"]) == ("first-upload", layer)
