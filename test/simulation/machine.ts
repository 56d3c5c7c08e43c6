/** A machine of the simulated cluster and the hypervisors that its node drives: what outlives the node's processes. */
import { writeFaultScript, type FaultScript } from '../../drivers/simulated/faults.ts';
import { openSimDisk, type SimDisk } from './disk.ts';
import type { SimGuard } from './guard.ts';
import type { SimNode } from './node.ts';

export type SimHost = {
  readonly name: string;
  /** A driver has been opened on it: its script has whom to act on. */
  readonly wasOpened: () => boolean;
  readonly disk: SimDisk;
  readonly script: FaultScript;
  readonly capacity: { readonly vcpus: number; readonly memoryMiB: number; readonly diskGiB: number };
  /** Watches over the guests from outside of the node; undefined: nobody does. */
  readonly guard: SimGuard | undefined;
};

export class Machine {
  /** The name of its node: it has the same data folder at each start. */
  readonly name: string;
  readonly roles: readonly string[];
  readonly hosts: readonly SimHost[];
  /** How far its wall clock is off. */
  wallOffMs = 0;
  /** Crashed for good. */
  isGone = false;
  /** Without power: nothing runs there, neither node nor guests. */
  isOff = false;
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

/** A hypervisor whose every change on disk is told. `watch` makes the guard, where there is one. */
export function newHost(name: string, vcpus: number, seen: Parameters<typeof openSimDisk>[1], watch?: (disk: SimDisk) => SimGuard): SimHost {
  const script = writeFaultScript();
  const disk = openSimDisk(name, seen);
  let opened = false;
  const attach: FaultScript['attach'] = (target) => {
    opened = true;
    script.attach(target);
  };
  return {
    name,
    wasOpened: () => opened,
    disk,
    script: { ...script, attach, crash: (id) => disk.isTaken() && script.crash(id), shutDown: (id) => disk.isTaken() && script.shutDown(id) },
    capacity: { vcpus, memoryMiB: 65_536, diskGiB: 1_000 },
    guard: watch?.(disk),
  };
}
