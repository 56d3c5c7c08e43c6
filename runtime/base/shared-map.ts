/**
 * Changes of maps that nobody may change: the new map shares with the old one all but the few entries that stand near
 * the changed one. A state of thousands of entries that changes with each message is not copied whole. Entries
 * are in no order.
 */

/** Branches of each of the two levels: a change copies 32 + 32 places and one leaf, which holds size / 1,024 entries. */
const WIDTH = 32;

/** The map with this entry, `map` itself when it has it already; `map` stays as it is. */
export function put<Value>(map: ReadonlyMap<string, Value>, key: string, value: Value): ReadonlyMap<string, Value> {
  return map.get(key) === value && map.has(key) ? map : shared(map).with(key, value);
}

/** The map without this entry; `map` itself when there is none. */
export function drop<Value>(map: ReadonlyMap<string, Value>, key: string): ReadonlyMap<string, Value> {
  return map.has(key) ? shared(map).without(key) : map;
}

function shared<Value>(map: ReadonlyMap<string, Value>): SharedMap<Value> {
  if (map instanceof SharedMap) return map;
  let made = new SharedMap<Value>([], 0);
  for (const [key, value] of map) made = made.with(key, value);
  return made;
}

type Leaf<Value> = ReadonlyMap<string, Value>;
type Branch<Value> = readonly (Leaf<Value> | undefined)[];

class SharedMap<Value> implements ReadonlyMap<string, Value> {
  readonly size: number;
  readonly #root: readonly (Branch<Value> | undefined)[];

  constructor(root: readonly (Branch<Value> | undefined)[], size: number) {
    this.#root = root;
    this.size = size;
  }

  get(key: string): Value | undefined {
    return this.#leaf(placeOf(key))?.get(key);
  }

  has(key: string): boolean {
    return this.#leaf(placeOf(key))?.has(key) ?? false;
  }

  with(key: string, value: Value): SharedMap<Value> {
    const place = placeOf(key);
    const before = this.#leaf(place);
    return this.#changed(place, new Map(before).set(key, value), before?.has(key) ? 0 : 1);
  }

  without(key: string): SharedMap<Value> {
    const place = placeOf(key);
    const leaf = new Map(this.#leaf(place));
    return leaf.delete(key) ? this.#changed(place, leaf, -1) : this;
  }

  *entries(): MapIterator<[string, Value]> {
    for (const branch of this.#root) for (const leaf of branch ?? []) if (leaf) yield* leaf;
  }

  *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): MapIterator<Value> {
    for (const branch of this.#root) for (const leaf of branch ?? []) if (leaf) yield* leaf.values();
  }

  [Symbol.iterator](): MapIterator<[string, Value]> {
    return this.entries();
  }

  forEach(visit: (value: Value, key: string, map: ReadonlyMap<string, Value>) => void): void {
    for (const branch of this.#root) for (const leaf of branch ?? []) leaf?.forEach((value, key) => visit(value, key, this));
  }

  #leaf(place: number): Leaf<Value> | undefined {
    return this.#root[place % WIDTH]?.[Math.floor(place / WIDTH)];
  }

  #changed(place: number, leaf: Leaf<Value>, by: number): SharedMap<Value> {
    const root = this.#root.length === 0 ? emptyBranch<Branch<Value>>() : [...this.#root];
    const branch = [...(this.#root[place % WIDTH] ?? emptyBranch<Leaf<Value>>())];
    branch[Math.floor(place / WIDTH)] = leaf.size === 0 ? undefined : leaf;
    root[place % WIDTH] = branch;
    return new SharedMap(root, this.size + by);
  }
}

/** Where a key stands, from 0 to WIDTH² − 1 (FNV-1a of its characters). */
function placeOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return ((hash >>> 0) ^ (hash >>> 15)) & (WIDTH * WIDTH - 1);
}

function emptyBranch<T>(): (T | undefined)[] {
  return Array.from({ length: WIDTH });
}
