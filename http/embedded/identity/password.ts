/**
 * Passwords as scrypt text: `scrypt$N$r$p$salt$hash`, salt and hash in base64. Hashing takes 0.1 s of a core on
 * purpose, so it runs in few lanes with a bounded line before them; past it the answer is `overloaded`.
 *
 * A comparison takes the same time whether or not the user exists, and is constant in the bytes.
 */
import { scrypt, timingSafeEqual } from 'node:crypto';
import { BoundedQueue } from '../../../runtime/base/bounded-queue.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Random } from '../../../runtime/base/random.ts';

export type PasswordCost = { readonly n: number; readonly r: number; readonly p: number };
/** 16 MiB and five passes: as costly as 128 MiB once, without the memory. */
export const PASSWORD_COST: PasswordCost = { n: 2 ** 14, r: 8, p: 5 };
export const PASSWORD_MAX = 1_024;

/** Of the platform's four threads two stay free for files. */
const LANES = 2;
const WAITING_MAX = 64;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const MEMORY_MAX_BYTES = 256 * 1024 * 1024;

export interface Passwords {
  hash(password: string): Promise<string>;
  /** False for a user without password or `null` (no such user), after the same work. */
  matches(password: string, stored: string | null): Promise<boolean>;
}

export function openPasswords(random: Random, cost: PasswordCost = PASSWORD_COST): Passwords {
  const line = new BoundedQueue<() => void>(WAITING_MAX);
  let busy = 0;
  const nobody = textOf(cost, random.bytes(SALT_BYTES), random.bytes(HASH_BYTES));

  async function derive(password: string, salt: Buffer, { n, r, p }: PasswordCost): Promise<Buffer> {
    await enter();
    try {
      return await new Promise((resolve, reject) => {
        scrypt(password.normalize('NFC'), salt, HASH_BYTES, { N: n, r, p, maxmem: MEMORY_MAX_BYTES }, (error, key) => (error ? reject(error) : resolve(key)));
      });
    } finally {
      leave();
    }
  }
  async function enter(): Promise<void> {
    if (busy < LANES) return void busy++;
    await new Promise<void>((resolve, reject) => {
      if (!line.push(resolve)) reject(new Fault('overloaded', 'identity.passwords', 'Too many logins at once.'));
    });
  }
  function leave(): void {
    const next = line.shift();
    if (next) next();
    else busy--;
  }

  return {
    async hash(password) {
      const salt = random.bytes(SALT_BYTES);
      return textOf(cost, salt, await derive(password, salt, cost));
    },
    async matches(password, stored) {
      const { cost: its, salt, hash } = parse(stored ?? nobody);
      const same = timingSafeEqual(await derive(password, salt, its), hash);
      return same && stored !== null;
    },
  };
}

function textOf({ n, r, p }: PasswordCost, salt: Buffer, hash: Buffer): string {
  return ['scrypt', n, r, p, salt.toString('base64'), hash.toString('base64')].join('$');
}

function parse(text: string): { cost: PasswordCost; salt: Buffer; hash: Buffer } {
  const [scheme, n, r, p, salt, hash] = text.split('$');
  if (scheme !== 'scrypt' || salt === undefined || hash === undefined) throw new Error('a stored password has an unknown form');
  return { cost: { n: Number(n), r: Number(r), p: Number(p) }, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') };
}
