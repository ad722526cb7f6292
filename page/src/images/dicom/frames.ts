/**
 * Where the frames of DICOM images lie: of plain slices, and of enhanced multi-frame objects.
 *
 * A plain image says it in its own attributes; an enhanced one in functional groups, which either
 * hold for all of its frames or for a single one.
 */

import { DICOM } from "../../app/volume_texts";
import { ImageError } from "../image";
import type { Vector } from "../matrix";
import type { DataSet } from "./data_set";
import type { DicomObject } from "./parse";
import type { TagName } from "./tags";

/** One frame, with its place as DICOM says it: mm, to the left, to the back, upwards. */
export interface Frame {
  /** Number of its file among those of the series. */
  readonly file: number;
  /** From 0, in the order of the file. */
  readonly index: number;
  /** What it is called in messages. */
  readonly shown: string;
  readonly sopClass: string;
  readonly sopInstance: string;
  readonly rows: number;
  readonly columns: number;
  /** Of the centre of the first pixel. */
  readonly position: Vector | null;
  /** Directions in which the column's number and the row's number rise: 6 numbers. */
  readonly orientation: readonly number[] | null;
  /** Between rows and between columns. */
  readonly spacing: readonly number[] | null;
  /** Distance of slices, or thickness of one, where the file states it. */
  readonly thickness: number | null;
}

const GROUP_OF = {
  ImagePositionPatient: "PlanePositionSequence",
  ImageOrientationPatient: "PlaneOrientationSequence",
  PixelSpacing: "PixelMeasuresSequence",
  SliceThickness: "PixelMeasuresSequence",
  SpacingBetweenSlices: "PixelMeasuresSequence",
  RescaleSlope: "PixelValueTransformationSequence",
  RescaleIntercept: "PixelValueTransformationSequence",
} as const satisfies Partial<Record<TagName, TagName>>;

/** The attributes of one frame, wherever the object keeps them. */
export class Attributes {
  constructor(
    private readonly data: DataSet,
    /** Functional groups, those of the frame first. */
    private readonly groups: readonly DataSet[],
  ) {}

  /** @throws ImageError no numbers, or another count of them. */
  numbers(name: keyof typeof GROUP_OF, count: number): number[] | null {
    for (const group of this.groups) {
      const holder = group.items(GROUP_OF[name])[0];
      if (holder?.has(name)) return holder.numbers(name, count);
    }
    return this.data.numbers(name, count);
  }
}

/**
 * The attributes of each frame.
 *
 * @throws ImageError more frames than descriptions of them, or the other way round.
 */
export function functionalGroups(data: DataSet, total: number): Attributes[] {
  const shared = data.items("SharedFunctionalGroupsSequence").slice(0, 1);
  const each = data.items("PerFrameFunctionalGroupsSequence");
  if (each.length === 0) {
    const all = new Attributes(data, shared);
    return Array.from({ length: total }, () => all);
  }
  if (each.length !== total) throw new ImageError(DICOM.groups(total, each.length));
  return each.map((group) => new Attributes(data, [group, ...shared]));
}

/** Frames that one file may announce; each costs memory before a pixel is read. */
const MOST_FRAMES = 100_000;

/**
 * The frames of one file, in its own order.
 *
 * @throws ImageError a size or a place is missing, or no such thing.
 */
export function framesOf({ data, meta }: DicomObject, file: number, name: string): Frame[] {
  const total = data.count("NumberOfFrames", 1);
  if (total > MOST_FRAMES) throw new ImageError(DICOM.noCount("NumberOfFrames", String(total)));
  const rows = data.count("Rows");
  const columns = data.count("Columns");
  const sopClass = data.text("SOPClassUID") || meta.text("MediaStorageSOPClassUID");
  const sopInstance =
    data.text("SOPInstanceUID") || meta.text("MediaStorageSOPInstanceUID");
  return functionalGroups(data, total).map((attributes, index) => {
    const thicknesses = [
      attributes.numbers("SpacingBetweenSlices", 1)?.[0],
      attributes.numbers("SliceThickness", 1)?.[0],
    ];
    const thickness = thicknesses.find((value) => value !== undefined && value !== 0);
    return {
      file,
      index,
      shown: index > 0 ? DICOM.frameOf(index + 1, name) : name,
      sopClass,
      sopInstance,
      rows,
      columns,
      position: attributes.numbers("ImagePositionPatient", 3) as Vector | null,
      orientation: attributes.numbers("ImageOrientationPatient", 6),
      spacing: attributes.numbers("PixelSpacing", 2),
      thickness: thickness === undefined ? null : Math.abs(thickness),
    };
  });
}
