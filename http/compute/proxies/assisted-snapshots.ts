/**
 * `/os-assisted-volume-snapshots`: a volume service asks for snapshots of volumes that are attached as files. Without
 * volumes none is, and each request is refused as for a volume that is attached to nothing.
 */
import type { Call } from '../../kit/call.ts';
import { invalid } from '../../kit/errors.ts';
import type { QueryTable } from '../../kit/query.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { members, text } from '../parameter-types.ts';
import { route } from '../parts.ts';

const WORD = text(1, 255);
const INFO = members({ snapshot_id: WORD, type: { type: 'string', enum: ['qcow2'] }, new_file: WORD, id: WORD }, ['snapshot_id', 'type', 'new_file']);
const BODY: BodySchema = {
  breaks: [1],
  at: () => members({ snapshot: members({ volume_id: WORD, create_info: INFO }, ['volume_id', 'create_info']) }, ['snapshot']),
};
const QUERY: QueryTable = { strictFrom: SINCE.strictQueries, parameters: { delete_info: { kind: 'text' } } };

export const ASSISTED_SNAPSHOT_ROUTES = [
  route({
    method: 'POST',
    path: '/os-assisted-volume-snapshots',
    policy: 'os-assisted-volume-snapshots:create',
    body: BODY,
    ok: 200,
    serve: (call) => {
      throw unattached(volumeOf(memberOf(call.body, 'snapshot')));
    },
  }),
  route({
    method: 'DELETE',
    path: '/os-assisted-volume-snapshots/:id',
    policy: 'os-assisted-volume-snapshots:delete',
    query: QUERY,
    ok: 204,
    serve: (call) => {
      throw unattached(volumeOf(deleteInfo(call)));
    },
  }),
];

function deleteInfo(call: Call): unknown {
  try {
    return JSON.parse(call.query.one('delete_info') ?? '');
  } catch {
    throw invalid('delete_info is not valid JSON.');
  }
}

function volumeOf(value: unknown): string {
  const volume = memberOf(value, 'volume_id');
  if (typeof volume !== 'string') throw invalid('volume_id is missing.');
  return volume;
}

function memberOf(value: unknown, name: string): unknown {
  return value !== null && typeof value === 'object' ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined;
}

function unattached(volumeId: string): Error {
  return invalid(`No volume Block Device Mapping with id ${volumeId.slice(0, 64)}.`);
}
