/** Labels of cases that are not looked at, in little memory: how often each value repeats. */

export interface RunLengths {
  readonly length: number;
  readonly values: Uint8Array;
  readonly counts: Uint32Array;
}

export function packLabels(labels: Uint8Array): RunLengths {
  let runs = labels.length > 0 ? 1 : 0;
  for (let i = 1; i < labels.length; i++) if (labels[i] !== labels[i - 1]) runs++;
  const [values, counts] = [new Uint8Array(runs), new Uint32Array(runs)];
  for (let from = 0, run = 0; from < labels.length; run++) {
    let to = from + 1;
    while (to < labels.length && labels[to] === labels[from]) to++;
    values[run] = labels[from]!;
    counts[run] = to - from;
    from = to;
  }
  return { length: labels.length, values, counts };
}

export function unpackLabels({ length, values, counts }: RunLengths): Uint8Array {
  const labels = new Uint8Array(length);
  for (let run = 0, from = 0; run < values.length; run++) {
    labels.fill(values[run]!, from, (from += counts[run]!));
  }
  return labels;
}
