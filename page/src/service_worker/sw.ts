/**
 * Keeps the page's files, all of one version, and answers from them: online and offline alike.
 *
 * Its answers carry the two headers that let a page have threads, which few static servers send.
 */

declare const self: ServiceWorkerGlobalScope;

/** Written in front of this program by the export: another version, other bytes, a new worker. */
declare const SITE: {
  /** A digest of all files. */
  readonly version: string;
  /** Paths beside the page. */
  readonly files: readonly string[];
};

const TAKE_OVER = "take over";
const OWN_CACHES = `lightm-unet ${self.registration.scope} `;
const CACHE = OWN_CACHES + SITE.version;
const HOME = "index.html";

self.addEventListener("install", (event) => event.waitUntil(keepAll()));
self.addEventListener("activate", (event) => event.waitUntil(replaceOthers()));
self.addEventListener("message", (event) => {
  if (event.data === TAKE_OVER) void self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(self.registration.scope)) {
    event.respondWith(answer(request));
  }
});

/** All files or none: a failure here leaves the earlier version in its place. */
async function keepAll(): Promise<void> {
  const cache = await caches.open(CACHE);
  // Past the browser's own cache, which might still hold files of the version before.
  await cache.addAll(SITE.files.map((path) => new Request(path, { cache: "reload" })));
}

async function replaceOthers(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith(OWN_CACHES) && name !== CACHE) await caches.delete(name);
  }
  await self.clients.claim();
}

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const path = new URL(request.url);
  path.search = path.hash = "";
  const key = path.href === self.registration.scope ? new URL(HOME, path).href : path.href;
  const kept = await cache.match(key);
  return isolated(kept ?? (await fetch(request)));
}

function isolated(response: Response): Response {
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

export {};
