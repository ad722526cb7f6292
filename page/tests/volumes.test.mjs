/** Small parts of the readers and writers of volumes, on numbers that can be worked out by hand. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { load } from "./support/bundle.mjs";

const text = await load("images/python_text.ts");
const { GzipBytes } = await load("images/gzip.ts");
const geometry = await load("images/geometry.ts");
const { decodeRle } = await load("images/dicom/codecs/rle.ts");
const { compressedFrames } = await load("images/dicom/encapsulated.ts");
const { statedSize } = await load("images/dicom/codestream.ts");
const { decimal, encode } = await load("writers/dicom/encode.ts");
const { cielab } = await load("writers/dicom/cielab.ts");
const { firstLook } = await load("volumes/crosshair.ts");

const affine = (...rows) => Float64Array.from([...rows.flat(), 0, 0, 0, 1]);

test("numbers are written as Python's {:g} writes them", () => {
  const cases = [
    ...[[0, "0"], [-0, "-0"], [1, "1"], [0.5, "0.5"], [1e-5, "1e-05"], [123456, "123456"]],
    ...[[1234567, "1.23457e+06"], [0.0001234567, "0.000123457"], [1e13, "1e+13"], [-2.5, "-2.5"]],
    ...[[NaN, "nan"], [Infinity, "inf"], [-Infinity, "-inf"], [999999.5, "1e+06"]],
  ];
  for (const [value, expected] of cases) assert.equal(text.short(value), expected);
  assert.equal(text.short(2.34567, 3), "2.35");
});

test("shapes and bytes are written as Python writes them", () => {
  assert.equal(text.tuple([4, 5]), "(4, 5)");
  assert.equal(text.tuple([4]), "(4,)");
  assert.equal(text.bytesText(Uint8Array.of(110, 43, 39, 0, 10, 255)), `b"n+'\\x00\\n\\xff"`);
});

test("a gzip stream is read in pieces of any size", () => {
  const content = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >> 3);
  const stream = new GzipBytes(new Uint8Array(gzipSync(content)));
  const read = [];
  for (let size = 1; ; size = (size * 7) % 10_007) {
    const piece = new Uint8Array(size);
    const got = stream.read(piece);
    read.push(...piece.subarray(0, got));
    if (got < size) break;
  }
  assert.deepEqual(Uint8Array.from(read), content);
});

test("the closest world axes do not depend on a shear or on who comes first", () => {
  assert.deepEqual(geometry.worldAxes(affine([0, 2, 0, 0], [0, 0, 3, 0], [4, 0, 0, 0])), [2, 0, 1]);
  assert.deepEqual(geometry.worldAxes(affine([1, 0.9, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0])), [0, 1, 2]);
});

test("a voxel is as large as its whole matrix says", () => {
  const tilted = affine([1, 0, 0, 0], [0, 2, 3, 0], [0, 0, 4, 0]);
  const volume = { shape: [5, 5, 5], affine: tilted, spacingMm: [1, 2, 5] };
  assert.equal(geometry.voxelSize(volume), 8); // 10 by the edges
  assert.equal(geometry.voxelSize({ shape: [5, 5], affine: null, spacingMm: [0.5, 2] }), 1);
  assert.equal(geometry.voxelSize({ shape: [5, 5], affine: null, spacingMm: null }), null);
});

test("runs and literals of RLE, most significant bytes first", () => {
  const header = new Uint8Array(64);
  new DataView(header.buffer).setUint32(0, 2, true);
  new DataView(header.buffer).setUint32(4, 64, true);
  new DataView(header.buffer).setUint32(8, 66, true);
  const stream = Uint8Array.of(...header, 254, 7, 2, 1, 2, 3); // 3 times 7; then 1, 2, 3
  assert.deepEqual(decodeRle(stream, 3, 1, 2), Uint8Array.of(1, 7, 2, 7, 3, 7));
  assert.throws(() => decodeRle(stream.subarray(0, 68), 3, 1, 2), /cut off/);
});

test("fragments are joined to frames by offsets, by count, or by end markers", () => {
  const empty = new Uint8Array(0);
  const end = Uint8Array.of(1, 2, 0xff, 0xd9);
  const part = Uint8Array.of(3, 4);
  const lengths = (parts, total) => compressedFrames(parts, total).map(({ length }) => length);
  assert.deepEqual(lengths([empty, part, part, end], 1), [8]);
  assert.deepEqual(lengths([empty, end, end], 2), [4, 4]);
  assert.deepEqual(lengths([empty, part, end, part, part, end], 2), [6, 8]);
  const offsets = Uint8Array.of(0, 0, 0, 0, 22, 0, 0, 0); // two items of 8 bytes and their content
  assert.deepEqual(lengths([offsets, part, end, part], 2), [6, 2]);
  assert.throws(() => lengths([empty, end], 2), /1 compressed frame/);
});

test("a frame's own size is found without decoding it", () => {
  const jpeg = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 4, 9, 9, 0xff, 0xc0, 0, 11, 8, 0, 16, 0, 32, 1);
  assert.deepEqual(statedSize(jpeg), { rows: 16, columns: 32, precision: 8 });
  assert.equal(statedSize(Uint8Array.of(1, 2, 3)), null);
});

test("DICOM's decimal texts have 16 characters at most", () => {
  const values = [0, 1, -0.1, 1 / 3, -1 / 3, 1e-20 / 3, -123456.789012345, 2 ** 70, -1e100 / 3];
  for (const value of values) {
    const written = decimal(value);
    assert.ok(written.length <= 16, written);
    assert.ok(Math.abs(Number(written) - value) <= 1e-9 * Math.abs(value), written);
  }
});

test("attributes are sorted, padded and give their length", () => {
  const bytes = encode([
    [0x00280010, "US", [258]],
    [0x00080016, "UI", "1.2"],
  ]);
  assert.deepEqual([...bytes], [
    ...[8, 0, 0x16, 0, 0x55, 0x49, 4, 0, 0x31, 0x2e, 0x32, 0],
    ...[0x28, 0, 0x10, 0, 0x55, 0x53, 2, 0, 2, 1],
  ]);
});

test("white and black in CIELab", () => {
  const [lightness, a, b] = cielab([255, 255, 255]);
  assert.equal(lightness, 65535);
  assert.ok(Math.abs(a - 32896) < 10 && Math.abs(b - 32896) < 10);
  assert.equal(cielab([0, 0, 0])[0], 0);
});

test("the first look is at the fullest planes, or at the centre", () => {
  const labels = new Uint8Array(4 * 5 * 6);
  labels[(2 * 5 + 1) * 6 + 3] = labels[(2 * 5 + 1) * 6 + 4] = labels[(2 * 5 + 3) * 6 + 4] = 1;
  assert.deepEqual(firstLook(labels, [4, 5, 6]), [2, 1, 4]);
  assert.deepEqual(firstLook(null, [4, 5, 6]), [1, 2, 2]);
});
