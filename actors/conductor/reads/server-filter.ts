/**
 * From a server filter to the conditions of a list. Each member is one fixed fragment; its value is a parameter.
 * Exact: ids, project, user, image, flavor, host, states. Substrings, taken literally: name, zone, reservation, key,
 * hostname, addresses.
 */
import { toIso } from '../../../runtime/base/clock.ts';
import type { ServerFilter } from '../messages/read.ts';
import { escapeLike, isUuid } from './query.ts';

type Put = (value: unknown) => string;

/** Conditions on `instance i`, all of which must hold. */
export function serverConditions(filter: ServerFilter, put: Put): string[] {
  return [...identity(filter, put), ...states(filter, put), ...texts(filter, put), ...addresses(filter, put), ...tags(filter, put)];
}

/** Whether the filter lets deleted servers through: named, or because changes are asked for, which deletions are. */
export function wantsDeleted(filter: ServerFilter): boolean {
  return filter.deleted ?? (filter.changedSinceMs !== null || filter.changedBeforeMs !== null);
}

function identity(filter: ServerFilter, put: Put): string[] {
  const out: string[] = [];
  if (filter.projectId !== null) out.push(`i.project_id = ${put(filter.projectId)}`);
  // Said as the partial indexes say it, so that they serve the list.
  if (!wantsDeleted(filter)) out.push('not i.deleted');
  else if (filter.deleted === true) out.push(filter.softDeleted === 'asDeleted' ? `(i.deleted or i.vm_state = 'soft-delete')` : 'i.deleted');
  if (filter.softDeleted === 'hidden') out.push(`i.vm_state <> 'soft-delete'`);
  if (filter.changedSinceMs !== null) out.push(`i.updated_at >= ${put(toIso(filter.changedSinceMs))}::timestamptz`);
  if (filter.changedBeforeMs !== null) out.push(`i.updated_at <= ${put(toIso(filter.changedBeforeMs))}::timestamptz`);
  if (filter.ids !== null) out.push(`i.id = any(${put(filter.ids.filter(isUuid))}::uuid[])`);
  if (filter.userId !== null) out.push(`i.user_id = ${put(filter.userId)}`);
  if (filter.imageId !== null) out.push(`i.image_id = ${put(filter.imageId)}`);
  if (filter.flavorId !== null) out.push(`i.flavor_id = ${put(filter.flavorId)}`);
  if (filter.host !== null) out.push(`i.host = ${put(filter.host)}`);
  if (filter.configDrive !== null) out.push(`i.config_drive = ${put(filter.configDrive)}`);
  if (filter.locked !== null) out.push(`i.locked = ${put(filter.locked)}`);
  return out;
}

function states(filter: ServerFilter, put: Put): string[] {
  const out: string[] = [];
  if (filter.states !== null) {
    const whole = filter.states.filter((state) => state.taskStates === null).map((state) => state.vmState);
    const pairs = filter.states.flatMap((state) => (state.taskStates ?? []).map((task) => `${state.vmState}/${task}`));
    out.push(`(i.vm_state = any(${put(whole)}::text[]) or i.vm_state || '/' || i.task_state = any(${put(pairs)}::text[]))`);
  }
  if (filter.vmState !== null) out.push(`i.vm_state = ${put(filter.vmState)}`);
  if (filter.taskState !== null) out.push(`i.task_state = ${put(filter.taskState)}`);
  if (filter.powerState !== null) out.push(`i.power_state = ${put(filter.powerState)}`);
  return out;
}

function texts(filter: ServerFilter, put: Put): string[] {
  const out: string[] = [];
  if (filter.name !== null) out.push(`i.name like ${put(anchoredPattern(filter.name))}`);
  if (filter.zone !== null) out.push(`i.zone like ${put(pattern(filter.zone))}`);
  if (filter.reservationId !== null) out.push(`i.reservation_id like ${put(pattern(filter.reservationId))}`);
  if (filter.keyName !== null) out.push(`i.key_name like ${put(pattern(filter.keyName))}`);
  if (filter.hostname !== null) out.push(`i.hostname like ${put(pattern(filter.hostname))}`);
  return out;
}

function addresses(filter: ServerFilter, put: Put): string[] {
  const out: string[] = [];
  if (filter.ip !== null) out.push(`exists (select from unnest(i.addresses) a where a like ${put(pattern(filter.ip))} and a not like '%:%')`);
  if (filter.ip6 !== null) out.push(`exists (select from unnest(i.addresses) a where a like ${put(pattern(filter.ip6))} and a like '%:%')`);
  return out;
}

function tags(filter: ServerFilter, put: Put): string[] {
  const out: string[] = [];
  if (filter.tags !== null) out.push(`i.tags @> ${put(filter.tags)}::text[]`);
  if (filter.tagsAny !== null) out.push(`i.tags && ${put(filter.tagsAny)}::text[]`);
  if (filter.notTags !== null) out.push(`not i.tags @> ${put(filter.notTags)}::text[]`);
  if (filter.notTagsAny !== null) out.push(`not i.tags && ${put(filter.notTagsAny)}::text[]`);
  return out;
}

function pattern(text: string): string {
  return `%${escapeLike(text)}%`;
}

/** A leading `^` or a trailing `$` binds the substring to that end. */
function anchoredPattern(text: string): string {
  const atStart = text.startsWith('^');
  const atEnd = text.endsWith('$');
  const bare = text.slice(atStart ? 1 : 0, atEnd ? -1 : undefined);
  return `${atStart ? '' : '%'}${escapeLike(bare)}${atEnd ? '' : '%'}`;
}
