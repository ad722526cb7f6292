/** How long a piece of work will still take, from how far it is. */

const LEAST_MS = 500;
const LEAST_DONE = 0.03;

export class RemainingTime {
  private startedMs = 0;

  start(nowMs: number): void {
    this.startedMs = nowMs;
  }

  /** Seconds; null while it is too early to tell. */
  left(done: number, nowMs: number): number | null {
    const passedMs = nowMs - this.startedMs;
    if (passedMs < LEAST_MS || done < LEAST_DONE) return null;
    return (passedMs * (1 - done)) / done / 1000;
  }
}
