/**
 * `/v3/auth`: logging in, validating, revoking, and what a token's user may choose from.
 * A failed login always says the same, after the same work; a token's validity is judged by `token-desk.ts` alone.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { TokenView } from '../../../actors/conductor/messages/identity.ts';
import type { Call, Route } from '../wire.ts';
import type { Identity } from './parts.ts';
import { callerOf } from './caller.ts';
import { renderCatalog } from './catalog.ts';
import { forbiddenTo, unauthenticated } from './error.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { AuthOrder } from './schema.ts';
import { authBody, parseBody } from './schema.ts';
import type { KnownToken, Proof } from './token-desk.ts';
import { projectOf, renderToken, VIEWS } from './view.ts';

const METHODS: readonly string[] = ['password', 'token'];
const LIST_MAX = 1_000;

export function authRoutes(identity: Identity): Route[] {
  return [
    ['POST', '/v3/auth/tokens', (call) => login(identity, call)],
    ['GET', '/v3/auth/tokens', (call) => showToken(identity, call)],
    ['DELETE', '/v3/auth/tokens', (call) => revokeToken(identity, call)],
    ['GET', '/v3/auth/catalog', (call) => showCatalog(identity, call)],
    ['GET', '/v3/auth/projects', (call) => listProjects(identity, call)],
    ['GET', '/v3/auth/domains', (call) => listDomains(identity, call)],
    ['GET', '/v3/auth/system', (call) => listSystem(identity, call)],
  ];
}

async function login(identity: Identity, call: Call): Promise<void> {
  const order = parseBody(authBody, await call.json());
  if (!order.methods.every((method) => METHODS.includes(method)))
    throw new Fault('unauthorized', 'identity.method', 'Attempted to authenticate with an unsupported method.');
  const { userId, proof, parent } = await prove(identity, order);
  const methods = [...new Set([...order.methods, ...(parent?.methods ?? [])])];
  const issued = await identity.desk.issue({ userId, proof, scope: order.scope, methods, parent });
  if (!issued) throw unauthenticated();
  call.ctx.set('X-Subject-Token', issued.token);
  await answerToken(identity, call, issued.known, 201);
}

type Proven = { userId: string; proof: Proof; parent: TokenView | null };

/** All named methods must prove the same user. */
async function prove(identity: Identity, order: AuthOrder): Promise<Proven> {
  const proven: Proven[] = [];
  if (order.methods.includes('password')) proven.push(await provePassword(identity, order));
  if (order.methods.includes('token')) proven.push(await proveToken(identity, order));
  const [first, second] = proven;
  if (!first || (second && second.userId !== first.userId)) throw unauthenticated();
  return second ?? first;
}

async function provePassword(identity: Identity, { password }: AuthOrder): Promise<Proven> {
  if (!password) throw new Fault('invalid', 'identity.schema', `Invalid input for field 'auth/identity': 'password' is a required property.`);
  const { userId, passwordHash } = await identity.checkPassword(password.user, password.password);
  return { userId, proof: { passwordHash }, parent: null };
}

async function proveToken({ desk }: Identity, { token }: AuthOrder): Promise<Proven> {
  if (token === undefined) throw new Fault('invalid', 'identity.schema', `Invalid input for field 'auth/identity': 'token' is a required property.`);
  const known = await desk.validate(token);
  if (!known) throw unauthenticated();
  return { userId: known.view.userId, proof: { tokenHash: known.hash }, parent: known.view };
}

async function showToken(identity: Identity, call: Call): Promise<void> {
  const subject = await subjectOf(identity, call, 'validate_token');
  call.ctx.set('X-Subject-Token', call.ctx.get('x-subject-token'));
  await answerToken(identity, call, subject, 200);
}

async function revokeToken(identity: Identity, call: Call): Promise<void> {
  await subjectOf(identity, call, 'revoke_token');
  await identity.desk.revoke(call.ctx.get('x-subject-token'));
  call.ctx.status = 204;
}

/** Any valid token may ask about its own user's tokens; administrators and services about all, services revoke none. */
async function subjectOf({ desk }: Identity, call: Call, rule: 'validate_token' | 'revoke_token'): Promise<KnownToken> {
  const caller = await callerOf(call, desk);
  const subject = await desk.validate(call.ctx.get('x-subject-token'));
  const allowed = caller.admin || (rule === 'validate_token' && caller.service);
  if (!allowed && subject?.view.userId !== caller.view.userId) throw forbiddenTo(rule);
  if (!subject) throw new Fault('notFound', 'identity.token', 'Failed to validate token');
  return subject;
}

/** The hot path: a body is rendered once per token and kept as text. */
async function answerToken({ desk }: Identity, { ctx, query }: Call, known: KnownToken, status: number): Promise<void> {
  const bare = query.has('nocatalog');
  const key = bare ? 'bare' : 'full';
  let body = known.bodies.get(key);
  if (body === undefined) {
    body = JSON.stringify({ token: renderToken(known.view, bare ? undefined : await desk.catalog()) });
    known.bodies.set(key, body);
  }
  ctx.set('Vary', 'X-Auth-Token');
  ctx.status = status;
  ctx.type = 'application/json';
  ctx.body = body;
}

async function showCatalog({ desk, base }: Identity, call: Call): Promise<void> {
  const { view } = await callerOf(call, desk);
  if (view.scope.kind === 'unscoped') throw forbiddenTo('get_auth_catalog');
  const self = `${base(call.ctx)}/v3/auth/catalog`;
  call.ctx.body = { catalog: renderCatalog(await desk.catalog(), projectOf(view)), links: { self, previous: null, next: null } };
}

async function listProjects({ actors, desk, base }: Identity, call: Call): Promise<void> {
  const { view } = await callerOf(call, desk);
  const projects = await actors.ask(CONDUCTOR, { type: 'identityProjectsOfUser', userId: view.userId, limit: LIST_MAX });
  const url = base(call.ctx);
  call.ctx.body = { projects: projects.map((project) => VIEWS.Project(project, url)), links: { self: `${url}/v3/auth/projects`, previous: null, next: null } };
}

async function listDomains({ actors, desk, base }: Identity, call: Call): Promise<void> {
  const { view } = await callerOf(call, desk);
  const domains = await actors.ask(CONDUCTOR, { type: 'identityDomainsOfUser', userId: view.userId, limit: LIST_MAX });
  const url = base(call.ctx);
  call.ctx.body = { domains: domains.map((domain) => VIEWS.Domain(domain, url)), links: { self: `${url}/v3/auth/domains`, previous: null, next: null } };
}

async function listSystem({ actors, desk, base }: Identity, call: Call): Promise<void> {
  const { view } = await callerOf(call, desk);
  const held = await actors.ask(CONDUCTOR, { type: 'identityListGrants', userId: view.userId, roleId: null, target: { kind: 'system', id: null }, limit: 1 });
  call.ctx.body = { system: held.length > 0 ? [{ all: true }] : [], links: { self: `${base(call.ctx)}/v3/auth/system`, previous: null, next: null } };
}
