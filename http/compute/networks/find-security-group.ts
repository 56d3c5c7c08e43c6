/** A project's security groups, and one of them by name or id. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { SecurityGroup } from '../../../actors/model/security-group.ts';
import { PAGE_MAX } from '../../kit/paging.ts';
import type { ComputeParts } from '../parts.ts';

export function securityGroupsOf(parts: ComputeParts, projectId: string): Promise<readonly SecurityGroup[]> {
  return parts.actors.ask(CONDUCTOR, { type: 'listSecurityGroups', projectId, offset: 0, limit: PAGE_MAX });
}

/** Names are unique in a project; a name goes before an id. */
export function namedGroup(groups: readonly SecurityGroup[], nameOrId: string): SecurityGroup | undefined {
  return groups.find(({ name }) => name === nameOrId) ?? groups.find(({ id }) => id === nameOrId);
}
