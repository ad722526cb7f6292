/** Where a volume is looked at first: in the middle of what was found. */

/**
 * @param labels row-major, of this shape.
 * @returns the voxel whose planes hold most labelled voxels; the centre where there are none.
 */
export function firstLook(
  labels: Uint8Array | null,
  shape: readonly number[],
): [number, number, number] {
  const [ni = 1, nj = 1, nk = 1] = shape;
  const counts = [new Uint32Array(ni), new Uint32Array(nj), new Uint32Array(nk)] as const;
  for (let i = 0, at = 0; labels && i < ni; i++) {
    for (let j = 0; j < nj; j++) {
      for (let k = 0; k < nk; k++, at++) {
        if (labels[at] === 0) continue;
        counts[0][i]!++;
        counts[1][j]!++;
        counts[2][k]!++;
      }
    }
  }
  return counts.map(fullest) as [number, number, number];
}

function fullest(counts: Uint32Array): number {
  const most = counts.reduce((a, b) => Math.max(a, b), 0);
  return most === 0 ? Math.floor((counts.length - 1) / 2) : counts.indexOf(most);
}
