/**
 * What the records of the embedded services share: the mapper, one transaction, and a database's refusal in our words.
 *
 * A change of identity takes the revision row first, so that changes are serial, never deadlock, and whoever reads the
 * revision after the answer sees it moved. Statements hold `?` only as placeholders.
 */
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import {
  CheckConstraintViolationException,
  ForeignKeyConstraintViolationException,
  NotNullConstraintViolationException,
  UniqueConstraintViolationException,
} from '@mikro-orm/postgresql';
import type { MessageWith, Protocol, ReplyOf } from '../../../runtime/actor/protocol.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { away, isAway } from '../reads/query.ts';

export type EmbeddedStore = { readonly orm: MikroORM };

/** A part of the conductor's `serve` table. */
export type Serve<P extends Protocol> = { readonly [T in keyof P & string]: (message: MessageWith<P, T>) => Promise<ReplyOf<P, T>> };

/** Rows of a statement. Their types are believed: the statement stands beside the type. */
export async function rowsOf<Row extends object>(em: EntityManager, sql: string, params: readonly unknown[] = []): Promise<Row[]> {
  return em.execute<Row[]>(sql, [...params]);
}

/** How many rows a statement changed. */
export async function changedBy(em: EntityManager, sql: string, params: readonly unknown[] = []): Promise<number> {
  const result = await em.execute<{ affectedRows: number }>(sql, [...params], 'run');
  return result.affectedRows;
}

/** `what` names the record in faults: `identity.user`. */
export async function inTransaction<T>(store: EmbeddedStore, what: string, run: (em: EntityManager) => Promise<T>): Promise<T> {
  return asFaults(what, () => store.orm.em.fork().transactional(run));
}

/** A transaction that may take a right away: everybody's validated tokens are forgotten. */
export async function identityChange<T>(store: EmbeddedStore, what: string, run: (em: EntityManager) => Promise<T>): Promise<T> {
  return inTransaction(store, what, async (em) => {
    await changedBy(em, 'update identity_revision set revision = revision + 1');
    return run(em);
  });
}

export function gone(what: string): Fault {
  return new Fault('notFound', what, 'Could not find it.');
}

/** A service table whose functions say `unavailable` when the database is away, whatever they were doing. */
export function guarded<S extends { readonly [type: string]: (message: never) => Promise<unknown> }>(serve: S): S {
  const entries = Object.entries(serve).map(([type, answer]) => [
    type,
    async (message: never): Promise<unknown> => {
      try {
        return await answer(message);
      } catch (error) {
        throw isAway(error) ? away(error) : error;
      }
    },
  ]);
  return Object.fromEntries(entries) as S; // the same names and types, one wrapper each
}

async function asFaults<T>(what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof UniqueConstraintViolationException) throw new Fault('conflict', what, 'It exists already.', { cause: error });
    if (error instanceof ForeignKeyConstraintViolationException)
      throw new Fault('conflict', `${what}.reference`, 'It refers to what does not exist, or is still in use.', { cause: error });
    if (error instanceof CheckConstraintViolationException || error instanceof NotNullConstraintViolationException) {
      throw new Fault('invalid', what, 'A member is missing or out of its range.', { cause: error });
    }
    throw error;
  }
}
