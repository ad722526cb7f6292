/** Moving and zooming by mouse, touch and keyboard, as calls of two functions. */

import type { Point } from "./view_transform";

export interface Moves {
  /** By CSS pixels. */
  move(by: Point): void;
  /** By a factor, around a point of the frame; null is its middle. */
  zoom(factor: number, at: Point | null): void;
  fit(): void;
}

const KEY_STEP = 40;
const KEY_FACTOR = 1.25;
const WHEEL_SPEED = 0.0015;
const DOUBLE_CLICK_FACTOR = 2;

/** Listens on `frame` until `signal` aborts. */
export function followGestures(frame: HTMLElement, moves: Moves, signal: AbortSignal): void {
  const fingers = new Map<number, Point>();
  const listening = { signal };
  const pointOf = (event: MouseEvent): Point => {
    const { left, top } = frame.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };

  frame.addEventListener(
    "pointerdown",
    (event) => {
      if (event.target instanceof Element && event.target.closest("button")) return;
      fingers.set(event.pointerId, pointOf(event));
      frame.setPointerCapture(event.pointerId);
    },
    listening,
  );
  frame.addEventListener(
    "pointermove",
    (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = pointOf(event);
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      fingers.set(event.pointerId, now);
      if (other) {
        const factor = distance(now, other) / Math.max(distance(before, other), 1);
        moves.zoom(factor, { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
        moves.move({ x: (now.x - before.x) / 2, y: (now.y - before.y) / 2 });
      } else {
        moves.move({ x: now.x - before.x, y: now.y - before.y });
      }
    },
    listening,
  );
  for (const end of ["pointerup", "pointercancel"] as const) {
    frame.addEventListener(end, (event) => fingers.delete(event.pointerId), listening);
  }
  frame.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      moves.zoom(Math.exp(-event.deltaY * WHEEL_SPEED), pointOf(event));
    },
    { signal, passive: false },
  );
  frame.addEventListener(
    "dblclick",
    (event) => moves.zoom(DOUBLE_CLICK_FACTOR, pointOf(event)),
    listening,
  );
  frame.addEventListener(
    "keydown",
    (event) => {
      if (event.target !== frame || event.ctrlKey || event.metaKey || event.altKey) return;
      const step = STEPS[event.key];
      if (step) moves.move(step);
      else if (event.key === "+" || event.key === "=") moves.zoom(KEY_FACTOR, null);
      else if (event.key === "-") moves.zoom(1 / KEY_FACTOR, null);
      else if (event.key === "0") moves.fit();
      else return;
      event.preventDefault();
    },
    listening,
  );
}

/** An arrow moves the frame over the image, so that the image goes the other way. */
const STEPS: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: KEY_STEP, y: 0 },
  ArrowRight: { x: -KEY_STEP, y: 0 },
  ArrowUp: { x: 0, y: KEY_STEP },
  ArrowDown: { x: 0, y: -KEY_STEP },
};

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
