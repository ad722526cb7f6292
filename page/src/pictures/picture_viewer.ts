/** Shows a flat image with its labels drawn over it; moved, zoomed and brightened by the user. */

import { slider, checkbox } from "../app/controls";
import { h } from "../app/dom";
import { APP } from "../app/texts";
import type { MakeViewer, Viewer } from "../app/viewer";
import type { ModelDescription, Segmentation } from "../engine/engine";
import type { MedicalImage } from "../images/image";
import { imageAsSeen, labelsAsSeen } from "./as_seen";
import { adjusted, usualLimits, type Limits } from "./brightness";
import { followGestures } from "./gestures";
import { drawImage, drawLabels, gridOf, outlinesOf, type Grid, type Outline } from "./layers";
import { withLegend } from "./snapshot";
import { fit, move, zoom, type Point, type Size, type ViewTransform } from "./view_transform";

const OUTLINE_PX = 2;
const BUTTON_FACTOR = 1.5;

export const makePictureViewer: MakeViewer = (parent) =>
  Promise.resolve(new PictureViewer(parent));

interface Shown {
  /** As it was given. */
  readonly original: MedicalImage;
  /** As it is looked at. */
  readonly image: MedicalImage;
  readonly model: ModelDescription;
  readonly grid: Grid;
  readonly limits: Limits;
  readonly grey: OffscreenCanvas;
  /** null where there is no segmentation. */
  readonly tint: OffscreenCanvas | null;
  readonly outlines: readonly Outline[];
  /** Of the image in CSS pixels at scale 1; pixels need not be square. */
  readonly size: Size;
}

class PictureViewer implements Viewer {
  readonly controls: HTMLElement;
  private readonly frame: HTMLElement;
  private readonly canvas = h("canvas", { "aria-hidden": "true" });
  private readonly disposed = new AbortController();
  private readonly resizing: ResizeObserver;
  private shown: Shown | null = null;
  private view: ViewTransform = { scale: 1, x: 0, y: 0 };
  private frameSize: Size = { width: 1, height: 1 };
  private opacity = 0.3;
  private outline = true;
  private readonly brightness = slider(APP.view.brightness, -1, 1, 0, () => this.repaint());
  private readonly contrast = slider(APP.view.contrast, -1, 1, 0, () => this.repaint());
  private drawing = 0;

  constructor(parent: HTMLElement) {
    const help = h("span", { id: "picture-help", class: "hidden" }, APP.view.help);
    const button = (sign: string, title: string, run: () => void): HTMLElement =>
      h("button", { type: "button", title, "aria-label": title, onclick: run }, sign);
    this.frame = h(
      "div",
      { class: "picture", role: "group", tabindex: "0", "aria-describedby": help.id },
      this.canvas,
      help,
      h(
        "div",
        { class: "zoom" },
        button("+", APP.view.zoomIn, () => this.zoom(BUTTON_FACTOR, null)),
        button("−", APP.view.zoomOut, () => this.zoom(1 / BUTTON_FACTOR, null)),
        button("⤢", APP.view.fit, () => this.fit()),
      ),
    );
    parent.replaceChildren(this.frame);
    this.controls = h(
      "div",
      { class: "controls" },
      this.brightness.element,
      this.contrast.element,
      checkbox(APP.view.outline, this.outline, (on) => {
        this.outline = on;
        this.draw();
      }),
      h("button", { type: "button", class: "button quiet", onclick: () => this.reset() }, APP.view.reset),
    );
    const { signal } = this.disposed;
    followGestures(
      this.frame,
      {
        move: (by) => this.move(by),
        zoom: (factor, at) => this.zoom(factor, at),
        fit: () => this.fit(),
      },
      signal,
    );
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this.frame);
  }

  show(
    original: MedicalImage,
    segmentation: Segmentation | null,
    model: ModelDescription,
  ): Promise<void> {
    const isAnother = this.shown?.original !== original;
    const image = isAnother ? imageAsSeen(original) : this.shown!.image;
    const labels = segmentation && labelsAsSeen(segmentation.labels, original);
    const grid = gridOf(image.shape);
    const [height = 1, width = 1] = image.shape;
    const [rowMm = 1, columnMm = 1] = image.spacingMm ?? [];
    const canvas = (): OffscreenCanvas => new OffscreenCanvas(grid.width, grid.height);
    const tint = labels ? canvas() : null;
    if (labels && tint) drawLabels(tint, labels, width, grid, model);
    this.shown = {
      original,
      image,
      model,
      grid,
      limits: isAnother ? usualLimits(image.values) : this.shown!.limits,
      grey: isAnother ? canvas() : this.shown!.grey,
      tint,
      outlines: labels ? outlinesOf(labels, image.shape, model) : [],
      size: { width, height: (height * rowMm) / columnMm },
    };
    this.frame.setAttribute("aria-label", APP.view.image(image.name, foundIn(segmentation, model)));
    if (isAnother) {
      this.brightness.set(0);
      this.contrast.set(0);
      this.measure();
      this.view = fit(this.shown.size, this.frameSize);
    }
    this.repaint();
    return Promise.resolve();
  }

  setOpacity(opacity: number): void {
    this.opacity = opacity;
    this.draw();
  }

  async snapshot(): Promise<Blob> {
    this.drawNow();
    const { shown } = this;
    return withLegend(this.canvas, shown?.model.labels.slice(1) ?? [], devicePixelRatio);
  }

  dispose(): void {
    this.disposed.abort();
    this.resizing.disconnect();
    cancelAnimationFrame(this.drawing);
    this.shown = null;
    this.canvas.width = 0;
    this.frame.remove();
    this.controls.remove();
  }

  private zoom(factor: number, at: Point | null): void {
    if (!this.shown) return;
    const { width, height } = this.frameSize;
    const middle = { x: width / 2, y: height / 2 };
    this.view = zoom(this.view, factor, at ?? middle, this.shown.size, this.frameSize);
    this.draw();
  }

  private move(by: Point): void {
    if (!this.shown) return;
    this.view = move(this.view, by, this.shown.size, this.frameSize);
    this.draw();
  }

  private fit(): void {
    if (!this.shown) return;
    this.view = fit(this.shown.size, this.frameSize);
    this.draw();
  }

  private reset(): void {
    this.brightness.set(0);
    this.contrast.set(0);
    this.fit();
    this.repaint();
  }

  private measure(): void {
    this.frameSize = {
      width: Math.max(1, this.frame.clientWidth),
      height: Math.max(1, this.frame.clientHeight),
    };
  }

  private resize(): void {
    const before = this.frameSize;
    this.measure();
    if (this.shown && (before.width !== this.frameSize.width || before.height !== this.frameSize.height)) {
      this.view = fit(this.shown.size, this.frameSize);
    }
    this.draw();
  }

  /** After a change of the intensities. */
  private repaint(): void {
    if (!this.shown) return;
    const { grey, image, grid, limits } = this.shown;
    drawImage(grey, image, grid, adjusted(limits, this.brightness.value(), this.contrast.value()));
    this.draw();
  }

  private draw(): void {
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => this.drawNow());
  }

  private drawNow(): void {
    const context = this.canvas.getContext("2d");
    if (!context || !this.shown) return;
    const { grey, tint, outlines, grid, size, image } = this.shown;
    const [height = 1] = image.shape;
    const density = devicePixelRatio;
    this.canvas.width = Math.round(this.frameSize.width * density);
    this.canvas.height = Math.round(this.frameSize.height * density);
    const { scale, x, y } = this.view;
    const across = scale * density;
    const down = (across * size.height) / height;
    context.setTransform(across * grid.step, 0, 0, down * grid.step, x * density, y * density);
    context.imageSmoothingEnabled = scale < 4;
    context.imageSmoothingQuality = "high";
    context.drawImage(grey, 0, 0);
    if (!tint) return;
    context.globalAlpha = this.opacity;
    context.imageSmoothingEnabled = false;
    context.drawImage(tint, 0, 0);
    context.globalAlpha = 1;
    if (!this.outline || this.opacity === 0) return;
    // Lines keep their width on the screen however far the image is zoomed.
    for (const { path, colour } of outlines) {
      const placed = new Path2D();
      placed.addPath(path, new DOMMatrix([across, 0, 0, down, x * density, y * density]));
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.lineWidth = OUTLINE_PX * density;
      context.lineJoin = context.lineCap = "round";
      context.strokeStyle = colour;
      context.stroke(placed);
    }
  }
}

function foundIn(segmentation: Segmentation | null, model: ModelDescription): string {
  if (!segmentation) return "";
  return model.labels
    .filter((_, label) => label > 0 && segmentation.labels.includes(label))
    .map(({ name }) => name)
    .join(", ");
}
