/** Where the model, the kernels and the worker come from: files beside the page, or within it. */

import type { ModelFiles } from "../engine/engine";
import { APP } from "./texts";

export interface Site {
  model(): Promise<ModelFiles>;
  /** One of the built kernels, such as "simd". */
  kernel(name: string): Promise<ArrayBuffer>;
  startWorker(): Worker;
}

export const site: Site = ONE_FILE
  ? {
      model: async () => ({
        json: new TextDecoder().decode(await within("model.json")),
        weights: await within("model.safetensors"),
      }),
      kernel: (name) => within(`${name}.wasm`),
      startWorker: () => {
        const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" }));
        try {
          return new Worker(url);
        } finally {
          URL.revokeObjectURL(url);
        }
      },
    }
  : {
      model: async () => {
        const [json, weights] = await Promise.all([
          beside("model/model.json"),
          beside("model/model.safetensors"),
        ]);
        return { json: new TextDecoder().decode(json), weights };
      },
      kernel: (name) => beside(`engine/${name}.wasm`),
      startWorker: () => new Worker(new URL("worker.js", document.baseURI)),
    };

async function beside(path: string): Promise<ArrayBuffer> {
  const address = new URL(path, document.baseURI);
  const response = await fetch(address).catch(() => {
    throw new Error(APP.problems.notKept(address.host));
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

/** A block of the page with this name: compressed, and then in base64. */
async function within(name: string): Promise<ArrayBuffer> {
  const block = document.querySelector(`script[type="application/zlib"][data-name="${name}"]`);
  if (!block?.textContent) throw new Error(`this file lacks ${name}`);
  const packed = Uint8Array.from(atob(block.textContent), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(unpacked).arrayBuffer();
}
