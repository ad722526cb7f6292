/** Where an image lies in its frame: how large, and how far moved. All lengths in CSS pixels. */

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface ViewTransform {
  /** CSS pixels for each pixel of the image, across. */
  readonly scale: number;
  /** Where the image's upper left corner lies in the frame. */
  readonly x: number;
  readonly y: number;
}

const LARGEST_SCALE = 48;
/** So much of the frame, at least, keeps showing the image. */
const LEAST_SEEN = 0.2;

/** The whole image, in the middle of the frame. */
export function fit(image: Size, frame: Size): ViewTransform {
  const scale = fittingScale(image, frame);
  return centred(image, frame, scale);
}

/** Larger or smaller by a factor; the image's point below `at` stays there. */
export function zoom(
  view: ViewTransform,
  factor: number,
  at: Point,
  image: Size,
  frame: Size,
): ViewTransform {
  const least = fittingScale(image, frame) / 2;
  const scale = Math.min(Math.max(view.scale * factor, least), Math.max(LARGEST_SCALE, least));
  const ratio = scale / view.scale;
  const moved = { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
  return inSight(moved, image, frame);
}

export function move(view: ViewTransform, by: Point, image: Size, frame: Size): ViewTransform {
  return inSight({ ...view, x: view.x + by.x, y: view.y + by.y }, image, frame);
}

function fittingScale(image: Size, frame: Size): number {
  return Math.min(frame.width / image.width, frame.height / image.height);
}

function centred(image: Size, frame: Size, scale: number): ViewTransform {
  return {
    scale,
    x: (frame.width - image.width * scale) / 2,
    y: (frame.height - image.height * scale) / 2,
  };
}

function inSight(view: ViewTransform, image: Size, frame: Size): ViewTransform {
  const within = (start: number, length: number, space: number): number => {
    const seen = LEAST_SEEN * Math.min(space, length);
    return Math.min(Math.max(start, seen - length), space - seen);
  };
  return {
    scale: view.scale,
    x: within(view.x, image.width * view.scale, frame.width),
    y: within(view.y, image.height * view.scale, frame.height),
  };
}
