/**
 * The texts about NIfTI, DICOM and volumes.
 *
 * A file that cannot be used is refused in the Python package's words: what was found, what was
 * expected, what to do.
 */

import { printable } from "../images/python_text";

const refused = (found: string, expected: string, advice: string): string =>
  `Found ${printable(found)}; expected ${expected}; ${advice}.`;

/** What to do about a file that nobody would have written so. */
const BROKEN = "copy or export the file again";
const PLACE = "export the image again with its position and voxel size";

export const FILES = {
  notFinite: (voxels: number) =>
    refused(
      `${voxels} NaN or infinite voxels`,
      "finite intensities",
      "replace them, for example by the background's value",
    ),
  tooLarge: (gigabytes: string) =>
    refused(
      `a file of ${gigabytes} GB`,
      "at most 2 GB in a browser",
      "use a smaller image, or run lightm-unet predict",
    ),
  unreadable: refused(
    "a file that cannot be read any more",
    "a file",
    "choose it again; it may have been moved, changed or removed",
  ),
  noMemory: (values: number) =>
    refused(
      `${values} values, which need more memory than this browser gives`,
      "a smaller image",
      "close other tabs, use another browser, or run lightm-unet predict",
    ),
};

export const NIFTI = {
  noHeader: refused("no NIfTI header", "a NIfTI-1 or NIfTI-2 file", BROKEN),
  pair: refused(
    "the header of a pair of files, .hdr and .img",
    "one NIfTI file",
    "export the image as one .nii or .nii.gz",
  ),
  mark: (mark: string) =>
    refused(
      `the NIfTI mark ${mark}`,
      "one NIfTI file",
      "export the image as one .nii or .nii.gz",
    ),
  axes: (axes: number) => refused(`${axes} axes`, "1 to 7 axes", BROKEN),
  emptyAxis: (shape: string) =>
    refused(`shape ${shape}`, "at least one voxel along every axis", BROKEN),
  unknownType: (type: number) =>
    refused(`voxels of the unknown type ${type}`, "a type that NIfTI knows", BROKEN),
  notReal: (type: string) =>
    refused(`voxels of type ${type}`, "one real number per voxel", "export a grey-level image"),
  colour: refused("colour voxels", "one real number per voxel", "export a grey-level image"),
  offset: (offset: string, least: number) =>
    refused(`voxels from byte ${offset} on`, `${least} or more`, BROKEN),
  gzip: (reason: string) =>
    refused(`damaged gzip data (${reason})`, "a whole NIfTI file", BROKEN),
  cutOff: (bytes: number, needed: bigint, shape: string, type: string) =>
    refused(
      `at most ${bytes} bytes of voxels`,
      `${needed} for shape ${shape} of ${type}: it is cut off`,
      BROKEN,
    ),
  bomb: (gigabytes: string, ratio: number, most: number) =>
    refused(
      `${gigabytes} GB compressed ${ratio}-fold`,
      `an image; real ones of more than 1 GB are compressed less than ${most}-fold`,
      "store an image of almost nothing with a smaller number type",
    ),
  leftOver: refused(
    "far more data than its header describes",
    "the header, the voxels and the end of the file",
    BROKEN,
  ),
  scaling: (slope: string, intercept: string) =>
    refused(`a scaling by ${slope} plus ${intercept}`, "finite numbers", BROKEN),
  series: (shape: string) =>
    refused(
      `shape ${shape}`,
      "a 2D or 3D image",
      "give one volume: split series of volumes into files first",
    ),
  noRotation: refused(
    "a qform whose quaternion is no rotation",
    "a quaternion of length 1",
    PLACE,
  ),
  voxelSize: (size: string, axis: number) =>
    refused(
      `a voxel size (pixdim) of ${size} along axis ${axis}, and no sform`,
      "a positive number",
      PLACE,
    ),
  affine: (what: string) => refused(what, "16 finite numbers that map voxels to mm", PLACE),
  singular: refused("a singular affine", "an affine that can be inverted", PLACE),
  unplaced:
    "the header has neither a qform nor an sform, so position and left and right are unknown; " +
    "the first axis is taken to run to the left",
  unusableQform: (qformCode: number, sformCode: number, reason: string) =>
    `the qform (code ${qformCode}) cannot be used, found ${reason}; ` +
    `the sform (code ${sformCode}) is used`,
  differentForms: (qformCode: number, sformCode: number, difference: string) =>
    `the qform (code ${qformCode}) disagrees with the sform (code ${sformCode}): ${difference}; ` +
    "the sform is used",
};

const IMAGE_FILE = "choose the image's own file";
const EXPORT_SERIES = "export the series again with all of its slices";

export const DICOM = {
  broken: (reason: string) => refused(`a broken DICOM file (${reason})`, "a valid one", BROKEN),
  noAttribute: refused("no DICOM attribute", "a DICOM file", BROKEN),
  noDicom: refused("content that is no DICOM", "a DICOM file", BROKEN),
  missing: (name: string) => refused(`no ${name}`, "a number", BROKEN),
  notNumbers: (name: string, shown: string, count: number) =>
    refused(
      `the ${name} ${shown}`,
      count === 1 ? "a finite number" : `${count} finite numbers`,
      BROKEN,
    ),
  noCount: (name: string, shown: string) =>
    refused(`the ${name} ${shown}`, "a whole number above 0", BROKEN),
  groups: (frames: number, places: number) =>
    refused(`${frames} frames and the places of ${places}`, "a place for each", BROKEN),

  noImages: (kinds: string) =>
    refused(
      `DICOM objects that are no images (${kinds})`,
      "images, such as CT, MR or radiographs",
      "choose the images' own files",
    ),
  noImage: (kind: string) =>
    refused(
      `a DICOM object that is no image (${kind})`,
      "an image, such as CT, MR or a radiograph",
      IMAGE_FILE,
    ),
  unknownKind: "an unknown kind",
  passedOver: (kinds: string) => `DICOM objects that are no images were passed over: ${kinds}`,
  largest: (taken: string, rest: string) =>
    `${taken} is read, the largest of its study; not read: ${rest}`,
  series: (number: number | null, modality: string, images: number, columns: number, rows: number) =>
    `${number === null ? "series" : `series ${number}`} (${modality || "no modality"}, ` +
    `${images} image${images === 1 ? "" : "s"} of ${columns}x${rows})`,
  andMore: (listed: string, more: number) => `${listed} and ${more} more`,

  noPixels: (kind: string) => refused(`no pixels (${kind})`, "an image", IMAGE_FILE),
  samples: (count: number) =>
    refused(`${count} samples for each pixel`, "1 or 3", "convert it to grey or RGB"),
  bits: (bits: number) =>
    refused(`${bits} bits for each sample`, "1, 8, 16 or 32", "export the image again"),
  tooManyPixels: (columns: number, rows: number, millions: string, most: number) =>
    refused(
      `frames of ${columns}x${rows} pixels, ${millions} million values`,
      `at most ${most} million`,
      "cut or reduce the image",
    ),
  cutOff: (bytes: number, needed: number, frames: number, columns: number, rows: number) =>
    refused(
      `${bytes} bytes of pixels`,
      `${needed} for ${frames} frame(s) of ${columns}x${rows}: it is cut off`,
      BROKEN,
    ),
  fewFrames: (found: number, total: number) =>
    refused(`${found} compressed frame(s)`, `those of ${total}: it is cut off`, BROKEN),
  placeOfBits: (stored: number, highest: number) =>
    refused(
      `${stored} bits stored with the high bit ${highest}`,
      `the high bit ${stored - 1}`,
      "export the image again: only old files lie so",
    ),
  hiddenCompression: refused(
    "compressed pixels in a file that says they are not",
    "the transfer syntax of the pixels",
    BROKEN,
  ),
  noEnd: refused("a compressed frame without its end", "a whole one: it is cut off", BROKEN),
  runsOut: refused(
    "a compressed frame that ends before its last pixel",
    "all of its pixels",
    BROKEN,
  ),
  frameSize: (found: string, expected: string) =>
    refused(`a compressed frame of ${found} pixels`, `${expected}, as the header says`, BROKEN),
  syntax: (name: string) =>
    refused(
      `the transfer syntax ${name}`,
      "no compression, deflate, RLE, JPEG, JPEG-LS or JPEG 2000",
      "convert it to Explicit VR Little Endian, for example with dcmtk's dcmconv or gdcmconv",
    ),
  twelveBits: refused(
    "a JPEG of 12 bits with loss",
    "8 bits, or a lossless form",
    "convert it to Explicit VR Little Endian, or run lightm-unet predict",
  ),
  undecodable: (reason: string) =>
    refused(`a broken DICOM file (pixels that cannot be decoded: ${reason})`, "a valid one", BROKEN),
  meaning: (meaning: string) =>
    refused(
      `pixels that mean ${meaning || "nothing that is said"}`,
      "grey, a palette, RGB or YBR",
      "convert it to grey or RGB",
    ),
  bitsStored: (stored: number, allocated: number) =>
    refused(`the BitsStored ${stored}`, `1 to ${allocated}`, BROKEN),
  sign: (value: number) => refused(`the PixelRepresentation ${value}`, "0 or 1", BROKEN),
  slopeZero: refused("a rescale slope of 0", "another number", BROKEN),
  whiteIsZero: "white is 0 in it (MONOCHROME1); turned, as a viewer shows it",
  equalColours: "stored in colour with three equal channels; read as grey",

  differentFrame: (found: string, expected: string) =>
    refused(
      `a frame of ${found}`,
      `${expected}, as in the first one`,
      "put images that belong together into a folder of their own",
    ),
  without: (frame: string, what: string, count: number) =>
    refused(
      `${frame} without a ${what}, one of ${count} slices`,
      "ImagePositionPatient and ImageOrientationPatient in each",
      "export the series again; a moving picture has to be split into single images",
    ),
  unequal: (what: string, mine: string, other: string, first: string) =>
    refused(
      `the ${what} ${mine}`,
      `${other}, as in ${first} of the same series`,
      "put images that belong together into a folder of their own",
    ),
  otherFrameOfReference: (first: string) =>
    refused(
      `another FrameOfReferenceUID than in ${first}`,
      "images of one series",
      "put each series into a folder of its own",
    ),
  orientation: (shown: string) =>
    refused(
      `the orientation ${shown}`,
      "two directions of length 1 at a right angle",
      "export the series again",
    ),
  sliceSpacing: (shown: string) =>
    refused(
      `the pixel spacing ${shown}`,
      "two positive numbers",
      "export the series again with its pixel spacing",
    ),
  spacing: (name: string, shown: string) =>
    refused(`the ${name} ${shown}`, "two positive numbers", "export the image again"),
  doubled: (place: string, one: string, other: string, more: number) =>
    refused(
      `two slices at ${place} mm along the stack, ${one} and ${other}` +
        (more > 0 ? `, and ${more} more such` : ""),
      "one slice at each position",
      "remove copies; put each time point, echo or phase into a folder of its own",
    ),
  missingSlices: (count: number) => `${count} missing slice${count === 1 ? "" : "s"}`,
  unevenSlices: "uneven slices",
  uneven: (what: string, gap: string, from: string, at: string, to: string, usual: string, places: number) =>
    refused(
      `${what}: ${gap} mm from ${from} at ${at} mm along the stack to ${to}, where most are ` +
        `${usual} mm apart${places > 1 ? `; ${places} such places` : ""}`,
      "evenly spaced slices",
      EXPORT_SERIES,
    ),
  beside: (slice: string, mm: string) =>
    refused(
      `slices that lie beside each other: ${slice} by ${mm} mm`,
      "slices on one straight line",
      "export the series again",
    ),
  tilted: (degrees: string) =>
    `slices tilted by ${degrees} degrees against their stack (gantry tilt), which the affine keeps`,
  unplaced:
    "a slice without a place in the patient; its rows and columns are taken as they are stored",
  detectorSpacing: (name: string) =>
    `no PixelSpacing; ${name} is taken, the size at the detector, where the body is shown larger ` +
    "than it is",
  noSpacing: "no pixel size is stored, so areas are counted in pixels",
  frameOf: (frame: number, name: string) => `frame ${frame} of ${name}`,
  inFile: (name: string, message: string) => `${printable(name)}: ${message}`,
  seriesOf: (first: string, more: number) => `${first} and ${more} more`,
};

export const ZIP = {
  damaged: (reason: string) => refused(`a damaged archive (${reason})`, "a whole zip file", BROKEN),
  refused: (found: string, expected: string) =>
    refused(
      `an archive with ${found}`,
      expected,
      "unpack it with a program that you trust, and give the folder",
    ),
  noDicom: refused("an archive without DICOM files", "a zip of a DICOM series", "choose another file"),
};

export const VOLUME_DOWNLOADS = {
  nifti: "Mask on the image's grid (NIfTI)",
  segmentation: "DICOM segmentation",
};

export const VOLUME_VIEW = {
  views: "Planes",
  all: "All planes and 3D",
  named: "an axial, a coronal and a sagittal plane, and 3D",
  axial: "Axial",
  coronal: "Coronal",
  sagittal: "Sagittal",
  render: "3D",
  help:
    "Arrow keys move the crosshair to the sides and to front and back, page up and page down move " +
    "it upwards and downwards, plus and minus zoom.",
  noGraphics:
    "This browser draws no volumes: it has no WebGL 2. The table, the volumes and the downloads " +
    "do not need it.",
  tooLarge: (longest: number, most: number) =>
    `This volume has ${longest} voxels along one axis, and this device's graphics draw ${most} at ` +
    "most. The table, the volumes and the downloads do not need it.",
};
