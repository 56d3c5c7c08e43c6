/** Calls that wait for the same kind of statement go out together: one is under way, the next one gathers. */
export class Gathered<Item, Answer> {
  readonly #run: (items: readonly Item[]) => Promise<Answer>;
  #waiting: Item[] = [];
  #next: Promise<Answer> | undefined;
  #flight: Promise<unknown> = Promise.resolve();

  constructor(run: (items: readonly Item[]) => Promise<Answer>) {
    this.#run = run;
  }

  /** The answer of the statement that carried the item; rejects as it does. */
  add(item: Item): Promise<Answer> {
    this.#waiting.push(item);
    this.#next ??= this.#flight.then(() => this.#fly());
    return this.#next;
  }

  #fly(): Promise<Answer> {
    const items = this.#waiting;
    this.#waiting = [];
    this.#next = undefined;
    const flight = this.#run(items);
    this.#flight = flight.catch(() => undefined);
    return flight;
  }
}
