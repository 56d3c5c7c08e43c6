/**
 * Security groups and their rules, as records: hosts do not enforce them yet. Every project has its `default`, made when
 * it is first looked for. Servers name their groups, so a group that servers use keeps its name and stays.
 */
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { QuotaLimits, QuotaName } from '../../model/quota.ts';
import { DEFAULT_GROUP, type SecurityGroup, type SecurityRule } from '../../model/security-group.ts';
import type { RecordProtocol } from '../messages/record.ts';
import type { Query } from '../reads/query.ts';
import { inCell } from './in-cell.ts';
import { limitInForce } from './quota-limit.ts';

type Names =
  | 'listSecurityGroups'
  | 'showSecurityGroup'
  | 'createSecurityGroup'
  | 'updateSecurityGroup'
  | 'deleteSecurityGroup'
  | 'createSecurityRule'
  | 'showSecurityRule'
  | 'deleteSecurityRule';
type RuleToMake = RecordProtocol['createSecurityRule']['body']['rule'];
type Row = { id: string; project_id: string; name: string };

const RULE = `json_build_object('id', r.id, 'parentGroupId', r.group_id, 'protocol', r.protocol, 'fromPort', r.from_port, 'toPort', r.to_port, 'cidr', r.cidr,
  'group', (select json_build_object('name', s.name, 'projectId', s.project_id) from security_group s where s.id = r.source_group))`;
const VIEW = `select g.id, g.project_id as "projectId", g.name, g.description,
  coalesce((select json_agg(${RULE} order by r.created_at, r.id) from security_group_rule r where r.group_id = g.id), '[]'::json) as rules from security_group g`;
const LIST = `${VIEW} where $1::text is null or g.project_id = $1 order by g.name, g.id offset $2 limit $3`;
const SHOW = `${VIEW} where g.id = `;
const SHOW_RULE = `select ${RULE} as rule, g.project_id as "projectId" from security_group_rule r join security_group g on g.id = r.group_id where r.id = `;
const INSERT = 'insert into security_group (id, project_id, user_id, name, description) values (?, ?, ?, ?, ?)';
const DEFAULT = `insert into security_group (id, project_id, user_id, name, description) values (gen_random_uuid(), ?, '', '${DEFAULT_GROUP}', '${DEFAULT_GROUP}')
  on conflict (project_id, name) do nothing`;
const IN_USE = `select 1 from instance i where i.project_id = ? and not i.deleted
  and exists (select from json_array_elements_text(i.record->'securityGroups') as s(name) where s.name = ?) limit 1`;
const COUNT = "select count(*) as used from security_group where project_id = ? and (? = '' or user_id = ?)";
const COUNT_RULES = 'select count(*) as used from security_group_rule where group_id = ?';
const SAME_RULE = `select 1 from security_group_rule where group_id = ? and protocol is not distinct from ? and from_port is not distinct from ?
  and to_port is not distinct from ? and cidr is not distinct from ? and source_group is not distinct from ?::uuid limit 1`;
const INSERT_RULE = 'insert into security_group_rule (id, group_id, protocol, from_port, to_port, cidr, source_group) values (?, ?, ?, ?, ?, ?, ?)';

export function securityGroupServe(orm: MikroORM, query: Query, quotas: QuotaLimits): Pick<ServiceKind<RecordProtocol>['serve'], Names> {
  const list = (projectId: string | null, offset: number, limit: number) => query<SecurityGroup>({ text: LIST, values: [projectId, offset, limit] });
  return {
    async listSecurityGroups({ projectId, offset, limit }) {
      if (projectId !== null && (await list(projectId, 0, 1)).length === 0) await inCell(orm, (em) => em.execute(DEFAULT, [projectId], 'run'));
      return list(projectId, offset, limit);
    },
    async showSecurityGroup({ id }) {
      const [found] = await query<SecurityGroup>({ text: `${SHOW}$1`, values: [id] });
      return found ?? null;
    },
    createSecurityGroup: ({ group }) => inCell(orm, (em) => create(em, group, quotas)),
    updateSecurityGroup: ({ id, name, description }) => inCell(orm, (em) => update(em, id, name, description)),
    async deleteSecurityGroup({ id }) {
      await inCell(orm, (em) => remove(em, id));
      return undefined;
    },
    createSecurityRule: ({ rule }) => inCell(orm, (em) => createRule(em, rule, quotas)),
    async showSecurityRule({ id }) {
      const [found] = await query<{ rule: SecurityRule; projectId: string }>({ text: `${SHOW_RULE}$1`, values: [id] });
      return found ? { ...found.rule, projectId: found.projectId } : null;
    },
    async deleteSecurityRule({ id }) {
      await inCell(orm, async (em) => {
        const gone = await em.execute<object[]>('delete from security_group_rule where id = ? returning id', [id]);
        if (gone.length === 0) throw new Fault('notFound', 'securityRule', `Security group rule ${id} not found.`);
      });
      return undefined;
    },
  };
}

async function create(
  em: EntityManager,
  { id, projectId, userId, name, description }: RecordProtocol['createSecurityGroup']['body']['group'],
  quotas: QuotaLimits,
): Promise<SecurityGroup> {
  await em.execute(DEFAULT, [projectId], 'run');
  if (await isNamed(em, projectId, name)) throw nameTaken(name, projectId);
  for (const who of ['', userId]) {
    const [row] = await em.execute<{ used: string }[]>(COUNT, [projectId, who, who]);
    await refuseOver(em, { projectId, userId: who, name: 'security_groups' }, Number(row?.used ?? 0), quotas, 'Quota exceeded, too many security groups.');
  }
  await em.execute(INSERT, [id, projectId, userId, name, description], 'run');
  return { id, projectId, name, description, rules: [] };
}

async function update(em: EntityManager, id: string, name: string, description: string): Promise<SecurityGroup> {
  const { project_id: projectId, name: before } = await found(em, id);
  if (name !== before) {
    if (before === DEFAULT_GROUP) throw new Fault('invalid', 'securityGroup.default', `Unable to update system group '${DEFAULT_GROUP}'`);
    if (await isNamed(em, projectId, name)) throw nameTaken(name, projectId);
    await refuseUsed(em, id, projectId, before);
  }
  await em.execute('update security_group set name = ?, description = ? where id = ?', [name, description, id], 'run');
  const [changed] = await em.execute<SecurityGroup[]>(`${SHOW}?`, [id]);
  if (!changed) throw unknownGroup(id);
  return changed;
}

async function remove(em: EntityManager, id: string): Promise<void> {
  const { project_id: projectId, name } = await found(em, id);
  if (name === DEFAULT_GROUP) throw new Fault('invalid', 'securityGroup.default', `Unable to delete system group '${DEFAULT_GROUP}'`);
  await refuseUsed(em, id, projectId, name);
  await em.execute('delete from security_group where id = ?', [id], 'run');
}

async function createRule(em: EntityManager, rule: RuleToMake, quotas: QuotaLimits): Promise<SecurityRule> {
  const { id, parentGroupId, protocol, fromPort, toPort, cidr, sourceGroupId, userId } = rule;
  const { project_id: projectId } = await found(em, parentGroupId);
  if (sourceGroupId !== null) await found(em, sourceGroupId);
  const values = [parentGroupId, protocol, fromPort, toPort, cidr, sourceGroupId];
  const same = await em.execute<object[]>(SAME_RULE, values);
  if (same.length > 0) throw new Fault('invalid', 'securityRule.same', `This rule already exists in group ${parentGroupId}`);
  const [row] = await em.execute<{ used: string }[]>(COUNT_RULES, [parentGroupId]);
  const over = 'Quota exceeded, too many security group rules.';
  await refuseOver(em, { projectId, userId, name: 'security_group_rules' }, Number(row?.used ?? 0), quotas, over);
  await em.execute(INSERT_RULE, [id, ...values], 'run');
  const [made] = await em.execute<{ rule: SecurityRule }[]>(`${SHOW_RULE}?`, [id]);
  if (!made) throw unknownGroup(parentGroupId);
  return made.rule;
}

async function refuseOver(
  em: EntityManager,
  of: { projectId: string; userId: string; name: QuotaName },
  used: number,
  quotas: QuotaLimits,
  text: string,
): Promise<void> {
  const limit = await limitInForce(em, of, quotas);
  if (limit >= 0 && used >= limit) throw new Fault('overQuota', `quota.${of.name}`, text, { detail: { used, limit } });
}

async function found(em: EntityManager, id: string): Promise<Row> {
  const [row] = await em.execute<Row[]>('select id, project_id, name from security_group where id = ?', [id]);
  if (!row) throw unknownGroup(id);
  return row;
}

async function isNamed(em: EntityManager, projectId: string, name: string): Promise<boolean> {
  return (await em.execute<object[]>('select 1 from security_group where project_id = ? and name = ?', [projectId, name])).length > 0;
}

async function refuseUsed(em: EntityManager, id: string, projectId: string, name: string): Promise<void> {
  const used = await em.execute<object[]>(IN_USE, [projectId, name]);
  if (used.length > 0) throw new Fault('invalid', 'securityGroup.used', `Security group ${id} is still in use.`);
}

function nameTaken(name: string, projectId: string): Fault {
  return new Fault('invalid', 'securityGroup.name', `Security group ${name} already exists for project ${projectId}.`);
}

function unknownGroup(id: string): Fault {
  return new Fault('notFound', 'securityGroup', `Security group ${id} not found.`);
}
