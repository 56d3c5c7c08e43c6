import { expect, it } from 'vitest';
import { systemClock } from '../../../runtime/base/clock.ts';
import { Complaints } from '../../../runtime/mesh/complaint.ts';
import { recordingLog } from './zeromq-rig.ts';

it('complaints of one kind are logged once a second, with the number left out, whatever other kinds do', () => {
  let nowMs = 0;
  const log = recordingLog();
  const complaints = new Complaints({ ...systemClock, monotonicMs: () => nowMs }, log);
  for (; nowMs < 2_000; nowMs += 100) complaints.warn('x', { nowMs });
  complaints.warn('y', {});
  complaints.warn('x', { nowMs });
  expect(log.lines).toEqual([
    { event: 'x', fields: { nowMs: 0 } },
    { event: 'x', fields: { nowMs: 1_000, leftOut: 9 } },
    { event: 'y', fields: {} },
    { event: 'x', fields: { nowMs: 2_000, leftOut: 9 } },
  ]);
});
