/** `/limits`: what a project may use and does, and how often the caller's may ask, where that is limited. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { Call } from '../../kit/call.ts';
import type { QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';

const QUERY: QueryTable = {
  strictFrom: SINCE.strictQueries,
  parameters: { tenant_id: { kind: 'text' }, reserved: { kind: 'text', to: SINCE.strictQueries - 1 } },
};

export const LIMIT_ROUTES = [route({ method: 'GET', path: '/limits', policy: 'limits', query: QUERY, ok: 200, serve: serveLimits })];

async function serveLimits(call: Call, parts: ComputeParts): Promise<Reply> {
  const asked = call.query.one('tenant_id');
  const projectId = asked ?? call.caller.projectId;
  if (projectId !== call.caller.projectId) parts.policy.enforce('limits:other_project', call.caller);
  const { limits, used, serverGroups, securityGroups } = await parts.actors.ask(CONDUCTOR, { type: 'showQuota', projectId, userId: null });
  const { version } = call;
  const absolute: { [name: string]: number } = {
    maxServerMeta: limits.metadata_items,
    maxServerGroups: limits.server_groups,
    maxServerGroupMembers: limits.server_group_members,
    maxTotalCores: limits.cores,
    maxTotalInstances: limits.instances,
    maxTotalKeypairs: limits.key_pairs,
    maxTotalRAMSize: limits.ram,
    totalCoresUsed: used.cores,
    totalInstancesUsed: used.instances,
    totalRAMUsed: used.ram,
    totalServerGroupsUsed: serverGroups,
  };
  if (version < SINCE.noImageMetadata) absolute['maxImageMeta'] = limits.metadata_items;
  if (version < SINCE.noPersonality) {
    absolute['maxPersonality'] = limits.injected_files;
    absolute['maxPersonalitySize'] = limits.injected_file_content_bytes;
  }
  if (version < SINCE.noProxies) {
    absolute['maxSecurityGroups'] = limits.security_groups;
    absolute['maxSecurityGroupRules'] = limits.security_group_rules;
    absolute['maxTotalFloatingIps'] = limits.floating_ips;
    absolute['totalSecurityGroupsUsed'] = securityGroups;
    absolute['totalFloatingIpsUsed'] = 0;
  }
  return { body: { limits: { rate: parts.rates.view(call.caller.projectId), absolute } } };
}
