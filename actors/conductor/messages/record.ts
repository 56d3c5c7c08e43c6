/** Plain records without an actor: flavors, key pairs, quotas, networks, services. Faults: notFound, conflict, invalid, overQuota. */
import type { Flavor } from '../../model/flavor.ts';
import type { KeyPair } from '../../model/key-pair.ts';
import type { NetworkRecord } from '../../model/addressing.ts';
import type { QuotaName } from '../../model/quota.ts';
import type { SecurityGroup, SecurityRule } from '../../model/security-group.ts';
import type { ServerGroup, ServerGroupView } from '../../model/server-group.ts';

export type FlavorSortKey = 'flavorId' | 'name' | 'memoryMiB' | 'vcpus' | 'rootGiB' | 'createdAt' | 'id' | 'isPublic' | 'swapMiB' | 'ephemeralGiB';

export type RecordProtocol = {
  /** Those that the project may see (`projectId` null: all). `isPublic` null: both. */
  listFlavors: {
    body: {
      projectId: string | null;
      isPublic: boolean | null;
      minMemoryMiB: number | null;
      minRootGiB: number | null;
      name: string | null;
      sort: { key: FlavorSortKey; descending: boolean };
      marker: string | null;
      limit: number;
    };
    reply: readonly Flavor[];
  };
  /** null when there is none, or it is private and not this project's (`projectId` null: an admin). */
  showFlavor: { body: { flavorId: string; projectId: string | null }; reply: Flavor | null };
  /** Fault `conflict` for a used id or name. */
  createFlavor: { body: { flavor: Flavor }; reply: Flavor };
  updateFlavor: { body: { flavorId: string; description: string | null }; reply: Flavor };
  deleteFlavor: { body: { flavorId: string }; reply: undefined };
  setFlavorSpecs: { body: { flavorId: string; specs: { readonly [key: string]: string } }; reply: Flavor };
  deleteFlavorSpec: { body: { flavorId: string; key: string }; reply: undefined };
  /** Projects that may use a private flavor. */
  listFlavorAccess: { body: { flavorId: string }; reply: readonly string[] };
  addFlavorAccess: { body: { flavorId: string; projectId: string }; reply: readonly string[] };
  removeFlavorAccess: { body: { flavorId: string; projectId: string }; reply: readonly string[] };

  /** By name, `marker` is a name. */
  listKeyPairs: { body: { userId: string; marker: string | null; limit: number | null }; reply: readonly KeyPair[] };
  showKeyPair: { body: { userId: string; name: string }; reply: KeyPair | null };
  /** `projectId`: whose limits hold, or the user's own there. Fault `conflict` for a used name, `overQuota`. */
  createKeyPair: { body: { keyPair: Omit<KeyPair, 'id' | 'createdAt'>; projectId: string }; reply: KeyPair };
  deleteKeyPair: { body: { userId: string; name: string }; reply: undefined };

  /** Limits as set for a project or one user of it; only those that were set. */
  showQuotaLimits: { body: { projectId: string; userId: string | null }; reply: { readonly [name in QuotaName]?: number } };
  setQuotaLimits: { body: { projectId: string; userId: string | null; limits: { readonly [name in QuotaName]?: number } }; reply: undefined };
  /** Back to the defaults. */
  resetQuotaLimits: { body: { projectId: string; userId: string | null }; reply: undefined };
  showQuotaClass: { body: { name: string }; reply: { readonly [name in QuotaName]?: number } };
  setQuotaClass: { body: { name: string; limits: { readonly [name in QuotaName]?: number } }; reply: undefined };

  /** Of a project (null: all), oldest first. */
  listServerGroups: { body: { projectId: string | null; offset: number; limit: number }; reply: readonly ServerGroupView[] };
  showServerGroup: { body: { id: string }; reply: ServerGroupView | null };
  /** Fault `overQuota` when the project or the user has as many as they may. */
  createServerGroup: { body: { group: ServerGroup }; reply: ServerGroup };
  /** Its servers stay, and are bound by nothing any more. */
  deleteServerGroup: { body: { id: string }; reply: undefined };

  /** Of a project (null: all), with their rules, by name. A project that has none gets its `default` first. */
  listSecurityGroups: { body: { projectId: string | null; offset: number; limit: number }; reply: readonly SecurityGroup[] };
  showSecurityGroup: { body: { id: string }; reply: SecurityGroup | null };
  /** Faults `conflict` for a used name, `overQuota`. */
  createSecurityGroup: { body: { group: Omit<SecurityGroup, 'rules'> & { readonly userId: string } }; reply: SecurityGroup };
  /** Faults `notFound`, `conflict` for a used name, `invalid` when a group in use would get another name. */
  updateSecurityGroup: { body: { id: string; name: string; description: string }; reply: SecurityGroup };
  /** Faults `notFound`, `invalid` when servers use it. */
  deleteSecurityGroup: { body: { id: string }; reply: undefined };
  /** Faults `notFound` (the group), `conflict` (the same rule is there), `overQuota`. */
  createSecurityRule: { body: { rule: Omit<SecurityRule, 'group'> & { readonly sourceGroupId: string | null; readonly userId: string } }; reply: SecurityRule };
  /** null when there is none, or it is of another project (null: of any). */
  showSecurityRule: { body: { id: string }; reply: (SecurityRule & { readonly projectId: string }) | null };
  deleteSecurityRule: { body: { id: string }; reply: undefined };

  /** Those that a project may use. */
  listNetworks: { body: { projectId: string | null }; reply: readonly NetworkRecord[] };

  /** Enables, disables, forces down a compute service; `uuid` or `host`. Members left out stay. */
  updateService: {
    body: { uuid: string | null; host: string | null; enabled?: boolean; disabledReason?: string | null; forcedDown?: boolean };
    reply: { readonly host: string };
  };
  deleteService: { body: { uuid: string }; reply: undefined };
};
