/** Changes of what is only remembered, applied to what is there now: name, metadata, tags and the like. Pure. */
import { Fault } from '../../runtime/base/fault.ts';
import type { InstanceRecord } from '../model/instance.ts';
import type { InstanceChanges, ListChange, MapChange } from './messages.ts';

/** The members of the record that change; a Fault when a limit is passed. */
export function applyChanges(record: InstanceRecord, changes: InstanceChanges): Partial<InstanceRecord> | Fault {
  const { metadata, tags, securityGroups, ...plain } = changes;
  const map = metadata && changeMap(record.metadata, metadata);
  const list = tags && changeList(record.tags, tags);
  if (map && isOver(Object.keys(map).length, Object.keys(record.metadata).length, metadata?.max)) return tooMany('metadata_items', metadata?.max);
  if (list && isOver(list.length, record.tags.length, tags?.max)) return tooMany('tags', tags?.max);
  return {
    ...plain,
    ...(map && { metadata: map }),
    ...(list && { tags: list }),
    ...(securityGroups && { securityGroups: changeList(record.securityGroups, securityGroups) }),
  };
}

function changeMap(before: InstanceRecord['metadata'], { replace, set, drop }: MapChange): InstanceRecord['metadata'] {
  const after = new Map(Object.entries(replace ? {} : before));
  for (const [key, value] of Object.entries(set ?? {})) after.set(key, value);
  for (const key of drop ?? []) after.delete(key);
  return Object.fromEntries(after);
}

function changeList(before: readonly string[], { replace, add, drop }: ListChange): readonly string[] {
  const after = new Set(replace ? [] : before);
  for (const tag of add ?? []) after.add(tag);
  for (const tag of drop ?? []) after.delete(tag);
  return [...after];
}

/** What is there already may stay, also when the limit was lowered since. */
function isOver(after: number, before: number, max: number | undefined): boolean {
  return max !== undefined && max >= 0 && after > max && after > before;
}

function tooMany(what: string, max: number | undefined): Fault {
  const message = what === 'tags' ? `The number of tags exceeded the per-server limit ${max}` : `Maximum number of metadata items exceeds ${max}`;
  return new Fault(what === 'tags' ? 'invalid' : 'forbidden', `quota.${what}`, message);
}
