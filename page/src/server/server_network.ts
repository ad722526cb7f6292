/**
 * The network of the server that sent this page: an image's file goes there, its mask comes back.
 *
 * The page still reads the image, to show it and to measure in it.
 */

import { APP } from "../app/texts";
import type { Segmentation } from "../engine/engine";
import { ImageError, type MedicalImage } from "../images/image";
import { labelsOf, type EncodedFile } from "./mask_of_server";
import { askForToken, forgetToken, knownToken } from "./token";

/** The server did not do it; another time it may. */
export class ServerError extends ImageError {}

export interface ServerOptions {
  readonly signal: AbortSignal;
  /** Called with 0 to 1 while the file is sent; 1 when the server has all of it. */
  readonly onSent: (sent: number) => void;
}

/** Of the server's JSON, what the page uses. */
interface Prediction {
  readonly mask: EncodedFile;
  readonly likeness: {
    readonly unlike: boolean;
    readonly score: number;
    readonly limit: number;
    readonly most_unusual: string;
  } | null;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

const [UNAUTHORIZED, NOT_BY_IMAGE] = [401, [408, 429, 500, 502, 503, 504]];

export class ServerNetwork {
  /** For people: the computer that images are sent to. */
  readonly host = location.host;
  private most: number | null = null;

  /** @param model the server's name for it. */
  constructor(private readonly model: string) {}

  /**
   * Segments an image there.
   *
   * @param file what is sent; its name is not.
   * @param image the same, as the page has read it.
   * @throws ImageError the server's sentence; ServerError where the image is not at fault.
   */
  async segment(file: Blob, image: MedicalImage, options: ServerOptions): Promise<Segmentation> {
    const started = performance.now();
    await this.checkSize(file, options);
    const form = new FormData();
    form.append("image", file, "image");
    form.append("model", this.model);
    form.append("response", "json");
    if (image.kind === "dicom") form.append("output", "nifti");
    const { mask, likeness } = (await this.ask("POST", "/v1/predict", options, form)) as Prediction;
    const unlike = likeness?.unlike
      ? { score: likeness.score, limit: likeness.limit, mostUnusual: likeness.most_unusual }
      : null;
    const labels = await labelsOf(mask, image.shape);
    return { labels, unlike, seconds: (performance.now() - started) / 1000 };
  }

  /** Asks for the token too, where the server needs it, before a large file is sent in vain. */
  private async checkSize(file: Blob, options: ServerOptions): Promise<void> {
    if (this.most === null) {
      const about = (await this.ask("GET", "/v1/models", options)) as { most_upload_bytes: number };
      this.most = about.most_upload_bytes;
    }
    if (file.size > this.most) throw new ImageError(APP.computer.tooLarge(file.size, this.most));
  }

  private async ask(
    method: string,
    path: string,
    options: ServerOptions,
    form?: FormData,
  ): Promise<unknown> {
    let { status, text } = await send(method, path, options, form);
    while (status === UNAUTHORIZED) {
      forgetToken();
      if ((await askForToken(options.signal)) === null) {
        options.signal.throwIfAborted();
        throw new ServerError(APP.computer.noToken);
      }
      ({ status, text } = await send(method, path, options, form));
    }
    const answer = parsed(text);
    if (status === 200 && answer !== null) return answer;
    const { detail } = (answer ?? {}) as { detail?: unknown };
    const sentence = typeof detail === "string" ? detail : APP.computer.noAnswer(this.host);
    const byServer = typeof detail !== "string" || NOT_BY_IMAGE.includes(status);
    throw new (byServer ? ServerError : ImageError)(sentence);
  }
}

/** One request. `fetch` does not tell how much of a file has been sent. */
function send(
  method: string,
  path: string,
  { signal, onSent }: ServerOptions,
  form?: FormData,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = (): void => {
      request.abort();
      reject(signal.reason);
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort);
    request.open(method, path);
    const token = knownToken();
    if (token !== null) request.setRequestHeader("Authorization", `Bearer ${token}`);
    if (form) {
      request.upload.onprogress = ({ loaded, total }) => onSent(total > 0 ? loaded / total : 0);
      request.upload.onload = () => onSent(1);
    }
    request.onload = () => resolve({ status: request.status, text: request.responseText });
    request.onerror = () => reject(new ServerError(APP.computer.noAnswer(location.host)));
    request.onloadend = () => signal.removeEventListener("abort", abort);
    request.send(form ?? null);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null; // a proxy's own page
  }
}
