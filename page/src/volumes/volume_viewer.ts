/** Shows a volume with its labels: three planes and a rendering, drawn by NiiVue. */

import { MULTIPLANAR_TYPE, NVImage, Niivue, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";

import { choice, slider } from "../app/controls";
import { h } from "../app/dom";
import { APP } from "../app/texts";
import type { MakeViewer, Viewer } from "../app/viewer";
import { VOLUME_VIEW } from "../app/volume_texts";
import type { ModelDescription, Segmentation } from "../engine/engine";
import type { MedicalImage } from "../images/image";
import { type Limits, adjusted, usualLimits } from "../pictures/brightness";
import { onGrey } from "../pictures/palette";
import { withLegend } from "../pictures/snapshot";
import { firstLook } from "./crosshair";
import { niftiOfImage, niftiOfLabels } from "./nifti_of";

const FIRST_OPACITY = 0.5;
const ZOOM_STEP = 1.25;
const MOST_ZOOM = 10;

const VIEWS = [
  [VOLUME_VIEW.all, SLICE_TYPE.MULTIPLANAR],
  [VOLUME_VIEW.axial, SLICE_TYPE.AXIAL],
  [VOLUME_VIEW.coronal, SLICE_TYPE.CORONAL],
  [VOLUME_VIEW.sagittal, SLICE_TYPE.SAGITTAL],
  [VOLUME_VIEW.render, SLICE_TYPE.RENDER],
] as const;

export const makeVolumeViewer: MakeViewer = async (parent) => {
  const viewer = new VolumeViewer(parent);
  await viewer.open();
  return viewer;
};

class VolumeViewer implements Viewer {
  readonly controls: HTMLElement;
  private readonly canvas = h("canvas", { tabindex: "0", role: "img" });
  private readonly problem = h("p", { class: "no-view", hidden: true });
  private readonly frame: HTMLElement;
  private readonly niivue = new Niivue({
    backColor: [0, 0, 0, 1],
    dragAndDropEnabled: false, // the page takes the files
    isRadiologicalConvention: true,
    sagittalNoseLeft: true,
    multiplanarShowRender: SHOW_RENDER.ALWAYS,
    multiplanarLayout: MULTIPLANAR_TYPE.GRID,
    crosshairWidthUnit: "percent",
    crosshairWidth: 0.3,
    crosshairGap: 6,
    crosshairColor: [1, 1, 1, 0.7],
    fontColor: [0.8, 0.84, 0.9, 1],
    show3Dcrosshair: true,
    isColorbar: false,
    loadingText: "",
    logLevel: "silent",
    clipPlaneHotKey: "",
    cycleClipPlaneHotKey: "",
    viewModeHotKey: "",
  });
  private readonly brightness = slider(APP.view.brightness, -1, 1, 0, () => this.applyLimits());
  private readonly contrast = slider(APP.view.contrast, -1, 1, 0, () => this.applyLimits());
  private readonly disposed = new AbortController();
  private image: MedicalImage | null = null;
  private model: ModelDescription | null = null;
  private limits: Limits = { low: 0, high: 1 };
  private opacity = FIRST_OPACITY;
  private what = "";
  private planes: string = VOLUME_VIEW.all;
  private graphics: WebGL2RenderingContext | null = null;

  constructor(parent: HTMLElement) {
    const help = h("span", { id: "volume-help", class: "hidden" }, VOLUME_VIEW.help);
    this.canvas.setAttribute("aria-describedby", help.id);
    this.frame = h("div", { class: "volume" }, this.canvas, this.problem, help);
    parent.replaceChildren(this.frame);
    this.controls = h(
      "div",
      { class: "controls" },
      choice(VOLUME_VIEW.views, VIEWS, SLICE_TYPE.MULTIPLANAR as SLICE_TYPE, (view) => {
        this.niivue.setSliceType(view);
        this.planes = VIEWS.find(([, type]) => type === view)?.[0] ?? VOLUME_VIEW.all;
        this.tell();
      }),
      this.brightness.element,
      this.contrast.element,
      h("button", { type: "button", class: "button quiet", onclick: () => this.reset() }, APP.view.reset),
    );
    const { signal } = this.disposed;
    // Before NiiVue's own keys, which scroll the page too.
    this.canvas.addEventListener("keydown", (event) => this.key(event), { signal, capture: true });
  }

  /** Takes the graphics card; where there is none, a sentence stands in the frame. */
  async open(): Promise<void> {
    this.graphics = this.canvas.getContext("webgl2");
    if (this.graphics === null) this.say(VOLUME_VIEW.noGraphics);
    else await this.niivue.attachToCanvas(this.canvas);
  }

  async show(
    image: MedicalImage,
    segmentation: Segmentation | null,
    model: ModelDescription,
  ): Promise<void> {
    this.what = APP.view.image(image.name, foundIn(segmentation, model));
    this.tell();
    if (this.graphics === null) return;
    const isAnother = this.image !== image;
    const [background, ...overlays] = this.niivue.volumes;
    this.release(isAnother && background ? [background, ...overlays] : overlays);
    this.image = image;
    this.model = model;
    const most = Number(this.graphics.getParameter(this.graphics.MAX_3D_TEXTURE_SIZE));
    const longest = Math.max(...image.shape);
    this.say(longest > most ? VOLUME_VIEW.tooLarge(longest, most) : "");
    if (longest > most) return;
    if (isAnother) await this.showImage(image);
    if (segmentation) await this.showLabels(image, segmentation.labels, model);
    if (isAnother || segmentation) {
      this.lookAt(firstLook(segmentation?.labels ?? null, image.shape), image);
    }
  }

  /** What is drawn, and in which planes: a screen reader sees one canvas. */
  private tell(): void {
    const planes = this.planes === VOLUME_VIEW.all ? VOLUME_VIEW.named : this.planes;
    this.canvas.setAttribute("aria-label", `${this.what}: ${planes}`);
  }

  setOpacity(opacity: number): void {
    this.opacity = opacity;
    if (this.niivue.volumes.length > 1) this.niivue.setOpacity(1, opacity);
  }

  snapshot(): Promise<Blob> {
    // What a canvas of WebGL shows can only be read before the browser goes on.
    if (this.graphics !== null) this.niivue.drawScene();
    const density = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    return withLegend(this.canvas, this.model?.labels.slice(1) ?? [], density);
  }

  dispose(): void {
    this.disposed.abort();
    this.release([...this.niivue.volumes]);
    this.image = null;
    this.niivue.cleanup();
    // Browsers keep a dozen contexts; this one gives its memory back at once.
    this.graphics?.getExtension("WEBGL_lose_context")?.loseContext();
    this.graphics = null;
    this.frame.remove();
    this.controls.remove();
  }

  private async showImage(image: MedicalImage): Promise<void> {
    this.limits = usualLimits(image.values);
    this.brightness.set(0);
    this.contrast.set(0);
    const volume = await volumeOf(niftiOfImage(image), "image.nii", 1);
    this.niivue.addVolume(volume);
    this.applyLimits();
    this.reset();
  }

  private async showLabels(
    image: MedicalImage,
    labels: Uint8Array,
    model: ModelDescription,
  ): Promise<void> {
    const volume = await volumeOf(niftiOfLabels(image, labels), "labels.nii", this.opacity);
    const colours = model.labels.map(({ colour }) => onGrey(colour));
    volume.setColormapLabel({
      R: colours.map(([red]) => red),
      G: colours.map(([, green]) => green),
      B: colours.map(([, , blue]) => blue),
      A: colours.map((_, label) => (label === 0 ? 0 : 255)),
      I: colours.map((_, label) => label),
      labels: model.labels.map(({ name }) => name),
    });
    this.niivue.addVolume(volume);
    this.niivue.setInterpolation(false);
  }

  private release(volumes: readonly NVImage[]): void {
    for (const volume of [...volumes].reverse()) this.niivue.removeVolume(volume);
  }

  /** By way of mm: NiiVue's own voxels are those of a volume that it has turned. */
  private lookAt(voxel: readonly [number, number, number], { affine }: MedicalImage): void {
    const mm = [0, 1, 2].map((axis) => {
      const row = affine?.subarray(4 * axis, 4 * axis + 4) ?? [];
      return [...voxel, 1].reduce((sum, each, at) => sum + each * (row[at] ?? 0), 0);
    });
    this.niivue.scene.crosshairPos = this.niivue.mm2frac([mm[0] ?? 0, mm[1] ?? 0, mm[2] ?? 0]);
    this.niivue.drawScene();
  }

  private applyLimits(): void {
    const [volume] = this.niivue.volumes;
    if (!volume) return;
    const { low, high } = adjusted(this.limits, this.brightness.value(), this.contrast.value());
    volume.cal_min = low;
    volume.cal_max = high;
    this.niivue.updateGLVolume();
  }

  private reset(): void {
    this.brightness.set(0);
    this.contrast.set(0);
    this.niivue.setPan2Dxyzmm([0, 0, 0, 1]);
    this.niivue.setScale(1);
    this.niivue.setRenderAzimuthElevation(110, 10);
    this.applyLimits();
  }

  private key(event: KeyboardEvent): void {
    const move = KEYS[event.key];
    const zoom = { "+": ZOOM_STEP, "-": 1 / ZOOM_STEP }[event.key];
    if (move) this.niivue.moveCrosshairInVox(...move);
    else if (zoom) this.zoom(zoom);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private zoom(factor: number): void {
    const [x = 0, y = 0, z = 0, scale = 1] = this.niivue.scene.pan2Dxyzmm;
    const next = Math.min(MOST_ZOOM, Math.max(1, scale * factor));
    this.niivue.setPan2Dxyzmm([x, y, z, next]);
    this.niivue.setScale(next);
  }

  private say(sentence: string): void {
    this.problem.textContent = sentence;
    this.problem.hidden = sentence === "";
    this.canvas.hidden = sentence !== "";
  }
}

/** Steps of the crosshair: to the patient's left, to the front, upwards. */
const KEYS: Readonly<Record<string, readonly [number, number, number]>> = {
  ArrowLeft: [1, 0, 0], // the patient's right is on the left
  ArrowRight: [-1, 0, 0],
  ArrowUp: [0, 1, 0],
  ArrowDown: [0, -1, 0],
  PageUp: [0, 0, 1],
  PageDown: [0, 0, -1],
};

async function volumeOf(nifti: ArrayBuffer, name: string, opacity: number): Promise<NVImage> {
  return NVImage.loadFromUrl({ url: name, buffer: nifti, name, opacity, colormap: "gray" });
}

function foundIn(segmentation: Segmentation | null, model: ModelDescription): string {
  if (!segmentation) return "";
  return model.labels
    .filter((_, label) => label > 0 && segmentation.labels.includes(label))
    .map(({ name }) => name)
    .join(", ");
}
