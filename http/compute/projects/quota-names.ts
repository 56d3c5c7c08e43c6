/** Which quotas the API names, and in which versions. */
import { QUOTA_DEFAULTS } from '../../../actors/model/quota.ts';
import type { QuotaName } from '../../../actors/model/quota.ts';
import { SINCE } from '../microversions.ts';

export const QUOTA_NAMES: readonly QuotaName[] = [
  'instances',
  'cores',
  'ram',
  'metadata_items',
  'injected_files',
  'injected_file_content_bytes',
  'injected_file_path_bytes',
  'key_pairs',
  'server_groups',
  'server_group_members',
  'floating_ips',
  'fixed_ips',
  'security_groups',
  'security_group_rules',
];

const NETWORK: readonly QuotaName[] = ['floating_ips', 'fixed_ips', 'security_groups', 'security_group_rules'];
const FILES: readonly QuotaName[] = ['injected_files', 'injected_file_content_bytes', 'injected_file_path_bytes'];
const GROUPS: readonly QuotaName[] = ['server_groups', 'server_group_members'];

/** Members of a project's quota set. */
export function quotasIn(version: number): readonly QuotaName[] {
  return QUOTA_NAMES.filter((name) => !(version >= SINCE.noProxies && NETWORK.includes(name)) && !(version >= SINCE.noPersonality && FILES.includes(name)));
}

/** Members of a quota class: networks went later, groups came later. */
export function classQuotasIn(version: number): readonly QuotaName[] {
  return QUOTA_NAMES.filter((name) => {
    if (NETWORK.includes(name)) return version < SINCE.classServerGroups;
    if (GROUPS.includes(name)) return version >= SINCE.classServerGroups;
    return !(version >= SINCE.noPersonality && FILES.includes(name));
  });
}

export function isQuotaName(name: string): name is QuotaName {
  return Object.hasOwn(QUOTA_DEFAULTS, name);
}
