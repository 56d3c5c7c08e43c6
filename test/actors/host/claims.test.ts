import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostState } from '../../../actors/host/state.ts';
import { fits, NOTHING, plus } from '../../../actors/model/resources.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import { CAPACITY, claimOf, NEED, ready, recorded, releaseOf, replies, runOf, say, SETTINGS, tells } from './states.ts';

const granted = (host: HostState, id: string, more: object = {}) => replies(say(host, { ...claimOf(id), ...more }).effects)[0];

describe('a claim on a host', () => {
  it('is granted under the host’s epoch, counted, and told to the schedulers', () => {
    const { state, effects } = say(ready().state, claimOf('a'));
    expect(replies(effects)).toEqual([{ granted: true, hostEpoch: 3 }]);
    expect(state.used).toEqual(NEED);
    expect(tells(effects, 'report')).toMatchObject([{ to: 'scheduler/0', message: { granted: 'a', report: { used: NEED } } }]);
  });

  it('asked for again is answered again and counted once', () => {
    const first = say(ready().state, claimOf('a')).state;
    const again = say(first, claimOf('a'));
    expect([replies(again.effects), again.state]).toEqual([[{ granted: true, hostEpoch: 3 }], first]);
  });

  it.each(['vcpus', 'memoryMiB', 'diskGiB'] as const)('that would pass the host’s %s by one is refused with its state', (key) => {
    const host = say(ready().state, claimOf('a')).state;
    const need = { ...NEED, [key]: CAPACITY[key] - NEED[key] };
    expect(granted(host, 'b', { need })).toMatchObject({ granted: true });
    expect(granted(host, 'b', { need: { ...need, [key]: need[key] + 1 } })).toMatchObject({ granted: false, why: 'full', report: { host: 'h1', used: NEED } });
  });

  it('is refused by a host that has not looked around yet, and by one that is disabled', () => {
    const { state } = ready();
    expect(granted({ ...state, phase: 'starting' }, 'a')).toEqual({ granted: false, why: 'starting', report: null });
    expect(granted({ ...state, enabled: false }, 'a')).toMatchObject({ granted: false, why: 'disabled' });
  });

  it('of a server that was bid to in another zone than the host is in by now is refused as stale', () => {
    const { state } = ready();
    expect(granted(state, 'a', { zone: 'nova' })).toMatchObject({ granted: true });
    expect(granted(state, 'a', { zone: 'east' })).toMatchObject({ granted: false, why: 'stale' });
  });

  it('F17 runs out by the monotonic clock, wherever the wall clock stands', () => {
    const hourMs = 3_600_000;
    const promised = say(ready().state, claimOf('a'), factsAt(NOW_MS + hourMs, { upMs: NOW_MS })).state;
    const tick = (upMs: number) => say(promised, { type: 'tick' }, factsAt(NOW_MS, { upMs })).state;
    expect(tick(NOW_MS + SETTINGS.promiseMs - 1).used).toEqual(NEED);
    expect(tick(NOW_MS + SETTINGS.promiseMs).used).toEqual(NOTHING);
  });

  it('of a generation before one that has spoken is refused as stale', () => {
    const host = say(say(ready([recorded('a', 2)]).state, runOf('a', 'op', 'start', { generation: 2 })).state, releaseOf('a', 2)).state;
    expect(granted(host, 'a')).toMatchObject({ granted: false, why: 'stale' });
  });

  it('given back is free again, once', () => {
    const host = say(say(ready().state, claimOf('a')).state, releaseOf('a')).state;
    expect(host.used).toEqual(NOTHING);
    expect(say(host, releaseOf('a')).state).toEqual(host);
  });

  it('that no verb uses runs out, and one that a verb used stays', () => {
    const promised = say(say(ready().state, claimOf('a')).state, claimOf('b')).state;
    const used = say(promised, runOf('a', 'op')).state;
    const later = say(used, { type: 'tick' }, factsAt(NOW_MS + SETTINGS.promiseMs)).state;
    expect([...later.claims.keys()]).toEqual(['a/1']);
    expect(later.used).toEqual(NEED);
  });

  it('is never granted past the capacity, whatever comes in whatever order', () => {
    const step = fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      generation: fc.integer({ min: 1, max: 2 }),
      vcpus: fc.integer({ min: 1, max: 3 }),
      is: fc.constantFrom('claim', 'claim', 'release', 'tick'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let host = ready().state;
        let nowMs = NOW_MS;
        for (const { id, generation, vcpus, is } of steps) {
          nowMs += 1_000;
          const message =
            is === 'claim' ? claimOf(id, generation, { ...NEED, vcpus }) : is === 'release' ? releaseOf(id, generation) : { type: 'tick' as const };
          host = say(host, message, factsAt(nowMs)).state;
          const sum = [...host.claims.values()].reduce((total, claim) => plus(total, claim.need), NOTHING);
          expect(host.used).toEqual(sum);
          expect(fits(sum, CAPACITY)).toBe(true);
        }
      }),
    );
  });
});
