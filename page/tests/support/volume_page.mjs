/** Builds the page of volume_page.ts into a folder: `node volume_page.mjs FOLDER`. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { alias, external } from "../../bundled_packages.mjs";

const folder = process.argv[2];
const page = fileURLToPath(new URL("../../", import.meta.url));
await build({
  absWorkingDir: page,
  entryPoints: { app: "tests/support/volume_page.ts", style: "src/style.css" },
  outdir: folder,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  alias,
  external,
  define: { ONE_FILE: "false", WORKER_SOURCE: '""' },
  logLevel: "error",
});
// The policy of the page itself: see folderPage() in build.mjs.
const policy =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; " +
  "style-src 'self'; img-src 'self' blob: data:; font-src 'self' data:; " +
  "connect-src 'self' blob: data:; base-uri 'none'; form-action 'none'";
await writeFile(
  join(folder, "index.html"),
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Volume</title>
<meta http-equiv="Content-Security-Policy" content="${policy}">
<link rel="stylesheet" href="style.css"></head>
<body><script type="module" src="app.js"></script></body></html>`,
);
