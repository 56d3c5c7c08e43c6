import { describe, expect, it } from 'vitest';
import type { HostState } from '../../../actors/host/state.ts';
import { LANE_MEMORY_MS } from '../../../actors/host/lanes.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import { answers, endedOf, jobs, ready, recorded, runOf, say } from './states.ts';

const done = { ok: true, value: { power: 'running' } };
const failure = (code: 'unavailable' | 'invalid') => ({ ok: false, fault: new Fault(code, 'test', 'no').toRecord() });
const host = () => ready([recorded('a'), recorded('b')]).state;
/** Handles that no other turn has given out. */
const facts = (handle: number, more: { senderEpoch?: number; nowMs?: number } = {}) =>
  factsAt(more.nowMs ?? NOW_MS, { holdReply: () => handle, senderEpoch: more.senderEpoch ?? 1 });
const running = (): HostState => say(host(), runOf('a', 'op1'), facts(1)).state;

describe('a verb', () => {
  it('is begun under a known claim, and answered when it ends', () => {
    const begun = say(host(), runOf('a', 'op1'), facts(1));
    expect(jobs(begun.effects)).toEqual(['verb a op1']);
    expect(answers(begun.effects)).toEqual([]);
    const { effects } = say(begun.state, endedOf('a', 'op1', done));
    expect(effects).toContainEqual({ do: 'reply', value: { is: 'done', power: 'running' }, to: 1 });
  });

  it('asked for again while it runs joins it: one run, both answered', () => {
    const joined = say(running(), runOf('a', 'op1'), facts(2));
    expect(jobs(joined.effects)).toEqual([]);
    const { effects } = say(joined.state, endedOf('a', 'op1', done));
    expect(effects.flatMap((effect) => (effect.do === 'reply' ? [effect.to] : []))).toEqual([1, 2]);
  });

  it('asked for again after its end is answered and not run again', () => {
    const over = say(running(), endedOf('a', 'op1', done)).state;
    const again = say(over, runOf('a', 'op1'), facts(2));
    expect([jobs(again.effects), answers(again.effects)]).toEqual([[], [{ is: 'done', power: 'running' }]]);
  });

  it('that failed for the moment is run again when asked again; one that failed for good is not', () => {
    const moment = say(running(), endedOf('a', 'op1', failure('unavailable'))).state;
    expect(jobs(say(moment, runOf('a', 'op1'), facts(2)).effects)).toEqual(['verb a op1']);
    const good = say(running(), endedOf('a', 'op1', failure('invalid'))).state;
    expect(jobs(say(good, runOf('a', 'op1'), facts(2)).effects)).toEqual([]);
  });

  it('of another operation calls the running one off and follows it, never beside it', () => {
    const following = say(running(), runOf('a', 'op2', 'destroy'), facts(2));
    expect([jobs(following.effects), following.effects[0]]).toEqual([[], { do: 'abort', tag: 'a op1' }]);
    const { state, effects } = say(following.state, endedOf('a', 'op1', failure('unavailable')));
    expect(jobs(effects)).toEqual(['verb a op2']);
    expect(say(state, endedOf('a', 'op2', { ok: true, value: { power: null } })).effects).toContainEqual({
      do: 'reply',
      value: { is: 'done', power: null },
      to: 2,
    });
  });

  it('that waits to follow gives way to a newer one, and its asker is to ask again', () => {
    const second = say(running(), runOf('a', 'op2'), facts(2)).state;
    const third = say(second, runOf('a', 'op3', 'destroy'), facts(3));
    expect(third.effects).toContainEqual({ do: 'reply', value: { is: 'running' }, to: 2 });
    expect(jobs(say(third.state, endedOf('a', 'op1', done)).effects)).toEqual(['verb a op3']);
  });

  it('of one guest does not wait for another’s', () => {
    expect(jobs(say(running(), runOf('b', 'op9'), facts(2)).effects)).toEqual(['verb b op9']);
  });

  it('that takes long is answered as running after the wait, and the end is not told twice', () => {
    const waiting = say(running(), { type: 'waited', instanceId: 'a', handle: 1 });
    expect(answers(waiting.effects)).toEqual([{ is: 'running' }]);
    expect(answers(say(waiting.state, endedOf('a', 'op1', done)).effects)).toEqual([]);
  });

  it('whose end belongs to another operation ends nothing', () => {
    const state = running();
    expect(say(state, endedOf('a', 'op0', done))).toEqual({ state, effects: [] });
  });

  it('of an older owner is refused as stale, and stops nothing', () => {
    const state = say(ready([recorded('a', 2)]).state, runOf('a', 'op1', 'start', { generation: 2 }), facts(1, { senderEpoch: 5 })).state;
    const { effects } = say(state, runOf('a', 'op2', 'destroy', { generation: 2 }), facts(2, { senderEpoch: 4 }));
    expect(answers(effects)).toMatchObject([{ is: 'failed', fault: { reason: 'host.stale' } }]);
    expect(effects.length).toBe(1);
  });

  it('for an older guest of a server that moves here is run when the store says that its claim stands, and not otherwise', () => {
    const both = [recorded('a', 1), recorded('a', 2)];
    const ran = say(ready(both).state, runOf('a', 'op1', 'start', { generation: 2 }), facts(1)).state;
    const state = say(ran, endedOf('a', 'op1', done), facts(9)).state;
    const asked = say(state, runOf('a', 'op2', 'destroy'), facts(2, { nowMs: NOW_MS + 1_000 }));
    expect([jobs(asked.effects), answers(asked.effects)]).toEqual([[], []]);
    const ask = asked.effects.find((effect) => effect.do === 'ask');
    const told = (claims: readonly object[]) =>
      say(asked.state, { type: 'claimRead', tag: ask?.tag ?? '', outcome: { ok: true, value: claims } }, facts(3, { nowMs: NOW_MS + 1_000 }));
    expect(jobs(told(both).effects)).toEqual(['verb a op2']);
    expect(answers(told([recorded('a', 2)]).effects)).toEqual([{ is: 'done', power: null }]);
  });

  it('that would wake a guest is not run under a claim that stands beside the active one, whatever was known of it here', () => {
    const beside = { ...recorded('a', 1), role: 'standby' as const };
    const asked = say(ready([beside]).state, runOf('a', 'op1', 'start'), facts(1));
    expect(jobs(asked.effects)).toEqual([]);
    const ask = asked.effects.find((effect) => effect.do === 'ask');
    const told = (claim: object) => say(asked.state, { type: 'claimRead', tag: ask?.tag ?? '', outcome: { ok: true, value: [claim] } }, facts(1));
    expect(answers(told(beside).effects)).toEqual([{ is: 'noClaim' }]);
    expect(jobs(told(recorded('a', 1)).effects)).toEqual(['verb a op1']);
    expect(jobs(say(ready([beside]).state, runOf('a', 'op1', 'destroy'), facts(1)).effects)).toEqual(['verb a op1']);
  });

  it('is forgotten two minutes after its end, not before', () => {
    const over = say(running(), endedOf('a', 'op1', done)).state;
    expect(say(over, { type: 'tick' }, factsAt(NOW_MS + LANE_MEMORY_MS)).state.lanes.has('a')).toBe(true);
    expect(say(over, { type: 'tick' }, factsAt(NOW_MS + LANE_MEMORY_MS + 1)).state.lanes.has('a')).toBe(false);
  });
});

describe('a verb without a known claim', () => {
  const asked = (message: ReturnType<typeof runOf>) => say(host(), message, facts(7));
  const tagOf = (effects: ReturnType<typeof asked>['effects']): string => effects.flatMap((effect) => (effect.do === 'ask' ? [effect.tag] : []))[0] ?? '';
  const read = (message: ReturnType<typeof runOf>, claims: unknown) => {
    const { state, effects } = asked(message);
    return say(state, { type: 'claimRead', tag: tagOf(effects), outcome: { ok: true, value: claims } });
  };

  it('asks the store first', () => {
    const { effects } = asked(runOf('c', 'op1'));
    expect([jobs(effects), answers(effects)]).toEqual([[], []]);
    expect(effects).toMatchObject([{ do: 'ask', to: 'conductor/any', message: { type: 'hostClaims', host: 'h1', instanceId: 'c' } }]);
  });

  it('is run when the store has the claim', () => {
    const { state, effects } = read(runOf('c', 'op1'), [recorded('c')]);
    expect([jobs(effects), state.claims.has('c/1')]).toEqual([['verb c op1'], true]);
  });

  it('is not run when the store has none, or another generation’s; a destroy then is done', () => {
    for (const claims of [[], [recorded('c', 2)]]) {
      expect(read(runOf('c', 'op1'), claims).effects).toEqual([{ do: 'reply', value: { is: 'noClaim' }, to: 7 }]);
      expect(read(runOf('c', 'op1', 'destroy'), claims).effects).toEqual([{ do: 'reply', value: { is: 'done', power: null }, to: 7 }]);
    }
  });

  it('is not run under a doomed claim, in memory or in the store, but for a destroy', () => {
    const doomed = ready([recorded('c', 1, 'doomed')]).state;
    expect(answers(say(doomed, runOf('c', 'op1'), facts(7)).effects)).toEqual([{ is: 'noClaim' }]);
    expect(jobs(say(doomed, runOf('c', 'op1', 'destroy'), facts(7)).effects)).toEqual(['verb c op1']);
    expect(answers(read(runOf('c', 'op1'), [recorded('c', 1, 'doomed')]).effects)).toEqual([{ is: 'noClaim' }]);
  });

  it('is asked again, and not begun, when another verb came and ended while the store was asked', () => {
    const { state, effects } = asked(runOf('c', 'op1'));
    const spawnsTag = tagOf(effects);
    const second = say(state, runOf('c', 'op2', 'destroy'), facts(8));
    const destroying = say(second.state, { type: 'claimRead', tag: tagOf(second.effects), outcome: { ok: true, value: [recorded('c')] } });
    expect(jobs(destroying.effects)).toEqual(['verb c op2']);
    const late = { type: 'claimRead', tag: spawnsTag, outcome: { ok: true, value: [recorded('c')] } } as const;
    for (const present of [destroying.state, say(destroying.state, endedOf('c', 'op2', done)).state]) {
      const { effects: told } = say(present, late);
      expect([jobs(told), answers(told)]).toEqual([[], [{ is: 'running' }]]);
    }
  });

  it('is told that the host is starting while it has not looked around', () => {
    const { effects } = say({ ...host(), phase: 'starting' }, runOf('a', 'op1'), facts(7));
    expect(answers(effects)).toMatchObject([{ is: 'failed', fault: { code: 'unavailable', reason: 'host.starting' } }]);
  });
});
