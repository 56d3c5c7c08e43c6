import { describe, expect, it } from 'vitest';
import { CREATE, placed } from '../../../actors/instance/operations/create.ts';
import { verbEnded } from '../../../actors/instance/operations/rules.ts';
import { INSTANCE_DEFAULTS } from '../../../actors/instance/settings.ts';
import { NO_PARTS, NO_SOFT, type InstanceState, type Working } from '../../../actors/instance/state.ts';
import type { VerbAnswer } from '../../../actors/host/messages.ts';
import type { Facts } from '../../../runtime/actor/kind.ts';
import { Fault, type FaultCode } from '../../../runtime/base/fault.ts';
import { newInstance } from '../../simulation/records.ts';

const NOW_MS = 1_000_000;
const facts: Facts = { nowMs: NOW_MS, upMs: NOW_MS, newId: () => 'new', chance: () => 0, senderEpoch: undefined, holdReply: () => 1, commandId: undefined };
const settings = INSTANCE_DEFAULTS;

/** A create whose guest is being made on host-1. */
function spawning(): Working {
  const record = newInstance('a', { requestId: 'req', userId: 'u', name: 'a', nowMs: NOW_MS, stepDueMs: NOW_MS + 60_000 });
  if (record.operation === null) throw new Error('a new server has an operation');
  return { id: 'a', record: { ...record, host: 'host-1', generation: 1, operation: { ...record.operation, step: 'spawn' } }, soft: NO_SOFT, parts: NO_PARTS };
}
const failed = (code: FaultCode, message: string): VerbAnswer => ({ is: 'failed', fault: new Fault(code, 'test', message).toRecord() });
const ends = (state: InstanceState, answer: VerbAnswer): InstanceState =>
  verbEnded(state as Working, { ok: true, value: answer }, CREATE, facts, settings).state;
const stepOf = (state: InstanceState): string | undefined => state.record?.operation?.step;
const nobody: Parameters<typeof placed>[1] = {
  ok: true,
  value: { bids: [], explanation: { considered: 1, removed: { RetryFilter: 1 }, bids: [] }, isLearning: false },
};

describe('a create that fails on its host', () => {
  it.each<[FaultCode, string]>([
    ['unavailable', 'spawn'],
    ['timeout', 'spawn'],
    ['overloaded', 'unspawn'],
    ['unsupported', 'unspawn'],
    ['invalid', 'unspawn'],
  ])('with %s goes on at step %s: only a host that may do better in a moment is asked again', (code, step) => {
    expect(stepOf(ends(spawning(), failed(code, 'x')))).toBe(step);
  });

  it('tells the user why the host failed, and not that there was no other', () => {
    const undoing = ends(spawning(), failed('invalid', 'The disk of the image is larger than the root disk of the flavor.'));
    const replaced = ends(undoing, { is: 'done', power: null });
    expect(stepOf(replaced)).toBe('place');
    const waiting = { ...replaced, soft: { ...replaced.soft, slicesLeft: 1, nicsLeft: 0 } } as Working;
    const { record } = placed(waiting, nobody, facts).state;
    expect(record).toMatchObject({
      vmState: 'error',
      operation: null,
      host: null,
      fault: { code: 'invalid', message: 'The disk of the image is larger than the root disk of the flavor.' },
    });
    expect(record?.actions[0]?.events[0]).toMatchObject({ result: 'Error', explanation: { removed: { RetryFilter: 1 } } });
  });

  it('says that there is no host when none has failed it', () => {
    const fresh = spawning();
    const placing = {
      ...fresh,
      record: { ...fresh.record, host: null, operation: { ...fresh.record.operation, step: 'place' } },
      soft: { ...NO_SOFT, slicesLeft: 1 },
    };
    expect(placed(placing, nobody, facts).state.record?.fault?.message).toMatch(/^No valid host was found\. Of 1 hosts none is left: RetryFilter 1\./);
  });
});
