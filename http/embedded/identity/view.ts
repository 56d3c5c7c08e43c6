/** Records and tokens as Identity v3 shows them. Nothing secret is in a record, so nothing secret can be shown. */
import type {
  IdentityDomain,
  IdentityEc2Key,
  IdentityEndpoint,
  IdentityKind,
  IdentityKinds,
  IdentityProject,
  IdentityRegion,
  IdentityRole,
  IdentityService,
  IdentityUser,
  NamedGrant,
  TokenView,
} from '../../../actors/conductor/messages/identity.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import type { Catalog } from './catalog.ts';
import { renderCatalog } from './catalog.ts';

type Views = { readonly [K in IdentityKind]: (record: IdentityKinds[K], base: string) => object };

export const VIEWS: Views = { Domain: domain, Project: project, User: user, Role: role, Region: region, Service: service, Endpoint: endpoint };

/** `catalog` undefined: left out. */
export function renderToken(view: TokenView, catalog: Catalog | undefined): object {
  const { scope } = view;
  return {
    methods: view.methods,
    user: { domain: { id: view.userDomainId, name: view.userDomainName }, id: view.userId, name: view.userName, password_expires_at: null },
    audit_ids: view.auditIds,
    expires_at: micros(view.expiresAtMs),
    issued_at: micros(view.issuedAtMs),
    ...scopeOf(view),
    ...(scope.kind === 'unscoped' ? {} : { roles: view.roles }),
    ...(catalog && scope.kind !== 'unscoped' ? { catalog: renderCatalog(catalog, projectOf(view)) } : {}),
  };
}

export function projectOf({ scope }: TokenView): string | null {
  return scope.kind === 'project' ? scope.id : null;
}

export function renderEc2Key({ access, secret, userId, projectId }: IdentityEc2Key, base: string): object {
  return { user_id: userId, tenant_id: projectId, access, secret, trust_id: null, links: { self: `${base}/v3/users/${userId}/credentials/OS-EC2/${access}` } };
}

export function renderGrant(grant: NamedGrant, base: string, withNames: boolean): object {
  const { target, userId, roleId } = grant;
  const path = target.kind === 'system' ? 'system' : `${target.kind}s/${target.id}`;
  const named = (id: string, name: string, domainId?: string): object =>
    withNames ? { id, name, ...(domainId === undefined ? {} : { domain: { id: domainId, name: domainId === 'default' ? 'Default' : domainId } }) } : { id };
  const scope =
    target.kind === 'system'
      ? { system: { all: true } }
      : { [target.kind]: named(target.id, grant.targetName, target.kind === 'project' ? grant.targetDomainId : undefined) };
  return {
    role: named(roleId, grant.roleName),
    user: named(userId, grant.userName, grant.userDomainId),
    scope,
    links: { assignment: `${base}/v3/${path}/users/${userId}/roles/${roleId}` },
  };
}

function domain({ id, name, description, enabled }: IdentityDomain, base: string): object {
  return { id, name, description, enabled, tags: [], options: {}, links: self(base, 'domains', id) };
}

function project({ id, name, domainId, description, enabled }: IdentityProject, base: string): object {
  return {
    id,
    name,
    domain_id: domainId,
    parent_id: domainId,
    description,
    enabled,
    is_domain: false,
    tags: [],
    options: {},
    links: self(base, 'projects', id),
  };
}

function user(record: IdentityUser, base: string): object {
  return {
    id: record.id,
    name: record.name,
    domain_id: record.domainId,
    enabled: record.enabled,
    password_expires_at: null,
    options: {},
    ...(record.defaultProjectId === null ? {} : { default_project_id: record.defaultProjectId }),
    ...(record.email === null ? {} : { email: record.email }),
    ...(record.description === null ? {} : { description: record.description }),
    links: self(base, 'users', record.id),
  };
}

function role({ id, name, description }: IdentityRole, base: string): object {
  return { id, name, description, domain_id: null, options: {}, links: self(base, 'roles', id) };
}

function region({ id, description }: IdentityRegion, base: string): object {
  return { id, description, parent_region_id: null, links: self(base, 'regions', id) };
}

function service({ id, type, name, description, enabled }: IdentityService, base: string): object {
  return { id, type, name, description, enabled, links: self(base, 'services', id) };
}

function endpoint(record: IdentityEndpoint, base: string): object {
  const { id, serviceId, regionId, url, enabled } = record;
  return { id, service_id: serviceId, region_id: regionId, region: regionId, interface: record.interface, url, enabled, links: self(base, 'endpoints', id) };
}

function self(base: string, collection: string, id: string): object {
  return { self: `${base}/v3/${collection}/${encodeURIComponent(id)}` };
}

function scopeOf({ scope }: TokenView): object {
  if (scope.kind === 'project')
    return { project: { domain: { id: scope.domainId, name: scope.domainName }, id: scope.id, name: scope.name }, is_domain: false };
  if (scope.kind === 'domain') return { domain: { id: scope.id, name: scope.name } };
  return scope.kind === 'system' ? { system: { all: true } } : {};
}

/** Six digits after the point, as clients parse them. */
function micros(wallMs: number): string {
  return toIso(wallMs).replace('Z', '000Z');
}
