/**
 * Builds the page into src/lightm_unet/deploy/site/, from which `lightm-unet export` takes it.
 *
 *   index.html, app.js, *.css, chunks/, worker.js, sw.js   the page as a folder
 *   one_file.html                                          the page in one file, for flat images
 *   engine/                                                WebAssembly; built before (see Makefile)
 *   licences.txt                                           of the packages that are built in
 *   build.json                                             digests of all sources and of all files
 *
 * The same sources give the same bytes. {{marks}} that are left are filled in by the export.
 */

import { alias, external, packedWasm } from "./bundled_packages.mjs";
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const PAGE = fileURLToPath(new URL(".", import.meta.url));
const SITE = join(PAGE, "../src/lightm_unet/deploy/site");
const SOURCES = [
  "src",
  "build.mjs",
  "bundled_packages.mjs",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
];
/** As old as WebAssembly with SIMD is in each browser. */
const TARGET = ["chrome91", "firefox89", "safari16.4"];

const SHARED = {
  bundle: true,
  minify: true,
  metafile: true,
  write: false,
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  target: TARGET,
  absWorkingDir: PAGE,
  outdir: SITE,
  alias,
  external,
  plugins: [packedWasm],
};

const worker = await build({
  ...SHARED,
  entryPoints: { worker: "src/engine/worker.ts" },
  format: "iife",
});
const folder = await build({
  ...SHARED,
  entryPoints: { app: "src/main.ts", style: "src/style.css" },
  format: "esm",
  splitting: true,
  chunkNames: "chunks/[name]-[hash]",
  assetNames: "chunks/[name]-[hash]",
  define: { ONE_FILE: "false", WORKER_SOURCE: '""' },
});
const serviceWorker = await build({
  ...SHARED,
  entryPoints: { sw: "src/service_worker/sw.ts" },
  format: "iife",
});
const oneFile = await build({
  ...SHARED,
  entryPoints: { app: "src/main.ts", style: "src/style.css" },
  format: "iife",
  define: { ONE_FILE: "true", WORKER_SOURCE: JSON.stringify(textOf(worker, "worker.js")) },
});

const files = new Map();
for (const result of [worker, folder, serviceWorker]) {
  for (const { path, contents } of result.outputFiles) {
    files.set(relative(SITE, path).split(sep).join("/"), Buffer.from(contents));
  }
}
files.set("index.html", await folderPage());
files.set("one_file.html", await onePage());
files.set("licences.txt", Buffer.from(await licences([worker, folder, serviceWorker, oneFile])));
files.set("icon.svg", await readFile(join(PAGE, "src/icon.svg")));
await write(files);

function textOf(result, name) {
  const file = result.outputFiles.find(({ path }) => path.endsWith(`${sep}${name}`));
  return file.text;
}

function sha256(content, encoding = "hex") {
  return createHash("sha256").update(content).digest(encoding);
}

/** No other host, no inline script, no form: whatever a file holds, it cannot make the page send. */
async function folderPage() {
  return filled({
    policy: [
      "default-src 'none'",
      "script-src 'self' 'wasm-unsafe-eval'",
      "worker-src 'self' blob:",
      "style-src 'self'",
      "img-src 'self' blob: data:",
      "font-src 'self' data:",
      "connect-src 'self' blob: data:",
      "base-uri 'none'",
      "form-action 'none'",
    ].join("; "),
    head: [
      '<link rel="icon" href="icon.svg" />',
      '<link rel="stylesheet" href="style.css" />',
      '<script type="module" src="app.js"></script>',
    ].join("\n    "),
    body: await texts([worker, folder, serviceWorker]),
  });
}

async function onePage() {
  // No "</script>" within the script, whichever texts it holds.
  const script = textOf(oneFile, "app.js").replaceAll("</script", "<\\/script");
  const style = textOf(oneFile, "style.css");
  const icon = (await readFile(join(PAGE, "src/icon.svg"))).toString("base64");
  return filled({
    policy: [
      "default-src 'none'",
      `script-src 'sha256-${sha256(script, "base64")}' 'wasm-unsafe-eval'`,
      "worker-src blob:",
      `style-src 'sha256-${sha256(style, "base64")}'`,
      "img-src blob: data:",
      "base-uri 'none'",
      "form-action 'none'",
    ].join("; "),
    head: `<link rel="icon" href="data:image/svg+xml;base64,${icon}" />\n    <style>${style}</style>`,
    body: `${await texts([worker, oneFile])}\n    {{blocks}}\n    <script>${script}</script>`,
  });
}

/** What the page's dialogs show. */
async function texts(results) {
  const notices = (await licences(results)).replace(/[&<]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return [
    '<template id="model-card">{{card}}</template>',
    `<template id="licences"><pre>${notices}</pre></template>`,
  ].join("\n    ");
}

async function filled(parts) {
  let html = await readFile(join(PAGE, "src/index.html"), "utf8");
  for (const [name, text] of Object.entries(parts)) html = html.replace(`{{${name}}}`, () => text);
  return html;
}

/** Name, version and licence of every package of which something was built in. */
async function licences(results) {
  const packages = new Set();
  for (const { metafile } of results) {
    for (const path of Object.keys(metafile.inputs)) {
      const found = [...path.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)];
      if (found.length > 0) packages.add(path.slice(0, found.at(-1).index + found.at(-1)[0].length));
    }
  }
  const own = await readFile(join(PAGE, "../LICENSE"), "utf8");
  const parts = [`LightM-UNet (Apache-2.0)\n\n${own.trim()}`];
  for (const path of [...packages].sort()) {
    const folder = join(PAGE, path);
    const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json")));
    const notices = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
    const texts = await Promise.all(notices.map((file) => readFile(join(folder, file), "utf8")));
    parts.push([`${name} ${version} (${license})`, ...texts.map((text) => text.trim())].join("\n\n"));
  }
  return parts.join(`\n${"-".repeat(72)}\n`) + "\n";
}

/** Replaces the folder's files, but for the engine, and writes what they were made from. */
async function write(built) {
  await mkdir(SITE, { recursive: true });
  for (const name of await readdir(SITE)) {
    if (name !== "engine") await rm(join(SITE, name), { recursive: true });
  }
  for (const [name, content] of built) {
    await mkdir(join(SITE, name, ".."), { recursive: true });
    await writeFile(join(SITE, name), content);
  }
  const sources = {};
  for (const root of SOURCES) {
    for (const path of await filesUnder(join(PAGE, root))) {
      sources[relative(PAGE, path).split(sep).join("/")] = sha256(await readFile(path));
    }
  }
  const digests = {};
  for (const [name, content] of [...built].sort()) digests[name] = sha256(content);
  const record = { sources: sorted(sources), files: sorted(digests) };
  await writeFile(join(SITE, "build.json"), JSON.stringify(record, null, 2) + "\n");
}

async function filesUnder(path) {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => null);
  if (entries === null) return [path];
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function sorted(record) {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
