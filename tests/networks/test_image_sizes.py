"""The paper's sizes stand in one place, and whoever needs a default takes them from there."""

import inspect

from lightm_unet.benchmark.settings import BenchSettings
from lightm_unet.comparison.plan import image_size
from lightm_unet.costs.count import count_networks
from lightm_unet.costs.paper_costs import SETTINGS
from lightm_unet.networks.image_sizes import CHANNELS, PAPER_SIZE, per_axis
from lightm_unet.training.settings import TrainingSettings


def test_the_paper_s_images_are_512x512_in_colour_and_128x128x128_in_grey():
    assert PAPER_SIZE == {2: (512, 512), 3: (128, 128, 128)}
    assert CHANNELS == {2: (3, 2), 3: (1, 3)}


def test_counting_measuring_and_comparing_take_the_paper_s_size_by_default():
    assert inspect.signature(count_networks).parameters["size"].default == PAPER_SIZE[2]
    assert BenchSettings().sizes == (PAPER_SIZE[2],)
    assert {dims: setting.image_size for dims, setting in SETTINGS.items()} == PAPER_SIZE
    for dims, size in PAPER_SIZE.items():
        assert image_size(TrainingSettings(), dims, channels=1) == size


def test_one_number_stands_for_all_axes_and_nothing_for_nothing():
    assert per_axis([96], 3) == (96, 96, 96)
    assert per_axis((32, 48), 2) == (32, 48)
    assert per_axis(None, 2) is None
