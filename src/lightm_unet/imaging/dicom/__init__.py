"""DICOM: images in, segmentations out. docs/formats.md says what is read and what is refused.

`read.read_series` reads the files of one series; `listing` and `find` say which files those are;
`write_segmentation` and `read_segmentation` are about masks.
"""
