/** A machine of the simulated cluster and the hypervisors that its node drives: what outlives the node's processes. */
import { memoryDisk, type GuestDisk, type GuestShelf } from '../../drivers/simulated/disk.ts';
import { writeFaultScript, type FaultScript } from '../../drivers/simulated/faults.ts';
import type { SimNode } from './node.ts';

export type SimHost = {
  readonly name: string;
  /** A driver has been opened on it: its script has whom to act on. */
  readonly wasOpened: () => boolean;
  readonly disk: GuestDisk;
  readonly script: FaultScript;
  readonly capacity: { readonly vcpus: number; readonly memoryMiB: number; readonly diskGiB: number };
};

export type SeenGuest = { readonly host: string; readonly instanceId: string; readonly generation: number; readonly power: string };

export class Machine {
  /** The name of its node: it has the same data folder at each start. */
  readonly name: string;
  readonly roles: readonly string[];
  readonly hosts: readonly SimHost[];
  /** How far its wall clock is off. */
  wallOffMs = 0;
  /** Crashed for good. */
  isGone = false;
  /** The line between it and the store is cut. */
  isCutOff = false;
  /** The process that runs now. */
  node: SimNode | undefined;
  isStarting = false;
  /** While no node is up here. */
  endOutage: (() => void) | undefined;

  constructor(name: string, roles: readonly string[], hosts: readonly SimHost[]) {
    this.name = name;
    this.roles = roles;
    this.hosts = hosts;
  }

  get hasDatabase(): boolean {
    return this.roles.includes('control');
  }
}

/** A hypervisor whose every change on disk is told. */
export function newHost(name: string, vcpus: number, seen: (guest: SeenGuest | { readonly host: string; readonly gone: string }) => void): SimHost {
  const script = writeFaultScript();
  let opened = false;
  const attach: FaultScript['attach'] = (target) => {
    opened = true;
    script.attach(target);
  };
  return {
    name,
    wasOpened: () => opened,
    disk: watched(name, seen),
    script: { ...script, attach },
    capacity: { vcpus, memoryMiB: 65_536, diskGiB: 1_000 },
  };
}

function watched(host: string, seen: Parameters<typeof newHost>[2]): GuestDisk {
  const disk = memoryDisk();
  return {
    take: async () => {
      const shelf = await disk.take();
      const told: GuestShelf = {
        ...shelf,
        write: (stem, text) => {
          shelf.write(stem, text);
          const { instanceId, generation, power } = JSON.parse(text) as SeenGuest; // the driver's own text
          seen({ host, instanceId, generation, power });
        },
        remove: (stem) => {
          shelf.remove(stem);
          seen({ host, gone: stem });
        },
      };
      return told;
    },
  };
}
