/** Security groups: named rules of a project for what may reach its servers. Records alone: hosts do not enforce them yet. */
export type SecurityRule = {
  readonly id: string;
  readonly parentGroupId: string;
  /** `tcp`, `udp`, `icmp`; null: any. */
  readonly protocol: string | null;
  readonly fromPort: number | null;
  readonly toPort: number | null;
  /** From these addresses; null when it is from the servers of a group. */
  readonly cidr: string | null;
  readonly group: { readonly name: string; readonly projectId: string } | null;
};

export type SecurityGroup = {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly description: string;
  readonly rules: readonly SecurityRule[];
};

/** What every project has. */
export const DEFAULT_GROUP = 'default';
