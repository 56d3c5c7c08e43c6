/**
 * Secrets that a node makes at its first start and keeps in one file that only its account can read. They are handed
 * to who needs them and appear in no log, event or error.
 */
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { Fault } from '../base/fault.ts';
import type { Random } from '../base/random.ts';
import { writeWhole } from '../base/whole-file.ts';

const FILE = 'secrets.json';
const BYTES = 18;

/** The named secrets; those that the file lacks are made and added. Fault `invalid` when the file is damaged. */
export function loadOrCreateSecrets<Name extends string>(dir: string, names: readonly Name[], random: Random): { readonly [name in Name]: string } {
  const path = join(dir, FILE);
  const found = read(path);
  const secrets: Record<string, string> = { ...found };
  for (const name of names) secrets[name] ??= random.bytes(BYTES).toString('base64url');
  if (names.some((name) => found[name] === undefined)) {
    writeWhole(path, `${JSON.stringify(secrets, null, 2)}\n`);
    chmodSync(path, 0o600);
  }
  return secrets as { [name in Name]: string };
}

function read(path: string): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return {}; // the first start
  }
  try {
    return z.record(z.string(), z.string()).parse(JSON.parse(text));
  } catch (cause) {
    throw new Fault('invalid', 'folder.secrets', `${path} is damaged: restore it, or remove it to have new passwords made.`, { cause });
  }
}
