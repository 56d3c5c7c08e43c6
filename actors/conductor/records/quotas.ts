/** Quota limits as set for projects, users and classes. What is in force and what is used: reads/quota.ts. */
import type { MikroORM } from '@mikro-orm/postgresql';
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { QuotaName } from '../../model/quota.ts';
import type { RecordProtocol } from '../messages/record.ts';
import { QUOTA_NAMES } from '../reads/quota.ts';
import type { Query } from '../reads/query.ts';
import { QuotaClassRow, QuotaLimitRow } from './entities.ts';
import { inCell } from './in-cell.ts';

/** In the tables: the project as a whole. */
const WHOLE_PROJECT = '';

type Limits = { readonly [name in QuotaName]?: number };
type QuotaServe = Pick<ServiceKind<RecordProtocol>['serve'], 'showQuotaLimits' | 'setQuotaLimits' | 'resetQuotaLimits' | 'showQuotaClass' | 'setQuotaClass'>;

const LIMITS = 'select json_object_agg(name, value) as limits from quota_limit where project_id = $1 and user_id = $2';
const CLASS_LIMITS = 'select json_object_agg(name, value) as limits from quota_class where class = $1';

export function quotaServe(orm: MikroORM, query: Query): QuotaServe {
  return {
    showQuotaLimits: ({ projectId, userId }) => read(query, LIMITS, [projectId, userId ?? WHOLE_PROJECT]),
    showQuotaClass: ({ name }) => read(query, CLASS_LIMITS, [name]),
    async setQuotaLimits({ projectId, userId, limits }) {
      const rows = entriesOf(limits).map(([name, value]) => ({ projectId, userId: userId ?? WHOLE_PROJECT, name, value }));
      if (rows.length > 0) await inCell(orm, (em) => em.upsertMany(QuotaLimitRow, rows));
      return undefined;
    },
    async setQuotaClass({ name, limits }) {
      const rows = entriesOf(limits).map(([limit, value]) => ({ class: name, name: limit, value }));
      if (rows.length > 0) await inCell(orm, (em) => em.upsertMany(QuotaClassRow, rows));
      return undefined;
    },
    /** A project's limits go with those of its users. */
    async resetQuotaLimits({ projectId, userId }) {
      await inCell(orm, (em) => em.nativeDelete(QuotaLimitRow, userId === null ? { projectId } : { projectId, userId }));
      return undefined;
    },
  };
}

async function read(query: Query, text: string, values: readonly string[]): Promise<Limits> {
  const [row] = await query<{ limits: Limits | null }>({ text, values });
  return row?.limits ?? {};
}

/** Names that nobody counts would stay in the table unseen. */
function entriesOf(limits: Limits): [QuotaName, number][] {
  const unknown = Object.keys(limits).find((name) => !QUOTA_NAMES.some((known) => known === name));
  if (unknown !== undefined) throw new Fault('invalid', 'quota.name', `There is no quota named ${unknown}.`);
  return QUOTA_NAMES.flatMap((name) => {
    const value = limits[name];
    return value === undefined ? [] : [[name, value] satisfies [QuotaName, number]];
  });
}
