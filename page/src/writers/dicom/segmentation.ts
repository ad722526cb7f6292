/**
 * Labels as a DICOM segmentation (binary) that refers to the images they were made from.
 *
 * As Python's `imaging/dicom/write_segmentation.py`: one frame for each segment and slice, the
 * empty ones too, so the object holds the grid of the images and can be read without them.
 * Patient and study are copied from the images, as an archive files objects by them.
 */

import type { ModelDescription } from "../../engine/engine";
import type { DataSet } from "../../images/dicom/data_set";
import type { Frame } from "../../images/dicom/frames";
import type { DicomSource } from "../../images/dicom/read";
import { TAGS, type TagName } from "../../images/dicom/tags";
import type { MedicalImage } from "../../images/image";
import { column, length } from "../../images/matrix";
import { cielab } from "./cielab";
import { type Attribute, encode, joined } from "./encode";
import { characterSet, encodeName } from "./text";
import { newUid } from "./uid";

const SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4";
const EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1";
const SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7";
/** Of this program, as the writer of files. */
const IMPLEMENTATION = "2.25.258031549186743104157207530366205493251";
const PRODUCT = "LightM-UNet";
const OWN_SCHEME = "99LIGHTMUNET";

/** Taken from the images; an empty value where they have none and one is needed. */
const COPIED = [
  ...["StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber"],
  ...["ReferringPhysicianName", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"],
] as readonly TagName[];
const COPIED_IF_THERE = [
  ...["StudyDescription", "PatientAge", "PatientSize", "PatientWeight"],
] as readonly TagName[];

/** The numbers of attributes that are written but never read. */
const T = {
  ImageType: 0x00080008,
  ContentDate: 0x00080023,
  ContentTime: 0x00080033,
  Manufacturer: 0x00080070,
  SeriesDescription: 0x0008103e,
  ManufacturerModelName: 0x00081090,
  ReferencedSeriesSequence: 0x00081115,
  ReferencedInstanceSequence: 0x0008114a,
  ReferencedSOPClassUID: 0x00081150,
  ReferencedSOPInstanceUID: 0x00081155,
  ReferencedFrameNumber: 0x00081160,
  SourceImageSequence: 0x00082112,
  DerivationImageSequence: 0x00089124,
  DerivationCodeSequence: 0x00089215,
  CodeValue: 0x00080100,
  CodingSchemeDesignator: 0x00080102,
  CodeMeaning: 0x00080104,
  DeviceSerialNumber: 0x00181000,
  SoftwareVersions: 0x00181020,
  InstanceNumber: 0x00200013,
  FrameContentSequence: 0x00209111,
  DimensionIndexValues: 0x00209157,
  DimensionOrganizationUID: 0x00209164,
  DimensionIndexPointer: 0x00209165,
  FunctionalGroupPointer: 0x00209167,
  DimensionOrganizationSequence: 0x00209221,
  DimensionIndexSequence: 0x00209222,
  DimensionDescriptionLabel: 0x00209421,
  AlgorithmSource: 0x00240202,
  HighBit: 0x00280102,
  LossyImageCompression: 0x00282110,
  SpatialLocationsPreserved: 0x0028135a,
  PurposeOfReferenceCodeSequence: 0x0040a170,
  SegmentationType: 0x00620001,
  SegmentSequence: 0x00620002,
  SegmentedPropertyCategoryCodeSequence: 0x00620003,
  SegmentNumber: 0x00620004,
  SegmentLabel: 0x00620005,
  SegmentationAlgorithmIdentificationSequence: 0x00620007,
  SegmentAlgorithmType: 0x00620008,
  SegmentAlgorithmName: 0x00620009,
  SegmentIdentificationSequence: 0x0062000a,
  ReferencedSegmentNumber: 0x0062000b,
  RecommendedDisplayCIELabValue: 0x0062000d,
  SegmentedPropertyTypeCodeSequence: 0x0062000f,
  SegmentsOverlap: 0x00620013,
  AlgorithmFamilyCodeSequence: 0x0066002f,
  AlgorithmVersion: 0x00660031,
  AlgorithmName: 0x00660036,
  ContentLabel: 0x00700080,
  ContentDescription: 0x00700081,
  ContentCreatorName: 0x00700084,
  PresentationLUTShape: 0x20500020,
} as const;

/**
 * The bytes of a file.
 *
 * @param labels row-major, in the image's own axes; 0 is the background.
 */
export function writeSegmentation(
  image: MedicalImage,
  labels: Uint8Array,
  model: ModelDescription,
): Uint8Array {
  const source = identified(image.source as DicomSource);
  const segments = model.labels.slice(1);
  const set = characterSet(source.header);
  const name = (text: string): Uint8Array => encodeName(text, set);
  const instance = newUid();
  const data = encode([
    ...general(source, instance, set),
    ...references(source),
    ...dimensions(source),
    ...pixelDescription(source, segments.length),
    [
      T.SegmentSequence,
      "SQ",
      segments.map(({ name: label, colour }, index) => segment(index + 1, name(label), colour)),
    ],
    [TAGS.SharedFunctionalGroupsSequence[0], "SQ", [sharedGroups(image, source)]],
    [TAGS.PerFrameFunctionalGroupsSequence[0], "SQ", frameGroups(source, segments.length)],
    [TAGS.PixelData[0], "OB", packedFrames(labels, source, segments.length)],
  ]);
  return joined([new Uint8Array(128), head(instance), data]);
}

/** The images with an identifier each, a new one for those that have none. */
function identified(source: DicomSource): DicomSource {
  const made = new Map<number, string>();
  const frames = source.frames.map((frame) => {
    if (frame.sopInstance !== "") return frame;
    const sopInstance = made.get(frame.file) ?? newUid();
    made.set(frame.file, sopInstance);
    return { ...frame, sopInstance };
  });
  return { ...source, frames };
}

/** The mark of a DICOM file and what its reader must know first. */
function head(instance: string): Uint8Array {
  const meta = encode([
    [0x00020001, "OB", Uint8Array.of(0, 1)],
    [0x00020002, "UI", SEGMENTATION],
    [0x00020003, "UI", instance],
    [0x00020010, "UI", EXPLICIT_LITTLE_ENDIAN],
    [0x00020012, "UI", IMPLEMENTATION],
    [0x00020013, "SH", PRODUCT],
  ]);
  const size = encode([[0x00020000, "UL", [meta.length]]]);
  return joined([new TextEncoder().encode("DICM"), size, meta]);
}

function general({ header }: DicomSource, instance: string, set: string): Attribute[] {
  const now = new Date().toISOString().replace(/[-:]/g, "");
  const date = now.slice(0, 8);
  const time = now.slice(9, 15);
  const seriesNumber = Number(header.text("SeriesNumber")) || 0;
  const copied = COPIED.map((each): Attribute => {
    const [tag, type] = TAGS[each];
    if (each === "StudyInstanceUID") return [tag, type, orNew(header, each)];
    return [tag, type, header.get(each)?.value ?? ""];
  });
  const others = COPIED_IF_THERE.flatMap((each): Attribute[] => {
    const value = header.get(each)?.value;
    return value === undefined ? [] : [[TAGS[each][0], TAGS[each][1], value]];
  });
  return [
    ...copied,
    ...others,
    [TAGS.SpecificCharacterSet[0], "CS", set],
    [T.ImageType, "CS", "DERIVED\\PRIMARY"],
    [TAGS.SOPClassUID[0], "UI", SEGMENTATION],
    [TAGS.SOPInstanceUID[0], "UI", instance],
    [T.ContentDate, "DA", date],
    [T.ContentTime, "TM", time],
    [TAGS.Modality[0], "CS", "SEG"],
    [T.Manufacturer, "LO", PRODUCT],
    [T.ManufacturerModelName, "LO", PRODUCT],
    [T.SeriesDescription, "LO", `${PRODUCT} segmentation`],
    [T.DeviceSerialNumber, "LO", "browser"],
    [T.SoftwareVersions, "LO", "browser"],
    [TAGS.SeriesInstanceUID[0], "UI", newUid()],
    [TAGS.SeriesNumber[0], "IS", [1000 + seriesNumber]],
    [T.InstanceNumber, "IS", [1]],
    [T.ContentLabel, "CS", "SEGMENTATION"],
    [T.ContentDescription, "LO", `Automatic segmentation by ${PRODUCT}`],
    [T.ContentCreatorName, "PN", ""],
  ];
}

/** An identifier of the images, or a new one where they have none. */
function orNew(header: DataSet, name: TagName): string {
  return header.text(name) || newUid();
}

/** Which images the labels were made from, and the space in which they lie. */
function references({ header, frames }: DicomSource): Attribute[] {
  const instances = [...new Map(frames.map((frame) => [frame.file, frame])).values()];
  const attributes: Attribute[] = [
    [
      T.ReferencedSeriesSequence,
      "SQ",
      [
        [
          [TAGS.SeriesInstanceUID[0], "UI", orNew(header, "SeriesInstanceUID")],
          [T.ReferencedInstanceSequence, "SQ", instances.map(reference)],
        ],
      ],
    ],
  ];
  const space = header.get("FrameOfReferenceUID")?.value;
  if (space === undefined || space.length === 0) return attributes;
  const indicator = header.get("PositionReferenceIndicator")?.value ?? "";
  return [
    ...attributes,
    [TAGS.FrameOfReferenceUID[0], "UI", space],
    [TAGS.PositionReferenceIndicator[0], "LO", indicator],
  ];
}

function reference({ sopClass, sopInstance }: Frame): Attribute[] {
  return [
    [T.ReferencedSOPClassUID, "UI", sopClass || SECONDARY_CAPTURE],
    [T.ReferencedSOPInstanceUID, "UI", sopInstance],
  ];
}

/** What the frames differ by: segment, and position where there is one. */
function dimensions({ isPicture }: DicomSource): Attribute[] {
  const organization = newUid();
  const pointer = (what: number, group: number, label: string): Attribute[] => [
    [T.DimensionOrganizationUID, "UI", organization],
    [T.DimensionIndexPointer, "AT", [what]],
    [T.FunctionalGroupPointer, "AT", [group]],
    [T.DimensionDescriptionLabel, "LO", label],
  ];
  const bySegment = pointer(
    T.ReferencedSegmentNumber,
    T.SegmentIdentificationSequence,
    "Referenced Segment Number",
  );
  const byPosition = pointer(
    TAGS.ImagePositionPatient[0],
    TAGS.PlanePositionSequence[0],
    "Image Position Patient",
  );
  return [
    [T.DimensionOrganizationSequence, "SQ", [[[T.DimensionOrganizationUID, "UI", organization]]]],
    [T.DimensionIndexSequence, "SQ", isPicture ? [bySegment] : [bySegment, byPosition]],
  ];
}

function pixelDescription({ frames }: DicomSource, segments: number): Attribute[] {
  const [first] = frames;
  return [
    [TAGS.SamplesPerPixel[0], "US", [1]],
    [TAGS.PhotometricInterpretation[0], "CS", "MONOCHROME2"],
    [TAGS.NumberOfFrames[0], "IS", [frames.length * segments]],
    [TAGS.Rows[0], "US", [first?.rows ?? 0]],
    [TAGS.Columns[0], "US", [first?.columns ?? 0]],
    [TAGS.BitsAllocated[0], "US", [1]],
    [TAGS.BitsStored[0], "US", [1]],
    [T.HighBit, "US", [0]],
    [TAGS.PixelRepresentation[0], "US", [0]],
    [T.LossyImageCompression, "CS", "00"],
    [T.SegmentationType, "CS", "BINARY"],
    [T.SegmentsOverlap, "CS", "NO"],
    [T.PresentationLUTShape, "CS", "IDENTITY"],
  ];
}

function code(value: string, scheme: string, meaning: string | Uint8Array): Attribute[][] {
  return [
    [
      [T.CodeValue, "SH", value],
      [T.CodingSchemeDesignator, "SH", scheme],
      [T.CodeMeaning, "LO", meaning],
    ],
  ];
}

function segment(
  number: number,
  label: Uint8Array,
  colour: readonly [number, number, number],
): Attribute[] {
  const algorithm: Attribute[] = [
    [T.AlgorithmSource, "LO", PRODUCT],
    [
      T.AlgorithmFamilyCodeSequence,
      "SQ",
      code("123110", "DCM", "Artificial Intelligence"),
    ],
    [T.AlgorithmName, "LO", PRODUCT],
    [T.AlgorithmVersion, "LO", "browser"],
  ];
  return [
    [
      T.SegmentedPropertyCategoryCodeSequence,
      "SQ",
      code("label", OWN_SCHEME, "Label of a model"),
    ],
    [T.SegmentNumber, "US", [number]],
    [T.SegmentLabel, "LO", label],
    [T.SegmentationAlgorithmIdentificationSequence, "SQ", [algorithm]],
    [T.SegmentAlgorithmType, "CS", "AUTOMATIC"],
    [T.SegmentAlgorithmName, "LO", PRODUCT],
    [T.RecommendedDisplayCIELabValue, "US", cielab(colour)],
    [T.SegmentedPropertyTypeCodeSequence, "SQ", code(`label-${number}`, OWN_SCHEME, label)],
  ];
}

/** What holds for all frames of images with a place: pixel size and direction. */
function sharedGroups(image: MedicalImage, { frames }: DicomSource): Attribute[] {
  const [first] = frames;
  const groups: Attribute[] = [];
  if (first?.spacing && image.affine !== null) {
    const step = frames.length > 1 ? length(column(image.affine, 2)) : null;
    const measures: Attribute[] = [
      [TAGS.PixelSpacing[0], "DS", [...first.spacing]],
      [TAGS.SliceThickness[0], "DS", [first.thickness ?? step ?? 1]],
    ];
    if (step !== null) measures.push([TAGS.SpacingBetweenSlices[0], "DS", [step]]);
    groups.push([TAGS.PixelMeasuresSequence[0], "SQ", [measures]]);
  }
  if (first?.orientation) {
    const orientation: Attribute[] = [
      [TAGS.ImageOrientationPatient[0], "DS", [...first.orientation]],
    ];
    groups.push([TAGS.PlaneOrientationSequence[0], "SQ", [orientation]]);
  }
  return groups;
}

/** What each frame shows: segment by segment, slice by slice. */
function frameGroups({ frames, isPicture }: DicomSource, segments: number): Attribute[][] {
  const several = new Set(frames.map(({ file }) => file)).size < frames.length;
  return Array.from({ length: segments }, (_, index) =>
    frames.map((frame, slice): Attribute[] => {
      const place = isPicture ? [index + 1] : [index + 1, slice + 1];
      const groups: Attribute[] = [
        [T.DerivationImageSequence, "SQ", [derivation(frame, several)]],
        [T.FrameContentSequence, "SQ", [[[T.DimensionIndexValues, "UL", place]]]],
        [
          T.SegmentIdentificationSequence,
          "SQ",
          [[[T.ReferencedSegmentNumber, "US", [index + 1]]]],
        ],
      ];
      if (!isPicture && frame.position) {
        const position: Attribute[] = [[TAGS.ImagePositionPatient[0], "DS", [...frame.position]]];
        groups.push([TAGS.PlanePositionSequence[0], "SQ", [position]]);
      }
      return groups;
    }),
  ).flat();
}

function derivation(frame: Frame, several: boolean): Attribute[] {
  const source: Attribute[] = [
    ...reference(frame),
    [T.SpatialLocationsPreserved, "CS", "YES"],
    [
      T.PurposeOfReferenceCodeSequence,
      "SQ",
      code("121322", "DCM", "Source image for image processing operation"),
    ],
  ];
  if (several) source.push([T.ReferencedFrameNumber, "IS", [frame.index + 1]]);
  return [
    [T.SourceImageSequence, "SQ", [source]],
    [T.DerivationCodeSequence, "SQ", code("113076", "DCM", "Segmentation")],
  ];
}

/** One bit for each pixel of each frame, the first one lowest, without gaps between frames. */
function packedFrames(labels: Uint8Array, source: DicomSource, segments: number): Uint8Array {
  const { frames, isPicture } = source;
  const { rows = 0, columns = 0 } = frames[0] ?? {};
  const slices = frames.length;
  const packed = new Uint8Array(Math.ceil((rows * columns * slices * segments) / 8));
  let bit = 0;
  for (let label = 1; label <= segments; label++) {
    for (let slice = 0; slice < slices; slice++) {
      for (let row = 0; row < rows; row++) {
        for (let col = 0; col < columns; col++, bit++) {
          const at = isPicture ? row * columns + col : (col * rows + row) * slices + slice;
          if (labels[at] === label) packed[bit >> 3]! |= 1 << (bit & 7);
        }
      }
    }
  }
  return packed;
}
