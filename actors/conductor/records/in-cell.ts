/**
 * How plain records change: in a transaction that raises the cell's revision first, as every change of the cell does.
 * So one change comes after the other, whatever node makes it, and what a change has looked up stays true until its end.
 * A refusal that `work` throws takes everything back, the revision too.
 */
import { CheckConstraintViolationException, DriverException, UniqueConstraintViolationException } from '@mikro-orm/core';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { Fault } from '../../../runtime/base/fault.ts';
import { away, isAway } from '../reads/query.ts';

const RAISE = 'update cell set revision = revision + 1';

/**
 * Commits before it answers. Faults of its own: `unavailable` when the database is away or busy for too long (nothing
 * was changed, unless the connection broke at the very end), `conflict` and `invalid` for what only a constraint saw.
 */
export async function inCell<T>(orm: MikroORM, work: (em: EntityManager) => Promise<T>): Promise<T> {
  try {
    return await orm.em.fork().transactional(async (em) => {
      await em.execute(RAISE, [], 'run');
      return work(em);
    });
  } catch (error) {
    throw toFault(error);
  }
}

function toFault(error: unknown): unknown {
  if (isAway(error)) return away(error);
  if (error instanceof UniqueConstraintViolationException) return new Fault('conflict', 'taken', 'It already exists.', { cause: error });
  const isOutOfRange = error instanceof DriverException && (error.code === '22003' || error.code === '22021');
  if (isOutOfRange || error instanceof CheckConstraintViolationException) {
    return new Fault('invalid', 'value', 'A value is out of its range.', { cause: error });
  }
  return error;
}
