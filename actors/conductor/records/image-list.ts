/**
 * Lists of images: who may see which, the filters, and keyset pages in any allowed order. Values only ever go in as
 * parameters; the pieces of text are constants of this file.
 *
 * Shared images of others are listed for the members who accepted them, shown to every member. Community images of
 * others are shown to all, listed only when asked for.
 */
import type { EntityManager } from '@mikro-orm/postgresql';
import type { ImageFilter, ImageProtocol, ImageRecord, ImageSort, ImageSortKey, ImageViewer, TimeBound } from '../messages/image.ts';
import type { MessageWith } from '../../../runtime/actor/protocol.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { rowsOf } from './embedded-store.ts';

export type Clause = { readonly sql: string; readonly params: readonly unknown[] };

/** As `ImageRecord` names them. Big numbers are doubles: exact below 2^53. */
export const COLUMNS = `i.id, i.name, i.status, i.visibility, i.owner, i.protected, i.hidden, i.disk_format as "diskFormat",
  i.container_format as "containerFormat", i.min_disk_gib as "minDiskGiB", i.min_memory_mib as "minMemoryMiB",
  i.size_bytes::float8 as "sizeBytes", i.virtual_size_bytes::float8 as "virtualSizeBytes", i.checksum, i.hash, i.tags, i.properties,
  floor(extract(epoch from i.created_at) * 1000)::float8 as "createdAtMs", floor(extract(epoch from i.updated_at) * 1000)::float8 as "updatedAtMs",
  i.version::float8 as version`;

/** What of `image i` the viewer may see. `direct`: asked for by its id. */
export function visibleTo(viewer: ImageViewer, asked: { direct?: boolean; community?: boolean; memberStatus?: string }): Clause {
  if (viewer.admin) return { sql: 'true', params: [] };
  const open = asked.direct || asked.community ? `i.visibility in ('public', 'community')` : `i.visibility = 'public'`;
  if (viewer.projectId === null) return { sql: open, params: [] };
  const any = asked.direct || asked.memberStatus === 'all';
  const shared = `(i.visibility = 'shared' and exists (select from image_member m where m.image_id = i.id and m.project_id = ?${any ? '' : ' and m.status = ?'}))`;
  const params = any ? [viewer.projectId, viewer.projectId] : [viewer.projectId, viewer.projectId, asked.memberStatus ?? 'accepted'];
  return { sql: `(i.owner = ? or ${open} or ${shared})`, params };
}

export async function listImages(em: EntityManager, message: MessageWith<ImageProtocol, 'imageList'>): Promise<ImageRecord[]> {
  const { viewer, filter, limit } = message;
  const sort: ImageSort[] = message.sort.some(({ key }) => key === 'id')
    ? [...message.sort]
    : [...message.sort, { key: 'id', descending: message.sort[0]?.descending ?? true }];
  const community = filter.visibility === 'community' || filter.visibility === 'all';
  const visible = visibleTo(viewer, { community, ...(filter.memberStatus === undefined ? {} : { memberStatus: filter.memberStatus }) });
  const clauses = [visible, ...filterClauses(filter)];
  if (message.marker !== null) clauses.push(await afterMarker(em, message.marker, viewer, sort));
  const order = sort.map(({ key, descending }) => `${SORT_SQL[key]} ${descending ? 'desc' : 'asc'}`).join(', ');
  const sql = `select ${COLUMNS} from image i where ${clauses.map((clause) => clause.sql).join(' and ')} order by ${order} limit ?`;
  return rowsOf<ImageRecord>(em, sql, [...clauses.flatMap((clause) => clause.params), limit]);
}

/** Absent values sort as the smallest, so that a page's end can be compared with. */
const SORT_SQL = {
  name: `coalesce(i.name, '')`,
  status: 'i.status',
  container_format: `coalesce(i.container_format, '')`,
  disk_format: `coalesce(i.disk_format, '')`,
  size: 'coalesce(i.size_bytes, -1)',
  id: 'i.id',
  created_at: 'i.created_at',
  updated_at: 'i.updated_at',
} as const satisfies Record<ImageSortKey, string>;

/** What comes after the marker: equal in the first n keys and beyond it in the next one. */
async function afterMarker(em: EntityManager, marker: string, viewer: ImageViewer, sort: readonly ImageSort[]): Promise<Clause> {
  const visible = visibleTo(viewer, { direct: true });
  const keys = sort.map(({ key }, n) => `(${SORT_SQL[key]})::text as k${n}`).join(', ');
  const [row] = await rowsOf<{ [key: string]: string }>(em, `select ${keys} from image i where i.id = ? and ${visible.sql}`, [marker, ...visible.params]);
  if (!row) throw new Fault('invalid', 'marker', `Invalid marker: ${marker}`);
  const params: unknown[] = [];
  const cases = sort.map(({ key, descending }, n) => {
    const equal = sort.slice(0, n).map(({ key: before }, k) => {
      params.push(row[`k${k}`]);
      return `${SORT_SQL[before]} = ?::${TYPE_SQL[before]}`;
    });
    params.push(row[`k${n}`]);
    return `(${[...equal, `${SORT_SQL[key]} ${descending ? '<' : '>'} ?::${TYPE_SQL[key]}`].join(' and ')})`;
  });
  return { sql: `(${cases.join(' or ')})`, params };
}

const TYPE_SQL = {
  name: 'text',
  status: 'text',
  container_format: 'text',
  disk_format: 'text',
  size: 'bigint',
  id: 'uuid',
  created_at: 'timestamptz',
  updated_at: 'timestamptz',
} as const satisfies Record<ImageSortKey, string>;

function filterClauses(filter: ImageFilter): Clause[] {
  const clauses: Clause[] = [];
  const must = (sql: string, ...params: unknown[]): void => void clauses.push({ sql, params });
  const among = (column: string, values: readonly string[] | undefined): void => {
    if (values) must(`${column} in (select jsonb_array_elements_text(?::jsonb))`, JSON.stringify(values));
  };
  among('i.id::text', filter.ids);
  among('i.name', filter.names);
  among('i.status', filter.statuses);
  among('i.container_format', filter.containerFormats);
  among('i.disk_format', filter.diskFormats);
  if (filter.visibility !== undefined && filter.visibility !== 'all') must('i.visibility = ?', filter.visibility);
  if (filter.owner !== undefined) must('i.owner = ?', filter.owner);
  if (filter.protected !== undefined) must('i.protected = ?', filter.protected);
  if (filter.hidden !== undefined) must('i.hidden = ?', filter.hidden);
  if (filter.checksum !== undefined) must('i.checksum = ?', filter.checksum);
  if (filter.hash !== undefined) must('i.hash = ?', filter.hash);
  if (filter.sizeMinBytes !== undefined) must('i.size_bytes >= ?', filter.sizeMinBytes);
  if (filter.sizeMaxBytes !== undefined) must('i.size_bytes <= ?', filter.sizeMaxBytes);
  if (filter.minDiskGiB !== undefined) must('i.min_disk_gib = ?', filter.minDiskGiB);
  if (filter.minMemoryMiB !== undefined) must('i.min_memory_mib = ?', filter.minMemoryMiB);
  if (filter.tags) must('i.tags @> array(select jsonb_array_elements_text(?::jsonb))', JSON.stringify(filter.tags));
  if (filter.properties) must('i.properties @> ?::jsonb', JSON.stringify(filter.properties));
  if (filter.created) must(...timeClause('created_at', filter.created));
  if (filter.updated) must(...timeClause('updated_at', filter.updated));
  return clauses;
}

const COMPARE_SQL = { gt: '>', gte: '>=', lt: '<', lte: '<=', eq: '=', neq: '<>' } as const satisfies Record<TimeBound['compare'], string>;

/** To the second, as the service shows its times. */
function timeClause(column: 'created_at' | 'updated_at', { compare, atMs }: TimeBound): [string, Date] {
  return [`date_trunc('second', i.${column}) ${COMPARE_SQL[compare]} ?::timestamptz`, new Date(atMs)];
}
