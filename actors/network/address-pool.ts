/**
 * Candidates for addresses of one IPv4 network: the lowest free one after the last given. What it gives is a proposal;
 * the row's unique constraint decides (P4). Memory only; changed in place, since a network may hold 65,000 addresses.
 */
import type { NetworkRecord } from '../model/addressing.ts';

/** A proposal that nobody used is free again after so long, when the pool runs out. */
const PROPOSAL_MS = 60_000;

export class AddressPool {
  readonly #first: number;
  readonly #last: number;
  readonly prefix: number;
  readonly #taken = new Set<number>();
  readonly #proposed = new Map<string, { address: number; atMs: number }>();
  #next: number;

  constructor(network: NetworkRecord, taken: readonly string[]) {
    const [base = '', length = '32'] = network.cidr.split('/');
    this.prefix = Number(length);
    const size = 2 ** (32 - this.prefix);
    const start = toNumber(base);
    this.#first = start + 1;
    this.#last = start + size - 2; // neither the network's nor the broadcast address
    this.#next = this.#first;
    for (const address of taken) this.#taken.add(toNumber(address));
    if (network.gateway !== null) this.#taken.add(toNumber(network.gateway));
  }

  /** The same instance asked again gets the same. undefined: no address is left. */
  propose(instanceId: string, upMs: number): string | undefined {
    const before = this.#proposed.get(instanceId);
    if (before) return toText(before.address);
    const address = this.#free() ?? (this.#forget(upMs) ? this.#free() : undefined);
    if (address === undefined) return undefined;
    this.#take(instanceId, address, upMs);
    return toText(address);
  }

  /** This very address, when it is inside and free. */
  proposeThis(instanceId: string, wanted: string, upMs: number): boolean {
    const address = toNumber(wanted);
    const before = this.#proposed.get(instanceId);
    if (before?.address === address) return true;
    if (Number.isNaN(address) || address < this.#first || address > this.#last || this.#taken.has(address)) return false;
    this.#take(instanceId, address, upMs);
    return true;
  }

  free(instanceId: string, address: string): void {
    this.#taken.delete(toNumber(address));
    this.#proposed.delete(instanceId);
    this.#next = Math.min(this.#next, this.#last);
  }

  #take(instanceId: string, address: number, upMs: number): void {
    this.#taken.add(address);
    this.#proposed.set(instanceId, { address, atMs: upMs });
  }

  #free(): number | undefined {
    const count = this.#last - this.#first + 1;
    for (let i = 0; i < count; i++) {
      const address = this.#next;
      this.#next = this.#next >= this.#last ? this.#first : this.#next + 1;
      if (!this.#taken.has(address)) return address;
    }
    return undefined;
  }

  /** Old proposals may have been used or not: the store's constraint tells when they are proposed again. */
  #forget(upMs: number): boolean {
    let some = false;
    for (const [instanceId, { address, atMs }] of this.#proposed) {
      if (upMs - atMs < PROPOSAL_MS) continue;
      this.#proposed.delete(instanceId);
      this.#taken.delete(address);
      some = true;
    }
    return some;
  }
}

/** A hardware address that is unique on its network, since the address is: local, unicast. */
export function macOf(address: string): string {
  const hex = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return ['fa', '16', ...hex].join(':');
}

function toNumber(address: string): number {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255))) return Number.NaN;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

function toText(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}
