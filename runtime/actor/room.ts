/**
 * Where the activations of one node live that need no shard: hosts, schedulers, agents. They are started by name and
 * stay until they are stopped; their state is memory, the truth is elsewhere.
 */
import { Activation, type ActivationParts, type Delivery } from './activation.ts';
import { parseAddress, type Address } from './address.ts';
import type { ActorKind } from './kind.ts';
import { Fault } from '../base/fault.ts';

export type Taken = 'taken' | 'full' | 'absent';

export class NodeRoom {
  readonly #parts: Omit<ActivationParts, 'fence' | 'gone' | 'store'>;
  readonly #actors = new Map<Address, Activation>();

  constructor(parts: Omit<ActivationParts, 'fence' | 'gone' | 'store'>) {
    this.#parts = parts;
  }

  /** Starts an actor of a node kind. Its first message makes its state. */
  start(kind: ActorKind, address: Address): void {
    const { id } = parseAddress(address);
    const actor = new Activation(kind, address, id, {
      ...this.#parts,
      store: undefined,
      fence: () => undefined,
      // One that gave up is started anew: its state is memory, the truth is elsewhere.
      gone: () => {
        if (this.#actors.get(address) === actor) this.start(kind, address);
      },
    });
    this.#actors.set(address, actor);
  }

  stop(address: Address): void {
    const actor = this.#actors.get(address);
    this.#actors.delete(address);
    actor?.discard(new Fault('unavailable', 'route.stopped', 'The actor was stopped.'));
  }

  has(address: Address): boolean {
    return this.#actors.has(address);
  }

  deliver(address: Address, delivery: Delivery): Taken {
    const actor = this.#actors.get(address);
    if (!actor) return 'absent';
    return actor.deliver(delivery) ? 'taken' : 'full';
  }

  addresses(): Address[] {
    return [...this.#actors.keys()];
  }

  views(): ReturnType<Activation['view']>[] {
    return [...this.#actors.values()].map((actor) => actor.view());
  }

  close(): void {
    for (const address of this.addresses()) this.stop(address);
  }
}
