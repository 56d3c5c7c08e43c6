/** The reads that doors ask for: keyset lists and lookups. They wake no actor and take no lock. */
import type { InstanceRecord, Stored } from '../../model/instance.ts';
import type { Migration, MigrationFilter } from '../../model/migration.ts';
import type { StatusEvent } from '../../model/event.ts';
import type { QuotaLimits, QuotaName, QuotaNeed } from '../../model/quota.ts';
import type { Resources } from '../../model/resources.ts';

/** All members must hold; null and absent: any. Text matches are literal substrings unless said otherwise. */
export type ServerFilter = {
  readonly projectId: string | null;
  /** Default false. */
  readonly deleted: boolean | null;
  /** Left out: they are servers like others. `asDeleted`: they count as deleted ones. */
  readonly softDeleted?: 'hidden' | 'asDeleted';
  readonly changedSinceMs: number | null;
  readonly changedBeforeMs: number | null;
  /** Substring; a leading `^` or trailing `$` anchors it. */
  readonly name: string | null;
  readonly states: readonly { readonly vmState: string; readonly taskStates: readonly string[] | null }[] | null;
  readonly vmState: string | null;
  readonly taskState: string | null;
  readonly powerState: string | null;
  readonly imageId: string | null;
  readonly flavorId: string | null;
  readonly userId: string | null;
  readonly host: string | null;
  readonly zone: string | null;
  readonly reservationId: string | null;
  readonly keyName: string | null;
  readonly ids: readonly string[] | null;
  /** Substring of an address. */
  readonly ip: string | null;
  readonly ip6: string | null;
  readonly hostname: string | null;
  readonly configDrive: boolean | null;
  readonly locked: boolean | null;
  readonly tags: readonly string[] | null;
  readonly tagsAny: readonly string[] | null;
  readonly notTags: readonly string[] | null;
  readonly notTagsAny: readonly string[] | null;
};

export const ANY_SERVER: ServerFilter = {
  projectId: null,
  deleted: null,
  changedSinceMs: null,
  changedBeforeMs: null,
  name: null,
  states: null,
  vmState: null,
  taskState: null,
  powerState: null,
  imageId: null,
  flavorId: null,
  userId: null,
  host: null,
  zone: null,
  reservationId: null,
  keyName: null,
  ids: null,
  ip: null,
  ip6: null,
  hostname: null,
  configDrive: null,
  locked: null,
  tags: null,
  tagsAny: null,
  notTags: null,
  notTagsAny: null,
};

export const SERVER_SORT_KEYS = [
  'createdAt',
  'updatedAt',
  'launchedAt',
  'terminatedAt',
  'name',
  'vmState',
  'taskState',
  'powerState',
  'id',
  'host',
  'projectId',
  'userId',
  'imageId',
  'flavorId',
  'keyName',
  'zone',
  'hostname',
  'launchIndex',
  'locked',
  'configDrive',
  'description',
  'diskConfig',
  'accessIpV4',
  'accessIpV6',
  'kernelId',
  'ramdiskId',
] as const;
export type ServerSortKey = (typeof SERVER_SORT_KEYS)[number];
export type ServerSort = { readonly key: ServerSortKey; readonly descending: boolean };

export type ServiceView = {
  readonly id: number;
  readonly uuid: string;
  readonly binary: string;
  readonly host: string;
  readonly zone: string;
  readonly enabled: boolean;
  readonly up: boolean;
  readonly updatedAt: string | null;
  readonly disabledReason: string | null;
  readonly forcedDown: boolean;
};

export type HostView = ServiceView & {
  readonly hypervisorId: number;
  readonly hypervisorUuid: string;
  readonly driver: string;
  readonly hypervisorType: string;
  readonly hypervisorVersion: number;
  readonly hostIp: string;
  /** Of its driver, beside what all can; absent: none. */
  readonly abilities?: readonly string[];
  readonly cpu: {
    readonly arch: string;
    readonly model: string;
    readonly vendor: string;
    readonly topology: { readonly sockets: number; readonly cores: number; readonly threads: number };
    readonly features: readonly string[];
  };
  /** What the hypervisor has, and what is claimed of it. */
  readonly total: Resources;
  readonly used: Resources;
  readonly instances: number;
};

export type QuotaView = {
  readonly limits: QuotaLimits;
  readonly used: QuotaNeed;
  /** Of the user, when one is asked for. */
  readonly keyPairs: number;
  readonly serverGroups: number;
  /** The `default` of a project counts, as soon as it is there. */
  readonly securityGroups: number;
  readonly fixedIps: number;
  /** What the limits of the project's users add up to; unlimited ones do not count. */
  readonly ofUsers: { readonly [name in QuotaName]?: number };
};

/** One server's time in a window, by what its record says; deleted ones too. */
export type ServerUse = {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly vmState: string;
  readonly flavorName: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly diskGiB: number;
  readonly launchedAt: string;
  readonly terminatedAt: string | null;
};

export type ReadProtocol = {
  /** Newest first by default. Fault `invalid` (reason `marker`) when the marker names nothing visible. */
  listServers: {
    body: { filter: ServerFilter; sort: readonly ServerSort[]; marker: string | null; limit: number };
    reply: { servers: readonly Stored<InstanceRecord>[]; revision: number };
  };
  /** The row of one, deleted ones too while they are kept. */
  showServer: { body: { id: string }; reply: Stored<InstanceRecord> | null };
  listHosts: { body: { withDeleted?: boolean }; reply: readonly HostView[] };
  /** Services that are not hosts: the control plane's own, by node. */
  listNodeServices: { body: object; reply: readonly ServiceView[] };
  listZones: { body: object; reply: readonly { name: string; available: boolean; hosts: readonly string[] }[] };
  /** Limits in force for a project (or one user of it) and what is used. */
  showQuota: { body: { projectId: string; userId: string | null }; reply: QuotaView };
  /** Newest first. Fault `invalid` (reason `marker`) when the marker (a uuid) is that of none. */
  listMigrations: { body: { filter: MigrationFilter; marker: string | null; limit: number }; reply: readonly Migration[] };
  /**
   * Servers that ran between two moments (`from` included), by project and id. `projectId` null: all. Fault `invalid`
   * (reason `marker`) when the marker names no server of them.
   */
  listServerUse: { body: { projectId: string | null; fromMs: number; toMs: number; marker: string | null; limit: number }; reply: readonly ServerUse[] };
  /** Ids of the live servers on these hosts. */
  listServersOfHosts: { body: { hosts: readonly string[] }; reply: readonly { host: string; id: string; name: string }[] };
  /** Events after a revision, oldest first. Fault `notFound` (reason `stream.gone`, detail {oldest}) when dropped. */
  history: { body: { after: number; limit: number }; reply: { events: readonly StatusEvent[]; upTo: number } };
  /** The newest revision of the cell and its incarnation. */
  revision: { body: object; reply: { revision: number; oldest: number; incarnation: string } };
};
