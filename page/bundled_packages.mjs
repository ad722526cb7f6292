/** How the packages of other authors are built in. */

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";

const NO_CODEC = fileURLToPath(new URL("src/volumes/no_zarr_codec.ts", import.meta.url));

/** 1.4 MB that NiiVue would load for images in chunks on servers. */
export const alias = {
  "numcodecs/blosc": NO_CODEC,
  "numcodecs/lz4": NO_CODEC,
  "numcodecs/zstd": NO_CODEC,
};

/** What the codecs ask for under node only. */
export const external = ["fs", "path"];

/** An imported .wasm file is text: deflated, then base64; a third of what its bytes would take. */
export const packedWasm = {
  name: "packed-wasm",
  setup({ onLoad }) {
    onLoad({ filter: /\.wasm$/ }, async ({ path }) => ({
      contents: deflateRawSync(await readFile(path), { level: 9 }).toString("base64"),
      loader: "text",
    }));
  },
};
