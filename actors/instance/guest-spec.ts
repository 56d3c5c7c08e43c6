/** From an instance's record to what a driver needs to make its guest. Pure. */
import type { GuestImage, GuestSpec, RescueDisk } from '../../drivers/driver.ts';
import type { ImageRef } from '../model/image.ts';
import type { InstanceRecord } from '../model/instance.ts';
import type { RescueBoot } from './messages.ts';

/** The name on the hypervisor: `instance-0000002a`. */
export function guestName(number: number): string {
  return `instance-${number.toString(16).padStart(8, '0')}`;
}

export function toGuestSpec(record: InstanceRecord): GuestSpec {
  const { flavor } = record;
  const spec: GuestSpec = {
    instanceId: record.id,
    generation: record.generation,
    name: guestName(record.number),
    displayName: record.name,
    hostname: record.hostname,
    projectId: record.projectId,
    userId: record.userId,
    vcpus: flavor.vcpus,
    memoryMiB: flavor.memoryMiB,
    rootGiB: flavor.rootGiB,
    ephemeralGiB: flavor.ephemeralGiB,
    swapMiB: flavor.swapMiB,
    // The disk of a server that is shelved is in the image that was made of it.
    image: toGuestImage(record.shelved?.image ?? record.image),
    nics: record.nics.map((nic) => ({ network: nic.label, mac: nic.mac, address: `${nic.address}/${nic.prefix}`, gateway: nic.gateway })),
    userData: record.userData,
    metadata: record.metadata,
  };
  return {
    ...spec,
    ...(record.kernel && { kernel: toGuestImage(record.kernel) }),
    ...(record.ramdisk && { ramdisk: toGuestImage(record.ramdisk) }),
  };
}

export function toRescue({ image, kernel, ramdisk }: RescueBoot): RescueDisk {
  return { image: toGuestImage(image), ...(kernel && { kernel: toGuestImage(kernel) }), ...(ramdisk && { ramdisk: toGuestImage(ramdisk) }) };
}

function toGuestImage(image: ImageRef): GuestImage {
  return { id: image.id, diskFormat: image.diskFormat, sizeBytes: image.sizeBytes, hash: image.hash, properties: image.properties };
}
