/**
 * Copies of simulated disks: nothing was ever written to them, so a copy is a few lines that say whose disk it is and
 * what it was made from. Small, the same at each reading, and no two guests' alike.
 */
import { Readable } from 'node:stream';
import { Fault } from '../../runtime/base/fault.ts';
import type { DiskCopy, OpenCopy } from '../driver.ts';
import type { GuestRecord } from './record.ts';

const GIB = 1024 ** 3;

export function describeCopy(record: GuestRecord): DiskCopy {
  const { length } = textOf(record);
  return { diskFormat: 'raw', sizeBytes: length, virtualBytes: Math.max(length, record.rootGiB * GIB) };
}

/** Fault `notFound` when no copy was made for that image. */
export function openCopy(record: GuestRecord, imageId: string): OpenCopy {
  if (record.snapshot?.imageId !== imageId) throw new Fault('notFound', 'snapshot.gone', 'There is no copy of the disk for this image.');
  const bytes = textOf(record);
  return { body: Readable.from([bytes]), sizeBytes: bytes.length };
}

function textOf({ instanceId, generation, imageId, snapshot }: GuestRecord): Buffer {
  const lines = [
    'novact simulated disk',
    `server ${instanceId ?? ''}/${generation}`,
    `made from ${imageId}`,
    `copied at ${snapshot?.wallMs ?? 0} ms for ${snapshot?.imageId ?? ''}`,
  ];
  return Buffer.from(`${lines.join('\n')}\n`);
}
