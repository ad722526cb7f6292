/** TypeScript for tests in node: a module of `src` and all that it imports, as one module. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { build } from "esbuild";

import { packedWasm } from "../../bundled_packages.mjs";

const page = fileURLToPath(new URL("../../", import.meta.url));

/** @param {string} path below `src`, such as "images/nifti.ts". */
export async function load(path) {
  const folder = await mkdtemp(join(tmpdir(), "lightm-unet-page-"));
  const outfile = join(folder, "module.mjs");
  try {
    await build({
      absWorkingDir: page,
      entryPoints: [join("src", path)],
      outfile,
      bundle: true,
      format: "esm",
      target: "es2022",
      platform: "node", // the codecs look for node's own modules
      banner: {
        js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url); const __filename = "", __dirname = "";',
      },
      define: { ONE_FILE: "false", WORKER_SOURCE: '""' },
      plugins: [packedWasm],
      logLevel: "error",
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    await rm(folder, { recursive: true });
  }
}
