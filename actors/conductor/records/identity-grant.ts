/** Who holds which role on what: grants of the embedded Identity service. A grant or its end raises the revision. */
import type { GrantTarget, IdentityProtocol, NamedGrant } from '../messages/identity.ts';
import type { EmbeddedStore, Serve } from './embedded-store.ts';
import { changedBy, gone, identityChange, rowsOf } from './embedded-store.ts';

type Grants = Pick<IdentityProtocol, 'identityListGrants' | 'identityGrant' | 'identityRevokeGrant' | 'identityProjectsOfUser' | 'identityDomainsOfUser'>;
type GrantRow = {
  userId: string;
  roleId: string;
  projectId: string | null;
  domainId: string | null;
  userName: string;
  userDomainId: string;
  roleName: string;
  targetName: string;
  targetDomainId: string;
};

export function grantServe(store: EmbeddedStore): Serve<Grants> {
  return {
    async identityListGrants({ userId, roleId, target, limit }) {
      const where: string[] = ['true'];
      const params: unknown[] = [];
      const must = (sql: string, ...values: unknown[]): void => void (where.push(sql), params.push(...values));
      if (userId !== null) must('g.user_id = ?', userId);
      if (roleId !== null) must('g.role_id = ?', roleId);
      if (target !== null) must(KIND_SQL[target.kind]);
      if (target !== null && target.id !== null && target.kind !== 'system') must(`g.${target.kind}_id = ?`, target.id);
      const rows = await rowsOf<GrantRow>(store.orm.em.fork(), `${GRANTS} where ${where.join(' and ')} order by g.id limit ?`, [...params, limit]);
      return rows.map(toGrant);
    },
    async identityGrant({ userId, roleId, target }) {
      const sql = 'insert into identity_grant (user_id, role_id, project_id, domain_id) values (?, ?, ?, ?) on conflict do nothing';
      await identityChange(store, 'identity.grant', (em) => changedBy(em, sql, [userId, roleId, ...columnsOf(target)]));
      return undefined;
    },
    async identityRevokeGrant({ userId, roleId, target }) {
      const sql = `delete from identity_grant where user_id = ? and role_id = ? and project_id is not distinct from ?
        and domain_id is not distinct from ?`;
      const removed = await identityChange(store, 'identity.grant', (em) => changedBy(em, sql, [userId, roleId, ...columnsOf(target)]));
      if (removed === 0) throw gone('identity.grant');
      return undefined;
    },
    async identityProjectsOfUser({ userId, limit }) {
      const sql = `select p.id, p.name, p.domain_id as "domainId", p.description, p.enabled
        from identity_project p join identity_domain d on d.id = p.domain_id
        where p.enabled and d.enabled and exists (select from identity_grant g where g.project_id = p.id and g.user_id = ?)
        order by p.name limit ?`;
      return rowsOf(store.orm.em.fork(), sql, [userId, limit]);
    },
    async identityDomainsOfUser({ userId, limit }) {
      const sql = `select d.id, d.name, d.description, d.enabled from identity_domain d
        where d.enabled and exists (select from identity_grant g where g.domain_id = d.id and g.user_id = ?)
        order by d.name limit ?`;
      return rowsOf(store.orm.em.fork(), sql, [userId, limit]);
    },
  };
}

const KIND_SQL = {
  project: 'g.project_id is not null',
  domain: 'g.domain_id is not null',
  system: 'g.project_id is null and g.domain_id is null',
} as const satisfies Record<GrantTarget['kind'], string>;

const GRANTS = `select g.user_id as "userId", g.role_id as "roleId", g.project_id as "projectId", g.domain_id as "domainId",
    u.name as "userName", u.domain_id as "userDomainId", r.name as "roleName",
    coalesce(p.name, d.name, '') as "targetName", coalesce(p.domain_id, d.id, '') as "targetDomainId"
  from identity_grant g join identity_user u on u.id = g.user_id join identity_role r on r.id = g.role_id
  left join identity_project p on p.id = g.project_id left join identity_domain d on d.id = g.domain_id`;

function columnsOf(target: GrantTarget): [string | null, string | null] {
  return [target.kind === 'project' ? target.id : null, target.kind === 'domain' ? target.id : null];
}

function toGrant({ projectId, domainId, ...named }: GrantRow): NamedGrant {
  const target: GrantTarget =
    projectId !== null ? { kind: 'project', id: projectId } : domainId !== null ? { kind: 'domain', id: domainId } : { kind: 'system', id: '' };
  return { ...named, target };
}
