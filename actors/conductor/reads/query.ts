/**
 * Runs the statements of reads. A text is composed of fixed fragments only; whatever a request says is a parameter.
 *
 * Texts that are used often become prepared statements. Their number is bounded: a connection keeps each one it has
 * seen, in its memory and in the server's, and requests can make many texts.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { Fault } from '../../../runtime/base/fault.ts';

export type Statement = { readonly text: string; readonly values: readonly unknown[] };
export type Query = <Row extends pg.QueryResultRow>(statement: Statement) => Promise<Row[]>;

/** Uses after which a text is worth preparing (about half of a small list's time is planning). */
const PREPARE_AFTER = 8;
/** Prepared texts of one reader. Past it a text is planned at each use, nothing else changes. */
const PREPARED_MAX = 128;
/** Texts that are being counted; the one used longest ago is forgotten. */
const COUNTED_MAX = 512;

/**
 * Faults: `unavailable` when the database does not answer or ends the statement, `invalid` for text that no database
 * can hold (a zero byte). Any other error is a bug.
 */
export function openQuery(pool: pg.Pool): Query {
  const nameOf = openNames();
  return async <Row extends pg.QueryResultRow>({ text, values }: Statement) => {
    const name = nameOf(text);
    return fromStore(async () => {
      const result = await pool.query<Row>(name === undefined ? { text, values: [...values] } : { name, text, values: [...values] });
      return result.rows;
    });
  };
}

/** Turns what the driver throws into faults; a bug stays what it is. */
export async function fromStore<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (codeOf(error) === '22021') throw new Fault('invalid', 'text', 'The request contains text that cannot be stored.', { cause: error });
    throw isAway(error) ? away(error) : error;
  }
}

/** No connection, a lost one, none free in time, or a statement that the server ended: the same may work in a while. */
export function isAway(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof Fault) return false;
  const code = codeOf(error);
  // Classes 08, 53, 57 and timeouts of the server; a standby; system errors; no primary; what the driver says without a code.
  return (
    /^(08|53|57)...$|^(25P03|25006|40P01|55P03)$|^E[A-Z]{3,}$|^unavailable$/.test(code) ||
    /^(Connection terminated|timeout exceeded|Client has encountered|Query read timeout)/.test(error.message)
  );
}

export function away(error: unknown): Fault {
  return new Fault('unavailable', 'store.away', 'The database does not answer.', { cause: error, detail: String(error) });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Names of parameters while a text is composed: `put(value)` answers `$1`, `$2`, … */
export function openValues(): { readonly values: unknown[]; readonly put: (value: unknown) => string } {
  const values: unknown[] = [];
  return { values, put: (value) => `$${values.push(value)}` };
}

/** Text that `like` takes literally. */
export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, (sign) => `\\${sign}`);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a uuid column can be compared with it; anything else names no row. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

function openNames(): (text: string) => string | undefined {
  const names = new Map<string, string>();
  const uses = new Map<string, number>();
  return (text) => {
    const name = names.get(text);
    if (name !== undefined || names.size >= PREPARED_MAX) return name;
    const used = (uses.get(text) ?? 0) + 1;
    uses.delete(text);
    if (used >= PREPARE_AFTER) {
      const prepared = `read-${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
      names.set(text, prepared);
      return prepared;
    }
    uses.set(text, used); // set anew, so that the map's order is that of use
    const [oldest] = uses.size > COUNTED_MAX ? uses.keys() : [];
    if (oldest !== undefined) uses.delete(oldest);
    return undefined;
  };
}
