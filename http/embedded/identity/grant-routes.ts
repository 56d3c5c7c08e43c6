/** Role grants by path and as lists of assignments, and what hangs on one user: projects, password, signing keys. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { GrantTarget, IdentityGrant } from '../../../actors/conductor/messages/identity.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call, Route } from '../wire.ts';
import type { Identity } from './parts.ts';
import { adminOf, callerOf, mayRead, selfOrAdminOf } from './caller.ts';
import { about, forbiddenTo, notFound } from './error.ts';
import { ec2KeyBody, parseBody, passwordChange } from './schema.ts';
import { renderEc2Key, renderGrant, VIEWS } from './view.ts';

const LIST_MAX = 10_000;
/** Signing keys of one user. */
const EC2_KEYS_MAX = 20;
const EC2_ACCESS_BYTES = 16;
const EC2_SECRET_BYTES = 32;

export function grantRoutes(identity: Identity): Route[] {
  return [
    ...pathRoutes(identity, '/v3/projects/:target', 'project'),
    ...pathRoutes(identity, '/v3/domains/:target', 'domain'),
    ...pathRoutes(identity, '/v3/system', 'system'),
    ['GET', '/v3/role_assignments', (call) => listAssignments(identity, call)],
    ['GET', '/v3/groups', (call) => emptyGroups(identity, call)],
    ['GET', '/v3/users/:user/groups', (call) => emptyGroups(identity, call)],
    ['GET', '/v3/users/:user/projects', (call) => projectsOfUser(identity, call)],
    ['POST', '/v3/users/:user/password', (call) => changePassword(identity, call)],
    ['GET', '/v3/users/:user/credentials/OS-EC2', (call) => listEc2Keys(identity, call)],
    ['POST', '/v3/users/:user/credentials/OS-EC2', (call) => createEc2Key(identity, call)],
    ['GET', '/v3/users/:user/credentials/OS-EC2/:access', (call) => showEc2Key(identity, call)],
    ['DELETE', '/v3/users/:user/credentials/OS-EC2/:access', (call) => deleteEc2Key(identity, call)],
  ];
}

function pathRoutes(identity: Identity, path: string, kind: GrantTarget['kind']): Route[] {
  const one = `${path}/users/:user/roles/:role`;
  return [
    ['GET', `${path}/users/:user/roles`, (call) => listRoles(identity, call, kind)],
    ['PUT', one, (call) => grant(identity, call, kind)],
    ['GET', one, (call) => checkGrant(identity, call, kind)],
    ['DELETE', one, (call) => revoke(identity, call, kind)],
  ];
}

function grantOf({ params }: Call, kind: GrantTarget['kind']): IdentityGrant {
  return { userId: params['user'] ?? '', roleId: params['role'] ?? '', target: { kind, id: params['target'] ?? '' } };
}

async function grant({ actors, desk }: Identity, call: Call, kind: GrantTarget['kind']): Promise<void> {
  await adminOf(call, desk, 'create_grant');
  const wanted = grantOf(call, kind);
  try {
    await actors.ask(CONDUCTOR, { type: 'identityGrant', ...wanted });
  } catch (error) {
    if (!Fault.is(error, 'conflict')) throw error;
    throw await missingPartOf(actors, wanted);
  }
  desk.changed();
  call.ctx.status = 204;
}

/** Which of user, role and target does not exist. */
async function missingPartOf(actors: Identity['actors'], { userId, roleId, target }: IdentityGrant): Promise<Fault> {
  const [users, roles] = await Promise.all([
    actors.ask(CONDUCTOR, { type: 'identityListUser', filter: { id: userId }, limit: 1 }),
    actors.ask(CONDUCTOR, { type: 'identityListRole', filter: { id: roleId }, limit: 1 }),
  ]);
  if (users.length === 0) return notFound('user', userId);
  return roles.length === 0 ? notFound('role', roleId) : notFound(target.kind, target.id);
}

async function checkGrant({ actors, desk }: Identity, call: Call, kind: GrantTarget['kind']): Promise<void> {
  if (!mayRead(await callerOf(call, desk))) throw forbiddenTo('check_grant');
  const { userId, roleId, target } = grantOf(call, kind);
  const held = await actors.ask(CONDUCTOR, { type: 'identityListGrants', userId, roleId, target, limit: 1 });
  if (held.length === 0) throw notFound('role assignment', roleId);
  call.ctx.status = 204;
}

async function revoke({ actors, desk }: Identity, call: Call, kind: GrantTarget['kind']): Promise<void> {
  await adminOf(call, desk, 'revoke_grant');
  const wanted = grantOf(call, kind);
  await about('role assignment', wanted.roleId, actors.ask(CONDUCTOR, { type: 'identityRevokeGrant', ...wanted }));
  desk.changed();
  call.ctx.status = 204;
}

async function listRoles({ actors, desk, base }: Identity, call: Call, kind: GrantTarget['kind']): Promise<void> {
  if (!mayRead(await callerOf(call, desk))) throw forbiddenTo('list_grants');
  const { userId, target } = grantOf(call, kind);
  const grants = await actors.ask(CONDUCTOR, { type: 'identityListGrants', userId, roleId: null, target, limit: LIST_MAX });
  const url = base(call.ctx);
  const roles = grants.map(({ roleId, roleName }) => VIEWS.Role({ id: roleId, name: roleName, description: null }, url));
  call.ctx.body = { roles, links: { self: `${url}${call.ctx.url}`, previous: null, next: null } };
}

async function listAssignments({ actors, desk, base }: Identity, call: Call): Promise<void> {
  const caller = await callerOf(call, desk);
  const { query } = call;
  const userId = query.get('user.id');
  if (!mayRead(caller) && userId !== caller.view.userId) throw forbiddenTo('list_role_assignments');
  const projectId = query.get('scope.project.id');
  const domainId = query.get('scope.domain.id');
  const target =
    projectId !== null
      ? ({ kind: 'project', id: projectId } as const)
      : domainId !== null
        ? ({ kind: 'domain', id: domainId } as const)
        : query.has('scope.system')
          ? ({ kind: 'system', id: null } as const)
          : null;
  // Nobody belongs to a group here, so a question about one has an empty answer.
  const grants = query.has('group.id')
    ? []
    : await actors.ask(CONDUCTOR, { type: 'identityListGrants', userId, roleId: query.get('role.id'), target, limit: LIST_MAX });
  const url = base(call.ctx);
  const withNames = query.has('include_names') && query.get('include_names')?.toLowerCase() !== 'false';
  call.ctx.body = {
    role_assignments: grants.map((each) => renderGrant(each, url, withNames)),
    links: { self: `${url}${call.ctx.url}`, previous: null, next: null },
  };
}

async function emptyGroups({ desk, base }: Identity, call: Call): Promise<void> {
  const caller = await callerOf(call, desk);
  if (!mayRead(caller) && call.params['user'] !== caller.view.userId) throw forbiddenTo('list_groups');
  call.ctx.body = { groups: [], links: { self: `${base(call.ctx)}${call.ctx.url}`, previous: null, next: null } };
}

async function projectsOfUser({ actors, desk, base }: Identity, call: Call): Promise<void> {
  const userId = call.params['user'] ?? '';
  await selfOrAdminOf(call, desk, 'list_user_projects', userId);
  const projects = await actors.ask(CONDUCTOR, { type: 'identityProjectsOfUser', userId, limit: LIST_MAX });
  const url = base(call.ctx);
  call.ctx.body = { projects: projects.map((project) => VIEWS.Project(project, url)), links: { self: `${url}${call.ctx.url}`, previous: null, next: null } };
}

/** Needs no token: the old password is the proof. Guessing is slowed as at login. */
async function changePassword(identity: Identity, call: Call): Promise<void> {
  const { user } = parseBody(passwordChange, await call.json());
  const id = call.params['user'] ?? '';
  const { userId } = await identity.checkPassword({ id }, user.original_password);
  if (user.password === user.original_password) throw new Fault('invalid', 'identity.password', 'The new password must not be identical to the old one.');
  await identity.actors.ask(CONDUCTOR, { type: 'identitySetPassword', userId, passwordHash: await identity.passwords.hash(user.password) });
  identity.desk.changed();
  call.ctx.status = 204;
}

async function createEc2Key({ actors, desk, base, random }: Identity, call: Call): Promise<void> {
  const userId = call.params['user'] ?? '';
  await selfOrAdminOf(call, desk, 'ec2_create_credential', userId);
  const { tenant_id: projectId } = parseBody(ec2KeyBody, await call.json());
  const held = await actors.ask(CONDUCTOR, { type: 'identityListGrants', userId, roleId: null, target: { kind: 'project', id: projectId }, limit: 1 });
  if (held.length === 0) throw forbiddenTo('ec2_create_credential');
  const key = { access: random.bytes(EC2_ACCESS_BYTES).toString('hex'), secret: random.bytes(EC2_SECRET_BYTES).toString('hex'), userId, projectId };
  await actors.ask(CONDUCTOR, { type: 'identityCreateEc2Key', key, max: EC2_KEYS_MAX });
  call.ctx.status = 201;
  call.ctx.body = { credential: renderEc2Key(key, base(call.ctx)) };
}

async function listEc2Keys({ actors, desk, base }: Identity, call: Call): Promise<void> {
  const userId = call.params['user'] ?? '';
  await selfOrAdminOf(call, desk, 'ec2_list_credentials', userId);
  const keys = await actors.ask(CONDUCTOR, { type: 'identityListEc2Keys', userId, limit: EC2_KEYS_MAX });
  const url = base(call.ctx);
  call.ctx.body = { credentials: keys.map((key) => renderEc2Key(key, url)), links: { self: `${url}${call.ctx.url}`, previous: null, next: null } };
}

async function showEc2Key({ actors, desk, base }: Identity, call: Call): Promise<void> {
  const userId = call.params['user'] ?? '';
  const access = call.params['access'] ?? '';
  await selfOrAdminOf(call, desk, 'ec2_get_credential', userId);
  const key = await actors.ask(CONDUCTOR, { type: 'identityShowEc2Key', access });
  if (!key || key.userId !== userId) throw notFound('credential', access);
  call.ctx.body = { credential: renderEc2Key(key, base(call.ctx)) };
}

async function deleteEc2Key({ actors, desk }: Identity, call: Call): Promise<void> {
  const userId = call.params['user'] ?? '';
  const access = call.params['access'] ?? '';
  await selfOrAdminOf(call, desk, 'ec2_delete_credential', userId);
  await about('credential', access, actors.ask(CONDUCTOR, { type: 'identityDeleteEc2Key', userId, access }));
  call.ctx.status = 204;
}
