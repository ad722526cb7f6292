import torch
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.preprocessing.resizing import resize, resize_labels, resize_rows, row_parts


def test_equal_sizes_pass_through_to_the_bit():
    for shape in ((5, 6), (4, 5, 6)):
        image = torch.randn(2, *shape)
        assert resize(image, shape) is image


def test_an_axis_that_keeps_its_length_is_not_touched():
    image = torch.randn(1, 4, 5, 6)
    repeated = image[:, :, :1].expand(1, 4, 5, 6)  # constant along the axis that changes
    torch.testing.assert_close(resize(repeated, (4, 9, 6))[:, :, 0], image[:, :, 0])


def test_growing_is_trilinear_interpolation_over_the_same_field_of_view():
    image = torch.randn(2, 3, 4, 5)
    expected = torch.nn.functional.interpolate(
        image[None], size=(7, 9, 6), mode="trilinear", align_corners=False
    )[0]
    torch.testing.assert_close(resize(image, (7, 9, 6)), expected)


def test_a_ramp_stays_a_ramp_in_the_middle():
    ramp = torch.arange(32, dtype=torch.float32).expand(1, 4, 4, 32)
    small = resize(ramp, (4, 4, 8))[0, 0, 0]
    # Four voxels become one, at their middle: 1.5, 5.5, ...; the filter is symmetric.
    torch.testing.assert_close(small[2:6], torch.tensor([9.5, 13.5, 17.5, 21.5]))


def test_shrinking_lets_every_voxel_count_in_2d_and_3d():
    for shape, smaller in (((16, 16), (4, 4)), ((16, 16, 16), (4, 4, 4))):
        for place in ((5, 6), (7, 7), (8, 4)):
            image = torch.zeros(1, *shape)
            image[(0, *place, *([6] * (len(shape) - 2)))] = 1
            assert resize(image, smaller).sum() > 0


def test_2d_and_3d_follow_the_same_rule():
    plane = torch.randn(1, 12, 10)
    volume = plane[:, None].expand(1, 3, 12, 10)
    torch.testing.assert_close(resize(volume, (3, 5, 7))[:, 1], resize(plane, (5, 7)))


def test_labels_shrink_by_the_largest_share():
    labels = torch.tensor([[0, 0, 0, 2, 2, 2, 5, 5]], dtype=torch.uint8)
    assert resize_labels(labels, (1, 4)).tolist() == [[0, 0, 2, 5]]


def test_labels_grow_without_new_values_and_equal_sizes_pass_through():
    labels = torch.tensor([[0, 7], [7, 3]], dtype=torch.uint8)
    grown = resize_labels(labels, (6, 6))
    assert grown.dtype == torch.uint8
    assert set(grown.unique().tolist()) == {0, 3, 7}
    assert resize_labels(labels, (2, 2)) is labels


def test_a_grid_of_one_column_is_resized_as_several_of_them_are():
    """A single slice in a 3D network may end as one column, which torch 2.13 resizes wrongly."""
    for before, after in ((5, 3), (5, 8), (9, 2)):
        image = torch.randn(2, before, 1)
        expected = resize(image.expand(2, before, 4), (after, 4))[..., :1]
        torch.testing.assert_close(resize(image, (after, 1)), expected)
        torch.testing.assert_close(resize(image[:, None], (1, after, 1))[:, 0], expected)


def test_a_grid_that_shrinks_to_one_column_is_resized_along_both_axes():
    image = torch.randn(2, 9, 4)
    torch.testing.assert_close(resize(image, (2, 1)), resize(resize(image, (2, 4)), (2, 1)))


@given(
    grid=st.tuples(*[st.integers(1, 9)] * 3),
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    dims=st.sampled_from([2, 3]),
    values=st.integers(1, 60),
)
def test_rows_are_those_of_the_whole_image(grid, shape, dims, values):
    grid, shape = grid[:dims], shape[:dims]
    image = torch.randn(1, *grid, generator=torch.Generator().manual_seed(0))
    parts = [resize_rows(image[0], shape, rows) for rows in row_parts(shape, values)]
    torch.testing.assert_close(torch.cat(parts)[None], resize(image, shape), rtol=1e-5, atol=1e-5)
