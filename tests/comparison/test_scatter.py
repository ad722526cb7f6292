import io

from PIL import Image

from lightm_unet.comparison.scatter import area_of, draw_scatter
from lightm_unet.comparison.table import make_rows


def test_the_area_of_a_mark_is_in_proportion_to_the_parameters():
    assert area_of(50_000_000) == 2 * area_of(25_000_000)
    assert area_of(1) > 0


def test_the_figure_is_drawn_from_finished_networks_and_left_out_without(
    make_plan, make_result, costs
):
    plan = make_plan()
    done = make_result("lightm-unet", {"d": (0.5, 0.75)})
    png = draw_scatter(make_rows(plan, {done.run: done}, costs(plan), {}), plan.size)
    assert Image.open(io.BytesIO(png)).size[0] > 1000
    assert draw_scatter(make_rows(plan, {}, costs(plan), {}), plan.size) is None
