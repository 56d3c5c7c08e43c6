/**
 * Changes of an image in the image patch dialects (2.1: `op`, `path`; 2.0: the operation is the member that holds the
 * path). Pure: a record and a list of changes give a record, or a Fault; all or nothing.
 */
import type { ImageRecord } from '../../../actors/conductor/messages/image.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { invalid, refuse } from './error.ts';
import { BASE, checkQuotas, propertyOf, refuseFixed } from './schema.ts';

export const PATCH_TYPES: { readonly [type: string]: 0 | 1 } = {
  'application/openstack-images-v2.1-json-patch': 1,
  'application/openstack-images-v2.0-json-patch': 0,
};
const CHANGES_MAX = 256;

type Op = 'add' | 'replace' | 'remove';
export type Change = { readonly op: Op; readonly name: string; readonly value: unknown };

export function parsePatch(body: unknown, minor: 0 | 1): Change[] {
  if (!Array.isArray(body)) throw invalid('Request body must be a JSON array of operation objects.');
  if (body.length > CHANGES_MAX) throw new Fault('tooLarge', 'image.patch', `At most ${CHANGES_MAX} operations are allowed.`);
  return body.map((each: unknown) => changeOf(each, minor));
}

export function applyPatch(image: ImageRecord, changes: readonly Change[]): ImageRecord {
  const changed = changes.reduce(applyOne, image);
  checkQuotas(changed);
  return changed;
}

function applyOne(image: ImageRecord, { op, name, value }: Change): ImageRecord {
  refuseFixed(name);
  const base = BASE[name];
  if (base !== undefined && Object.hasOwn(BASE, name)) return applyBase(image, { op, name, value }, base);
  const held = Object.hasOwn(image.properties, name);
  if (op !== 'add' && !held) throw new Fault('conflict', 'image.property', `Property ${name} does not exist.`);
  if (op !== 'remove') return { ...image, properties: { ...image.properties, [name]: propertyOf(name, value) } };
  const { [name]: _, ...rest } = image.properties;
  return { ...image, properties: rest };
}

function applyBase(image: ImageRecord, { op, name, value }: Change, base: NonNullable<(typeof BASE)[string]>): ImageRecord {
  if (op === 'remove') throw refuse(`Property ${name} may not be removed.`);
  if ((name === 'disk_format' || name === 'container_format') && image.status !== 'queued') {
    throw refuse(`Attribute ${name} can be only replaced for a queued image.`);
  }
  return { ...image, ...base(value) };
}

function changeOf(raw: unknown, minor: 0 | 1): Change {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw invalid('Operations must be JSON objects.');
  const members = new Map<string, unknown>(Object.entries(raw));
  const found =
    minor === 1
      ? [members.get('op'), members.get('path')]
      : (['add', 'replace', 'remove'] as const).flatMap((op) => (members.has(op) ? [op, members.get(op)] : []));
  const [op, path] = found;
  if (op !== 'add' && op !== 'replace' && op !== 'remove') throw invalid(`Operations must be one of "add", "replace" or "remove".`);
  if (typeof path !== 'string') throw invalid('Unable to find a path in the operation.');
  if (op !== 'remove' && !members.has('value')) throw invalid(`Operation "${op}" requires a member named "value".`);
  return { op, name: nameOf(path), value: members.get('value') };
}

/** Members are changed as a whole: a pointer has one part. */
function nameOf(path: string): string {
  if (!path.startsWith('/')) throw invalid(`Pointer \`${path}\` does not start with "/".`);
  if (/~(?![01])/.test(path)) throw invalid(`Pointer \`${path}\` contains "~" not part of a recognized escape sequence.`);
  const part = path.slice(1);
  if (part.trim() === '' || part.includes('/')) throw invalid(`Invalid JSON pointer for this resource: '${path}'`);
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}
