/**
 * The files of one DICOM image to an image and its grid.
 *
 * The same values, places and words as Python's `imaging/dicom/read.py`: plain slices and the
 * frames of an enhanced object become a volume, sorted by position. One image without a place in
 * the patient, such as a radiograph, is a picture with the pixel size that its file states.
 */

import { IMAGES } from "../../app/texts";
import { DICOM, FILES } from "../../app/volume_texts";
import { spacing } from "../geometry";
import { ImageError, type MedicalImage } from "../image";
import { takeMemory } from "../memory";
import { short } from "../python_text";
import type { StoredFile } from "./archive";
import type { DataSet } from "./data_set";
import { isImage, readHeader } from "./find";
import { type Frame, framesOf, functionalGroups } from "./frames";
import { type Intensities, intensitiesOf } from "./intensities";
import { parseDicom } from "./parse";
import { stack } from "./stack";
import { kindOf, storedFrames } from "./stored_frames";

/** What a segmentation's writer needs to know of the images. */
export interface DicomSource {
  /** Of the first file, without its pixels. */
  readonly header: DataSet;
  /** In the order of the slices. */
  readonly frames: readonly Frame[];
  /** Whether the image is a picture without a place in the patient. */
  readonly isPicture: boolean;
}

/** Where the frames go. */
interface Grid {
  /** In the order of the slices. */
  readonly frames: readonly Frame[];
  readonly shape: readonly number[];
  readonly affine: Float64Array | null;
  readonly spacingMm: readonly number[] | null;
  readonly remarks: readonly string[];
}

/**
 * Reads the images of one series, in any order.
 *
 * @param channels how many the model takes: 1 makes grey of three equal channels.
 * @returns of shape `(columns, rows, slices)`, of a single slice `(columns, rows)`, of a picture
 *   `(rows, columns)`.
 * @throws ImageError whatever is wrong with a file, or with how the files fit each other.
 */
export async function readDicom(
  files: readonly StoredFile[],
  name: string,
  channels: number,
): Promise<MedicalImage> {
  const headers: DataSet[] = [];
  const frames: Frame[] = [];
  for (const [number, file] of files.entries()) {
    await inFile(file, files, async () => {
      const object = await readHeader(file);
      checkBelongs(object.data, headers[0], files[0]?.name ?? "");
      headers.push(object.data);
      frames.push(...framesOf(object, number, file.name));
    });
  }
  const [header] = headers;
  if (header === undefined) throw new ImageError(DICOM.noAttribute);
  const grid = gridOf(frames, header);
  const remarks = new Set(grid.remarks);
  const stored = await readFrames(files, grid, remarks);
  checkFinite(stored.values);
  const { values, count } = asChannels(stored, channels, remarks);
  const source: DicomSource = { header, frames: grid.frames, isPicture: grid.affine === null };
  return {
    name,
    kind: "dicom",
    shape: grid.shape,
    channels: count,
    values: grid.affine === null ? values : columnsFirst(values, frames[0], grid.frames.length),
    affine: grid.affine,
    spacingMm: grid.spacingMm,
    source,
    remarks: [...remarks],
  };
}

/** Says of which file an error tells, where there are several. */
async function inFile<T>(
  file: StoredFile,
  files: readonly StoredFile[],
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ImageError) || files.length === 1) throw error;
    throw new ImageError(DICOM.inFile(file.name, error.message));
  }
}

function checkBelongs(data: DataSet, first: DataSet | undefined, firstName: string): void {
  if (!isImage(data)) throw new ImageError(DICOM.noImage(kindOf(data)));
  const mine = data.text("FrameOfReferenceUID");
  if (first !== undefined && mine !== first.text("FrameOfReferenceUID")) {
    throw new ImageError(DICOM.otherFrameOfReference(firstName));
  }
}

const WITH_A_PLACE = ["CT", "MR", "PT"];

function gridOf(frames: readonly Frame[], header: DataSet): Grid {
  const [first] = frames;
  const placed = first?.position && first.orientation;
  if (first === undefined || placed || frames.length > 1) {
    const { geometry, frames: sorted, remarks } = stack(frames);
    return { ...geometry, frames: sorted, spacingMm: spacing(geometry), remarks };
  }
  const remarks = WITH_A_PLACE.includes(header.text("Modality")) ? [DICOM.unplaced] : [];
  const [spacingMm, said] = pictureSpacing(header);
  return {
    frames,
    shape: [first.rows, first.columns],
    affine: null,
    spacingMm,
    remarks: [...remarks, ...said],
  };
}

/** Between rows and between columns, in mm; null if the file does not say. */
function pictureSpacing(header: DataSet): [readonly number[] | null, string[]] {
  for (const name of ["PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"] as const) {
    const found = header.numbers(name, 2);
    if (found === null) continue;
    if (Math.min(...found) <= 0) {
      const shown = found.map((value) => short(value)).join(", ");
      throw new ImageError(DICOM.spacing(`${name}`, shown));
    }
    return [found, name === "PixelSpacing" ? [] : [DICOM.detectorSpacing(name)]];
  }
  return [null, [DICOM.noSpacing]];
}

/** All frames: (channels, slices, rows, columns). */
interface Slices {
  readonly values: Float32Array;
  readonly channels: 1 | 3;
}

async function readFrames(
  files: readonly StoredFile[],
  grid: Grid,
  remarks: Set<string>,
): Promise<Slices> {
  const [first] = grid.frames;
  const pixels = (first?.rows ?? 0) * (first?.columns ?? 0);
  const sliceOf = new Map(grid.frames.map(({ file, index }, slice) => [`${file} ${index}`, slice]));
  let slices: Slices | null = null;
  for (const [number, file] of files.entries()) {
    await inFile(file, files, async () => {
      let index = 0;
      for await (const frame of intensitiesIn(file)) {
        slices ??= {
          values: takeMemory(frame.channels * pixels * grid.frames.length, (n) => new Float32Array(n)),
          channels: frame.channels,
        };
        if (frame.channels !== slices.channels || frame.values.length !== pixels * frame.channels) {
          throw new ImageError(
            DICOM.differentFrame(`${frame.channels} channel(s)`, `${slices.channels}`),
          );
        }
        const slice = sliceOf.get(`${number} ${index++}`) ?? 0;
        for (let channel = 0; channel < frame.channels; channel++) {
          const plane = frame.values.subarray(channel * pixels, (channel + 1) * pixels);
          slices.values.set(plane, (channel * grid.frames.length + slice) * pixels);
        }
        for (const remark of frame.remarks) remarks.add(remark);
      }
    });
  }
  if (slices === null) throw new ImageError(DICOM.noAttribute);
  return slices;
}

async function* intensitiesIn(file: StoredFile): AsyncGenerator<Intensities> {
  const object = parseDicom(await file.bytes(), "end", true);
  const groups = functionalGroups(object.data, object.data.count("NumberOfFrames", 1));
  let index = 0;
  for await (const frame of storedFrames(object)) {
    const attributes = groups[index++];
    if (attributes) yield intensitiesOf(frame, object.data, attributes);
  }
}

function checkFinite(values: Float32Array): void {
  let wrong = 0;
  for (const value of values) if (!Number.isFinite(value)) wrong++;
  if (wrong > 0) throw new ImageError(FILES.notFinite(wrong));
}

/** Grey of three equal channels, where the model takes grey. */
function asChannels(
  { values, channels }: Slices,
  wanted: number,
  remarks: Set<string>,
): { values: Float32Array; count: number } {
  if (channels === 1 || wanted !== 1) return { values, count: channels };
  const size = values.length / 3;
  for (let i = 0; i < size; i++) {
    if (values[i] !== values[i + size] || values[i] !== values[i + 2 * size]) {
      throw new ImageError(IMAGES.colourPicture);
    }
  }
  remarks.add(DICOM.equalColours);
  return { values: values.slice(0, size), count: 1 };
}

/** (channels, slices, rows, columns) to (channels, columns, rows, slices), row-major. */
function columnsFirst(
  values: Float32Array,
  frame: Frame | undefined,
  slices: number,
): Float32Array {
  const { rows = 1, columns = 1 } = frame ?? {};
  const pixels = rows * columns;
  const turned = takeMemory(values.length, (size) => new Float32Array(size));
  for (let start = 0; start < values.length; start += pixels * slices) {
    for (let row = 0; row < rows; row++) {
      // In tiles of columns: each cache line of either array is used whole while it is there.
      for (let tile = 0; tile < columns; tile += TILE) {
        const end = Math.min(tile + TILE, columns);
        for (let slice = 0; slice < slices; slice++) {
          const from = start + slice * pixels + row * columns;
          for (let column = tile; column < end; column++) {
            turned[start + (column * rows + row) * slices + slice] = values[from + column] ?? 0;
          }
        }
      }
    }
  }
  return turned;
}

const TILE = 16;
