/**
 * Chance is handed in, so that a seed replays a run. `systemRandom` is for products, `seededRandom` for simulation.
 */
import { randomBytes, randomUUID } from 'node:crypto';

export interface Random {
  /** 0 ≤ x < 1 */
  next(): number;
  /** A version 4 uuid. */
  uuid(): string;
  /** `count` random bytes; from a cryptographic source in `systemRandom`. */
  bytes(count: number): Buffer;
}

export const systemRandom: Random = {
  next: () => Math.random(),
  uuid: () => randomUUID(),
  bytes: (count) => randomBytes(count),
};

/** Mulberry32: small, fast, good enough to choose schedules; never for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  function bytes(count: number): Buffer {
    const out = Buffer.alloc(count);
    for (let i = 0; i < count; i++) out[i] = Math.floor(next() * 256);
    return out;
  }
  function uuid(): string {
    const b = bytes(16);
    b[6] = (b[6]! & 0x0f) | 0x40;
    b[8] = (b[8]! & 0x3f) | 0x80;
    const h = b.toString('hex');
    return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
  }
  return { next, uuid, bytes };
}

export function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[Math.floor(random.next() * items.length)];
  if (item === undefined) throw new Error('pick from an empty list');
  return item;
}
