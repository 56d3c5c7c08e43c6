/**
 * Users, projects, domains, roles, regions, services and endpoints alike: list, show, create, update, delete, from one
 * table of what differs. Administrators change; who may read what stands in the table.
 */
import { z } from 'zod';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { IdentityFilter, IdentityKind, IdentityKinds } from '../../../actors/conductor/messages/identity.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call, Route } from '../wire.ts';
import type { Identity } from './parts.ts';
import type { Caller } from './caller.ts';
import { adminOf, callerOf, mayRead } from './caller.ts';
import { atThisNode } from './catalog.ts';
import { about, forbiddenTo, notFound } from './error.ts';
import { BODIES, parseBody } from './schema.ts';
import { VIEWS } from './view.ts';

/** Longer lists are cut and say `truncated`. */
const LIST_MAX = 10_000;

type Resource<K extends IdentityKind> = {
  readonly kind: K;
  readonly one: string;
  readonly many: string;
  /** Query name → filter name. */
  readonly filters: { readonly [query: string]: keyof IdentityFilter };
  /** A full record of a create body; the id is drawn here, never given (but for regions). */
  readonly make: (body: z.output<(typeof BODIES)[K]>, id: string) => IdentityKinds[K];
  readonly change: (body: Partial<z.output<(typeof BODIES)[K]>>) => Partial<Omit<IdentityKinds[K], 'id'>>;
  /** May somebody read this one who is neither administrator nor service? */
  readonly readable: (caller: Caller, id: string, identity: Identity) => boolean | Promise<boolean>;
};

export function recordRoutes(identity: Identity): Route[] {
  return [
    ...routesOf(identity, users),
    ...routesOf(identity, projects),
    ...routesOf(identity, domains),
    ...routesOf(identity, roles),
    ...routesOf(identity, regions),
    ...routesOf(identity, services),
    ...routesOf(identity, endpoints),
  ];
}

const users: Resource<'User'> = {
  kind: 'User',
  one: 'user',
  many: 'users',
  filters: { name: 'name', domain_id: 'domainId', enabled: 'enabled' },
  make: (body, id) => ({
    id,
    name: body.name,
    domainId: body.domain_id ?? 'default',
    enabled: body.enabled ?? true,
    defaultProjectId: body.default_project_id ?? null,
    email: body.email ?? null,
    description: body.description ?? null,
  }),
  change: (body) =>
    defined({
      name: body.name,
      enabled: body.enabled,
      defaultProjectId: body.default_project_id,
      email: body.email,
      description: body.description,
    }),
  readable: ({ view }, id) => view.userId === id,
};

const projects: Resource<'Project'> = {
  kind: 'Project',
  one: 'project',
  many: 'projects',
  filters: { name: 'name', domain_id: 'domainId', parent_id: 'domainId', enabled: 'enabled' },
  make: (body, id) => ({ id, name: body.name, domainId: body.domain_id ?? 'default', description: body.description ?? '', enabled: body.enabled ?? true }),
  change: (body) => defined({ name: body.name, description: body.description, enabled: body.enabled }),
  async readable({ view }, id, { actors }) {
    if (view.scope.kind === 'project' && view.scope.id === id) return true;
    const held = await actors.ask(CONDUCTOR, { type: 'identityListGrants', userId: view.userId, roleId: null, target: { kind: 'project', id }, limit: 1 });
    return held.length > 0;
  },
};

const domains: Resource<'Domain'> = {
  kind: 'Domain',
  one: 'domain',
  many: 'domains',
  filters: { name: 'name', enabled: 'enabled' },
  make: (body, id) => ({ id, name: body.name, description: body.description ?? '', enabled: body.enabled ?? true }),
  change: (body) => defined({ name: body.name, description: body.description, enabled: body.enabled }),
  readable: ({ view }, id) => view.userDomainId === id,
};

const roles: Resource<'Role'> = {
  kind: 'Role',
  one: 'role',
  many: 'roles',
  filters: { name: 'name' },
  make: (body, id) => ({ id, name: body.name, description: body.description ?? null }),
  change: (body) => defined({ name: body.name, description: body.description }),
  readable: () => false,
};

const regions: Resource<'Region'> = {
  kind: 'Region',
  one: 'region',
  many: 'regions',
  filters: {},
  make: (body, id) => ({ id: body.id ?? id, description: body.description ?? '' }),
  change: (body) => defined({ description: body.description }),
  readable: () => true,
};

const services: Resource<'Service'> = {
  kind: 'Service',
  one: 'service',
  many: 'services',
  filters: { name: 'name', type: 'type' },
  make: (body, id) => ({ id, type: body.type, name: body.name ?? '', description: body.description ?? '', enabled: body.enabled ?? true }),
  change: (body) => defined({ type: body.type, name: body.name, description: body.description, enabled: body.enabled }),
  readable: () => false,
};

const endpoints: Resource<'Endpoint'> = {
  kind: 'Endpoint',
  one: 'endpoint',
  many: 'endpoints',
  filters: { service_id: 'serviceId', region_id: 'regionId', interface: 'interface' },
  make(body, id) {
    const regionId = body.region_id ?? body.region;
    if (regionId === undefined) throw new Fault('invalid', 'identity.schema', `Invalid input for field 'endpoint': 'region_id' is a required property.`);
    return { id, serviceId: body.service_id, regionId, interface: body.interface, url: body.url, enabled: body.enabled ?? true };
  },
  change: (body) =>
    defined({
      serviceId: body.service_id,
      regionId: body.region_id ?? body.region,
      interface: body.interface,
      url: body.url,
      enabled: body.enabled,
    }),
  readable: () => false,
};

function routesOf<K extends IdentityKind>(identity: Identity, resource: Resource<K>): Route[] {
  const { many } = resource;
  return [
    ['GET', `/v3/${many}`, (call) => list(identity, resource, call)],
    ['POST', `/v3/${many}`, (call) => create(identity, resource, call)],
    ['GET', `/v3/${many}/:id`, (call) => show(identity, resource, call)],
    ['PATCH', `/v3/${many}/:id`, (call) => update(identity, resource, call)],
    ['DELETE', `/v3/${many}/:id`, (call) => remove(identity, resource, call)],
  ];
}

async function list<K extends IdentityKind>(identity: Identity, { kind, many, filters }: Resource<K>, call: Call): Promise<void> {
  const { actors, desk, base } = identity;
  const caller = await callerOf(call, desk);
  if (!mayRead(caller) && kind !== 'Region') throw forbiddenTo(`list_${many}`);
  const filter = filterOf(call.query, filters);
  // Domains are no projects here, and projects have no children.
  const none = kind === 'Project' && isTrue(call.query.get('is_domain'));
  const found = none ? [] : await ask(actors, { type: `identityList${kind}`, filter, limit: LIST_MAX + 1 });
  const url = base(call.ctx);
  call.ctx.body = {
    [many]: found.slice(0, LIST_MAX).map((record) => render(identity, kind, record, url)),
    links: { self: `${url}${call.ctx.url}`, previous: null, next: null },
    ...(found.length > LIST_MAX ? { truncated: true } : {}),
  };
}

async function show<K extends IdentityKind>(identity: Identity, { kind, one, readable }: Resource<K>, call: Call): Promise<void> {
  const { actors, desk, base } = identity;
  const caller = await callerOf(call, desk);
  const id = call.params['id'] ?? '';
  if (!mayRead(caller) && !(await readable(caller, id, identity))) throw forbiddenTo(`get_${one}`);
  const [record] = await ask(actors, { type: `identityList${kind}`, filter: { id }, limit: 1 });
  if (!record) throw notFound(one, id);
  call.ctx.body = { [one]: render(identity, kind, record, base(call.ctx)) };
}

async function create<K extends IdentityKind>(identity: Identity, resource: Resource<K>, call: Call): Promise<void> {
  const { actors, desk, base, random, passwords } = identity;
  const { kind, one, make } = resource;
  await adminOf(call, desk, `create_${one}`);
  const body = parseBody(z.object({ [one]: BODIES[kind] }), await call.json())[one] as z.output<(typeof BODIES)[K]>;
  const record = make(body, random.uuid().replaceAll('-', ''));
  const passwordHash = 'password' in body && typeof body.password === 'string' ? { passwordHash: await passwords.hash(body.password) } : {};
  const name = 'name' in record && record.name !== '' ? record.name : record.id;
  const made = await about(one, name, ask(actors, { type: `identityCreate${kind}`, record, ...passwordHash }));
  desk.changed();
  call.ctx.status = 201;
  call.ctx.body = { [one]: render(identity, kind, made, base(call.ctx)) };
}

async function update<K extends IdentityKind>(identity: Identity, { kind, one, change }: Resource<K>, call: Call): Promise<void> {
  const { actors, desk, base, passwords } = identity;
  await adminOf(call, desk, `update_${one}`);
  const id = call.params['id'] ?? '';
  const body = parseBody(z.object({ [one]: BODIES[kind].partial() }), await call.json())[one] as Partial<z.output<(typeof BODIES)[K]>>;
  const passwordHash = 'password' in body && typeof body.password === 'string' ? { passwordHash: await passwords.hash(body.password) } : {};
  const made = await about(one, id, ask(actors, { type: `identityUpdate${kind}`, id, change: change(body), ...passwordHash }));
  desk.changed();
  call.ctx.body = { [one]: render(identity, kind, made, base(call.ctx)) };
}

async function remove<K extends IdentityKind>({ actors, desk }: Identity, { kind, one }: Resource<K>, call: Call): Promise<void> {
  await adminOf(call, desk, `delete_${one}`);
  const id = call.params['id'] ?? '';
  if (kind === 'Domain') await refuseEnabled(actors, id);
  await about(one, id, ask(actors, { type: `identityDelete${kind}`, id }));
  desk.changed();
  call.ctx.status = 204;
}

async function refuseEnabled(actors: Identity['actors'], id: string): Promise<void> {
  const [domain] = await actors.ask(CONDUCTOR, { type: 'identityListDomain', filter: { id }, limit: 1 });
  if (domain?.enabled) throw new Fault('forbidden', 'identity.domain', 'Cannot delete a domain that is enabled, please disable it first.');
}

/** An endpoint of this node's services is shown with this node's address, as in the catalog. */
function render<K extends IdentityKind>({ settings }: Identity, kind: K, record: object, base: string): object {
  const shown = kind === 'Endpoint' ? atThisNode(record as IdentityKinds['Endpoint'], settings.addresses) : record;
  return VIEWS[kind](shown as IdentityKinds[K], base);
}

/** The one place where a message is put together from a kind's name: the compiler knows the names, not their sum. */
async function ask(actors: Identity['actors'], message: { type: string; [member: string]: unknown }): Promise<readonly object[]> {
  return (await actors.ask(CONDUCTOR, message as never)) as unknown as readonly object[];
}

function filterOf(query: URLSearchParams, names: { readonly [query: string]: keyof IdentityFilter }): IdentityFilter {
  const filter: { [name: string]: string | boolean } = {};
  for (const [asked, name] of Object.entries(names)) {
    const value = query.get(asked);
    if (value !== null) filter[name] = name === 'enabled' ? isTrue(value) : value;
  }
  return filter;
}

/** Present without a value, or anything but a no. */
function isTrue(value: string | null): boolean {
  return value !== null && !['0', 'false', 'no', 'off'].includes(value.toLowerCase());
}

function defined<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
