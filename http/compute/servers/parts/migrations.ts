/** `/servers/{id}/migrations`: the live migration of a server while it runs: how far it is, hurrying it, calling it off. */
import { CONDUCTOR } from '../../../../actors/conductor/messages.ts';
import { instanceRef } from '../../../../actors/instance/messages.ts';
import type { Verb } from '../../../../actors/instance/messages.ts';
import type { Migration } from '../../../../actors/model/migration.ts';
import type { Call } from '../../../kit/call.ts';
import { conflict, invalid, notFound } from '../../../kit/errors.ts';
import { LATEST } from '../../../kit/route.ts';
import type { Reply } from '../../../kit/route.ts';
import { SINCE } from '../../microversions.ts';
import { members } from '../../parameter-types.ts';
import { route } from '../../parts.ts';
import type { ComputeParts } from '../../parts.ts';
import { actorCaller, findServer, refuseIllegal } from '../find.ts';
import type { FoundServer } from '../find.ts';
import { microTime } from '../view.ts';

const PATH = '/servers/:id/migrations';
export const IN_PROGRESS: ReadonlySet<string> = new Set(['queued', 'preparing', 'running', 'post-migrating']);
const FORCE = { breaks: [1], at: () => members({ force_complete: { type: 'null' } }, ['force_complete']) };
const NUMBER = /^\d{1,15}$/;

export const SERVER_MIGRATION_ROUTES = [
  route({
    method: 'GET',
    path: PATH,
    versions: [SINCE.serverMigrations, LATEST],
    policy: 'servers:migrations:index',
    ok: 200,
    find: findServer,
    serve: serveList,
  }),
  route({
    method: 'GET',
    path: `${PATH}/:migration`,
    versions: [SINCE.serverMigrations, LATEST],
    policy: 'servers:migrations:show',
    ok: 200,
    find: findServer,
    serve: serveShow,
  }),
  route({
    method: 'DELETE',
    path: `${PATH}/:migration`,
    versions: [SINCE.abortMigration, LATEST],
    policy: 'servers:migrations:delete',
    ok: 202,
    find: findServer,
    serve: serveAbort,
  }),
  route({
    method: 'POST',
    path: `${PATH}/:migration/action`,
    action: 'force_complete',
    versions: [SINCE.forceCompletion, LATEST],
    policy: 'servers:migrations:force_complete',
    body: FORCE,
    ok: 202,
    find: findServer,
    serve: serveForce,
  }),
];

const LISTED_MAX = 1_000;

function ofServer(parts: ComputeParts, instanceId: string, more: { readonly number?: number } = {}): Promise<readonly Migration[]> {
  return parts.actors.ask(CONDUCTOR, { type: 'listMigrations', filter: { instanceId, ...more }, marker: null, limit: LISTED_MAX });
}

async function serveList(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const found = (await ofServer(parts, record.id)).filter(({ type, status }) => type === 'live-migration' && IN_PROGRESS.has(status));
  const showsHosts = parts.policy.allows('servers:migrations:index:host', call.caller);
  return { body: { migrations: found.map((one) => view(one, call.version, showsHosts)) } };
}

async function serveShow(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const migration = await findMigration(call, parts, record.id);
  const { id, type, status } = migration;
  if (type !== 'live-migration') throw notFound(`Migration ${id} for server ${record.id} is not live-migration.`);
  if (!IN_PROGRESS.has(status)) throw notFound(`Migration ${id} for server ${record.id} is not in progress.`);
  return { body: { migration: view(migration, call.version, true) } };
}

async function findMigration(call: Call, parts: ComputeParts, instanceId: string): Promise<Migration> {
  const wanted = call.param('migration');
  const [found] = NUMBER.test(wanted) ? await ofServer(parts, instanceId, { number: Number(wanted) }) : [];
  if (found === undefined) throw notFound(`Migration ${wanted.slice(0, 64)} not found for instance ${instanceId}`);
  return found;
}

async function serveAbort(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  refuseQuiet('abortMigration', 'abort live migration', found, call);
  const allowed = call.version >= SINCE.abortQueued ? ['queued', 'preparing', 'running'] : ['running'];
  return interfere(call, parts, found, 'abortMigration', allowed, 'abort live migration');
}

async function serveForce(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  refuseQuiet('forceMigration', 'force_complete', found, call);
  return interfere(call, parts, found, 'forceMigration', ['running'], 'force complete');
}

/** One that does not migrate is not interfered with. */
function refuseQuiet(verb: 'abortMigration' | 'forceMigration', action: string, { record }: FoundServer, call: Call): void {
  refuseIllegal(verb, action, record, call);
  if (record.taskState === null) throw conflict(`Cannot '${action}' instance ${record.id} while it is in task_state None`, 'state');
}

async function interfere(
  call: Call,
  parts: ComputeParts,
  { record }: FoundServer,
  name: 'abortMigration' | 'forceMigration',
  allowed: readonly string[],
  what: string,
): Promise<Reply> {
  const { id, uuid, type, status } = await findMigration(call, parts, record.id);
  if (type !== 'live-migration' || !allowed.includes(status))
    throw invalid(`Migration ${id} state of instance ${record.id} is ${status}. Cannot ${what} while the migration is in this state.`);
  const verb: Verb = { name, migrationId: uuid };
  await parts.actors.ask(instanceRef(record.id), { type: 'act', verb, caller: actorCaller(call) }, { commandId: call.requestId });
  return {};
}

function view(migration: Migration, version: number, showsHosts: boolean): object {
  const { id, uuid, instanceId, status, source, dest, createdAt, updatedAt, userId, projectId, progress } = migration;
  const [from, to] = showsHosts ? [source, dest] : [null, null];
  return {
    id,
    server_uuid: instanceId,
    status,
    source_compute: from,
    source_node: from,
    dest_compute: to,
    dest_host: to,
    dest_node: to,
    memory_total_bytes: progress?.memoryTotal ?? null,
    memory_processed_bytes: progress?.memoryDone ?? null,
    memory_remaining_bytes: progress && progress.memoryTotal - progress.memoryDone,
    disk_total_bytes: progress?.diskTotal ?? null,
    disk_processed_bytes: progress?.diskDone ?? null,
    disk_remaining_bytes: progress && progress.diskTotal - progress.diskDone,
    created_at: microTime(createdAt),
    updated_at: microTime(updatedAt),
    ...(version >= SINCE.migrationPages ? { uuid } : {}),
    ...(version >= SINCE.migrationUsers ? { user_id: userId, project_id: projectId } : {}),
  };
}
