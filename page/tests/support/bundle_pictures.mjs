/** Prints the reader of pictures as a script for the browser, with the global name `pictures`. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const page = fileURLToPath(new URL("../../", import.meta.url));
const { outputFiles } = await build({
  absWorkingDir: page,
  entryPoints: [join("src", "images/picture/pictures.ts")],
  bundle: true,
  write: false,
  format: "iife",
  globalName: "pictures",
});
process.stdout.write(outputFiles[0].text);
