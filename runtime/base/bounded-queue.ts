/** A first-in first-out queue with a limit: past it, `push` says no and memory does not grow. O(1) amortised. */
export class BoundedQueue<T> {
  readonly max: number;
  #items: (T | undefined)[] = [];
  #head = 0;

  constructor(max: number) {
    this.max = max;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** False when full: the item was not taken. */
  push(item: T): boolean {
    if (this.length >= this.max) return false;
    this.#items.push(item);
    return true;
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head > 32 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes everything out. */
  drain(): T[] {
    const rest = this.#items.slice(this.#head) as T[];
    this.#items = [];
    this.#head = 0;
    return rest;
  }
}
