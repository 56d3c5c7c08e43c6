/** Plain records without an actor: flavors, key pairs, quotas, networks, services. Faults: notFound, conflict, invalid, overQuota. */
import type { Flavor } from '../../model/flavor.ts';
import type { KeyPair } from '../../model/key-pair.ts';
import type { NetworkRecord } from '../../model/addressing.ts';
import type { QuotaName } from '../../model/quota.ts';

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
  /** Fault `conflict` for a used name, `overQuota` when the user has `max` already. */
  createKeyPair: { body: { keyPair: Omit<KeyPair, 'id' | 'createdAt'>; max: number }; reply: KeyPair };
  deleteKeyPair: { body: { userId: string; name: string }; reply: undefined };

  /** Limits as set for a project or one user of it; only those that were set. */
  showQuotaLimits: { body: { projectId: string; userId: string | null }; reply: { readonly [name in QuotaName]?: number } };
  setQuotaLimits: { body: { projectId: string; userId: string | null; limits: { readonly [name in QuotaName]?: number } }; reply: undefined };
  /** Back to the defaults. */
  resetQuotaLimits: { body: { projectId: string; userId: string | null }; reply: undefined };
  showQuotaClass: { body: { name: string }; reply: { readonly [name in QuotaName]?: number } };
  setQuotaClass: { body: { name: string; limits: { readonly [name in QuotaName]?: number } }; reply: undefined };

  /** Those that a project may use. */
  listNetworks: { body: { projectId: string | null }; reply: readonly NetworkRecord[] };

  /** Enables, disables, forces down a compute service; `uuid` or `host`. Members left out stay. */
  updateService: {
    body: { uuid: string | null; host: string | null; enabled?: boolean; disabledReason?: string | null; forcedDown?: boolean };
    reply: { readonly host: string };
  };
  deleteService: { body: { uuid: string }; reply: undefined };
};
