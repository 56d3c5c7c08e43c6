import { expect, it } from 'vitest';
import { countersOf } from '../../../drivers/simulated/counters.ts';
import { toRecord, type GuestRecord } from '../../../drivers/simulated/record.ts';
import { simulatedSpec } from './rig.ts';

it('grow with the time since the guest was started last, and never shrink', () => {
  const spec = { ...simulatedSpec(), ephemeralGiB: 1 };
  const boots = [1_000, 61_000].map((wallMs) => ({ what: 'boot', wallMs }) as const);
  const record: GuestRecord = { ...toRecord(spec), power: 'running', console: boots };
  const [first, later] = [countersOf(record, 71_000), countersOf(record, 171_000)];
  expect([first.uptimeS, later.uptimeS, first.cpus.length, first.disks.map(({ name }) => name)]).toEqual([10, 110, spec.vcpus, ['vda', 'vdb']]);
  expect(later.cpus[0]?.timeNs).toBeGreaterThan(first.cpus[0]?.timeNs ?? Infinity);
  expect(later.disks[0]?.writeBytes).toBeGreaterThan(first.disks[0]?.writeBytes ?? Infinity);
  expect(countersOf(record, 0).uptimeS).toBe(0); // a clock that was set back
});
