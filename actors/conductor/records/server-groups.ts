/** Server groups. Who is in one is what servers' rows say. The quota holds whatever the concurrency: changes of a cell are serial. */
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { QuotaLimits } from '../../model/quota.ts';
import type { ServerGroup, ServerGroupView } from '../../model/server-group.ts';
import type { RecordProtocol } from '../messages/record.ts';
import type { Query } from '../reads/query.ts';
import { inCell } from './in-cell.ts';
import { limitInForce } from './quota-limit.ts';

type GroupServe = Pick<ServiceKind<RecordProtocol>['serve'], 'listServerGroups' | 'showServerGroup' | 'createServerGroup' | 'deleteServerGroup'>;

const VIEW = `select g.id, g.project_id as "projectId", g.user_id as "userId", g.name, g.policy, g.per_host as "perHost",
  array(select i.id::text from instance i where i.group_id = g.id and not i.deleted order by i.created_at, i.id) as members from server_group g`;
const LIST = `${VIEW} where $1::text is null or g.project_id = $1 order by g.created_at, g.id offset $2 limit $3`;
const SHOW = `${VIEW} where g.id = $1`;
const COUNT = "select count(*) as used from server_group where project_id = ? and (? = '' or user_id = ?)";
const INSERT = 'insert into server_group (id, project_id, user_id, name, policy, per_host) values (?, ?, ?, ?, ?, ?)';

export function serverGroupServe(orm: MikroORM, query: Query, quotas: QuotaLimits): GroupServe {
  return {
    listServerGroups: ({ projectId, offset, limit }) => query<ServerGroupView>({ text: LIST, values: [projectId, offset, limit] }),
    async showServerGroup({ id }) {
      const [found] = await query<ServerGroupView>({ text: SHOW, values: [id] });
      return found ?? null;
    },
    createServerGroup: ({ group }) => inCell(orm, (em) => create(em, group, quotas)),
    async deleteServerGroup({ id }) {
      await inCell(orm, async (em) => {
        const gone = await em.execute<object[]>('delete from server_group where id = ? returning id', [id]);
        if (gone.length === 0) throw new Fault('notFound', 'serverGroup', `Instance group ${id} could not be found.`);
      });
      return undefined;
    },
  };
}

async function create(em: EntityManager, group: ServerGroup, quotas: QuotaLimits): Promise<ServerGroup> {
  const { id, projectId, userId, name, policy, perHost } = group;
  // The same again: its answer got lost.
  const known = await em.execute<object[]>('select 1 from server_group where id = ? and project_id = ?', [id, projectId]);
  if (known.length > 0) return group;
  for (const who of ['', userId]) {
    const limit = await limitInForce(em, { projectId, userId: who, name: 'server_groups' }, quotas);
    const [row] = await em.execute<{ used: string }[]>(COUNT, [projectId, who, who]);
    const used = Number(row?.used ?? 0);
    if (limit >= 0 && used >= limit) {
      throw new Fault('overQuota', 'quota.server_groups', 'Quota exceeded, too many server groups.', { detail: { used, limit } });
    }
  }
  await em.execute(INSERT, [id, projectId, userId, name, policy, perHost], 'run');
  return group;
}
