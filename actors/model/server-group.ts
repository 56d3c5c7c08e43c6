/**
 * Server groups: servers of a project that shall be kept together or apart. What decides is the store: the commit that
 * places a member looks at the group as it is then (actors/conductor/write/function.ts).
 */
export const GROUP_POLICIES = ['affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity'] as const;
export type GroupPolicy = (typeof GROUP_POLICIES)[number];

export type ServerGroup = {
  readonly id: string;
  readonly projectId: string;
  readonly userId: string;
  readonly name: string;
  readonly policy: GroupPolicy;
  /** Of anti-affinity alone: so many members may share a host; null: one. */
  readonly perHost: number | null;
};

/** With the ids of its living servers, oldest first. */
export type ServerGroupView = ServerGroup & { readonly members: readonly string[] };

/** What placing a member needs to know of its group. */
export type GroupPlaces = {
  readonly policy: GroupPolicy;
  /** Members that a host may have; of policies that count none, 0. */
  readonly perHost: number;
  /** Hosts of the other members, with their number there. Of affinity only hosts that are not proved dead. */
  readonly hosts: { readonly [host: string]: number };
};
