/**
 * The cases, segmented one after the other: by one engine that keeps its model loaded, or by the
 * server that sent the page.
 *
 * Only the images looked at last stay in memory; others are read again when they are shown.
 */

import type { Engine, ModelDescription, Segmentation } from "../engine/engine";
import { ColourError, ImageError, type MedicalImage } from "../images/image";
import { greySource } from "../images/picture/pictures";
import type { ImageSource } from "../images/reader";
import { ServerError, type ServerNetwork } from "../server/server_network";
import type { Case } from "./case";
import { measure } from "./measures";
import { packLabels } from "./run_lengths";
import { APP, IMAGES } from "./texts";
import { uniqueName } from "./unique_name";

const KEPT_BYTES = 256_000_000;

/** Labels, and which computer found them. */
type Done = readonly [found: Segmentation, computer: string];

export class Worklist {
  readonly cases: Case[] = [];
  /** Segments the cases from now on; null for this device's own engine. */
  server: ServerNetwork | null = null;
  private engine: Engine | null = null;
  private readonly recent: Case[] = [];
  private current: { readonly item: Case; readonly stop: AbortController } | null = null;
  private isRunning = false;
  private nextId = 1;

  /**
   * @param openEngine loads the model; called again after the engine has broken down.
   * @param changed called with the case that changed, or null for the list itself.
   */
  constructor(
    readonly model: ModelDescription,
    private readonly openEngine: () => Promise<Engine>,
    private readonly changed: (item: Case | null) => void,
  ) {}

  add(sources: readonly ImageSource[]): readonly Case[] {
    const names = this.cases.map(({ name }) => name);
    const added = sources.map((source): Case => {
      const name = uniqueName(source.name, names);
      names.push(name);
      return {
        id: this.nextId++,
        name,
        source,
        state: "waiting",
        progress: 0,
        problem: null,
        mayRetry: false,
        asGrey: null,
        image: null,
        result: null,
      };
    });
    this.cases.push(...added);
    this.changed(null);
    void this.run();
    return added;
  }

  /** Puts a case at the end of the queue, from another source where one is given. */
  again(item: Case, source: ImageSource = item.source): void {
    Object.assign(item, { source, state: "waiting", problem: null, asGrey: null, result: null });
    this.forget(item);
    this.changed(item);
    void this.run();
  }

  remove(item: Case): void {
    if (this.current?.item === item) this.current.stop.abort();
    const index = this.cases.indexOf(item);
    if (index >= 0) this.cases.splice(index, 1);
    this.forget(item);
    this.changed(null);
  }

  clear(): void {
    for (const item of [...this.cases]) this.remove(item);
  }

  /** Ends the case that is being segmented; the others go on. */
  cancel(): void {
    this.current?.stop.abort();
  }

  /** The case's image, read again where it was let go. */
  async imageOf(item: Case): Promise<MedicalImage> {
    const image = item.image ?? (await item.source.load());
    item.image = image;
    this.keep(item);
    return image;
  }

  private async run(): Promise<void> {
    if (this.isRunning) return;
    this.isRunning = true;
    for (;;) {
      const item = this.cases.find(({ state }) => state === "waiting");
      if (!item) break;
      await this.segment(item);
    }
    this.isRunning = false;
  }

  private async segment(item: Case): Promise<void> {
    const stop = new AbortController();
    this.current = { item, stop };
    try {
      this.move(item, { state: "reading", progress: 0 });
      const image = await this.imageOf(item);
      // A slice with a place is a volume of one slice for a model of volumes.
      const isSlice = image.shape.length === 2 && image.affine !== null;
      if (image.shape.length !== this.model.dims && !(isSlice && this.model.dims === 3)) {
        throw new ImageError(IMAGES.otherDims(image.shape.length));
      }
      stop.signal.throwIfAborted();
      const [segmentation, computer] = await (this.server
        ? this.segmentThere(this.server, item, image, stop.signal)
        : this.segmentHere(item, image, stop.signal));
      const { labels, unlike, seconds } = segmentation;
      const result = {
        labels: packLabels(labels),
        shape: image.shape,
        measures: measure(image, labels, this.model),
        unlike,
        seconds,
        computer,
        remarks: image.remarks,
      };
      this.move(item, { state: "done", progress: 1, result });
    } catch (error) {
      this.fail(item, error);
    } finally {
      this.current = null;
    }
  }

  private async segmentHere(item: Case, image: MedicalImage, signal: AbortSignal): Promise<Done> {
    this.move(item, { state: "running" });
    this.engine ??= await this.openEngine();
    const onProgress = (progress: number): void => this.move(item, { progress });
    const found = await this.engine.segment(image, { signal, onProgress });
    return [found, APP.result.onDevice(this.engine.build)];
  }

  private async segmentThere(
    server: ServerNetwork,
    item: Case,
    image: MedicalImage,
    signal: AbortSignal,
  ): Promise<Done> {
    this.move(item, { state: "sending", progress: 0 });
    const file = await item.source.upload();
    signal.throwIfAborted();
    const onSent = (sent: number): void =>
      this.move(item, sent < 1 ? { progress: sent } : { state: "running", progress: 0 });
    const found = await server.segment(file, image, { signal, onSent });
    return [found, APP.computer.server(server.host)];
  }

  private fail(item: Case, error: unknown): void {
    if (error instanceof DOMException && error.name === "AbortError") {
      this.move(item, { state: "cancelled" });
      return;
    }
    if (error instanceof ColourError) {
      item.asGrey = greySource(item.name, error.file, this.model);
    }
    if (!(error instanceof ImageError)) {
      // Whatever the engine holds now is not to be trusted, and its memory comes back.
      this.engine?.close();
      this.engine = null;
    }
    const reason = error instanceof Error ? error.message : String(error);
    const problem = error instanceof ImageError ? reason : APP.problems.unexpected(reason);
    const mayRetry = error instanceof ServerError;
    this.move(item, { state: "failed", problem: withoutName(problem, item.name), mayRetry });
  }

  private move(item: Case, change: Partial<Case>): void {
    Object.assign(item, change);
    if (this.cases.includes(item)) this.changed(item);
  }

  /** Keeps this image, and lets go those that were looked at longest ago. */
  private keep(item: Case): void {
    this.recent.splice(0, this.recent.length, ...this.recent.filter((each) => each !== item), item);
    const bytes = (): number =>
      this.recent.reduce((sum, { image }) => sum + (image?.values.byteLength ?? 0), 0);
    while (this.recent.length > 1 && bytes() > KEPT_BYTES) this.forget(this.recent[0]!);
  }

  private forget(item: Case): void {
    item.image = null;
    const index = this.recent.indexOf(item);
    if (index >= 0) this.recent.splice(index, 1);
  }
}

/** A message without the file's name in front, which stands beside it anyway. */
function withoutName(message: string, name: string): string {
  const rest = message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message;
  return rest.charAt(0).toUpperCase() + rest.slice(1) + (/[.!?]$/.test(rest) ? "" : ".");
}
