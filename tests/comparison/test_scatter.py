import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from lightm_unet.comparison.scatter import area_of, draw_scatter, radius_of, write_names
from lightm_unet.comparison.table import make_rows
from lightm_unet.costs.counting import NetworkCost
from lightm_unet.networks.spec import NetworkSpec


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


def test_in_a_crowd_names_cover_no_mark(make_plan, make_result):
    places = {  # network: parameters, multiply-adds, Dice
        "lightm-unet-first-upload": (6_150_168, 3.10e9, 0.819),
        "nnu-net": (1_357_000, 3.45e9, 0.833),
        "segresnet": (18_796_035, 5.09e9, 0.811),
        "unetr": (92_643_000, 2.68e9, 0.817),
        "lightm-unet-tiny": (386_675, 0.1e9, 0.6),
    }
    plan = make_plan(networks=tuple(places))
    results = [make_result(name, {"d": (dice, dice)}) for name, (_, _, dice) in places.items()]
    costs = {
        NetworkSpec(name): NetworkCost(size, macs, 0) for name, (size, macs, _) in places.items()
    }
    rows = make_rows(plan, {result.run: result for result in results}, costs, {})
    figure = Figure((11, 5.8))
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xscale="log", xlim=(0.05, 18), ylim=(0.57, 0.87))
    canvas.draw()
    write_names(axes, rows)
    assert sorted(text.get_text() for text in axes.texts) == sorted(places)
    for text in axes.texts:
        words = Text.get_window_extent(text, canvas.get_renderer())
        for size, macs, dice in places.values():
            x, y = axes.transData.transform((macs / 1e9, dice))
            reach = 0.7 * radius_of(size) * figure.dpi / 72  # of the square within the circle
            assert not words.overlaps(Bbox([(x - reach, y - reach), (x + reach, y + reach)]))


def test_a_narrow_screen_gets_an_upright_figure(make_plan, make_result, costs):
    plan = make_plan()
    done = make_result("lightm-unet", {"d": (0.5, 0.75)})
    rows = make_rows(plan, {done.run: done}, costs(plan), {})
    width, height = Image.open(io.BytesIO(draw_scatter(rows, plan.size, narrow=True))).size
    assert width < height < 1000


def test_a_mark_of_few_parameters_can_still_be_seen():
    assert radius_of(1) == radius_of(68_260) > 3.5  # points
