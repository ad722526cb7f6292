import pytest
import torch

from lightm_unet.networks.scan_order import ORDERS, reorder, restore, to_grid, to_tokens

# The places 0 1 2 / 3 4 5 of a grid with 2 rows and 3 columns, as each traversal meets them.
PLACES_2D = {
    "raster": [0, 1, 2, 3, 4, 5],
    "raster reversed": [5, 4, 3, 2, 1, 0],
    "transposed": [0, 3, 1, 4, 2, 5],
    "transposed reversed": [5, 2, 4, 1, 3, 0],
}
# The same for 2x2x2, where place = 4 i + 2 j + k: "transposed" lets i vary fastest.
PLACES_3D = {
    "raster": [0, 1, 2, 3, 4, 5, 6, 7],
    "raster reversed": [7, 6, 5, 4, 3, 2, 1, 0],
    "transposed": [0, 4, 2, 6, 1, 5, 3, 7],
    "transposed reversed": [7, 3, 5, 1, 6, 2, 4, 0],
}


def test_tokens_are_the_grid_in_raster_order_with_channels_last():
    grid = torch.arange(12).reshape(1, 2, 2, 3)  # 2 channels of 2x3
    assert to_tokens(grid).tolist() == [[[0, 6], [1, 7], [2, 8], [3, 9], [4, 10], [5, 11]]]


@pytest.mark.parametrize("spatial", [(3, 5), (2, 3, 4)])
def test_tokens_become_the_same_grid_again_without_moving_data(spatial):
    grid = torch.randn(2, 3, *spatial)
    tokens = to_tokens(grid)
    assert torch.equal(to_grid(tokens, spatial), grid)
    assert to_grid(tokens, spatial).data_ptr() == tokens.data_ptr()
    assert to_tokens(to_grid(tokens, spatial)).data_ptr() == tokens.data_ptr()


@pytest.mark.parametrize(("spatial", "places"), [((2, 3), PLACES_2D), ((2, 2, 2), PLACES_3D)])
def test_every_order_visits_the_places_as_its_name_says(spatial, places):
    tokens = torch.arange(len(places["raster"])).reshape(1, -1, 1)
    walked = {order: reorder(tokens, spatial, order).flatten().tolist() for order in places}
    assert walked == places


@pytest.mark.parametrize("order", ORDERS[4])
@pytest.mark.parametrize("spatial", [(1, 1), (3, 5), (2, 3, 4)])
def test_restore_undoes_reorder(spatial, order):
    tokens = torch.randn(2, torch.Size(spatial).numel(), 3)
    assert torch.equal(restore(reorder(tokens, spatial, order), spatial, order), tokens)


def test_each_number_of_directions_has_so_many_different_orders_the_raster_first():
    for directions, orders in ORDERS.items():
        assert len(set(orders)) == directions
        assert orders[0] == "raster"
