/** `/os-migrations`: every move of a server and what became of it, evacuations too; newest first. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { Migration, MigrationFilter } from '../../../actors/model/migration.ts';
import type { Call } from '../../kit/call.ts';
import { invalid } from '../../kit/errors.ts';
import { isFull, pageOf } from '../../kit/paging.ts';
import { parseBool, parseTime } from '../../kit/query.ts';
import type { QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { IN_PROGRESS } from '../servers/parts/migrations.ts';
import { microTime } from '../servers/view.ts';

const QUERY: QueryTable = {
  strictFrom: SINCE.migrationPages,
  parameters: {
    hidden: { kind: 'text' },
    host: { kind: 'text' },
    instance_uuid: { kind: 'text' },
    source_compute: { kind: 'text' },
    status: { kind: 'text' },
    migration_type: { kind: 'text' },
    limit: { kind: 'count', from: SINCE.migrationPages, onceFrom: SINCE.migrationPages },
    marker: { kind: 'text', from: SINCE.migrationPages, onceFrom: SINCE.migrationPages },
    'changes-since': { kind: 'date', from: SINCE.migrationPages, onceFrom: SINCE.migrationPages },
    'changes-before': { kind: 'date', from: SINCE.changesBefore, onceFrom: SINCE.changesBefore },
    user_id: { kind: 'text', from: SINCE.migrationUsers, onceFrom: SINCE.migrationUsers },
    project_id: { kind: 'text', from: SINCE.migrationUsers, onceFrom: SINCE.migrationUsers },
  },
};

export const MIGRATION_ROUTES = [route({ method: 'GET', path: '/os-migrations', policy: 'os-migrations:index', query: QUERY, ok: 200, serve })];

async function serve(call: Call, parts: ComputeParts): Promise<Reply> {
  const { query, version, caller } = call;
  const hasPages = version >= SINCE.migrationPages;
  const page = hasPages ? pageOf(query, parts.settings.pageMax) : { limit: parts.settings.pageMax, marker: null };
  const seesAll = parts.policy.allows('os-migrations:index:all_projects', caller);
  const filter = filterOf(call, seesAll ? null : caller.projectId);
  // Nothing here is ever hidden.
  const isHidden = parseBool(query.one('hidden') ?? '') === true;
  const found = isHidden || page.limit === 0 ? [] : await parts.actors.ask(CONDUCTOR, { type: 'listMigrations', filter, ...page });
  const showsHosts = parts.policy.allows('os-migrations:index:host', caller);
  const last = found.at(-1);
  const links = hasPages && last !== undefined && isFull(found.length, page) ? { migrations_links: call.links.next(call.path, query, last.uuid) } : {};
  return { body: { migrations: found.map((one) => view(one, call, showsHosts)), ...links } };
}

function filterOf({ query, version }: Call, ofProject: string | null): MigrationFilter {
  const named = { instanceId: 'instance_uuid', host: 'host', source: 'source_compute', status: 'status', type: 'migration_type' } as const;
  const filter: { -readonly [name in keyof MigrationFilter]: MigrationFilter[name] } = {};
  for (const [name, parameter] of Object.entries(named) as [keyof typeof named, string][]) {
    const value = query.one(parameter);
    if (value !== undefined) filter[name] = value;
  }
  const timeOf = (name: string, since: number): number | undefined => (version >= since ? parseTime(query.one(name) ?? '') : undefined);
  const since = timeOf('changes-since', SINCE.migrationPages);
  const before = timeOf('changes-before', SINCE.changesBefore);
  if (since !== undefined && before !== undefined && since > before) throw invalid('The value of changes-since must be less than or equal to changes-before.');
  if (since !== undefined) filter.changedSinceMs = since;
  if (before !== undefined) filter.changedBeforeMs = before;
  const [userId, projectId] = version >= SINCE.migrationUsers ? [query.one('user_id'), query.one('project_id')] : [];
  if (userId !== undefined) filter.userId = userId;
  if (projectId !== undefined) filter.projectId = projectId;
  if (ofProject !== null) filter.ofProject = ofProject;
  return filter;
}

function view(migration: Migration, { version, links }: Call, showsHosts: boolean): object {
  const { id, uuid, instanceId, type, status, source, dest, oldFlavorNumber, newFlavorNumber, createdAt, updatedAt, userId, projectId } = migration;
  const [from, to] = showsHosts ? [source, dest] : [null, null];
  const isRunning = type === 'live-migration' && IN_PROGRESS.has(status);
  const typed = { migration_type: type, ...(isRunning ? { links: links.of(`servers/${instanceId}/migrations`, String(id)) } : {}) };
  return {
    id,
    instance_uuid: instanceId,
    source_compute: from,
    source_node: from,
    dest_compute: to,
    dest_host: to,
    dest_node: to,
    old_instance_type_id: oldFlavorNumber,
    new_instance_type_id: newFlavorNumber,
    status,
    created_at: microTime(createdAt),
    updated_at: microTime(updatedAt),
    ...(version >= SINCE.serverMigrations ? typed : {}),
    ...(version >= SINCE.migrationPages ? { uuid } : {}),
    ...(version >= SINCE.migrationUsers ? { user_id: userId, project_id: projectId } : {}),
  };
}
