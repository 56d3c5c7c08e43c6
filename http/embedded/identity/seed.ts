/**
 * The first records of the embedded Identity service. Runs at every start of every node, at the same time too, and
 * twice does no harm: what exists stays as it is, passwords and endpoints above all.
 */
import { createHash } from 'node:crypto';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { GrantTarget, IdentityKind, IdentityKinds } from '../../../actors/conductor/messages/identity.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import { must } from '../../../runtime/base/check.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Random } from '../../../runtime/base/random.ts';
import type { PasswordCost } from './password.ts';
import { openPasswords } from './password.ts';

const INTERFACES = ['public', 'internal', 'admin'] as const;
const ROLES = ['admin', 'manager', 'member', 'reader', 'service'] as const;

export type IdentitySeed = {
  readonly adminPassword: string;
  readonly demoPassword: string;
  /** Of the user `nova`, by which the Compute service validates tokens. */
  readonly servicePassword: string;
  readonly region: string;
  /** One address for the three interfaces each; `{image}` in it becomes the address of that service at the node that is asked, `$(project_id)s` the token's project. */
  readonly endpoints: readonly { readonly type: string; readonly name: string; readonly url: string; readonly description?: string }[];
  readonly random: Random;
  readonly passwordCost?: PasswordCost;
};
export type SeededIdentity = {
  readonly adminUserId: string;
  readonly adminProjectId: string;
  readonly demoUserId: string;
  readonly demoProjectId: string;
  readonly serviceUserId: string;
  readonly serviceProjectId: string;
};

export async function seedIdentity(actors: Actors, seed: IdentitySeed): Promise<SeededIdentity> {
  const id = (): string => seed.random.uuid().replaceAll('-', '');
  await ensure(actors, 'Domain', { id: 'default' }, () => ({ id: 'default', name: 'Default', description: 'The default domain', enabled: true }));
  const role: { [name: string]: string } = {};
  for (const name of ROLES) role[name] = (await ensure(actors, 'Role', { name }, () => ({ id: id(), name, description: null }))).id;
  const project = async (name: string, description: string): Promise<string> =>
    (await ensure(actors, 'Project', { name, domainId: 'default' }, () => ({ id: id(), name, domainId: 'default', description, enabled: true }))).id;
  const adminProjectId = await project('admin', 'Administration of the cloud');
  const serviceProjectId = await project('service', 'The cloud itself');
  const demoProjectId = await project('demo', 'A project to try things out');
  const user = (name: string, password: string, defaultProjectId: string): Promise<string> =>
    ensureUser(actors, seed, { id: id(), name, defaultProjectId }, password);
  const adminUserId = await user('admin', seed.adminPassword, adminProjectId);
  const demoUserId = await user('demo', seed.demoPassword, demoProjectId);
  const serviceUserId = await user('nova', seed.servicePassword, serviceProjectId);
  const grant = (userId: string, name: (typeof ROLES)[number], target: GrantTarget): Promise<undefined> =>
    actors.ask(CONDUCTOR, { type: 'identityGrant', userId, roleId: must(role[name], 'a seeded role exists'), target });
  await grant(adminUserId, 'admin', { kind: 'project', id: adminProjectId });
  await grant(adminUserId, 'admin', { kind: 'project', id: demoProjectId });
  await grant(adminUserId, 'admin', { kind: 'domain', id: 'default' });
  await grant(adminUserId, 'admin', { kind: 'system', id: '' });
  await grant(demoUserId, 'member', { kind: 'project', id: demoProjectId });
  await grant(demoUserId, 'reader', { kind: 'project', id: demoProjectId });
  await grant(serviceUserId, 'service', { kind: 'project', id: serviceProjectId });
  await grant(serviceUserId, 'admin', { kind: 'project', id: serviceProjectId });
  await seedCatalog(actors, seed);
  return { adminUserId, adminProjectId, demoUserId, demoProjectId, serviceUserId, serviceProjectId };
}

/** Ids follow from what they name: no constraint would keep two nodes from making a service twice. */
async function seedCatalog(actors: Actors, { region, endpoints }: IdentitySeed): Promise<void> {
  await ensure(actors, 'Region', { id: region }, () => ({ id: region, description: '' }));
  for (const { type, name, url, description } of endpoints) {
    const service = await ensure(actors, 'Service', { type, name }, () => ({
      id: idFrom(type, name),
      type,
      name,
      description: description ?? '',
      enabled: true,
    }));
    for (const face of INTERFACES) {
      const key = { serviceId: service.id, regionId: region, interface: face };
      await ensure(actors, 'Endpoint', key, () => ({ id: idFrom(service.id, region, face), ...key, interface: face, url, enabled: true }));
    }
  }
}

function idFrom(...names: string[]): string {
  return createHash('sha256').update(JSON.stringify(names)).digest('hex').slice(0, 32);
}

async function ensureUser(actors: Actors, seed: IdentitySeed, user: { id: string; name: string; defaultProjectId: string }, password: string): Promise<string> {
  const key = { name: user.name, domainId: 'default' };
  const [found] = await actors.ask(CONDUCTOR, { type: 'identityListUser', filter: key, limit: 1 });
  if (found) return found.id;
  const passwordHash = await openPasswords(seed.random, seed.passwordCost).hash(password);
  const record = { ...user, domainId: 'default', enabled: true, email: null, description: null };
  return (await ensure(actors, 'User', key, () => record, passwordHash)).id;
}

/** Looks, makes, and looks again when another node made it at the same moment. */
async function ensure<K extends IdentityKind>(
  actors: Actors,
  kind: K,
  filter: { [name: string]: string },
  make: () => IdentityKinds[K],
  passwordHash?: string,
): Promise<IdentityKinds[K]> {
  const look = async (by: { [name: string]: string }): Promise<IdentityKinds[K] | undefined> => {
    // A message put together from a kind's name: the compiler knows the names, not their sum.
    const found: unknown = await actors.ask(CONDUCTOR, { type: `identityList${kind}`, filter: by, limit: 1 } as never);
    return (found as IdentityKinds[K][])[0];
  };
  const there = await look(filter);
  if (there) return there;
  const record = make();
  try {
    await actors.ask(CONDUCTOR, { type: `identityCreate${kind}`, record, ...(passwordHash === undefined ? {} : { passwordHash }) } as never);
    return record;
  } catch (error) {
    if (!Fault.is(error, 'conflict')) throw error;
    // One that was renamed since still has its id.
    return must((await look(filter)) ?? (await look({ id: record.id })), 'a record in conflict exists');
  }
}
