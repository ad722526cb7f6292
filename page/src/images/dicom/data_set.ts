/** A parsed DICOM data set, and its values. */

import { DICOM } from "../../app/volume_texts";
import { ImageError } from "../image";
import { short } from "../python_text";
import { TAGS, type TagName } from "./tags";

export interface Element {
  /** Type of the value, two letters. */
  readonly type: string;
  /** The value as it is stored; fewer bytes than the file announces where it is cut off. */
  readonly value: Uint8Array;
  /** Of a sequence. */
  readonly items?: readonly DataSet[];
  /** Of compressed pixels: the parts of their stream, the first one a table of offsets. */
  readonly fragments?: readonly Uint8Array[];
}

/** Bytes of one number, for the types that hold numbers in binary form. */
const WIDTHS: Readonly<Record<string, number>> = {
  ...{ US: 2, SS: 2, UL: 4, SL: 4, FL: 4, FD: 8, UV: 8, SV: 8 },
  ...{ OW: 2, OL: 4, OF: 4, OD: 8, OB: 1 },
};

export class DataSet {
  constructor(
    readonly elements: ReadonlyMap<number, Element>,
    readonly littleEndian: boolean,
  ) {}

  get(name: TagName): Element | undefined {
    return this.elements.get(TAGS[name][0]);
  }

  has(name: TagName): boolean {
    return this.get(name) !== undefined;
  }

  items(name: TagName): readonly DataSet[] {
    return this.get(name)?.items ?? [];
  }

  /** The value as text without padding; empty where there is none. */
  text(name: TagName): string {
    const value = this.get(name)?.value;
    if (value === undefined) return "";
    return String.fromCharCode(...value.subarray(0, 1 << 12)).replace(/[\0 ]+$/, "").trimStart();
  }

  /**
   * Finite numbers; null where the attribute is missing or empty.
   *
   * @throws ImageError another count of values, or some that are no finite numbers.
   */
  numbers(name: TagName, count: number): number[] | null {
    const element = this.get(name);
    if (element === undefined || element.value.length === 0) return null;
    const binary = WIDTHS[element.type] !== undefined;
    const text = binary ? "" : this.text(name);
    if (!binary && text === "") return null;
    const found = binary
      ? this.binaryNumbers(element)
      : text.split("\\").map((part) => (part.trim() === "" ? NaN : Number(part)));
    if (found.length !== count || !found.every(Number.isFinite)) {
      const shown = binary ? found.map((each) => short(each)).join(", ") : text.replaceAll("\\", ", ");
      throw new ImageError(DICOM.notNumbers(name, shown.slice(0, 80), count));
    }
    return found;
  }

  /** @throws ImageError no number, or none and no default. */
  number(name: TagName, otherwise?: number): number {
    const found = this.numbers(name, 1)?.[0] ?? otherwise;
    if (found === undefined) throw new ImageError(DICOM.missing(name));
    return found;
  }

  /** A whole number above 0. */
  count(name: TagName, otherwise?: number): number {
    const value = this.number(name, otherwise);
    if (!Number.isInteger(value) || value < 1) throw new ImageError(DICOM.noCount(name, short(value)));
    return value;
  }

  /** Numbers of a lookup table, whose type may be stated wrongly: 16 bits each. */
  words(name: TagName): number[] {
    const value = this.get(name)?.value;
    return value === undefined ? [] : this.binaryNumbers({ type: "US", value });
  }

  private binaryNumbers({ type, value }: Element): number[] {
    const width = WIDTHS[type] ?? 1;
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    const count = Math.floor(value.length / width);
    return Array.from({ length: count }, (_, index) => {
      const at = index * width;
      switch (type) {
        case "US":
        case "OW":
          return view.getUint16(at, this.littleEndian);
        case "SS":
          return view.getInt16(at, this.littleEndian);
        case "UL":
        case "OL":
          return view.getUint32(at, this.littleEndian);
        case "SL":
          return view.getInt32(at, this.littleEndian);
        case "FL":
        case "OF":
          return view.getFloat32(at, this.littleEndian);
        case "FD":
        case "OD":
          return view.getFloat64(at, this.littleEndian);
        case "UV":
          return Number(view.getBigUint64(at, this.littleEndian));
        case "SV":
          return Number(view.getBigInt64(at, this.littleEndian));
        default:
          return view.getUint8(at);
      }
    });
  }
}
