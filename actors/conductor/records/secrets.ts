/**
 * Passwords and keys that all control nodes of a cloud share: made once, by whichever node comes first, and read by
 * the others. Values go to who needs them and into no log, event or error.
 */
import type pg from 'pg';
import { Fault } from '../../../runtime/base/fault.ts';

export type CellSecretParts<Name extends string> = {
  readonly pool: pg.Pool;
  readonly names: readonly Name[];
  /** What a start of a former release keeps in this node's data folder. */
  readonly kept: { readonly [name: string]: string };
  /** Whether a kept value is right, where it can be known: the folder may be another cloud's. */
  readonly isOurs: (password: string, hash: string) => Promise<boolean>;
  readonly make: () => string;
};

const READ = 'select name, value from cell_secret where name = any($1)';
const MAKE = 'insert into cell_secret (name, value) select * from unnest($1::text[], $2::text[]) on conflict do nothing';
const SERVICE_HASH = `select password_hash as hash from identity_user where name = 'nova' and domain_id = 'default' and password_hash is not null`;

/** Safe to run from several nodes at once. Fault `conflict` (reason `secrets.elsewhere`) when only another node can know them. */
export async function cellSecrets<Name extends string>(parts: CellSecretParts<Name>): Promise<{ readonly [name in Name]: string }> {
  const { pool, names, kept, make } = parts;
  const found = await read(pool, names);
  const missing = names.filter((name) => found[name] === undefined);
  if (missing.length > 0) {
    await refuseStrange(parts, missing);
    await pool.query(MAKE, [missing, missing.map((name) => kept[name] ?? make())]);
  }
  // Read in any case: what another node made first is what counts.
  const all = missing.length > 0 ? await read(pool, names) : found;
  return all as { [name in Name]: string }; // each of them is there: it was made, or somebody else had made it
}

/** Accounts that are there have passwords of a former release: new ones would not fit them. */
async function refuseStrange({ pool, kept, isOurs }: CellSecretParts<string>, missing: readonly string[]): Promise<void> {
  if (!missing.includes('service')) return;
  const { rows } = await pool.query<{ hash: string }>(SERVICE_HASH);
  const [account] = rows;
  if (!account || (kept['service'] !== undefined && (await isOurs(kept['service'], account.hash)))) return;
  const message = `The passwords of this cloud are known to a node that has not been started since the upgrade: start it first, or copy its secrets.json into this node's data folder.`;
  throw new Fault('conflict', 'secrets.elsewhere', message);
}

async function read(pool: pg.Pool, names: readonly string[]): Promise<{ [name: string]: string }> {
  const { rows } = await pool.query<{ name: string; value: string }>(READ, [names]);
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}
