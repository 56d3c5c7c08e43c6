import { describe, expect, it } from 'vitest';
import { decide, recover, refused } from '../../../actors/instance/decide.ts';
import type { Working } from '../../../actors/instance/state.ts';
import type { GroupPlaces } from '../../../actors/model/server-group.ts';
import type { Outcome } from '../../../runtime/actor/effect.ts';
import { factsAt } from '../facts.ts';
import { asks, bid, CALLER, explanation, failed, living, mustLive, NIC, ok, placing, said, SETTINGS, tag } from './states.ts';

const GROUP = { id: '66666666-6666-4666-8666-666666666666' };
const PLACES: GroupPlaces = { policy: 'anti-affinity', perHost: 1, hosts: { h1: 1 } };

function placingMember(): Working {
  const state = placing();
  return { ...state, record: { ...state.record, group: GROUP } };
}
const grouped = (state: Working, outcome: Outcome<GroupPlaces | null>) => decide(state, { type: 'grouped', tag: tag(state), outcome }, factsAt(), SETTINGS);

describe('a server of a group', () => {
  it('asks where the others are before it asks schedulers, and hands that on', () => {
    const { state, effects } = recover(placingMember(), factsAt(), { ...SETTINGS, schedulerSlices: 2 });
    expect(said(effects)).toEqual(['conductor/any groupPlaces', 'network/net propose']);
    expect(asks(effects)[0]?.message).toEqual({ type: 'groupPlaces', groupId: GROUP.id, instanceId: state.id });
    const next = decide(state, { type: 'grouped', tag: tag(state as Working), outcome: ok(PLACES) }, factsAt(), { ...SETTINGS, schedulerSlices: 2 });
    expect(said(next.effects)).toEqual(['scheduler/0 place', 'scheduler/1 place']);
    expect(asks(next.effects)[0]?.message).toMatchObject({ request: { group: PLACES } });
  });

  it('waits for the address that comes before the group, and for the bids after it', () => {
    const { state } = recover(placingMember(), factsAt(), SETTINGS);
    const addressed = decide(state, { type: 'addressed', tag: tag(state as Working), outcome: ok(NIC) }, factsAt(), SETTINGS);
    expect(addressed.effects).toEqual([]);
    const asked = grouped(addressed.state as Working, ok(PLACES));
    const bids = ok({ bids: [bid('h2')], explanation: explanation(2) });
    expect(said(decide(asked.state, { type: 'placed', tag: tag(asked.state as Working), outcome: bids }, factsAt(), SETTINGS).effects)).toEqual([
      'host/h2 claim',
    ]);
  });

  it('is bound by nothing when the group is gone, and asks again when nobody answers', () => {
    const { state } = recover(placingMember(), factsAt(), SETTINGS);
    const free = grouped(state as Working, ok(null));
    expect(asks(free.effects)[0]?.message).not.toHaveProperty('request.group');
    expect(grouped(state as Working, failed('unavailable')).effects).toMatchObject([{ do: 'wake', message: { type: 'retry' } }]);
  });

  it('gives the promise back and begins anew when the commit says that another came before', () => {
    const base = placing({ slicesLeft: 0, nicsLeft: 0, nics: [NIC], asked: bid('h1'), bids: [], explanation: explanation(2) });
    const asking = { ...base, record: { ...base.record, group: GROUP } };
    const { state, effects } = refused(asking, 'groupPolicy', factsAt(), SETTINGS);
    expect(said(effects)).toEqual(['host/h1 release', 'scheduler/0 unclaimed']);
    expect(effects.at(-1)).toMatchObject({ do: 'wake', message: { type: 'retry' } });
    expect(mustLive(state).operation?.step).toBe('place');
    const again = decide(state, { type: 'retry', tag: tag(state as Working) }, factsAt(), SETTINGS);
    expect(said(again.effects.filter(({ do: kind }) => kind === 'ask'))).toEqual(['conductor/any groupPlaces', 'network/net propose']);
  });
});

describe('security groups of a server', () => {
  const change = (state: ReturnType<typeof living>, changes: object) => decide(state, { type: 'update', changes, caller: CALLER }, factsAt(), SETTINGS);

  it('change side by side, in any state, locked or not', () => {
    const locked = living({ locked: true, vmState: 'error', securityGroups: ['default'] });
    const added = change(locked, { securityGroups: { add: ['web', 'web'] } });
    expect(mustLive(added.state).securityGroups).toEqual(['default', 'web']);
    expect(mustLive(change(added.state as typeof locked, { securityGroups: { drop: ['default'] } }).state).securityGroups).toEqual(['web']);
  });

  it('are apart from the password that the guest posted, which is forgotten when it is cleared', () => {
    const { state } = change(living({ guestPassword: 'c2VjcmV0', locked: true }), { guestPassword: null });
    expect(mustLive(state).guestPassword).toBeNull();
  });
});

describe('a server whose project has no more addresses', () => {
  it('ends in error at once, and gives back the promise and the address that was proposed', () => {
    const asking = placing({ slicesLeft: 0, nicsLeft: 0, nics: [NIC], asked: bid('h1'), explanation: explanation(2) });
    const { state, effects } = refused(asking, 'quota', factsAt(), SETTINGS);
    expect(mustLive(state)).toMatchObject({ vmState: 'error', operation: null, fault: { reason: 'quota.fixed_ips' } });
    expect(said(effects)).toEqual(['host/h1 release', 'scheduler/0 unclaimed', 'network/net free']);
  });
});
