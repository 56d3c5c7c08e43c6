/**
 * Tokens of the embedded Identity service, stored as hashes. A token carries no roles: each load reads what its user
 * holds now, so a revoked grant or a disabled project ends it at once.
 *
 * Issuing stores the row and loads it in one transaction: what could not be loaded afterwards is never stored.
 */
import type { EntityManager } from '@mikro-orm/postgresql';
import type { IdentityLogin, IdentityProtocol, Named, TokenScope, TokenView, WantedScope } from '../messages/identity.ts';
import type { EmbeddedStore, Serve } from './embedded-store.ts';
import { changedBy, gone, identityChange, inTransaction, rowsOf } from './embedded-store.ts';

type Tokens = Pick<
  IdentityProtocol,
  | 'identityRevision'
  | 'identityLogin'
  | 'identitySetPassword'
  | 'identityIssueToken'
  | 'identityLoadToken'
  | 'identityAuthorize'
  | 'identityRevokeToken'
  | 'identityPurgeTokens'
>;
type Issue = Parameters<Serve<Tokens>['identityIssueToken']>[0];

/** A user's live tokens; past it the oldest go, so that a loop of logins cannot fill the table. */
export const TOKENS_PER_USER_MAX = 5_000;
const PURGE_MAX = 1_000;

export function tokenServe(store: EmbeddedStore): Serve<Tokens> {
  return {
    async identityRevision() {
      const [row] = await rowsOf<{ revision: number }>(store.orm.em.fork(), 'select revision::float8 as revision from identity_revision');
      return row?.revision ?? 0;
    },
    async identityLogin({ user }) {
      const { where, params } = whereNamed('u', 'd', user);
      const sql = `select u.id as "userId", u.password_hash as "passwordHash", u.enabled and d.enabled as enabled
        from identity_user u join identity_domain d on d.id = u.domain_id where ${where}`;
      const [row] = await rowsOf<IdentityLogin>(store.orm.em.fork(), sql, params);
      return row ?? null;
    },
    async identitySetPassword({ userId, passwordHash }) {
      await identityChange(store, 'identity.user', async (em) => {
        const changed = await changedBy(em, 'update identity_user set password_hash = ? where id = ?', [passwordHash, userId]);
        if (changed === 0) throw gone('identity.user');
        await changedBy(em, 'delete from identity_token where user_id = ?', [userId]);
      });
      return undefined;
    },
    identityIssueToken: (message) => inTransaction(store, 'identity.token', (em) => issue(em, message)),
    identityLoadToken: ({ hash, nowMs }) => load(store.orm.em.fork(), hash, nowMs),
    async identityAuthorize({ userId, projectId }) {
      const [row] = await rowsOf<TokenRow>(store.orm.em.fork(), AUTHORIZE, [userId, projectId]);
      return row && row.scope === 'project' && row.scopeId !== null ? viewOf(row) : null;
    },
    async identityRevokeToken({ hash }) {
      await identityChange(store, 'identity.token', (em) => changedBy(em, 'delete from identity_token where hash = ?', [hash]));
      return undefined;
    },
    async identityPurgeTokens({ nowMs }) {
      const sql = `delete from identity_token where hash in
        (select hash from identity_token where expires_at <= ? order by expires_at limit ${PURGE_MAX} for update skip locked)`;
      return changedBy(store.orm.em.fork(), sql, [new Date(nowMs)]);
    },
  };
}

async function issue(em: EntityManager, message: Issue): Promise<TokenView | null> {
  if (!(await stillProven(em, message))) return null;
  for (const target of await targetsOf(em, message.userId, message.scope)) {
    await insert(em, message, target);
    const view = await load(em, message.hash, message.issuedAtMs);
    if (view) {
      await forgetOldest(em, message.userId);
      return view;
    }
    await changedBy(em, 'delete from identity_token where hash = ?', [message.hash]);
  }
  return null;
}

/**
 * What was proven before is so still: a password that changed meanwhile, or a parent that was revoked, gives no token.
 * The lock makes changes of the user wait, so they see this token and revoke it.
 */
async function stillProven(em: EntityManager, { userId, proof }: Issue): Promise<boolean> {
  const [user] = await rowsOf<{ hash: string | null }>(em, 'select password_hash as hash from identity_user where id = ? for share', [userId]);
  if (!user) return false;
  if ('passwordHash' in proof) return user.hash === proof.passwordHash;
  const parents = await rowsOf(em, 'select 1 as one from identity_token where hash = ? and user_id = ? for key share', [proof.tokenHash, userId]);
  return parents.length === 1;
}

type Target = { scope: TokenScope['kind']; projectId: string | null; domainId: string | null };
const UNSCOPED: Target = { scope: 'unscoped', projectId: null, domainId: null };

/** What the wish comes down to, best first; empty when it names nothing. */
async function targetsOf(em: EntityManager, userId: string, wanted: WantedScope): Promise<Target[]> {
  switch (wanted.kind) {
    case 'unscoped':
      return [UNSCOPED];
    case 'system':
      return [{ scope: 'system', projectId: null, domainId: null }];
    case 'default': {
      const [user] = await rowsOf<{ id: string | null }>(em, 'select default_project_id as id from identity_user where id = ?', [userId]);
      return user?.id ? [{ scope: 'project', projectId: user.id, domainId: null }, UNSCOPED] : [UNSCOPED];
    }
    case 'project': {
      const { where, params } = whereNamed('p', 'd', wanted.project);
      const found = await rowsOf<{ id: string }>(em, `select p.id from identity_project p join identity_domain d on d.id = p.domain_id where ${where}`, params);
      return found.map(({ id }) => ({ scope: 'project', projectId: id, domainId: null }));
    }
    case 'domain': {
      const [column, value] = 'id' in wanted.domain ? ['id', wanted.domain.id] : ['name', wanted.domain.name];
      const found = await rowsOf<{ id: string }>(em, `select d.id from identity_domain d where d.${column} = ?`, [value]);
      return found.map(({ id }) => ({ scope: 'domain', projectId: null, domainId: id }));
    }
  }
}

async function insert(em: EntityManager, message: Issue, target: Target): Promise<void> {
  const sql = `insert into identity_token (hash, user_id, scope, project_id, domain_id, methods, audit_ids, issued_at, expires_at)
    values (?, ?, ?, ?, ?, array(select jsonb_array_elements_text(?::jsonb)), array(select jsonb_array_elements_text(?::jsonb)), ?, ?)`;
  await changedBy(em, sql, [
    message.hash,
    message.userId,
    target.scope,
    target.projectId,
    target.domainId,
    JSON.stringify(message.methods),
    JSON.stringify(message.auditIds),
    new Date(message.issuedAtMs),
    new Date(message.expiresAtMs),
  ]);
}

async function forgetOldest(em: EntityManager, userId: string): Promise<void> {
  // Finds one row past the limit by the index alone; most users never have so many.
  const sql = `delete from identity_token where user_id = ? and issued_at <=
    (select issued_at from identity_token where user_id = ? order by issued_at desc offset ${TOKENS_PER_USER_MAX} limit 1)`;
  await changedBy(em, sql, [userId, userId]);
}

type TokenRow = Omit<TokenView, 'scope'> & {
  scope: TokenScope['kind'];
  scopeId: string | null;
  scopeName: string | null;
  scopeDomainId: string | null;
  scopeDomainName: string | null;
  live: boolean;
};

async function load(em: EntityManager, hash: string, nowMs: number): Promise<TokenView | null> {
  const [row] = await rowsOf<TokenRow>(em, LOAD, [hash, new Date(nowMs)]);
  return row ? viewOf(row) : null;
}

function viewOf(row: TokenRow): TokenView | null {
  if (!row.live || (row.scope !== 'unscoped' && row.roles.length === 0)) return null;
  const { scope, scopeId, scopeName, scopeDomainId, scopeDomainName, live: _, ...rest } = row;
  return { ...rest, scope: toScope(scope, [scopeId ?? '', scopeName ?? '', scopeDomainId ?? '', scopeDomainName ?? '']) };
}

function toScope(kind: TokenScope['kind'], [id, name, domainId, domainName]: [string, string, string, string]): TokenScope {
  if (kind === 'project') return { kind, id, name, domainId, domainName };
  return kind === 'domain' ? { kind, id, name } : { kind };
}

/** The chain of roles: whoever holds the left one holds the right one too. */
const CHAIN = `(values ('admin', 'manager'), ('admin', 'member'), ('admin', 'reader'), ('manager', 'member'), ('manager', 'reader'),
  ('member', 'reader')) as chain (held, implied)`;

const VIEW = `select t.user_id as "userId", u.name as "userName", u.domain_id as "userDomainId", ud.name as "userDomainName",
    t.scope, coalesce(p.id, d.id) as "scopeId", coalesce(p.name, d.name) as "scopeName", p.domain_id as "scopeDomainId", pd.name as "scopeDomainName",
    t.methods, t.audit_ids as "auditIds",
    floor(extract(epoch from t.issued_at) * 1000)::float8 as "issuedAtMs", floor(extract(epoch from t.expires_at) * 1000)::float8 as "expiresAtMs",
    u.enabled and ud.enabled and coalesce(p.enabled, true) and coalesce(pd.enabled, true) and coalesce(d.enabled, true) as live,
    coalesce((
      with held as (
        select r.id, r.name from identity_grant g join identity_role r on r.id = g.role_id
        where t.scope <> 'unscoped' and g.user_id = t.user_id
          and g.project_id is not distinct from t.project_id and g.domain_id is not distinct from t.domain_id)
      select json_agg(json_build_object('id', r.id, 'name', r.name) order by r.name) from identity_role r
      where r.id in (select id from held) or r.name in (select chain.implied from ${CHAIN} join held on held.name = chain.held)
    ), '[]') as roles
  from SOURCE t
  join identity_user u on u.id = t.user_id join identity_domain ud on ud.id = u.domain_id
  left join identity_project p on p.id = t.project_id left join identity_domain pd on pd.id = p.domain_id
  left join identity_domain d on d.id = t.domain_id`;

const LOAD = `${VIEW.replace('SOURCE', 'identity_token')} where t.hash = ? and t.expires_at > ?`;

/** As if a token of that user on that project had been issued at time zero. */
const AUTHORIZE = VIEW.replace(
  'SOURCE',
  `(select ?::text as user_id, 'project' as scope, ?::text as project_id, null::text as domain_id,
  '{}'::text[] as methods, '{}'::text[] as audit_ids, to_timestamp(0) as issued_at, to_timestamp(0) as expires_at)`,
);

function whereNamed(record: string, domain: string, named: Named): { where: string; params: string[] } {
  if ('id' in named) return { where: `${record}.id = ?`, params: [named.id] };
  const [column, value] = 'id' in named.domain ? ['id', named.domain.id] : ['name', named.domain.name];
  return { where: `${record}.name = ? and ${domain}.${column} = ?`, params: [named.name, value] };
}
