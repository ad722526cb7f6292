/**
 * DICOM's binary form to data sets: explicit and implicit types, both byte orders, deflated, with
 * or without the file's head.
 *
 * A value that the file cuts off is taken as far as it goes, as by pydicom; whoever needs it whole
 * counts its bytes.
 */

import { DICOM } from "../../app/volume_texts";
import { inflateRaw } from "../gzip";
import { ImageError } from "../image";
import { DataSet, type Element } from "./data_set";
import { TRANSFER_SYNTAXES } from "./syntaxes";
import { PIXEL_TAGS, typeOfTag } from "./tags";

export interface DicomObject {
  /** The file's head; empty in a file without. */
  readonly meta: DataSet;
  readonly data: DataSet;
  /** UID of the form in which the data set is stored. */
  readonly syntax: string;
}

/** Only the beginning of a file was given, and it does not reach to the pixels. */
export class NeedsMore extends Error {}

const MARK_AT = 128;
const UNDEFINED = 0xffffffff;
const ITEM = 0xfffee000;
const END_OF_ITEM = 0xfffee00d;
const END_OF_SEQUENCE = 0xfffee0dd;
const PIXEL_DATA = 0x7fe00010;
const DEEPEST = 64;
/** Types whose length is written with 32 bits. */
const LONG = /^(O[BDFLVW]|SQ|SV|U[CNRTV])$/;
const MOST_INFLATED = 2 ** 30;

/**
 * Reads a file.
 *
 * @param bytes the file, or its beginning.
 * @param until "pixels" leaves the pixels out.
 * @param whole whether `bytes` are the whole file.
 * @throws ImageError it is no DICOM; NeedsMore.
 */
export function parseDicom(bytes: Uint8Array, until: "end" | "pixels", whole: boolean): DicomObject {
  const hasMark = String.fromCharCode(...bytes.subarray(MARK_AT, MARK_AT + 4)) === "DICM";
  const head = new Parser(bytes, hasMark ? MARK_AT + 4 : 0, true, true, "end", whole);
  const meta = head.dataSet((tag) => tag >>> 16 === 2);
  const stated = meta.text("TransferSyntaxUID");
  let body = bytes;
  let start = head.at;
  if (stated === TRANSFER_SYNTAXES.deflated) {
    if (!whole) throw new NeedsMore();
    const inflated = inflateRaw(bytes.subarray(start), MOST_INFLATED);
    if (typeof inflated === "string") throw new ImageError(DICOM.broken(inflated));
    body = inflated;
    start = 0;
  }
  const form = formOf(body, start, stated);
  const parser = new Parser(body, start, form.explicit, form.littleEndian, until, whole);
  const data = parser.dataSet();
  if (data.elements.size === 0) throw new ImageError(DICOM.noAttribute);
  return { meta, data, syntax: stated || form.syntax };
}

/** Whether a data set states its types, and its byte order; its first element is asked too. */
function formOf(
  bytes: Uint8Array,
  start: number,
  stated: string,
): { explicit: boolean; littleEndian: boolean; syntax: string } {
  const { implicit, bigEndian, explicit } = TRANSFER_SYNTAXES;
  const type = String.fromCharCode(...bytes.subarray(start + 4, start + 6));
  const isExplicit = /^[A-Z]{2}$/.test(type);
  // Without a statement: groups are small numbers, which look large in the other order.
  const group = (bytes[start] ?? 0) | ((bytes[start + 1] ?? 0) << 8);
  const littleEndian = stated === "" ? group < 0x400 : stated !== bigEndian;
  const syntax = isExplicit ? (littleEndian ? explicit : bigEndian) : implicit;
  return { explicit: isExplicit, littleEndian, syntax };
}

class Parser {
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
    private readonly explicit: boolean,
    private readonly littleEndian: boolean,
    private readonly until: "end" | "pixels",
    private readonly whole: boolean,
    private readonly depth = 0,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (depth > DEEPEST) throw new ImageError(DICOM.broken("sequences within sequences without end"));
  }

  /** Elements up to `end`, the pixels, an end of item, or the first one that is not accepted. */
  dataSet(accepts: (tag: number) => boolean = () => true, end = this.bytes.length): DataSet {
    const elements = new Map<number, Element>();
    while (this.at + 8 <= end) {
      const start = this.at;
      const tag = this.tag();
      if (tag === END_OF_ITEM) {
        this.at += 4;
        break;
      }
      const atPixels = this.until === "pixels" && this.depth === 0 && PIXEL_TAGS.includes(tag);
      if (atPixels || !accepts(tag)) {
        this.at = start;
        return new DataSet(elements, this.littleEndian);
      }
      elements.set(tag, this.element(tag, end));
    }
    if (this.depth === 0 && !this.whole && this.until === "pixels") throw new NeedsMore();
    return new DataSet(elements, this.littleEndian);
  }

  private tag(): number {
    const group = this.view.getUint16(this.at, this.littleEndian);
    const element = this.view.getUint16(this.at + 2, this.littleEndian);
    this.at += 4;
    return ((group << 16) | element) >>> 0;
  }

  private length32(): number {
    if (this.at + 4 > this.bytes.length) {
      this.at = this.bytes.length;
      return this.cutOff(0);
    }
    this.at += 4;
    return this.view.getUint32(this.at - 4, this.littleEndian);
  }

  private element(tag: number, end: number): Element {
    let type = typeOfTag(tag);
    let explicit = this.explicit;
    let length: number;
    if (this.explicit) {
      const letters = String.fromCharCode(this.view.getUint8(this.at), this.view.getUint8(this.at + 1));
      // Some programs change to the implicit form within sequences.
      explicit = letters >= "AA" && letters <= "ZZ";
      if (explicit && letters !== "UN") type = letters;
      if (explicit && LONG.test(letters)) {
        this.at += 4;
        length = this.length32();
      } else if (explicit) {
        length = this.view.getUint16(this.at + 2, this.littleEndian);
        this.at += 4;
      } else {
        length = this.length32();
      }
      // Of an unknown type with undefined length: a sequence in implicit form.
      if (letters === "UN" && length === UNDEFINED) explicit = false;
    } else {
      length = this.length32();
    }
    if (length === UNDEFINED) {
      if (tag === PIXEL_DATA) return { type, value: new Uint8Array(0), fragments: this.fragments() };
      return { type: "SQ", value: new Uint8Array(0), items: this.items(end, explicit) };
    }
    if (this.at + length > this.bytes.length) this.cutOff(0);
    const stop = Math.min(this.at + length, end);
    if (type === "SQ") return { type, value: new Uint8Array(0), items: this.items(stop, explicit) };
    const value = this.bytes.subarray(this.at, stop);
    this.at = stop;
    return { type, value };
  }

  /** A value ends beyond the bytes that are there. */
  private cutOff<T>(instead: T): T {
    if (!this.whole) throw new NeedsMore();
    return instead;
  }

  private items(end: number, explicit: boolean): DataSet[] {
    const items: DataSet[] = [];
    while (this.at + 8 <= end) {
      const tag = this.tag();
      const length = this.length32();
      if (tag === END_OF_SEQUENCE) break;
      if (tag !== ITEM) throw new ImageError(DICOM.broken("a sequence without items"));
      const { bytes, littleEndian, whole } = this;
      const depth = this.depth + 1;
      const inner = new Parser(bytes, this.at, explicit, littleEndian, "end", whole, depth);
      if (length !== UNDEFINED && this.at + length > bytes.length) this.cutOff(0);
      const stop = length === UNDEFINED ? end : Math.min(this.at + length, end);
      items.push(inner.dataSet(undefined, stop));
      this.at = length === UNDEFINED ? inner.at : stop;
    }
    return items;
  }

  private fragments(): Uint8Array[] {
    const fragments: Uint8Array[] = [];
    while (this.at + 8 <= this.bytes.length) {
      const tag = this.tag();
      const length = this.length32();
      if (tag !== ITEM) break;
      const stop = Math.min(this.at + length, this.bytes.length);
      fragments.push(this.bytes.subarray(this.at, stop));
      this.at = stop;
    }
    return fragments;
  }
}

/** First elements of a data set that a file without its head can begin with. */
const FIRST_GROUPS = [0x0002, 0x0008];
const FIRST_TYPES = /^(UL|US|OB|UI|CS|DA|TM|SH|LO|DT|ST|UN)$/;
const LONGEST_FIRST_VALUE = 1024;

/** Whether a file's first 132 bytes are those of DICOM, with or without its head. */
export function looksLikeDicom(start: Uint8Array): boolean {
  if (String.fromCharCode(...start.subarray(MARK_AT, MARK_AT + 4)) === "DICM") return true;
  if (start.length < 16) return false;
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  return [true, false].some((little) => {
    const known = FIRST_GROUPS.includes(view.getUint16(0, little)) && view.getUint16(2, little) <= 0x70;
    const type = String.fromCharCode(...start.subarray(4, 6));
    return known && (FIRST_TYPES.test(type) || view.getUint32(4, little) <= LONGEST_FIRST_VALUE);
  });
}
