/** Starts the network's workers, and starts them anew after a case was cancelled or went wrong. */

import { ImageError, type MedicalImage } from "../images/image";
import { type Build, canRun, chooseBuild } from "./builds";
import type { Engine, ModelDescription, ModelFiles, Segmentation, SegmentOptions } from "./engine";
import { newSharedMemory } from "./kernels";
import type { Answer, OpenRequest, Request } from "./messages";

export { canRun };

/** Where the compiled kernels and the workers' program come from. */
export interface EngineSource {
  /** The bytes of one of the builds. */
  kernel(name: string): Promise<ArrayBuffer>;
  startWorker(): Worker;
}

/**
 * Loads the kernels that suit this browser, and the model.
 *
 * @throws Error with a sentence, where the model is damaged or cannot be run.
 */
export async function openEngine(
  files: ModelFiles,
  source: EngineSource,
  build: Build = chooseBuild(),
): Promise<Engine> {
  const module = await WebAssembly.compile(await source.kernel(build.name));
  const start = (): Promise<Team> => Team.start(module, files, source, build);
  return new RestartingEngine(await start(), start, build.words);
}

/** Aborting ends the workers, whatever they are doing; the next image finds new ones. */
class RestartingEngine implements Engine {
  readonly description: ModelDescription;
  private team: Team | null;

  constructor(
    team: Team,
    private readonly start: () => Promise<Team>,
    readonly build: string,
  ) {
    this.team = team;
    this.description = team.description;
  }

  async segment(image: MedicalImage, options: SegmentOptions = {}): Promise<Segmentation> {
    const { signal, onProgress } = options;
    this.checkChannels(image);
    signal?.throwIfAborted();
    const started = performance.now();
    if (this.team === null || this.team.isOver) this.team = await this.start();
    signal?.throwIfAborted();
    const { team } = this;
    const abort = (): void => this.end(team, signal?.reason);
    signal?.addEventListener("abort", abort);
    try {
      const { shape, values, affine } = image;
      const result = await team.ask({ kind: "segment", shape, values, affine }, onProgress);
      if (result.kind !== "segmented") throw new Error(`the network's worker said "${result.kind}"`);
      const { labels, unlike } = result;
      return { labels, unlike, seconds: (performance.now() - started) / 1000 };
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  close(): void {
    if (this.team) this.end(this.team, new DOMException("the network was closed", "AbortError"));
  }

  private end(team: Team, reason: unknown): void {
    team.end(reason);
    if (this.team === team) this.team = null;
  }

  /** The kernels refuse all else that does not fit, but they are handed numbers alone. */
  private checkChannels({ channels }: MedicalImage): void {
    const expected = this.description.channels;
    if (channels === expected) return;
    const advice = "open an image like those that it was trained on";
    throw new ImageError(`found ${channels} channels; expected ${expected}, as the model takes; ${advice}`);
  }
}

/** The worker that runs the network, and those that help it. */
class Team {
  /** Whether it can't be asked any more. */
  isOver = false;
  private readonly workers: Worker[] = [];
  private waiting: { resolve(answer: Answer): void; reject(reason: unknown): void } | null = null;
  private onProgress: ((done: number) => void) | undefined;
  private opened: ModelDescription | null = null;

  private constructor(private readonly source: EngineSource) {}

  static async start(
    module: WebAssembly.Module,
    { json, weights }: ModelFiles,
    source: EngineSource,
    { name, threads }: Build,
  ): Promise<Team> {
    const team = new Team(source);
    try {
      const memory = name.endsWith("-threads") ? newSharedMemory() : null;
      const lead = team.addWorker();
      const others = Array.from({ length: threads - 1 }, () => team.addWorker());
      const request: OpenRequest = { kind: "open", module, memory, json, weights, threads };
      const answer = await team.ask(request, undefined, lead);
      if (answer.kind !== "opened") throw new Error(`the network's worker said "${answer.kind}"`);
      team.opened = answer.description;
      others.forEach((worker, index) => {
        const place = answer.helpers[index];
        if (memory && place) worker.postMessage({ kind: "help", module, memory, place } satisfies Request);
      });
      return team;
    } catch (error) {
      team.end(error);
      throw error;
    }
  }

  get description(): ModelDescription {
    if (this.opened === null) throw new Error("no model has been opened");
    return this.opened;
  }

  /** One question at a time. */
  ask(
    request: Request,
    onProgress?: (done: number) => void,
    lead: Worker | undefined = this.workers[0],
  ): Promise<Answer> {
    if (this.isOver || this.waiting) {
      return Promise.reject(new Error("the network is busy with another image"));
    }
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.onProgress = onProgress;
      lead?.postMessage(request);
    });
  }

  /** Ends all workers, and gives their memory back. */
  end(reason: unknown): void {
    this.isOver = true;
    for (const worker of this.workers) worker.terminate();
    this.settle()?.reject(reason);
  }

  private addWorker(): Worker {
    const worker = this.source.startWorker();
    worker.onmessage = ({ data }: MessageEvent<Answer>) => this.hear(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.end(new Error(`the network's worker failed: ${event.message || "its program could not be loaded"}`));
    };
    this.workers.push(worker);
    return worker;
  }

  private hear(answer: Answer): void {
    if (answer.kind === "progress") {
      this.onProgress?.(answer.done);
    } else if (answer.kind === "failed") {
      const error = new (answer.byImage ? ImageError : Error)(answer.sentence);
      if (answer.broken) this.end(error);
      else this.settle()?.reject(error);
    } else {
      this.settle()?.resolve(answer);
    }
  }

  private settle(): Team["waiting"] {
    const { waiting } = this;
    this.waiting = null;
    this.onProgress = undefined;
    return waiting;
  }
}
