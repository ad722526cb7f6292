/** What the shell needs of a viewer: one for pictures and slices, one for volumes. */

import type { ModelDescription, Segmentation } from "../engine/engine";
import type { MedicalImage } from "../images/image";

export interface Viewer {
  /** Switches of its own, which the shell puts beside its overlay's slider. */
  readonly controls?: HTMLElement;
  /**
   * Shows an image, with a segmentation's labels over it where there is one.
   *
   * What was shown before is let go first, so that one case's memory is held at a time. The promise
   * is kept when the image can be seen.
   */
  show(
    image: MedicalImage,
    segmentation: Segmentation | null,
    description: ModelDescription,
  ): Promise<void>;
  /** Of the labels: 0 for none, 1 for opaque. Kept for the next case. */
  setOpacity(opacity: number): void;
  /** What is seen, as PNG. */
  snapshot(): Promise<Blob>;
  /** Takes the viewer out of the page and gives its memory back, the graphics card's too. */
  dispose(): void;
}

/** Puts a viewer into an empty element of the page. */
export type MakeViewer = (parent: HTMLElement) => Promise<Viewer>;
