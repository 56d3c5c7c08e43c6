/**
 * Limits and use. −1 is unlimited. Use of instances, cores and ram changes in the transaction that accepts or ends
 * the servers which use them (P4), so there is nothing to reserve, recount or heal.
 */
export const QUOTA_DEFAULTS = {
  instances: 10,
  cores: 20,
  ram: 51_200, // MiB
  metadata_items: 128,
  injected_files: 5,
  injected_file_content_bytes: 10_240,
  injected_file_path_bytes: 255,
  key_pairs: 100,
  server_groups: 10,
  server_group_members: 10,
  floating_ips: 10,
  fixed_ips: -1,
  security_groups: 10,
  security_group_rules: 20,
} as const;
export type QuotaName = keyof typeof QUOTA_DEFAULTS;
export type QuotaLimits = { readonly [name in QuotaName]: number };

/** Counted with the servers themselves, per project (and per user where a user limit is set). */
export const COUNTED = ['instances', 'cores', 'ram'] as const;
export type CountedQuota = (typeof COUNTED)[number];
export type QuotaNeed = { readonly [name in CountedQuota]: number };

/** One that was exceeded: asked for, used before, allowed. */
export type OverQuota = { readonly name: CountedQuota; readonly requested: number; readonly used: number; readonly limit: number };

export function quotaNeed(count: number, flavor: { vcpus: number; memoryMiB: number }): QuotaNeed {
  return { instances: count, cores: count * flavor.vcpus, ram: count * flavor.memoryMiB };
}
