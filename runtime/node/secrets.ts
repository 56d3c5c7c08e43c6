/**
 * Secrets of a cloud. They live in its store; a data folder of a former release has them in one file that only its
 * account can read. They appear in no log, event or error.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { Fault } from '../base/fault.ts';
import type { Random } from '../base/random.ts';

const FILE = 'secrets.json';
const BYTES = 18;

/** As a password can be typed: 24 letters, digits, `-` and `_`. */
export function madeSecret(random: Random): string {
  return random.bytes(BYTES).toString('base64url');
}

/** By name; none in a folder that never had the file. Fault `invalid` when it is damaged. */
export function keptSecrets(dir: string): { readonly [name: string]: string } {
  const path = join(dir, FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw new Fault('invalid', 'folder.secrets', `${path} cannot be read.`, { cause: error });
  }
  try {
    return z.record(z.string(), z.string()).parse(JSON.parse(text));
  } catch {
    // Without its cause, which may show what stands in it.
    throw new Fault('invalid', 'folder.secrets', `${path} is damaged: restore it.`);
  }
}
