/** So many share a commit well: to wait for more of them saves little. */
const JOBS_ENOUGH = 64;
const PAUSE_MS = 4;

/**
 * How long a commit waits for company. It costs the same whatever is in it, and those whom the commit before it answered come back soon where they come back at all.
 * So after a commit of several jobs the next one pauses for as long as that took, for 4 ms at most, or until enough jobs wait. Who comes alone never waits.
 */
export class Pace {
  #pause: Promise<void> | undefined;
  #end: () => void = () => {};

  /** A commit is over. */
  committed(jobs: number): void {
    if (jobs < 2) return;
    this.#pause = new Promise((resolve) => {
      const timer = setTimeout(() => this.#end(), PAUSE_MS);
      this.#end = () => {
        clearTimeout(timer);
        this.#pause = undefined;
        resolve();
      };
    });
  }

  /** So many jobs wait now. */
  waiting(jobs: number): void {
    if (jobs >= JOBS_ENOUGH && this.#pause !== undefined) this.#end();
  }

  /** Undefined where nothing is to be waited for. */
  get pause(): Promise<void> | undefined {
    return this.#pause;
  }
}
