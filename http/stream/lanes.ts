/** At most so many pieces of work at once; the others wait in the order in which they came. */
export class Lanes {
  #free: number;
  #waiting: (() => void)[] = [];

  constructor(lanes: number) {
    this.#free = lanes;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next(); // the lane goes from hand to hand
      else this.#free++;
    }
  }
}
