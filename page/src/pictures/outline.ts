/** The border of a label, along the edges of its pixels. */

/**
 * The border as a path in pixels' corners; runs of edges are one line each.
 *
 * @param labels (height, width).
 */
export function outlineOf(labels: Uint8Array, width: number, height: number, label: number): Path2D {
  const path = new Path2D();
  const isIn = (x: number, y: number): boolean =>
    x >= 0 && x < width && y >= 0 && y < height && labels[y * width + x] === label;
  for (let y = 0; y <= height; y++) {
    lines(width, (x) => isIn(x, y) !== isIn(x, y - 1), (from, to) => {
      path.moveTo(from, y);
      path.lineTo(to, y);
    });
  }
  for (let x = 0; x <= width; x++) {
    lines(height, (y) => isIn(x, y) !== isIn(x - 1, y), (from, to) => {
      path.moveTo(x, from);
      path.lineTo(x, to);
    });
  }
  return path;
}

/** Calls `draw` for each run of places where `holds`. */
function lines(
  length: number,
  holds: (place: number) => boolean,
  draw: (from: number, to: number) => void,
): void {
  let from = -1;
  for (let place = 0; place <= length; place++) {
    const on = place < length && holds(place);
    if (on && from < 0) from = place;
    if (!on && from >= 0) {
      draw(from, place);
      from = -1;
    }
  }
}
