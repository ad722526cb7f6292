/** A page with the viewer of volumes and nothing else; tests call it by `viewing`. */

import { readNifti } from "../../src/images/nifti/read";
import type { ModelDescription } from "../../src/engine/engine";
import { makeVolumeViewer } from "../../src/volumes/volume_viewer";

const MODEL: ModelDescription = {
  dims: 3,
  channels: 1,
  labels: [
    { name: "background", colour: [0, 0, 0] },
    { name: "anterior", colour: [255, 120, 90] },
    { name: "posterior", colour: [90, 170, 255] },
  ],
};

async function volume(path: string) {
  const response = await fetch(path);
  return readNifti(new Uint8Array(await response.arrayBuffer()), path, 1);
}

const stage = document.createElement("div");
stage.className = "stage";
document.body.append(stage);
const viewer = await makeVolumeViewer(stage);
if (viewer.controls) document.body.append(viewer.controls);

Object.assign(window, {
  viewing: {
    show: async (image: string, labels?: string) => {
      const mask = labels === undefined ? null : Uint8Array.from((await volume(labels)).values);
      const segmentation = mask && { labels: mask, unlike: null, seconds: 0 };
      await viewer.show(await volume(image), segmentation, MODEL);
    },
    setOpacity: (opacity: number) => viewer.setOpacity(opacity),
    snapshot: async () => {
      const picture = new Uint8Array(await (await viewer.snapshot()).arrayBuffer());
      return [...picture];
    },
    dispose: () => viewer.dispose(),
  },
});
