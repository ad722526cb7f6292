/** DICOM files, as they are or in a zip archive: series, multi-frame objects and radiographs. */

import { DICOM, ZIP } from "../../app/volume_texts";
import { ImageError } from "../image";
import type { ImageReader, ImageSource, Wanted } from "../reader";
import { zipOf } from "../zip";
import { type StoredFile, filesOfZip, isZip, onDisk } from "./archive";
import { type FoundImage, findImages } from "./find";
import { looksLikeDicom } from "./parse";

const NAME = /\.(dcm|dicom|ima)$/i;
/** A list of files, which DICOM folders on disks have. */
const INDEX_NAME = "DICOMDIR";

/** The reader; the code for pixels is loaded with the first image. */
export const dicom: ImageReader = {
  recognises: (start, name) => looksLikeDicom(start) || isZip(start) || NAME.test(name),

  sources: async (files, wanted) => {
    const sources: ImageSource[] = [];
    const loose: File[] = [];
    for (const file of files) {
      const start = new Uint8Array(await file.slice(0, 4).arrayBuffer());
      if (isZip(start)) sources.push(...(await sourcesInZip(file, wanted)));
      else if (file.name !== INDEX_NAME) loose.push(file);
    }
    const found = await findImages(loose.map(onDisk));
    return [...sources, ...found.map((image) => sourceOf(image, nameOf(image), wanted))];
  },
};

async function sourcesInZip(file: File, wanted: Wanted): Promise<ImageSource[]> {
  try {
    const members = await filesOfZip(file);
    const dicomFiles: StoredFile[] = [];
    for (const member of members) {
      if (member.name !== INDEX_NAME && looksLikeDicom(await member.bytes(HEAD))) {
        dicomFiles.push(member);
      }
    }
    if (dicomFiles.length === 0) throw new ImageError(ZIP.noDicom);
    const images = await findImages(dicomFiles);
    const names = images.map((_, index) => (images.length > 1 ? ` ${index + 1}` : ""));
    return images.map((image, index) => sourceOf(image, file.name + names[index], wanted));
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    const fail = (): Promise<never> => Promise.reject(error);
    return [{ name: file.name, load: fail, upload: fail }];
  }
}

/** Bytes that tell a DICOM file. */
const HEAD = 132;

function sourceOf(image: FoundImage, name: string, { channels }: Wanted): ImageSource {
  return {
    name,
    load: async () => {
      if (image.problem !== null) throw image.problem;
      const { readDicom } = await import("./read");
      const read = await readDicom(image.files, name, channels);
      return { ...read, remarks: [...image.remarks, ...read.remarks] };
    },
    upload: async () => {
      if (image.problem !== null) throw image.problem;
      const files: Uint8Array[] = [];
      for (const file of image.files) files.push(await file.bytes());
      const [only] = files;
      return files.length === 1 && only ? new Blob([only as BlobPart]) : zipOf(files);
    },
  };
}

/** Of a file, or of a series: never what the files say of the patient. */
function nameOf({ files }: FoundImage): string {
  const [first] = files;
  const name = first?.name ?? "";
  return files.length > 1 ? DICOM.seriesOf(name, files.length - 1) : name;
}
