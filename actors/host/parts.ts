/** What the jobs of a host are given, and the road between hosts. */
import type { Readable } from 'node:stream';
import type { GuestKey, HypervisorDriver, ImageSink } from '../../drivers/driver.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import type { Failpoint } from '../../runtime/base/failpoint.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { HostLease } from './lease.ts';
import type { DiskWay } from './messages.ts';

export type HostParts = {
  readonly driver: HypervisorDriver;
  readonly actors: Actors;
  readonly log: Log;
  readonly failpoint: Failpoint;
  /** Absent where no image is made of servers. */
  readonly images?: ImageSink;
  /** Absent where nothing but the store says how long the host may run. */
  readonly lease?: HostLease;
  /** How disks go from host to host; absent where no other host is reached. */
  readonly disks?: GuestDisks;
};

/** The road between hosts: a guest's disk is offered here and opened there. Bytes never travel in the mesh. */
export interface GuestDisks {
  offer(guest: GuestKey, read: (signal: AbortSignal) => Promise<Readable>): DiskWay;
  /** Faults: `unavailable` when the other host does not give it (any more). */
  open(way: DiskWay, signal: AbortSignal): Promise<Readable>;
}
