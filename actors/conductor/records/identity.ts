/**
 * Serves the records of the embedded Identity service: domains, projects, users, roles and the catalog alike, by one
 * table of columns. Tokens are in `identity-token.ts`, grants in `identity-grant.ts`.
 *
 * Atomic: a change, the tokens it revokes and the raised revision are one transaction.
 */
import type { EntityManager, EntitySchema, FilterQuery } from '@mikro-orm/postgresql';
import type { IdentityEc2Key, IdentityFilter, IdentityKind, IdentityKinds, IdentityProtocol } from '../messages/identity.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { DomainRow, Ec2KeyRow, EndpointRow, ProjectRow, RegionRow, RoleRow, ServiceRow, UserRow } from '../tables/identity.ts';
import type { EmbeddedStore, Serve } from './embedded-store.ts';
import { changedBy, gone, guarded, identityChange, rowsOf } from './embedded-store.ts';
import { grantServe } from './identity-grant.ts';
import { tokenServe } from './identity-token.ts';

/** For the conductor's `serve` table. */
export function identityServe(store: EmbeddedStore): Serve<IdentityProtocol> {
  return guarded({
    ...recordServe(store, 'Domain'),
    ...recordServe(store, 'Project'),
    ...recordServe(store, 'User'),
    ...recordServe(store, 'Role'),
    ...recordServe(store, 'Region'),
    ...recordServe(store, 'Service'),
    ...recordServe(store, 'Endpoint'),
    ...ec2Serve(store),
    ...tokenServe(store),
    ...grantServe(store),
  } as Serve<IdentityProtocol>); // computed message names are plain strings to the compiler
}

type Spec = { readonly row: EntitySchema; readonly columns: readonly string[] };
const SPECS: { readonly [K in IdentityKind]: Spec } = {
  Domain: spec(DomainRow, ['id', 'name', 'description', 'enabled']),
  Project: spec(ProjectRow, ['id', 'name', 'domainId', 'description', 'enabled']),
  User: spec(UserRow, ['id', 'name', 'domainId', 'enabled', 'defaultProjectId', 'email', 'description']),
  Role: spec(RoleRow, ['id', 'name', 'description']),
  Region: spec(RegionRow, ['id', 'description']),
  Service: spec(ServiceRow, ['id', 'type', 'name', 'description', 'enabled']),
  Endpoint: spec(EndpointRow, ['id', 'serviceId', 'regionId', 'interface', 'url', 'enabled']),
};

function recordServe<K extends IdentityKind>(store: EmbeddedStore, kind: K): { [type: string]: (message: never) => Promise<unknown> } {
  const { row, columns } = SPECS[kind];
  const what = `identity.${kind.toLowerCase()}`;
  type Kind = IdentityKinds[K];
  return {
    async [`identityList${kind}`]({ filter, limit }: { filter: IdentityFilter; limit: number }): Promise<Kind[]> {
      const found = await store.orm.em
        .fork()
        .find(row, picked(filter, columns) as FilterQuery<object>, { limit, orderBy: { id: 'asc' } as object, disableIdentityMap: true });
      return found.map((each) => picked(each, columns) as Kind);
    },
    async [`identityCreate${kind}`]({ record, passwordHash }: { record: Kind; passwordHash?: string }): Promise<Kind> {
      await identityChange(store, what, (em) => em.insert(row, withPassword(picked(record, columns), passwordHash)));
      return record;
    },
    async [`identityUpdate${kind}`](message: { id: string; change: Partial<Kind>; passwordHash?: string }): Promise<Kind> {
      return identityChange(store, what, async (em) => {
        const change = withPassword(picked(message.change, columns), message.passwordHash);
        if (Object.keys(change).length > 0) await em.nativeUpdate(row, { id: message.id } as FilterQuery<object>, change);
        if (change['enabled'] === false || message.passwordHash !== undefined) await revokeTokensOf(em, kind, message.id);
        const [now] = await em.find(row, { id: message.id } as FilterQuery<object>, { disableIdentityMap: true });
        if (!now) throw gone(what);
        return picked(now, columns) as Kind;
      });
    },
    async [`identityDelete${kind}`]({ id }: { id: string }): Promise<undefined> {
      const removed = await identityChange(store, what, (em) => em.nativeDelete(row, { id } as FilterQuery<object>));
      if (removed === 0) throw gone(what);
    },
  };
}

function ec2Serve(
  store: EmbeddedStore,
): Serve<Pick<IdentityProtocol, 'identityCreateEc2Key' | 'identityListEc2Keys' | 'identityShowEc2Key' | 'identityDeleteEc2Key'>> {
  const what = 'identity.credential';
  return {
    async identityCreateEc2Key({ key, max }) {
      await identityChange(store, what, async (em) => {
        const held = await em.count(Ec2KeyRow, { userId: key.userId });
        if (held >= max) throw new Fault('forbidden', 'identity.limit', `A user may hold ${max} credentials.`);
        await em.insert(Ec2KeyRow, { ...key });
      });
      return key;
    },
    async identityListEc2Keys({ userId, limit }) {
      const rows = await store.orm.em.fork().find(Ec2KeyRow, { userId }, { limit, orderBy: { access: 'asc' }, disableIdentityMap: true });
      return rows.map(toEc2Key);
    },
    async identityShowEc2Key({ access }) {
      const row = await store.orm.em.fork().findOne(Ec2KeyRow, { access });
      return row ? toEc2Key(row) : null;
    },
    async identityDeleteEc2Key({ userId, access }) {
      const removed = await identityChange(store, what, (em) => em.nativeDelete(Ec2KeyRow, { userId, access }));
      if (removed === 0) throw gone(what);
      return undefined;
    },
  };
}

/** Tokens go for good: switching back on must not bring them back. */
async function revokeTokensOf(em: EntityManager, kind: IdentityKind, id: string): Promise<void> {
  if (kind === 'User') await changedBy(em, 'delete from identity_token where user_id = ?', [id]);
  if (kind === 'Project') await changedBy(em, 'delete from identity_token where project_id = ?', [id]);
  if (kind !== 'Domain') return;
  const sql = `delete from identity_token t using identity_user u where u.id = t.user_id and (u.domain_id = ? or t.domain_id = ?
    or t.project_id in (select p.id from identity_project p where p.domain_id = ?)) returning t.hash`;
  await rowsOf(em, sql, [id, id, id]);
}

function toEc2Key(row: IdentityEc2Key): IdentityEc2Key {
  return { access: row.access, secret: row.secret, userId: row.userId, projectId: row.projectId };
}

function spec(row: unknown, columns: readonly string[]): Spec {
  return { row: row as EntitySchema, columns }; // kinds are carried alike; `columns` says what a row holds
}

/** The members named by `columns` that are there. */
function picked(from: object, columns: readonly string[]): { [key: string]: unknown } {
  const all: { [key: string]: unknown } = { ...from };
  return Object.fromEntries(columns.filter((column) => all[column] !== undefined).map((column) => [column, all[column]]));
}

function withPassword(change: { [key: string]: unknown }, passwordHash: string | undefined): { [key: string]: unknown } {
  return passwordHash === undefined ? change : { ...change, passwordHash };
}
