/** What the page needs of model.json. */

import type { ModelDescription } from "../engine/engine";

export interface DescribedModel extends ModelDescription {
  /** What it segments, in a few words; the labels' names where model.json does not tell. */
  readonly purpose: string;
}

interface ModelJson {
  readonly preprocessing: { readonly spatial_dims: 2 | 3; readonly channels: number };
  readonly labels: readonly { readonly name: string; readonly colour: [number, number, number] }[];
  readonly about?: { readonly purpose?: string };
}

/** The export has checked the file; damage since then shows as an error of the engine. */
export function describeModel(json: string): DescribedModel {
  const { preprocessing, labels, about } = JSON.parse(json) as ModelJson;
  const named = labels.map(({ name, colour }) => ({ name, colour }));
  const names = named.slice(1).map(({ name }) => name);
  return {
    dims: preprocessing.spatial_dims,
    channels: preprocessing.channels,
    labels: named,
    purpose: about?.purpose ?? names.join(", "),
  };
}
