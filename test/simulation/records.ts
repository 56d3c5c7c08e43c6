/** The record of a new server as the door makes it, and the one network of the simulated cell. */
import type { InstanceRecord } from '../../actors/model/instance.ts';
import type { NetworkRecord } from '../../actors/model/addressing.ts';
import { toIso } from '../../runtime/base/clock.ts';

export const NETWORK: NetworkRecord = {
  id: '00000000-0000-4000-8000-00000000000e',
  label: 'private',
  cidr: '10.20.0.0/26',
  gateway: '10.20.0.1',
  projectId: null,
};

export type Making = {
  readonly requestId: string;
  readonly userId: string;
  readonly name: string;
  readonly nowMs: number;
  readonly stepDueMs: number;
  readonly zone?: string | null;
};

export function newInstance(id: string, { requestId, userId, name, nowMs, stepDueMs, zone = null }: Making): InstanceRecord {
  const at = toIso(nowMs);
  return {
    id,
    number: 0,
    projectId: 'blue',
    userId,
    name,
    description: null,
    hostname: name,
    reservationId: requestId,
    launchIndex: 0,
    vmState: 'building',
    taskState: 'scheduling',
    powerState: 'pending',
    createdAt: at,
    updatedAt: at,
    launchedAt: null,
    terminatedAt: null,
    deleted: false,
    flavor: {
      flavorId: '1',
      name: 'm1.tiny',
      vcpus: 1,
      memoryMiB: 512,
      rootGiB: 1,
      ephemeralGiB: 0,
      swapMiB: 0,
      rxtxFactor: 1,
      isPublic: true,
      disabled: false,
      description: null,
      extraSpecs: {},
    },
    image: { id: 'tiny', name: 'tiny', diskFormat: 'raw', containerFormat: 'bare', sizeBytes: 1, hash: null, minDiskGiB: 0, minMemoryMiB: 0, properties: {} },
    kernel: null,
    ramdisk: null,
    keyName: null,
    publicKey: null,
    userData: null,
    configDrive: false,
    diskConfig: 'AUTO',
    metadata: {},
    tags: [],
    securityGroups: ['default'],
    accessIpV4: null,
    accessIpV6: null,
    schedulerHints: {},
    requestedZone: zone,
    requestedHost: null,
    zone: null,
    host: null,
    generation: 0,
    wantedNetworks: [{ networkId: NETWORK.id, address: null }],
    nics: [],
    locked: false,
    lockedReason: null,
    fault: null,
    operation: {
      name: 'create',
      id: `${id}-create`,
      step: 'place',
      args: {},
      requestId,
      startedAt: at,
      stepDueMs,
      attempt: 0,
      excludedHosts: [],
    },
    actions: [
      {
        requestId,
        action: 'create',
        userId,
        projectId: 'blue',
        startedAt: at,
        updatedAt: at,
        message: null,
        events: [{ event: 'compute__do_build_and_run_instance', startedAt: at, finishedAt: null, result: null, host: null, fault: null }],
      },
    ],
    commands: [],
  };
}
