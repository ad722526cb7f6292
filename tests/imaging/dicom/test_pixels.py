"""Stored numbers become intensities, or the file is refused."""

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from dicom_files import radiograph, save
from lightm_unet.errors import DataError
from lightm_unet.imaging.image import read_image

SAMPLES = np.arange(12, dtype=np.uint16).reshape(3, 4)


def test_numbers_at_the_high_end_of_their_words_are_refused(tmp_path):
    dataset = radiograph(SAMPLES << 4)
    dataset.BitsStored, dataset.HighBit = 12, 15
    save(dataset, tmp_path / "a.dcm")
    with pytest.raises(DataError, match=r"12 bits stored with the high bit 15; expected .* 11"):
        read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize("bits", [12, 16])
def test_a_table_of_levels_says_how_many_bits_count(tmp_path, bits):
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [12, 0, bits])
    table.ModalityLUTType = "US"
    table.add_new("LUTData", "US", [100 * level for level in range(12)])
    dataset = radiograph(SAMPLES)
    dataset.ModalityLUTSequence = Sequence([table])
    save(dataset, tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").array[0], 100 * SAMPLES)
