import { describe, expect, it } from 'vitest';
import { decide, recover, refused } from '../../../actors/instance/decide.ts';
import type { InstanceState, Working } from '../../../actors/instance/state.ts';
import type { Outcome } from '../../../runtime/actor/effect.ts';
import type { ClaimAnswer } from '../../../actors/model/placement.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import { asks, bid, explanation, failed, fault, mustLive, NIC, ok, placing, said, SETTINGS, spawning, tag, verbOf } from './states.ts';

const told = (state: Working, type: 'placed' | 'addressed' | 'claimed' | 'ran', outcome: Outcome) =>
  decide(state, { type, tag: tag(state), outcome }, factsAt(), SETTINGS);
const claimed = (state: Working, outcome: Outcome<ClaimAnswer>) => told(state, 'claimed', outcome);
/** Bids are there, the address is there, h1 is asked for its promise. */
const asking = (more: Parameters<typeof placing>[0] = {}) =>
  placing({ slicesLeft: 0, nicsLeft: 0, nics: [NIC], asked: bid('h1'), bids: [bid('h2')], explanation: explanation(2), ...more });
const full: ClaimAnswer = { granted: false, why: 'full', report: null };

describe('a create', () => {
  it('that is taken up asks every scheduler and every network at once', () => {
    const { effects } = recover(placing(), factsAt(), { ...SETTINGS, schedulerSlices: 2 });
    expect(said(effects)).toEqual(['scheduler/0 place', 'scheduler/1 place', 'network/net propose']);
  });

  it('waits for bids and addresses, whichever come first, and then asks the best host', () => {
    const bids = ok({ bids: [bid('h1', 1), bid('h2', 3)], explanation: explanation(2) });
    const first = told(placing(), 'addressed', ok(NIC));
    expect(first.effects).toEqual([]);
    expect(said(told(first.state as Working, 'placed', bids).effects)).toEqual(['host/h2 claim']);
    const other = told(placing(), 'placed', bids);
    expect(said(told(other.state as Working, 'addressed', ok(NIC)).effects)).toEqual(['host/h2 claim']);
  });

  it('commits claim, addresses and generation together, and only then asks for the guest', () => {
    const { state, effects } = claimed(asking(), ok({ granted: true, hostEpoch: 4 }));
    expect(mustLive(state)).toMatchObject({ host: 'h1', generation: 1, nics: [NIC], taskState: 'spawning', operation: { step: 'spawn' } });
    expect(state.parts).toMatchObject({
      claims: [{ op: 'add', generation: 1, host: 'h1', hostEpoch: 4, need: { vcpus: 1, memoryMiB: 512, diskGiB: 1 } }],
      takeAddresses: [{ networkId: 'net', address: '10.20.0.5', mac: NIC.mac }],
    });
    expect(verbOf(effects)).toBe('spawn');
  });

  for (const [why, outcome] of [
    ['is full', ok(full)],
    ['is silent', failed('timeout')],
  ] as const) {
    it(`goes on to the next bid when a host ${why}, and takes the promise back`, () => {
      const { state, effects } = claimed(asking(), outcome);
      expect(said(effects)).toEqual(['scheduler/0 unclaimed', 'host/h1 release', 'host/h2 claim']);
      expect(state.soft.asked?.host).toBe('h2');
    });
  }

  it('asks anew after a pause when every bid was refused', () => {
    const { state, effects } = claimed(asking({ bids: [] }), ok(full));
    expect(mustLive(state).operation?.step).toBe('place');
    expect(effects.at(-1)).toMatchObject({ do: 'wake', message: { type: 'retry' } });
  });

  it('is not refused while a scheduler is silent: only that one knows its hosts', () => {
    const heard = told(placing({ slicesLeft: 2, nicsLeft: 0, nics: [NIC] }), 'placed', ok({ bids: [], explanation: explanation(2, { RamFilter: 2 }) }));
    const { state, effects } = told(heard.state as Working, 'placed', failed('timeout'));
    expect(mustLive(state)).toMatchObject({ vmState: 'building', operation: { step: 'place' } });
    expect(effects.at(-1)).toMatchObject({ do: 'wake', message: { type: 'retry' } });
  });

  it('is not refused while a scheduler has only begun and learns its hosts, and does not wait for it when another host will do', () => {
    const begun = { explanation: explanation(2, { RamFilter: 2 }), isLearning: true };
    const none = told(placing({ nicsLeft: 0, nics: [NIC] }), 'placed', ok({ bids: [], ...begun }));
    expect(mustLive(none.state)).toMatchObject({ vmState: 'building', operation: { step: 'place' } });
    expect(none.effects.at(-1)).toMatchObject({ do: 'wake', message: { type: 'retry' } });
    const one = told(placing({ nicsLeft: 0, nics: [NIC] }), 'placed', ok({ bids: [bid('h1')], ...begun }));
    expect(said(one.effects)).toEqual(['host/h1 claim']);
  });

  it('ends in error with the counts per filter when no host passes', () => {
    const state = placing({ nicsLeft: 0, nics: [NIC] });
    const { state: after, effects } = told(state, 'placed', ok({ bids: [], explanation: explanation(3, { RamFilter: 2, ComputeFilter: 1 }) }));
    expect(mustLive(after)).toMatchObject({
      vmState: 'error',
      operation: null,
      fault: { reason: 'placement.noValidHost', message: expect.stringContaining('RamFilter 2') },
    });
    expect(said(effects)).toEqual(['network/net free']);
  });

  it('waits a while for the first host of all to appear', () => {
    // However long the placement is under way: the scheduler may have started anew just now.
    const first = told(placing({ nicsLeft: 0 }, { stepDueMs: NOW_MS + 5_000 }), 'placed', ok({ bids: [], explanation: explanation(0) }));
    expect(first.effects).toMatchObject([{ do: 'wake' }]);
    expect(first.state.soft.noHostsMs).toBe(NOW_MS);
    const noneUp = told(placing({ nicsLeft: 0 }), 'placed', ok({ bids: [], explanation: explanation(2, { ComputeFilter: 2 }) }));
    expect(noneUp.effects).toMatchObject([{ do: 'wake' }]);
    const onlyOthers = told(placing({ nicsLeft: 0 }), 'placed', ok({ bids: [], explanation: explanation(2, { RequestedHostFilter: 1, ComputeFilter: 1 }) }));
    expect(onlyOthers.effects).toMatchObject([{ do: 'wake' }]);
    const late = placing({ nicsLeft: 0, noHostsMs: NOW_MS - 10_000 });
    expect(told(late, 'placed', ok({ bids: [], explanation: explanation(0) })).state.record).toMatchObject({ vmState: 'error' });
  });

  it('ends in error when a network refuses, and tries again when it is silent', () => {
    expect(told(placing(), 'addressed', failed('conflict')).state.record).toMatchObject({ vmState: 'error', fault: { reason: 'test.conflict' } });
    expect(told(placing(), 'addressed', failed('unavailable')).effects).toMatchObject([{ do: 'wake', message: { type: 'retry' } }]);
  });

  for (const why of ['hostFull', 'hostEpoch', 'hostGone', 'addressTaken'] as const) {
    it(`whose commit is refused as ${why} gives its promise back and places again after a pause`, () => {
      const { state, effects } = refused(asking(), why, factsAt(), SETTINGS);
      expect(said(effects).slice(0, 2)).toEqual(['host/h1 release', 'scheduler/0 unclaimed']);
      // Else a host that was restarted without a word promises under its old epoch for ever.
      expect(said(effects).includes('host/h1 rowChanged')).toBe(why === 'hostEpoch');
      // Else the network proposes the same address for ever.
      expect(said(effects).includes('network/net free')).toBe(why === 'addressTaken');
      expect(effects.at(-1)).toMatchObject({ do: 'wake', message: { type: 'retry' } });
      const again = decide(state, { type: 'retry', tag: tag(state as Working) }, factsAt(), SETTINGS);
      expect(said(again.effects)).toEqual(['scheduler/0 place', 'network/net propose']);
    });
  }

  it('whose commit is refused past the limit ends in error', () => {
    expect(refused(asking(), 'hostFull', factsAt(NOW_MS + 60_000), SETTINGS).state.record).toMatchObject({ vmState: 'error', operation: null });
  });
});

describe('a host that fails a create', () => {
  const gone = (state: InstanceState) =>
    decide(state, { type: 'ran', tag: tag(state as Working), outcome: ok({ is: 'done', power: null }) }, factsAt(), SETTINGS);

  it('is cleared first', () => {
    const { state, effects } = told(spawning(), 'ran', ok({ is: 'failed', fault: fault('invalid') }));
    expect(mustLive(state).operation).toMatchObject({ step: 'unspawn', args: { fault: { code: 'invalid' } } });
    expect(verbOf(effects)).toBe('destroy');
  });

  it('and is cleared is left out of the next placement; claim and address go back', () => {
    const { state, effects } = gone(spawning({}, 'unspawn'));
    expect(mustLive(state)).toMatchObject({ host: null, nics: [], generation: 1, operation: { step: 'place', attempt: 1, excludedHosts: ['h1'] } });
    expect(state.parts).toMatchObject({ claims: [{ op: 'drop', generation: 1 }], dropAddresses: true });
    expect(said(effects)).toContain('network/net free');
    expect(asks(effects)[0]?.message).toMatchObject({ type: 'place', request: { excludedHosts: ['h1'] } });
  });

  it('was the last one to be tried: the create ends in error with the first fault', () => {
    const { state } = gone(spawning({ attempt: SETTINGS.attemptsMax - 1 }, 'unspawn'));
    expect(mustLive(state)).toMatchObject({ vmState: 'error', host: null, operation: null, fault: { reason: 'test.internal' } });
    expect(state.parts.claims).toEqual([{ op: 'drop', generation: 1 }]);
  });

  it('and cannot be cleared is left behind when something proves it dead: the server is placed again', () => {
    const { state, effects } = told(spawning({}, 'unspawn'), 'ran', ok({ is: 'failed', fault: fault('internal') }));
    expect(mustLive(state)).toMatchObject({ host: null, nics: [], generation: 1, operation: { step: 'place', attempt: 1, excludedHosts: ['h1'] } });
    expect(state.parts.claims).toEqual([{ op: 'evacuate', generation: 1, host: 'h1' }]);
    expect(said(effects)).toContain('scheduler/0 place');
  });

  it('and cannot be cleared is doomed, and no other host gets the server, since its guest may run there (P3)', () => {
    const { state, effects } = refused(spawning({}, 'unspawn'), 'hostNotProved', factsAt(), SETTINGS);
    expect(mustLive(state)).toMatchObject({ vmState: 'error', host: null, operation: null });
    expect(state.parts.claims).toEqual([{ op: 'doom', generation: 1 }]);
    expect(said(effects).filter((one) => one.includes('place'))).toEqual([]);
  });
});
