/**
 * What a simulated machine claims to be, how far it can be filled, and what it can run: a spec is refused as a real
 * hypervisor would, with Fault `invalid` whose `reason` names the field.
 */
import { Fault } from '../../runtime/base/fault.ts';
import { isUuid } from '../../runtime/base/ids.ts';
import type { GuestSpec, HostInventory } from '../driver.ts';

export type Capacity = { readonly vcpus: number; readonly memoryMiB: number; readonly diskGiB: number };

/** A two-socket server as racks hold them. */
export const DEFAULT_CAPACITY: Capacity = { vcpus: 64, memoryMiB: 256 * 1024, diskGiB: 4096 };

/**
 * Memory and as much swap again: the physical end, past which no guest starts. Higher than the ratio that a cloud
 * sets for itself, which is not this driver's to keep.
 */
export const MEMORY_OVERCOMMIT = 2;

/** What a virtual machine of QEMU's `pc` type takes. */
const VCPUS_MAX = 255;
const GIB = 1024 ** 3;
const DISK_FORMATS: ReadonlySet<string> = new Set(['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'ami', 'aki', 'ari', 'ploop']);

export function toInventory(capacity: Capacity): HostInventory {
  return {
    ...capacity,
    hypervisorType: 'simulated',
    hypervisorVersion: 1_000_000,
    hostIp: '127.0.0.1',
    cpu: {
      arch: 'x86_64',
      model: 'simulated',
      vendor: 'novact',
      topology: { sockets: 1, cores: capacity.vcpus, threads: 1 },
      features: [],
    },
  };
}

export function checkSpec(spec: GuestSpec): void {
  const { image } = spec;
  if (!isUuid(spec.instanceId)) refuse('id', 'The instance id is not a uuid.');
  if (!isCount(spec.generation, 1)) refuse('generation', 'The generation is not a positive number.');
  if (spec.name === '') refuse('name', 'The guest has no name.');
  if (!isCount(spec.vcpus, 1) || spec.vcpus > VCPUS_MAX) refuse('vcpus', `A guest has 1 to ${VCPUS_MAX} vCPUs.`);
  if (!isCount(spec.memoryMiB, 1)) refuse('memory', 'A guest needs memory.');
  for (const size of [spec.rootGiB, spec.ephemeralGiB, spec.swapMiB]) {
    if (!isCount(size, 0)) refuse('disk', 'The size of a disk is not a whole number.');
  }
  if (!DISK_FORMATS.has(image.diskFormat)) refuse('image', `The disk format ${image.diskFormat} cannot be run here.`);
  if (spec.rootGiB > 0 && image.sizeBytes > spec.rootGiB * GIB) refuse('image', 'The image is larger than the root disk.');
}

function refuse(field: string, message: string): never {
  throw new Fault('invalid', `spec.${field}`, message);
}

function isCount(value: number, least: number): boolean {
  return Number.isSafeInteger(value) && value >= least;
}
