/**
 * The activations of the shards that this node owns. The first message of an address activates it; an idle one leaves
 * memory; giving a shard up or losing the lease discards its activations without a word to the store.
 */
import { Activation, type ActivationParts, type Delivery } from '../actor/activation.ts';
import { parseAddress, type Address } from '../actor/address.ts';
import type { AnyKind } from '../actor/kind.ts';
import type { Taken } from '../actor/room.ts';
import type { ShardDoor } from '../actor/system.ts';
import { Fault } from '../base/fault.ts';
import { shardOf } from './ring.ts';

const SWEEP_MS = 1_000;
/** Activations looked at per sweep, oldest first: bounds the pause. */
const SWEEP_MAX = 2_000;

/** The right to run a shard now: its epoch, or undefined. Filled by the leases. */
export type EpochOf = (shard: number) => number | undefined;

export class Shards implements ShardDoor {
  readonly #parts: Omit<ActivationParts, 'fence' | 'gone'>;
  readonly #epochOf: EpochOf;
  /** In order of activation and last sweep: the first are the longest unseen. */
  readonly #actors = new Map<Address, Activation>();
  #sweeper: { cancel(): void } | undefined;
  readonly counts = { activations: 0, passivations: 0 };

  constructor(parts: Omit<ActivationParts, 'fence' | 'gone'>, epochOf: EpochOf) {
    this.#parts = parts;
    this.#epochOf = epochOf;
    this.#sweepLater();
  }

  get size(): number {
    return this.#actors.size;
  }

  deliver(kind: AnyKind, address: Address, delivery: Delivery): Taken {
    const found = this.#actors.get(address) ?? this.#activate(kind, address);
    if (!found) return 'absent';
    return found.deliver(delivery) ? 'taken' : 'full';
  }

  /** Forgets the activations of these shards; who waits is told to ask again. */
  drop(shards: ReadonlySet<number>): void {
    const fault = new Fault('unavailable', 'route.moved', 'The owner of this object is changing; try again.');
    for (const [address, actor] of this.#actors) {
      if (shards.has(shardOf(address))) actor.discard(fault);
    }
  }

  views(max: number): ReturnType<Activation['view']>[] {
    const views = [];
    for (const actor of this.#actors.values()) {
      if (views.length >= max) break;
      views.push(actor.view());
    }
    return views;
  }

  close(): void {
    this.#sweeper?.cancel();
    const fault = new Fault('unavailable', 'route.stopped', 'The node is stopping.');
    for (const actor of this.#actors.values()) actor.discard(fault);
  }

  #activate(kind: AnyKind, address: Address): Activation | undefined {
    const shard = shardOf(address);
    const epoch = this.#epochOf(shard);
    if (epoch === undefined || kind.sort !== 'actor') return undefined;
    this.counts.activations++;
    const actor = new Activation(kind, address, parseAddress(address).id, {
      ...this.#parts,
      // The epoch of its activation: a shard that left and came back has a newer one, and this activation is over.
      fence: () => (this.#epochOf(shard) === epoch ? { shard, epoch } : undefined),
      gone: () => {
        if (this.#actors.get(address) === actor) this.#actors.delete(address);
      },
    });
    this.#actors.set(address, actor);
    return actor;
  }

  #sweepLater(): void {
    this.#sweeper = this.#parts.clock.after(SWEEP_MS, () => {
      this.#sweep();
      this.#sweepLater();
    });
  }

  #sweep(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    let left = Math.min(SWEEP_MAX, this.#actors.size);
    for (const [address, actor] of this.#actors) {
      if (left-- === 0) break;
      if (nowMs - actor.lastUsedMs < actor.kind.passivateAfterMs || !actor.isIdle) {
        this.#actors.delete(address); // to the end of the line
        this.#actors.set(address, actor);
        continue;
      }
      this.counts.passivations++;
      actor.discard(new Fault('unavailable', 'route.passive', 'The actor left memory; try again.'));
    }
  }
}
