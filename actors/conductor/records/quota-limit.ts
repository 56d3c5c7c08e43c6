/** One limit in force, read in the transaction that counts against it: it cannot change before the end. */
import type { EntityManager } from '@mikro-orm/postgresql';
import type { QuotaLimits, QuotaName } from '../../model/quota.ts';

export const UNLIMITED = -1;

/** `userId` '': of the project as a whole. */
export async function limitInForce(
  em: EntityManager,
  { projectId, userId, name }: { projectId: string; userId: string; name: QuotaName },
  quotas: QuotaLimits,
): Promise<number> {
  const defaults = JSON.stringify({ [name]: quotas[name] });
  const [row] = await em.execute<{ value: string | number }[]>('select novact_limit(?, ?, ?, ?::json) as value', [projectId, userId, name, defaults]);
  return Number(row?.value ?? UNLIMITED);
}
