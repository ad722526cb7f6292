import io

import numpy as np
from PIL import Image

from lightm_unet.reporting.figures import (
    DPI,
    make_logarithmic,
    new_figure,
    save_figure,
    style_axes,
)


def example():
    figure = new_figure(4, 3)
    axes = figure.subplots()
    style_axes(axes)
    make_logarithmic(axes.xaxis)
    axes.plot([1, 100], [1, 2])
    return figure, axes


def test_a_figure_has_its_size_and_is_the_same_every_time():
    figure, _ = example()
    png = save_figure(figure)
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (4 * DPI, 3 * DPI)
        assert np.asarray(picture.convert("L")).std() > 0
    again, _ = example()
    assert save_figure(again) == png
    assert save_figure(figure, "svg") == save_figure(again, "svg")


def test_a_logarithmic_axis_has_plain_numbers():
    figure, axes = example()
    save_figure(figure)
    assert axes.get_xscale() == "log"
    shown = {text.get_text() for text in axes.get_xticklabels()}
    assert {"1", "2", "5", "10", "100"} <= shown


def test_no_frame_above_and_to_the_right():
    _, axes = example()
    visible = {side: spine.get_visible() for side, spine in axes.spines.items()}
    assert visible == {"left": True, "bottom": True, "top": False, "right": False}
