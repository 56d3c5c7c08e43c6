/** The query of an image list: filters, order, page. Unknown names are properties, as the Image API has it. */
import type { ImageFilter, ImageSort, TimeBound } from '../../../actors/conductor/messages/image.ts';
import { IMAGE_SORT_KEYS } from '../../../actors/conductor/messages/image.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import { invalid } from './error.ts';
import { VISIBILITIES } from './schema.ts';

export const PAGE_DEFAULT = 25;
export const PAGE_MAX = 1_000;
const SORT_KEYS_MAX = 4;
const VALUES_MAX = 128;

export type ImageQuery = { readonly filter: ImageFilter; readonly sort: readonly ImageSort[]; readonly marker: string | null; readonly limit: number };

const PAGING: readonly string[] = ['limit', 'marker', 'sort', 'sort_key', 'sort_dir'];

export function parseImageQuery(query: URLSearchParams): ImageQuery {
  return { filter: filterOf(query), sort: sortOf(query), marker: markerOf(query.get('marker')), limit: limitOf(query.get('limit')) };
}

function markerOf(value: string | null): string | null {
  if (value === null) return null;
  const id = value.toLowerCase();
  if (!isUuid(id)) throw invalid(`Invalid marker: ${value}`);
  return id;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function filterOf(query: URLSearchParams): ImageFilter {
  const filter: Mutable<ImageFilter> = { hidden: false };
  const properties: { [name: string]: string } = {};
  for (const [name, value] of query) {
    const known = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
    if (known) known(filter, value);
    else if (!PAGING.includes(name)) properties[name] = value;
  }
  if (Object.keys(properties).length > 0) filter.properties = properties;
  return filter;
}

const FILTERS: { readonly [name: string]: (filter: Mutable<ImageFilter>, value: string) => void } = {
  id: (filter, value) => void (filter.ids = amongOf(value).map((id) => id.toLowerCase())),
  name: (filter, value) => void (filter.names = amongOf(value)),
  status: (filter, value) => void (filter.statuses = amongOf(value)),
  container_format: (filter, value) => void (filter.containerFormats = amongOf(value)),
  disk_format: (filter, value) => void (filter.diskFormats = amongOf(value)),
  visibility(filter, value) {
    if (value !== 'all' && !VISIBILITIES.includes(value as (typeof VISIBILITIES)[number])) throw invalid(`Invalid visibility value: ${value}`);
    filter.visibility = value as NonNullable<ImageFilter['visibility']>;
  },
  owner: (filter, value) => void (filter.owner = value),
  protected(filter, value) {
    const lower = value.toLowerCase();
    if (lower !== 'true' && lower !== 'false') throw invalid(`Invalid value '${value}' for 'protected' filter. Valid values are 'true' or 'false'.`);
    filter.protected = lower === 'true';
  },
  os_hidden(filter, value) {
    const lower = value.toLowerCase();
    if (lower !== 'true' && lower !== 'false') throw invalid(`Invalid value '${value}' for 'os_hidden' filter. Valid values are 'true' or 'false'.`);
    filter.hidden = lower === 'true';
  },
  checksum: (filter, value) => void (filter.checksum = value),
  os_hash_value: (filter, value) => void (filter.hash = value),
  size_min: (filter, value) => void (filter.sizeMinBytes = countOf('size_min', value)),
  size_max: (filter, value) => void (filter.sizeMaxBytes = countOf('size_max', value)),
  min_disk: (filter, value) => void (filter.minDiskGiB = countOf('min_disk', value)),
  min_ram: (filter, value) => void (filter.minMemoryMiB = countOf('min_ram', value)),
  tag: (filter, value) => void (filter.tags = [...(filter.tags ?? []), value]),
  member_status(filter, value) {
    if (value !== 'pending' && value !== 'accepted' && value !== 'rejected' && value !== 'all') throw invalid(`Invalid status value: ${value}`);
    filter.memberStatus = value;
  },
  created_at: (filter, value) => void (filter.created = timeOf('created_at', value)),
  updated_at: (filter, value) => void (filter.updated = timeOf('updated_at', value)),
};

/** `a`, or `in:a,b,"c,d"`. */
function amongOf(value: string): string[] {
  if (!value.startsWith('in:')) return [value];
  const values = [...value.slice(3).matchAll(/"((?:[^"\\]|\\.)*)"|([^,]+)/g)].map(([, quoted, plain]) => quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '');
  if (values.length === 0 || values.length > VALUES_MAX) throw invalid(`Invalid filter value '${value}'`);
  return values;
}

function timeOf(name: string, value: string): TimeBound {
  const [, compare = 'eq', text = ''] = /^(?:(gte?|lte?|eq|neq):)?(.+)$/.exec(value) ?? [];
  const atMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) || !text.includes('T') ? text : `${text}Z`) : Number.NaN;
  if (Number.isNaN(atMs)) throw invalid(`Invalid time value for '${name}': ${value}`);
  return { compare: compare as TimeBound['compare'], atMs };
}

function countOf(name: string, value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw invalid(`Invalid value for '${name}': ${value}`);
  return Number(value);
}

function limitOf(value: string | null): number {
  if (value === null) return PAGE_DEFAULT;
  if (!/^\d{1,9}$/.test(value)) throw invalid('limit param must be an integer >= 0');
  return Math.min(Number(value), PAGE_MAX);
}

/** `sort=name:asc,size` or repeated `sort_key` with `sort_dir`; newest first by default. */
function sortOf(query: URLSearchParams): ImageSort[] {
  const joined = query.get('sort');
  const keys = query.getAll('sort_key');
  const dirs = query.getAll('sort_dir');
  if (joined !== null && keys.length + dirs.length > 0) throw invalid('Old and new sorting syntax cannot be combined');
  const wanted: (readonly [string | undefined, string | undefined])[] =
    joined !== null
      ? joined
          .split(',')
          .map((part) => part.trim().split(':'))
          .map(([key, dir]) => [key, dir] as const)
      : (keys.length > 0 ? keys : ['created_at']).map((key, n) => [key, dirs[n] ?? dirs[0]] as const);
  if (wanted.length > SORT_KEYS_MAX) throw invalid(`At most ${SORT_KEYS_MAX} sort keys are allowed`);
  return wanted.map(([key, dir = 'desc']) => {
    const known = IMAGE_SORT_KEYS.find((each) => each === key);
    if (known === undefined) throw invalid(`Invalid sort key: ${key ?? ''}. It must be one of the following: ${IMAGE_SORT_KEYS.join(', ')}.`);
    if (dir !== 'asc' && dir !== 'desc') throw invalid(`Invalid sort direction: ${dir}`);
    return { key: known, descending: dir === 'desc' };
  });
}
