/** The DICOM attributes that are read, by their names in the standard: number and type of value. */

export const TAGS = {
  MediaStorageSOPClassUID: [0x00020002, "UI"],
  MediaStorageSOPInstanceUID: [0x00020003, "UI"],
  TransferSyntaxUID: [0x00020010, "UI"],
  SpecificCharacterSet: [0x00080005, "CS"],
  SOPClassUID: [0x00080016, "UI"],
  SOPInstanceUID: [0x00080018, "UI"],
  StudyDate: [0x00080020, "DA"],
  StudyTime: [0x00080030, "TM"],
  AccessionNumber: [0x00080050, "SH"],
  Modality: [0x00080060, "CS"],
  ReferringPhysicianName: [0x00080090, "PN"],
  StudyDescription: [0x00081030, "LO"],
  PatientName: [0x00100010, "PN"],
  PatientID: [0x00100020, "LO"],
  PatientBirthDate: [0x00100030, "DA"],
  PatientSex: [0x00100040, "CS"],
  PatientAge: [0x00101010, "AS"],
  PatientSize: [0x00101020, "DS"],
  PatientWeight: [0x00101030, "DS"],
  SliceThickness: [0x00180050, "DS"],
  SpacingBetweenSlices: [0x00180088, "DS"],
  ImagerPixelSpacing: [0x00181164, "DS"],
  NominalScannedPixelSpacing: [0x00182010, "DS"],
  StudyInstanceUID: [0x0020000d, "UI"],
  SeriesInstanceUID: [0x0020000e, "UI"],
  StudyID: [0x00200010, "SH"],
  SeriesNumber: [0x00200011, "IS"],
  ImagePositionPatient: [0x00200032, "DS"],
  ImageOrientationPatient: [0x00200037, "DS"],
  FrameOfReferenceUID: [0x00200052, "UI"],
  PositionReferenceIndicator: [0x00201040, "LO"],
  PlanePositionSequence: [0x00209113, "SQ"],
  PlaneOrientationSequence: [0x00209116, "SQ"],
  SamplesPerPixel: [0x00280002, "US"],
  PhotometricInterpretation: [0x00280004, "CS"],
  PlanarConfiguration: [0x00280006, "US"],
  NumberOfFrames: [0x00280008, "IS"],
  Rows: [0x00280010, "US"],
  Columns: [0x00280011, "US"],
  PixelSpacing: [0x00280030, "DS"],
  BitsAllocated: [0x00280100, "US"],
  BitsStored: [0x00280101, "US"],
  HighBit: [0x00280102, "US"],
  PixelRepresentation: [0x00280103, "US"],
  RescaleIntercept: [0x00281052, "DS"],
  RescaleSlope: [0x00281053, "DS"],
  RedPaletteColorLookupTableDescriptor: [0x00281101, "US"],
  GreenPaletteColorLookupTableDescriptor: [0x00281102, "US"],
  BluePaletteColorLookupTableDescriptor: [0x00281103, "US"],
  RedPaletteColorLookupTableData: [0x00281201, "OW"],
  GreenPaletteColorLookupTableData: [0x00281202, "OW"],
  BluePaletteColorLookupTableData: [0x00281203, "OW"],
  ModalityLUTSequence: [0x00283000, "SQ"],
  LUTDescriptor: [0x00283002, "US"],
  LUTData: [0x00283006, "US"],
  PixelMeasuresSequence: [0x00289110, "SQ"],
  PixelValueTransformationSequence: [0x00289145, "SQ"],
  SharedFunctionalGroupsSequence: [0x52009229, "SQ"],
  PerFrameFunctionalGroupsSequence: [0x52009230, "SQ"],
  FloatPixelData: [0x7fe00008, "OF"],
  DoubleFloatPixelData: [0x7fe00009, "OD"],
  PixelData: [0x7fe00010, "OW"],
} as const satisfies Record<string, readonly [number, string]>;

export type TagName = keyof typeof TAGS;

/** The pixels of an image; what lies behind them is not needed. */
export const PIXEL_TAGS: readonly number[] = [
  TAGS.FloatPixelData[0],
  TAGS.DoubleFloatPixelData[0],
  TAGS.PixelData[0],
];

const TYPES = new Map<number, string>(Object.values(TAGS).map(([tag, type]) => [tag, type]));

/** The type of a value by its attribute's number; "UN" for attributes that are not read. */
export function typeOfTag(tag: number): string {
  return TYPES.get(tag) ?? "UN";
}
