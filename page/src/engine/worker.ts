/** The program of all workers: the first runs the network, the others help it. */

import { help, Kernels, KernelsError } from "./kernels";
import type { Answer, OpenRequest, Request } from "./messages";

interface WorkerScope {
  onmessage: ((event: { readonly data: Request }) => void) | null;
  postMessage(answer: Answer, transfer?: readonly ArrayBuffer[]): void;
}

const scope = self as unknown as WorkerScope;
let kernels: Kernels | null = null;
let threads = 1;

scope.onmessage = ({ data }) => {
  answer(data).catch((error: unknown) => {
    const sentence = error instanceof Error ? error.message : String(error);
    const { byImage, broken } =
      error instanceof KernelsError ? error : { byImage: false, broken: true };
    scope.postMessage({ kind: "failed", sentence, byImage, broken });
  });
};

async function answer(request: Request): Promise<void> {
  switch (request.kind) {
    case "open":
      return open(request);
    case "help":
      return help(request.module, request.memory, request.place);
    case "segment": {
      if (kernels === null) throw new Error("no model has been opened");
      const { labels, unlike } = kernels.segment(request.values, request.shape, request.affine, threads);
      scope.postMessage({ kind: "segmented", labels, unlike }, [labels.buffer]);
    }
  }
}

async function open(request: OpenRequest): Promise<void> {
  threads = request.threads;
  kernels = await Kernels.start(request, (done) => scope.postMessage({ kind: "progress", done }));
  const helpers = kernels.placesForHelpers(threads - 1);
  const description = kernels.open(request.json, request.weights);
  scope.postMessage({ kind: "opened", description, helpers });
}
