/**
 * What an image may be made of: the base members with their limits, and free properties. One table serves creating
 * and patching: it says how a wire value becomes a member of the record.
 */
import type { ImageRecord } from '../../../actors/conductor/messages/image.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import { invalid, refuse } from './error.ts';
import { Fault } from '../../../runtime/base/fault.ts';

export const STATUSES = ['queued', 'saving', 'active', 'killed', 'deleted', 'uploading', 'importing', 'pending_delete', 'deactivated'] as const;
export const VISIBILITIES = ['community', 'public', 'private', 'shared'] as const;
export const DISK_FORMATS = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop'] as const;
export const CONTAINER_FORMATS = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed'] as const;

const TEXT_MAX = 255;
const PROPERTY_MAX = 65_535;
export const PROPERTIES_MAX = 128;
export const TAGS_MAX = 128;
export const MEMBERS_MAX = 128;
const INTEGER_MAX = 2_147_483_647;

/** Only the service sets these. */
export const READ_ONLY: readonly string[] = [
  'created_at',
  'updated_at',
  'status',
  'checksum',
  'size',
  'virtual_size',
  'direct_url',
  'self',
  'file',
  'schema',
  'id',
  'os_hash_algo',
  'os_hash_value',
];
/** Names that mean something to the service, or to others of its kind. */
export const RESERVED: readonly string[] = ['deleted', 'deleted_at', 'is_public', 'stores', 'locations'];

export type Changeable = Pick<
  ImageRecord,
  'name' | 'visibility' | 'owner' | 'protected' | 'hidden' | 'diskFormat' | 'containerFormat' | 'minDiskGiB' | 'minMemoryMiB' | 'tags'
>;

/** Wire name → the change it makes. */
export const BASE: { readonly [name: string]: (value: unknown) => Partial<Changeable> } = {
  name: (value) => ({ name: value === null ? null : textOf('name', value, TEXT_MAX) }),
  visibility: (value) => ({ visibility: oneOf('visibility', value, VISIBILITIES) }),
  owner: (value) => ({ owner: value === null ? null : textOf('owner', value, TEXT_MAX) }),
  protected: (value) => ({ protected: flagOf('protected', value) }),
  os_hidden: (value) => ({ hidden: flagOf('os_hidden', value) }),
  disk_format: (value) => ({ diskFormat: value === null ? null : oneOf('disk_format', value, DISK_FORMATS) }),
  container_format: (value) => ({ containerFormat: value === null ? null : oneOf('container_format', value, CONTAINER_FORMATS) }),
  min_disk: (value) => ({ minDiskGiB: countOf('min_disk', value) }),
  min_ram: (value) => ({ minMemoryMiB: countOf('min_ram', value) }),
  tags: (value) => ({ tags: tagsOf(value) }),
};

export function propertyOf(name: string, value: unknown): string {
  if (name === '' || name.length > TEXT_MAX) throw invalid(`Property name must have 1 to ${TEXT_MAX} characters.`);
  if (typeof value !== 'string') throw invalid(`Provided object does not match schema 'image': ${JSON.stringify(value)} is not of type 'string'`);
  if (value.length > PROPERTY_MAX) throw invalid(`Property '${name}' is too long.`);
  return value;
}

export function refuseFixed(name: string): void {
  if (READ_ONLY.includes(name)) throw refuse(`Attribute '${name}' is read-only.`);
  if (RESERVED.includes(name) || name.startsWith('os_glance')) throw refuse(`Attribute '${name}' is reserved.`);
}

export function checkQuotas({ tags, properties }: Pick<ImageRecord, 'tags' | 'properties'>): void {
  if (tags.length > TAGS_MAX)
    throw new Fault('tooLarge', 'image.tags', `The limit has been exceeded on the number of allowed image tags. Maximum: ${TAGS_MAX}`);
  const count = Object.keys(properties).length;
  if (count > PROPERTIES_MAX)
    throw new Fault(
      'tooLarge',
      'image.properties',
      `The limit has been exceeded on the number of allowed image properties. Attempted: ${count}, Maximum: ${PROPERTIES_MAX}`,
    );
}

export function tagOf(value: unknown): string {
  return textOf('tags', value, TEXT_MAX);
}

export function idOf(value: unknown): string {
  const id = typeof value === 'string' ? value.toLowerCase() : '';
  if (!isUuid(id)) throw invalid(`Provided object does not match schema 'image': ${JSON.stringify(value)} is not a valid id`);
  return id;
}

function tagsOf(value: unknown): string[] {
  if (!Array.isArray(value)) throw invalid(`Provided object does not match schema 'image': tags must be a list`);
  return [...new Set(value.map(tagOf))];
}

function textOf(name: string, value: unknown, max: number): string {
  if (typeof value !== 'string')
    throw invalid(`Provided object does not match schema 'image': ${JSON.stringify(value)} is not of type 'string', Failed validating '${name}'`);
  if (value.length > max) throw invalid(`Provided object does not match schema 'image': '${name}' is too long`);
  return value;
}

function flagOf(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean')
    throw invalid(`Provided object does not match schema 'image': ${JSON.stringify(value)} is not of type 'boolean', Failed validating '${name}'`);
  return value;
}

function countOf(name: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value))
    throw invalid(`Provided object does not match schema 'image': ${JSON.stringify(value)} is not of type 'integer', Failed validating '${name}'`);
  if (value < 0 || value > INTEGER_MAX) throw invalid(`Image '${name}' must be between 0 and ${INTEGER_MAX}`);
  return value;
}

function oneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined)
    throw invalid(
      `Provided object does not match schema 'image': ${JSON.stringify(value)} is not one of ${JSON.stringify(allowed)}, Failed validating '${name}'`,
    );
  return found;
}
