/**
 * Which node answers for an address, as far as this node knows: shards by their owner table, actors of nodes by what
 * their room says. Read every second and when an answer said that it was wrong; a wrong guess costs a retry, never
 * more, since only the owner's fence lets anything happen.
 */
import { parseAddress, type Address } from '../actor/address.ts';
import type { Locate, Owners } from '../actor/locate.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { NodeName } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { shardOf } from './ring.ts';

const READ_MS = 1_000;
/** Hints that a guess was wrong cause at most one reading in so long. */
const HINT_MS = 100;

export type DirectoryParts = {
  /** Reads the table; null: it is still the one of `known`. */
  readonly owners: (known: string | null) => Promise<Owners | null>;
  /** Where an actor of a node kind lives: looked up by its room. `attempt` counts the tries of one ask. */
  readonly nodeKinds: { readonly [kind: string]: (id: string, attempt: number) => string | undefined };
  /** What else is read at the same time. */
  readonly refresh: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
};

export class Directory implements Locate {
  readonly #parts: DirectoryParts;
  #owners: Owners | null = null;
  #timer: Timer | undefined;
  #hinted = false;
  #closed = false;

  constructor(parts: DirectoryParts) {
    this.#parts = parts;
  }

  nodeOf(address: Address, attempt: number): NodeName | undefined {
    const { kind, id } = parseAddress(address);
    const ofNode = this.#parts.nodeKinds[kind];
    const node = ofNode ? ofNode(id, attempt) : this.#owners?.names[this.#owners.shards[shardOf(address)] ?? -1];
    return (node ?? undefined) as NodeName | undefined;
  }

  /** The table as last read; null when that is the one of `known`, or none was read yet. */
  owners(known: string | null): Owners | null {
    return this.#owners?.version === known ? null : this.#owners;
  }

  /** A guess was wrong, or nobody is known: look soon. */
  hint(): void {
    if (this.#hinted || this.#closed) return;
    this.#hinted = true;
    this.#parts.clock.after(HINT_MS, () => {
      this.#hinted = false;
      void this.#read();
    });
  }

  async open(): Promise<void> {
    await this.#read();
    this.#later();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #later(): void {
    if (this.#closed) return;
    this.#timer = this.#parts.clock.after(READ_MS, () => void this.#read().then(() => this.#later()));
  }

  async #read(): Promise<void> {
    try {
      const refreshed = this.#parts.refresh();
      refreshed.catch(() => undefined); // told below; what is read beside it counts all the same
      this.#owners = (await this.#parts.owners(this.#owners?.version ?? null)) ?? this.#owners;
      await refreshed;
    } catch (error) {
      this.#parts.log.warn('the owner table cannot be read', { error });
    }
  }
}

/** A table of rows in its small form. */
export function ownersOf(rows: readonly { readonly shard: number; readonly owner: string | null }[]): Owners {
  const names: string[] = [];
  const places = new Map<string, number>();
  const shards: number[] = [];
  for (const { shard, owner } of rows) {
    if (owner !== null && !places.has(owner)) places.set(owner, names.push(owner) - 1);
    shards[shard] = owner === null ? -1 : (places.get(owner) ?? -1);
  }
  for (let shard = 0; shard < shards.length; shard++) shards[shard] ??= -1;
  const text = `${names.join(' ')}\n${shards.join(' ')}`;
  return { version: `${mix(text)}.${mix(`${text} `)}`, names, shards };
}

/** These nodes in an order that each `key` has for itself, so that many keys spread over all of them. */
export function rendezvousOrder(key: string, nodes: readonly string[]): string[] {
  const weighed = nodes.map((node) => ({ node, weight: mix(`${key} ${node}`) }));
  return weighed.toSorted((a, b) => b.weight - a.weight || (a.node < b.node ? -1 : 1)).map(({ node }) => node);
}

/** The node that a slice belongs to: the same on every node that sees the same members. Highest random weight. */
export function rendezvous(key: string, nodes: readonly string[]): string | undefined {
  let best: string | undefined;
  let most = -1;
  for (const node of nodes) {
    const weight = mix(`${key} ${node}`);
    if (weight > most || (weight === most && best !== undefined && node < best)) {
      most = weight;
      best = node;
    }
  }
  return best;
}

function mix(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x7feb352d);
  hash ^= hash >>> 15;
  return hash >>> 0;
}
