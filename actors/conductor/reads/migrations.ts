/** Records of migrations, newest first, by keyset; those of deleted servers stay. */
import { Fault } from '../../../runtime/base/fault.ts';
import type { Migration, MigrationFilter, MigrationStatus, MigrationType, Progress } from '../../model/migration.ts';
import type { ReadProtocol } from '../messages/read.ts';
import { isUuid, openValues, type Query } from './query.ts';

type List = ReadProtocol['listMigrations'];
type MigrationRead = {
  id: number;
  uuid: string;
  instance_id: string;
  type: MigrationType;
  status: MigrationStatus;
  source: string;
  dest: string | null;
  old_flavor_id: string;
  new_flavor_id: string;
  old_number: number | null;
  new_number: number | null;
  user_id: string;
  project_id: string;
  created_at: Date;
  updated_at: Date;
  progress: Progress | null;
};

const PAGE_MAX = 1_001;

export async function readMigrations(query: Query, { filter, marker, limit }: List['body']): Promise<Migration[]> {
  const { values, put } = openValues();
  const conditions = conditionsOf(filter, put);
  if (marker !== null) {
    const [place] = isUuid(marker) ? await query<{ at: string; id: number }>({ text: PLACE, values: [marker] }) : [];
    if (!place) throw new Fault('invalid', 'marker', `Marker ${marker} could not be found.`);
    conditions.push(`(m.created_at, m.id) < (${put(place.at)}::timestamptz, ${put(place.id)}::integer)`);
  }
  const where = conditions.length > 0 ? `where ${conditions.join(' and ')}` : '';
  const text = `${SELECT} ${where} order by m.created_at desc, m.id desc limit ${put(Math.max(0, Math.min(limit, PAGE_MAX)))}`;
  return (await query<MigrationRead>({ text, values })).map(toMigration);
}

const PLACE = 'select created_at::text as at, id from migration where uuid = $1';
const SELECT = `select m.*, (select f.id from flavor f where f.flavor_id = m.old_flavor_id) as old_number,
  (select f.id from flavor f where f.flavor_id = m.new_flavor_id) as new_number from migration m`;

function conditionsOf(filter: MigrationFilter, put: (value: unknown) => string): string[] {
  const { instanceId, host, source, status, type, userId, projectId, ofProject, number, changedSinceMs, changedBeforeMs } = filter;
  const found: string[] = [];
  if (instanceId !== undefined) found.push(`m.instance_id::text = ${put(instanceId.toLowerCase())}`);
  if (host !== undefined) {
    const value = put(host);
    found.push(`(m.source = ${value} or m.dest = ${value})`);
  }
  const equals = { 'm.source': source, 'm.status': status, 'm.type': type, 'm.user_id': userId, 'm.project_id': projectId, 'm.id': number };
  for (const [column, value] of Object.entries(equals)) if (value !== undefined) found.push(`${column} = ${put(value)}`);
  if (ofProject !== undefined) found.push(`m.project_id = ${put(ofProject)}`);
  if (changedSinceMs !== undefined) found.push(`m.updated_at >= to_timestamp(${put(changedSinceMs / 1_000)})`);
  if (changedBeforeMs !== undefined) found.push(`m.updated_at <= to_timestamp(${put(changedBeforeMs / 1_000)})`);
  return found;
}

function toMigration(row: MigrationRead): Migration {
  return {
    id: row.id,
    uuid: row.uuid,
    instanceId: row.instance_id,
    type: row.type,
    status: row.status,
    source: row.source,
    dest: row.dest,
    oldFlavorId: row.old_flavor_id,
    newFlavorId: row.new_flavor_id,
    oldFlavorNumber: row.old_number,
    newFlavorNumber: row.new_number,
    userId: row.user_id,
    projectId: row.project_id,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    progress: row.progress,
  };
}
