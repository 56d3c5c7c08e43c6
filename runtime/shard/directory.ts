/**
 * Which node answers for an address, as far as this node knows: shards by their owner table, actors of nodes by what
 * their room says. Read every second and when an answer said that it was wrong; a wrong guess costs a retry, never
 * more, since only the owner's fence lets anything happen.
 */
import { parseAddress, type Address } from '../actor/address.ts';
import type { Locate } from '../actor/locate.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { NodeName } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { shardOf } from './ring.ts';

const READ_MS = 1_000;
/** Hints that a guess was wrong cause at most one reading in so long. */
const HINT_MS = 100;

export type DirectoryParts = {
  readonly owners: () => Promise<readonly { readonly shard: number; readonly owner: string | null }[]>;
  /** Where an actor of a node kind lives: looked up by its room. */
  readonly nodeKinds: { readonly [kind: string]: (id: string) => string | undefined };
  /** What else is read at the same time. */
  readonly refresh: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
};

export class Directory implements Locate {
  readonly #parts: DirectoryParts;
  #owners: (string | null)[] = [];
  #timer: Timer | undefined;
  #hinted = false;
  #closed = false;

  constructor(parts: DirectoryParts) {
    this.#parts = parts;
  }

  nodeOf(address: Address): NodeName | undefined {
    const { kind, id } = parseAddress(address);
    const ofNode = this.#parts.nodeKinds[kind];
    const node = ofNode ? ofNode(id) : this.#owners[shardOf(address)];
    return (node ?? undefined) as NodeName | undefined;
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
      await this.#parts.refresh();
      const owners: (string | null)[] = [];
      for (const { shard, owner } of await this.#parts.owners()) owners[shard] = owner;
      this.#owners = owners;
    } catch (error) {
      this.#parts.log.warn('the owner table cannot be read', { error });
    }
  }
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
