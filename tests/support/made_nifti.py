"""NIfTI files with any header fields, for tests of readers and writers."""

import nibabel
import numpy as np

RNG = np.random.default_rng(0)
AFFINE = np.array([[0, -2.0, 0.1, 5], [1.5, 0, 0, -7], [0, 0.2, 3, 11], [0, 0, 0, 1]])


def nifti(array, affine=AFFINE, version=1, order="<", **fields):
    """A file's bytes with any header fields, checked by nobody."""
    header = (nibabel.Nifti1Header, nibabel.Nifti2Header)[version - 1](endianness=order)
    header.set_data_shape(array.shape)
    header.set_data_dtype(array.dtype)
    header.set_sform(affine, 1)
    header["scl_slope"], header["scl_inter"] = 1, 0
    for name, value in fields.items():
        header[name] = value
    offset = header.single_vox_offset
    data = array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")
    return header.binaryblock + bytes(offset - len(header.binaryblock)) + data


def volume(dtype, shape=(5, 4, 3)):
    """Numbers from all over a type's range."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (RNG.standard_normal(shape) * 1e4).astype(kind)
    limits = np.iinfo(kind)
    ends = np.array([limits.min, limits.max, limits.max - 1], kind)
    values = RNG.integers(limits.min, limits.max, shape, kind, endpoint=True)
    values.flat[: len(ends)] = ends
    return values


def write(folder, cases):
    """Files of these names and bytes."""
    for name, data in cases.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in cases]


def rotated(**fields):
    """A header that a qform places, with this and that changed."""
    return {
        **{"sform_code": 0, "qform_code": 1, "pixdim": [-1, 0.5, 0.75, 2, 1, 1, 1, 1]},
        **{"quatern_b": 0.1, "quatern_c": -0.4, "quatern_d": 0.6, "qoffset_x": 5, "qoffset_z": -3},
        **fields,
    }


PLACES = {
    "neither": {"sform_code": 0, "pixdim": [1, 0.5, 0.75, 2, 1, 1, 1, 1]},
    "neither_zero_size": {"sform_code": 0, "pixdim": [1, 0.5, 0, 2, 1, 1, 1, 1]},
    "neither_nan_size": {"sform_code": 0, "pixdim": [1, 0.5, np.nan, 2, 1, 1, 1, 1]},
    "negative_codes": {"sform_code": -1, "qform_code": -2, "pixdim": [1, 2, 2, 2, 1, 1, 1, 1]},
    "qform": rotated(),
    "qform_right_handed": rotated(pixdim=[1, 0.5, 0.75, 2, 1, 1, 1, 1]),
    "qform_zero_fac": rotated(pixdim=[0, 0.5, 0.75, 2, 1, 1, 1, 1]),
    "qform_half_turn": rotated(quatern_b=0, quatern_c=0.6, quatern_d=0.8),
    "qform_little_too_long": rotated(quatern_b=0, quatern_c=0.6, quatern_d=0.80001),
    "qform_no_rotation": rotated(quatern_b=1, quatern_c=1, quatern_d=1),
    "qform_nan": rotated(quatern_b=np.nan),
    "qform_far": rotated(qoffset_x=1e13),
    "qform_negative_size": rotated(pixdim=[1, -0.5, 0.75, 2, 1, 1, 1, 1]),
    "both_disagree": rotated(sform_code=2),
    "both_disagree_unusable": rotated(sform_code=2, quatern_b=2),
    "both_disagree_zero_size": rotated(sform_code=2, pixdim=[1, 0.5, 0, 2, 1, 1, 1, 1]),
    "sform_nan": {"srow_x": [1, np.nan, 0, 0]},
    "sform_infinite": {"srow_x": [1, np.inf, 0, 0]},
    "sform_singular": {"srow_x": [1, 0, 0, 0], "srow_y": [1, 0, 0, 0], "srow_z": [0, 0, 1, 0]},
    "sform_zero_column": {"srow_x": [0, 0, 0, 0], "srow_y": [0, 1, 0, 0], "srow_z": [0, 0, 1, 0]},
    "sform_sheared": {"srow_x": [1, 0.5, 0, 0]},
    **{f"unit_{unit}": {"xyzt_units": unit} for unit in (0, 1, 2, 3, 4, 10, 19, 24)},
    "unit_qform_micron": rotated(xyzt_units=3),
}
"""Header fields for every way to place voxels, usable and not."""
