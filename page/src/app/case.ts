/** One image from its file to its result. */

import type { Segmentation } from "../engine/engine";
import type { MedicalImage } from "../images/image";
import type { ImageSource } from "../images/reader";
import type { Measure } from "./measures";
import type { RunLengths } from "./run_lengths";

export type CaseState =
  | "waiting"
  | "reading"
  | "sending"
  | "running"
  | "done"
  | "failed"
  | "cancelled";

export interface CaseResult {
  readonly labels: RunLengths;
  readonly shape: readonly number[];
  readonly measures: readonly Measure[];
  readonly unlike: Segmentation["unlike"];
  readonly seconds: number;
  /** For people: which computer did it. */
  readonly computer: string;
  readonly remarks: readonly string[];
}

export interface Case {
  readonly id: number;
  readonly name: string;
  source: ImageSource;
  state: CaseState;
  /** From 0 to 1, while it is sent or segmented. */
  progress: number;
  /** Why it failed; null if it did not. */
  problem: string | null;
  /** Whether the same may go well another time. */
  mayRetry: boolean;
  /** Reads it as grey, where its colours are the problem. */
  asGrey: ImageSource | null;
  /** null where it is not read, or was let go to save memory. */
  image: MedicalImage | null;
  result: CaseResult | null;
}

/** Whether a case is being worked on, or will be. */
export function isUnsettled({ state }: Case): boolean {
  return !["done", "failed", "cancelled"].includes(state);
}
