"""Draw docs/figures/orientation.png: a given segmentation beside ours of the same CT.

    PYTHONPATH=src python experiments/orientation_figure.py DICOM_SERIES SEGMENTATION.nii.gz

The segmentation lies on the voxels of the DICOM series, but is stored with its axes the other way.
Above, it is drawn on its own grid, on which the image is sampled by nibabel and scipy alone. Below,
it has come the way of our masks: brought onto the grid of the series, written as a DICOM
segmentation, read again, and drawn on the image as we read it.
"""

import io
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from scipy.ndimage import affine_transform

from lightm_unet.imaging.dicom.segment import Algorithm, Segment
from lightm_unet.imaging.dicom.write_segmentation import write_segmentation
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import read_image, read_labels
from lightm_unet.imaging.same_voxels import on_image_grid
from lightm_unet.reporting.palette import label_colour, on_grey
from lightm_unet.reporting.picture_row import join_pictures
from lightm_unet.reporting.pictures import draw_case

NAMES = {1: "spleen", 5: "liver", 6: "stomach", 52: "aorta"}
"""The labels that are drawn, each with a name for the legend."""
TARGET = Path(__file__).parents[1] / "docs" / "figures" / "orientation.png"


def main(series: Path, given: Path) -> None:
    image = read_image(sorted(series.iterdir()))
    stored = nibabel.load(given)
    labels = np.asarray(stored.dataobj).astype(np.uint8)
    ours, theirs = through_dicom(labels, stored.affine, image), sampled(series, stored)
    above = row(theirs, labels, Geometry(labels.shape, stored.affine))
    below = row(image.array, ours, image.geometry)
    write(above, below)


def sampled(series: Path, stored) -> np.ndarray:
    """The DICOM image on the segmentation's grid, without this package: `(1, i, j, k)`."""
    slices = [pydicom.dcmread(path) for path in series.iterdir()]
    slices.sort(key=lambda each: float(each.ImagePositionPatient[2]))
    values = np.stack([each.pixel_array.T * float(each.RescaleSlope) for each in slices], axis=2)
    values += float(slices[0].RescaleIntercept)
    row_mm, column_mm = map(float, slices[0].PixelSpacing)
    first, last = (np.array(each.ImagePositionPatient, float) for each in (slices[0], slices[-1]))
    affine = np.eye(4)
    directions = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    affine[:3, 0], affine[:3, 1] = directions[0] * column_mm, directions[1] * row_mm
    affine[:3, 2], affine[:3, 3] = (last - first) / (len(slices) - 1), first
    affine = np.diag([-1.0, -1, 1, 1]) @ affine  # DICOM counts to the left and to the back
    to_dicom = np.linalg.inv(affine) @ stored.affine
    return affine_transform(values, to_dicom, output_shape=stored.shape, order=1, cval=-1024)[None]


def through_dicom(labels: np.ndarray, affine: np.ndarray, image) -> np.ndarray:
    moved = on_image_grid(labels, Geometry(labels.shape, affine), image.geometry)
    segments = [Segment(f"label {value}", tuple(label_colour(value))) for value in range(1, 256)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.dcm"
        algorithm = Algorithm("orientation_figure", "1", {})
        write_segmentation(moved, image.geometry, path, tuple(segments), algorithm)
        found, grid = read_labels(path)
    assert image.geometry.difference(grid) is None
    assert np.array_equal(found, moved)
    return found


def row(values: np.ndarray, labels: np.ndarray, geometry: Geometry) -> bytes:
    shown = np.where(np.isin(labels, list(NAMES)), labels, 0)
    colours = {value: on_grey(label_colour(place)) for place, value in enumerate(NAMES, start=1)}
    pictures = draw_case(values, shown, shown, geometry, colours, is_photo=False, focus=5)
    return join_pictures(pictures, [(NAMES[value], colour) for value, colour in colours.items()])


def write(above: bytes, below: bytes) -> None:
    parts = [PillowImage.open(io.BytesIO(each)) for each in (above, below)]
    font, head = ImageFont.load_default(size=18), 34
    size = max(each.width for each in parts), sum(each.height + head for each in parts)
    canvas, top = PillowImage.new("RGB", size), 0
    titles = (
        "The segmentation as it was given, on its own grid (NIfTI, y runs to the front)",
        "The same as our DICOM segmentation, on the grid of the series (y runs to the back)",
    )
    for title, part in zip(titles, parts, strict=True):
        ImageDraw.Draw(canvas).text((12, top + 8), title, (255, 255, 255), font)
        canvas.paste(part, (0, top + head))
        top += head + part.height
    TARGET.parent.mkdir(exist_ok=True)
    canvas.quantize(256).save(TARGET, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
