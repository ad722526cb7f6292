"""Small DICOM files of every kind that is read, written by pydicom from known arrays and grids."""

import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

CLASSES = {
    "CT": uid.CTImageStorage,
    "MR": uid.MRImageStorage,
    "CR": uid.ComputedRadiographyImageStorage,
    "DX": uid.DigitalXRayImageStorageForPresentation,
    "ENHANCED": uid.EnhancedCTImageStorage,
}
STUDY, SERIES, SPACE = "1.2.3.1", "1.2.3.2", "1.2.3.3"
LPS = np.array([-1.0, -1.0, 1.0])
NAME = "DOE^JANE"


def header(modality="CT", series=SERIES, number=1, study=STUDY, **attributes):
    """A data set without pixels or place."""
    dataset = Dataset()
    dataset.SOPClassUID = CLASSES[modality]
    dataset.SOPInstanceUID = uid.generate_uid()
    dataset.Modality = "CT" if modality == "ENHANCED" else modality
    dataset.PatientName, dataset.PatientID = NAME, "4711"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SeriesNumber, dataset.StudyID = number, "1"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20200101", "120000", "9"
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def set_pixels(dataset, samples, bits_stored=None, **attributes):
    """Integers `(rows, columns)`, `(frames, rows, columns)` or `(rows, columns, 3)`."""
    samples = np.ascontiguousarray(samples)
    colour = samples.shape[-1] == 3 and samples.ndim == 3
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = samples.shape[:2] if colour else samples.shape[-2:]
    dataset.BitsAllocated = 8 * samples.dtype.itemsize
    dataset.BitsStored = bits_stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(samples.dtype.kind == "i")
    data = samples.tobytes()
    dataset.PixelData = data + bytes(len(data) % 2)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def set_place(dataset, affine, slice_number=0):
    """Lay `(rows, columns)` pixels where a volume `(columns, rows, slices)` has a slice.

    The affine is RAS+; its first two columns are at a right angle.
    """
    steps = affine[:3, :3] * LPS[:, None]
    lengths = np.linalg.norm(steps, axis=0)
    directions = steps / lengths
    position = affine[:3, 3] * LPS + slice_number * steps[:, 2]
    dataset.FrameOfReferenceUID = SPACE
    dataset.ImageOrientationPatient = [
        float(f"{each:.12g}") for each in (*directions[:, 0], *directions[:, 1])
    ]
    dataset.ImagePositionPatient = [float(f"{each:.10g}") for each in position]
    dataset.PixelSpacing = [float(f"{lengths[1]:.10g}"), float(f"{lengths[0]:.10g}")]
    dataset.SliceThickness = float(f"{lengths[2]:.10g}")
    return dataset


def to_bytes(dataset, syntax=uid.ExplicitVRLittleEndian, meta=True):
    """The bytes of a file; without `meta` the data set alone, as old files are."""
    buffer = io.BytesIO()
    if not meta:
        implicit, little = syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian
        pydicom.dcmwrite(
            buffer, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=False
        )
        return buffer.getvalue()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def save(dataset, path, syntax=uid.ExplicitVRLittleEndian, meta=True):
    """Write a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_bytes(dataset, syntax, meta))
    return path


def compressed(dataset, frames, syntax):
    """Replace the pixels by compressed frames."""
    dataset.PixelData = encapsulate(list(frames))
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    return dataset


def slices(volume, affine, modality="CT", slope=1.0, intercept=0.0, **attributes):
    """One data set for each slice of `(columns, rows, slices)` integers."""
    made = []
    for number in range(volume.shape[2]):
        dataset = header(modality, InstanceNumber=number + 1, **attributes)
        set_place(dataset, affine, number)
        set_pixels(dataset, volume[:, :, number].T)
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        made.append(dataset)
    return made


def save_series(folder, volume, affine, order=None, **attributes):
    """Write a series, its file names in any order; returns the paths in the order of the slices."""
    names = range(volume.shape[2]) if order is None else order
    return [
        save(dataset, folder / f"{name:04}.dcm")
        for dataset, name in zip(slices(volume, affine, **attributes), names, strict=True)
    ]


def radiograph(samples, modality="DX", series=SERIES, number=1, study=STUDY, **attributes):
    """A data set without a place."""
    return set_pixels(header(modality, series, number, study), samples, **attributes)


def enhanced(volume, affine, order=None, slopes=None, **attributes):
    """A multi-frame data set whose frames come in any order, each with its own rescale."""
    order = list(range(volume.shape[2]) if order is None else order)
    dataset = header("ENHANCED", **attributes)
    set_pixels(dataset, np.stack([volume[:, :, number].T for number in order]))
    dataset.NumberOfFrames = len(order)
    dataset.FrameOfReferenceUID = SPACE
    shared, groups = Dataset(), []
    for number in order:
        placed = set_place(Dataset(), affine, number)
        group, position, rescale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = placed.ImagePositionPatient
        rescale.RescaleSlope = 1.0 if slopes is None else float(slopes[number])
        rescale.RescaleIntercept, rescale.RescaleType = 0.0, "US"
        group.PlanePositionSequence = [position]
        group.PixelValueTransformationSequence = [rescale]
        groups.append(group)
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = placed.ImageOrientationPatient
    measures.PixelSpacing = placed.PixelSpacing
    measures.SliceThickness = placed.SliceThickness
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = groups
    return dataset
