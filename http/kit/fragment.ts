/**
 * Rendered views, kept by what they depend on: the object's id and a stamp (its revision and whatever else shows in
 * it). One shelf holds the views that look alike (one version range, visibility and link base), so that a long list
 * is a concatenation of texts. Memory is bounded; what is dropped is rendered anew.
 */
const SHELVES_MAX = 24;
const FRAGMENTS_MAX = 8_000; // per shelf; about 2 KiB each

type Fragment = { readonly stamp: string | number; readonly text: string };

export class Shelf {
  readonly #fragments = new Map<string, Fragment>();

  /** The view of `id` under this stamp, rendered when there is none. */
  take(id: string, stamp: string | number, render: () => string): string {
    const known = this.#fragments.get(id);
    if (known !== undefined && known.stamp === stamp) return known.text;
    const text = render();
    if (known === undefined && this.#fragments.size >= FRAGMENTS_MAX) {
      const oldest = this.#fragments.keys().next();
      if (!oldest.done) this.#fragments.delete(oldest.value);
    }
    this.#fragments.set(id, { stamp, text });
    return text;
  }
}

export class FragmentCache {
  readonly #shelves = new Map<string, Shelf>();

  shelf(name: string): Shelf {
    let shelf = this.#shelves.get(name);
    if (shelf === undefined) {
      if (this.#shelves.size >= SHELVES_MAX) {
        const oldest = this.#shelves.keys().next();
        if (!oldest.done) this.#shelves.delete(oldest.value);
      }
      shelf = new Shelf();
      this.#shelves.set(name, shelf);
    }
    return shelf;
  }
}
