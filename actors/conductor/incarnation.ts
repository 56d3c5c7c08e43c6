/**
 * Notices that the store went back: it was restored from a backup, or a standby took over that lacked what had been
 * acknowledged. The node remembers in its data folder the highest revision that it saw, and of which incarnation; a
 * store of the same incarnation that stands below has lost what lies between. It then gets a new incarnation, by
 * compare-and-set, so that cursors into what is lost are answered `gone` instead of passing over what comes in its place.
 *
 * Nothing is destroyed by it. What each instance's generation was is kept: from then on a guest of a higher one may be
 * of the lost history, and no look at a host takes it for a leftover. A folder that was put back with its store
 * remembers too little; `novact restored` says it then.
 */
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { z } from 'zod';
import { must } from '../../runtime/base/check.ts';
import type { Clock, Timer } from '../../runtime/base/clock.ts';
import type { Log } from '../../runtime/base/log.ts';
import { writeWhole } from '../../runtime/base/whole-file.ts';

/** In the node's data folder. */
export const MEMORY_FILE = 'store.json';
/** What a killed node forgets at most. */
const ROUND_MS = 2_000;

const fileShape = z.object({ incarnation: z.string(), revision: z.number().int().nonnegative(), restored: z.boolean().optional() });
type Remembered = z.output<typeof fileShape>;

const STANDS = 'select incarnation::text, revision from cell';
const RAISE = `with raised as (update cell set incarnation = gen_random_uuid() where incarnation = $1 and ($2::bigint is null or revision < $2) returning 1),
  kept as (insert into restored (instance_id, generation) select i.id, i.generation from instance i, raised where not i.deleted
    on conflict (instance_id) do update set generation = least(restored.generation, excluded.generation))
  select count(*)::int as changed from raised`;

export class Incarnation {
  readonly #parts: { readonly pool: pg.Pool; readonly clock: Clock; readonly log: Log; readonly file: string };
  #known: Remembered | undefined;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: { pool: pg.Pool; clock: Clock; log: Log; file: string }) {
    this.#parts = parts;
  }

  /** Before anything is done: afterwards the store is what this node remembers. */
  async open(): Promise<void> {
    this.#known = readMemory(this.#parts.file);
    await this.#look();
    this.#later();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
    await this.#look().catch(() => undefined); // the last that was seen stays remembered
  }

  #later(): void {
    if (this.#closed) return;
    this.#timer = this.#parts.clock.after(ROUND_MS, () => {
      this.#running = this.#look()
        .catch((error: unknown) => this.#parts.log.info('where the store stands cannot be read', { error }))
        .finally(() => this.#later());
    });
  }

  async #look(): Promise<void> {
    const { pool, log, file } = this.#parts;
    const before = this.#known;
    let now = await stands(pool);
    const isBack = before !== undefined && before.incarnation === now.incarnation && now.revision < before.revision;
    if (isBack || before?.restored) {
      const { rows } = await pool.query<{ changed: number }>(RAISE, [now.incarnation, before.restored ? null : before.revision]);
      const lost = isBack ? before.revision - now.revision : null;
      now = await stands(pool);
      const what = 'the store was restored: it has a new incarnation, what it does not know is left alone';
      log.warn(what, { revision: now.revision, remembered: before.revision, lost, incarnation: now.incarnation, raisedHere: rows[0]?.changed === 1 });
    }
    if (before === undefined || before.restored || before.incarnation !== now.incarnation || before.revision !== now.revision) remember(file, now);
    this.#known = now;
  }
}

/** Makes the next start give the store a new incarnation, whatever the folder remembers. */
export function markRestored(file: string): void {
  remember(file, { ...(readMemory(file) ?? { incarnation: '', revision: 0 }), restored: true });
}

async function stands(pool: pg.Pool): Promise<Remembered> {
  const { rows } = await pool.query<{ incarnation: string; revision: string }>(STANDS);
  const { incarnation, revision } = must(rows[0], 'a cell has its row');
  return { incarnation, revision: Number(revision) };
}

function remember(file: string, memory: Remembered): void {
  writeWhole(file, `${JSON.stringify(memory)}\n`);
}

function readMemory(file: string): Remembered | undefined {
  try {
    return fileShape.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
  } catch {
    return undefined; // the first start
  }
}
