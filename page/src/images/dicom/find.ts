/**
 * Which DICOM files form one image: slices of a series, a multi-frame object, a radiograph.
 *
 * The rules of Python's `imaging/dicom/find.py`. Of each study one volume is taken, the series
 * with most voxels; the others are named in a remark. A study of pictures alone, such as
 * radiographs, gives one image for each file. Only headers are read.
 */

import { DICOM } from "../../app/volume_texts";
import { ImageError } from "../image";
import type { StoredFile } from "./archive";
import type { DataSet } from "./data_set";
import { type DicomObject, NeedsMore, looksLikeDicom, parseDicom } from "./parse";
import { kindOf } from "./stored_frames";

/** The files of one image, or why there is none. */
export interface FoundImage {
  /** The series; empty for a picture, which is called like its file. */
  readonly label: string;
  readonly files: readonly StoredFile[];
  readonly remarks: readonly string[];
  readonly problem: ImageError | null;
}

/** What the choice depends on. */
interface Header {
  readonly file: StoredFile;
  readonly study: string;
  readonly series: string;
  readonly number: number | null;
  readonly modality: string;
  readonly rows: number;
  readonly columns: number;
  readonly frames: number;
  /** Whether it lies somewhere in the patient. */
  readonly placed: boolean;
}

const HEADER_BYTES = 1 << 15;
/** Modalities whose slices lie somewhere in the patient, even if they do not say where. */
const WITH_A_PLACE = ["CT", "MR", "PT"];
/** Objects that have pixels but are no images: segmentations, and the dose of a radiotherapy. */
const NO_IMAGES = [
  "1.2.840.10008.5.1.4.1.1.66.4",
  "1.2.840.10008.5.1.4.1.1.66.7",
  "1.2.840.10008.5.1.4.1.1.481.2",
];
const MOST_LISTED = 10;

/**
 * Reads a file's data set up to its pixels.
 *
 * @throws ImageError it is no DICOM file, or a damaged one.
 */
export async function readHeader(file: StoredFile): Promise<DicomObject> {
  for (let most = HEADER_BYTES; ; most *= 8) {
    const whole = most >= file.size;
    const bytes = await file.bytes(whole ? file.size : most);
    if (!looksLikeDicom(bytes)) throw new ImageError(DICOM.noDicom);
    try {
      return parseDicom(bytes, "pixels", whole);
    } catch (error) {
      if (!(error instanceof NeedsMore)) throw error;
    }
  }
}

/** Whether an object is an image that can be segmented. */
export function isImage(data: DataSet): boolean {
  if (NO_IMAGES.includes(data.text("SOPClassUID")) || data.text("Modality") === "SEG") return false;
  return data.has("Rows") && data.has("Columns");
}

/**
 * The images among files that came together.
 *
 * What cannot be read is an image with a problem. Objects that are no images are named in a
 * remark, or are the problem where there is nothing else.
 */
export async function findImages(files: readonly StoredFile[]): Promise<FoundImage[]> {
  const broken: FoundImage[] = [];
  const others = new Map<string, number>();
  const studies = new Map<string, Header[]>();
  for (const file of files) {
    try {
      const { data } = await readHeader(file);
      if (isImage(data)) {
        const header = headerOf(file, data);
        studies.set(header.study, [...(studies.get(header.study) ?? []), header]);
      } else {
        others.set(kindOf(data), (others.get(kindOf(data)) ?? 0) + 1);
      }
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      broken.push({ label: "", files: [file], remarks: [], problem: error });
    }
  }
  const kinds = [...others].map(([kind, times]) => `${times} ${kind}`).sort().join(", ");
  if (others.size > 0 && studies.size === 0) {
    const problem = new ImageError(DICOM.noImages(kinds));
    broken.push({ label: "", files: files.slice(0, 1), remarks: [], problem });
  }
  const remarks = others.size > 0 ? [DICOM.passedOver(kinds)] : [];
  return [...[...studies.values()].flatMap((headers) => imagesOf(headers, remarks)), ...broken];
}

function headerOf(file: StoredFile, data: DataSet): Header {
  const frames = data.count("NumberOfFrames", 1);
  const position = data.get("ImagePositionPatient");
  return {
    file,
    study: data.text("StudyInstanceUID"),
    series: data.text("SeriesInstanceUID"),
    number: data.numbers("SeriesNumber", 1)?.[0] ?? null,
    modality: data.text("Modality"),
    rows: data.count("Rows"),
    columns: data.count("Columns"),
    frames,
    placed: frames > 1 || (position !== undefined && position.value.length > 0),
  };
}

/** The images of one study. */
function imagesOf(headers: readonly Header[], remarks: readonly string[]): FoundImage[] {
  const { volumes, pictures } = sortedSeries(headers);
  const [largest] = [...volumes].sort((a, b) => voxels(b) - voxels(a));
  if (largest === undefined) {
    return pictures
      .flat()
      .map(({ file }) => ({ label: "", files: [file], remarks, problem: null }));
  }
  const rest = [...volumes, ...pictures]
    .filter((series) => series !== largest)
    .sort((a, b) => voxels(b) - voxels(a));
  const choice = rest.length > 0 ? [DICOM.largest(labelOf(largest), listed(rest))] : [];
  return [
    {
      label: labelOf(largest),
      files: largest.map(({ file }) => file),
      remarks: [...choice, ...remarks],
      problem: null,
    },
  ];
}

/** Volumes, and pictures without a place, each in the order of their numbers. */
function sortedSeries(headers: readonly Header[]): { volumes: Header[][]; pictures: Header[][] } {
  const volumes = new Map<string, Header[]>();
  const pictures = new Map<string, Header[]>();
  headers.forEach((header, index) => {
    const isPicture = !header.placed && !WITH_A_PLACE.includes(header.modality);
    // Each multi-frame object is a volume of its own.
    const key = header.series + (header.frames > 1 ? ` ${index}` : "");
    const groups = isPicture ? pictures : volumes;
    groups.set(key, [...(groups.get(key) ?? []), header]);
  });
  return { volumes: inOrder(volumes), pictures: inOrder(pictures) };
}

function inOrder(groups: ReadonlyMap<string, Header[]>): Header[][] {
  const number = ([first]: readonly Header[]): number => first?.number ?? 0;
  const uid = ([first]: readonly Header[]): string => first?.series ?? "";
  return [...groups.values()].sort((a, b) => number(a) - number(b) || (uid(a) < uid(b) ? -1 : 1));
}

function voxels(series: readonly Header[]): number {
  return series.reduce((sum, { rows, columns, frames }) => sum + rows * columns * frames, 0);
}

function labelOf(series: readonly Header[]): string {
  const images = series.reduce((sum, { frames }) => sum + frames, 0);
  const [first] = series;
  if (first === undefined) return "";
  return DICOM.series(first.number, first.modality, images, first.columns, first.rows);
}

function listed(series: readonly Header[][]): string {
  const shown = series.slice(0, MOST_LISTED).map(labelOf).join(", ");
  const more = series.length - MOST_LISTED;
  return more > 0 ? DICOM.andMore(shown, more) : shown;
}
