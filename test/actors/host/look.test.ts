import { describe, expect, it } from 'vitest';
import { hostKind } from '../../../actors/host/kind.ts';
import { newHost, type HostState } from '../../../actors/host/state.ts';
import { noFailpoint } from '../../../runtime/base/failpoint.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import { claimOf, endedOf, jobs, NEED, ready, recorded, releaseOf, runOf, say, seen, SETTINGS, tells } from './states.ts';

const LATER_MS = NOW_MS + SETTINGS.lookMs;
/** A look that began later found this. */
const found = (host: HostState, claims: readonly unknown[], guests: readonly unknown[], begunMs = LATER_MS) =>
  say(host, { type: 'listed', tag: `look ${begunMs}`, outcome: { ok: true, value: { claims, guests } } });
const powers = (effects: Parameters<typeof tells>[0]) => tells(effects, 'guestSeen').map(({ to, message }) => `${to} ${(message as { power?: string }).power}`);

describe('a host that starts', () => {
  it('begins by itself, also after a crash, and looks before it answers', () => {
    const kind = hostKind({ driver: {} as never, actors: {} as never, log: silentLog, failpoint: noFailpoint }, SETTINGS);
    expect(kind.recover?.(newHost('h1') as never, factsAt()).effects).toMatchObject([{ do: 'wake', inMs: 0, message: { type: 'tick' } }]);
    const { state, effects } = say(newHost('h1'), { type: 'tick' });
    expect([state.phase, jobs(effects)]).toEqual(['starting', ['begin begin']]);
  });

  it('that could not look tries again with the next tick', () => {
    const { state } = say(
      { ...newHost('h1'), phase: 'starting' },
      { type: 'started', tag: 'begin', outcome: { ok: false, fault: { code: 'unavailable', reason: 'x', message: 'x', detail: null } } },
    );
    expect(jobs(say(state, { type: 'tick' }).effects)).toEqual(['begin begin']);
  });

  it('tells every instance with a claim what its guest does, and a missing guest as pending', () => {
    const { state, effects } = ready([recorded('a'), recorded('b'), recorded('c')], [seen('a'), seen('b', 'shutdown')]);
    expect(powers(effects)).toEqual(['instance/a running', 'instance/b shutdown', 'instance/c pending']);
    expect(state.used).toEqual({ vcpus: 3, memoryMiB: 1_536, diskGiB: 3 });
  });

  it('destroys what is doomed, asks about guests without a claim, and leaves foreign ones alone', () => {
    const { effects } = ready([recorded('a', 1, 'doomed')], [seen('a'), seen('b'), seen(null)]);
    expect(effects).toContainEqual(
      expect.objectContaining({
        do: 'perform',
        job: 'clear',
        args: { host: 'h1', doomed: [{ instanceId: 'a', generation: 1 }], strays: [{ instanceId: 'b', generation: 1 }] },
      }),
    );
    expect(powers(effects)).toEqual([]);
  });
});

describe('a later look', () => {
  it('is taken by the clock and when events were lost', () => {
    const host = ready().state;
    expect(jobs(say(host, { type: 'tick' }, factsAt(LATER_MS - 1)).effects)).toEqual(['beat beat 3']);
    const looking = say(host, { type: 'tick' }, factsAt(LATER_MS));
    expect(jobs(looking.effects)).toEqual(['beat beat 3', `look look ${LATER_MS}`]);
    expect(jobs(say(looking.state, { type: 'tick' }, factsAt(LATER_MS + 1)).effects)).toEqual(['beat beat 3']);
    expect(jobs(say(host, { type: 'guestChanged', event: null }).effects)).toEqual([`look look ${NOW_MS}`]);
  });

  it('gives free what the store does not have any more: the release may have been lost', () => {
    const host = ready([recorded('a'), recorded('b')]).state;
    const { state } = found(host, [recorded('a')], [seen('a')]);
    expect([[...state.claims.keys()], state.used]).toEqual([['a/1'], NEED]);
  });

  it('leaves promises alone, which the store does not have yet', () => {
    const host = say(ready().state, claimOf('p')).state;
    expect([...found(host, [], []).state.claims.keys()]).toEqual(['p/1']);
  });

  it('takes up claims that it did not know, and tries what is doomed again', () => {
    const { state, effects } = found(ready().state, [recorded('a'), recorded('d', 1, 'doomed')], [seen('a')]);
    expect([...state.claims.keys()]).toEqual(['a/1', 'd/1']);
    expect(jobs(effects)).toEqual(['clear cleared']);
  });

  it('tells only those whose power changed, and in turn one that has not', () => {
    const ids = Array.from({ length: 120 }, (_, i) => `i${i}`);
    const host = ready(
      ids.map((id) => recorded(id)),
      ids.map((id) => seen(id)),
    ).state;
    const now = ids.map((id) => seen(id, id === 'i7' ? 'crashed' : 'running'));
    const heard = new Set<string>();
    let state = host;
    for (let round = 0; round < 60; round++) {
      const { effects } = found(
        { ...state, looks: round },
        ids.map((id) => recorded(id)),
        now,
      );
      const told = powers(effects);
      expect(told).toContain('instance/i7 crashed');
      expect(told.length).toBeLessThanOrEqual(3);
      for (const one of told) heard.add(one);
      state = host;
    }
    expect(heard.size).toBe(120);
  });

  it('says nothing of a guest whose verb runs, or has ended since the look began', () => {
    const host = ready([recorded('a')], [seen('a', 'shutdown')]).state;
    const running = say(host, runOf('a', 'op1'), factsAt(NOW_MS)).state;
    expect(powers(found(running, [recorded('a')], [seen('a', 'crashed')]).effects)).toEqual([]);
    const over = say(running, endedOf('a', 'op1', { ok: true, value: { power: 'running' } }), factsAt(LATER_MS + 5)).state;
    expect(powers(found(over, [recorded('a')], [seen('a', 'crashed')]).effects)).toEqual([]);
    expect(powers(found(over, [recorded('a')], [seen('a', 'crashed')], LATER_MS + 6).effects)).toEqual(['instance/a crashed']);
  });

  it('does not bring back what was released while it looked, once its guest was destroyed', () => {
    const host = ready([recorded('a')], [seen('a')]).state;
    const destroyed = say(
      say(host, runOf('a', 'op1', 'destroy')).state,
      endedOf('a', 'op1', { ok: true, value: { power: null } }),
      factsAt(LATER_MS + 5),
    ).state;
    const { state, effects } = found(say(destroyed, releaseOf('a')).state, [recorded('a')], [seen('a')]);
    expect([state.claims.size, effects]).toEqual([0, []]);
  });

  it('tells what a verb did that nobody waited for', () => {
    const host = ready([recorded('a')], [seen('a')]).state;
    const begun = say(host, runOf('a', 'op1'), factsAt(NOW_MS, { holdReply: () => 1 })).state;
    const alone = say(begun, { type: 'waited', instanceId: 'a', handle: 1 }).state;
    const over = say(alone, endedOf('a', 'op1', { ok: true, value: { power: 'shutdown' } })).state;
    expect(powers(found(over, [recorded('a')], [seen('a', 'shutdown')]).effects)).toEqual(['instance/a shutdown']);
  });
});

describe('an administrator’s change', () => {
  const row = (epoch: number) => ({
    type: 'rowRead' as const,
    tag: 'row',
    outcome: { ok: true as const, value: { epoch, enabled: false, zone: 'east', aggregates: [] } },
  });

  it('is taken over and reported', () => {
    const { state, effects } = say(ready().state, row(3));
    expect([state.enabled, state.zone]).toEqual([false, 'east']);
    expect(tells(effects, 'report')).toMatchObject([{ message: { report: { enabled: false, zone: 'east' } } }]);
  });

  it('that raised the epoch is a fence: everything is read anew', () => {
    expect(say(ready().state, row(4)).state.phase).toBe('new');
  });
});
