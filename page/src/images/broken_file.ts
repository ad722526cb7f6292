/** A file whose bytes do not follow its format; readers turn it into an ImageError. */

export class BrokenFile extends Error {
  override readonly name = "BrokenFile";
}
