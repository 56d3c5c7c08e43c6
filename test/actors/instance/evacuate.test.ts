import { describe, expect, it } from 'vitest';
import { decide, recover, refused } from '../../../actors/instance/decide.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import type { InstanceState, Living, Working } from '../../../actors/instance/state.ts';
import type { Outcome } from '../../../runtime/actor/effect.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import {
  ADMIN,
  asks,
  bid,
  explanation,
  failed,
  fault,
  living,
  mustLive,
  NIC,
  ok,
  operation,
  refusalOf,
  said,
  SETTINGS,
  spawning,
  tag,
  verbOf,
  working,
} from './states.ts';

const EVACUATE: Verb = { name: 'evacuate', target: null, force: false, stopped: false };
const act = (state: Living, verb: Verb = EVACUATE) => decide(state, { type: 'act', verb, caller: ADMIN }, factsAt(), SETTINGS);
const told = (state: Working, type: 'placed' | 'claimed' | 'ran' | 'hostStood', outcome: Outcome) =>
  decide(state, { type, tag: tag(state), outcome }, factsAt(), SETTINGS);
const moving = (step: string, more: object = {}, record: object = {}, soft: object = {}) =>
  working(
    operation('evacuate', step, { excludedHosts: ['h1'], args: { stopped: false }, ...more }),
    { taskState: 'rebuilding', ...record },
    { round: 1, ...soft },
  );
const asking = (record: object = {}, more: object = {}) => moving('place', more, record, { asked: bid('h2'), bids: [], explanation: explanation(2), nics: [] });
const granted = ok({ granted: true, hostEpoch: 7 });

describe('an evacuation', () => {
  it('asks every scheduler for another host, and no network: the addresses stay', () => {
    const { state, effects } = act(living());
    expect(mustLive(state)).toMatchObject({
      host: 'h1',
      taskState: 'rebuilding',
      nics: [NIC],
      operation: { name: 'evacuate', step: 'place', excludedHosts: ['h1'] },
    });
    expect(said(effects)).toEqual(['scheduler/0 place']);
    expect(asks(effects)[0]?.message).toMatchObject({ request: { excludedHosts: ['h1'], onlyHost: null, skipFilters: false } });
  });

  it('goes to the host that was named, past filters when forced', () => {
    const { effects } = act(living(), { ...EVACUATE, target: 'h7', force: true });
    expect(asks(effects)[0]?.message).toMatchObject({ request: { onlyHost: 'h7', skipFilters: true } });
  });

  it('takes the place of what ran on the dead host, but never that of a delete or of another evacuation', () => {
    expect(mustLive(act(working(operation('reboot', 'reboot'), { taskState: 'rebooting' })).state).operation).toMatchObject({ name: 'evacuate' });
    for (const [name, step, taskState] of [
      ['delete', 'destroy', 'deleting'],
      ['evacuate', 'spawn', 'rebuild_spawning'],
    ] as const) {
      expect(refusalOf(act(working(operation(name, step), { taskState })).effects)).toBe('server.state');
    }
    expect(refusalOf(act(living({ vmState: 'building', launchedAt: null })).effects)).toBe('server.state');
  });

  it('dooms what it leaves and takes the new claim in one commit, with the next generation', () => {
    const { state, effects } = told(asking(), 'claimed', granted);
    expect(mustLive(state)).toMatchObject({ host: 'h2', generation: 2, nics: [NIC], taskState: 'rebuild_spawning', operation: { step: 'spawn' } });
    expect(state.parts).toMatchObject({
      claims: [
        { op: 'evacuate', generation: 1, host: 'h1' },
        { op: 'add', generation: 2, host: 'h2', hostEpoch: 7 },
      ],
      takeAddresses: [],
      dropAddresses: false,
    });
    expect(asks(effects)[0]).toMatchObject({ to: 'host/h2', message: { type: 'run', generation: 2, verb: { name: 'spawn' } } });
  });

  it('whose proof is over when it commits ends with that fault, and the server is as it was', () => {
    const { state, effects } = refused(asking(), 'hostNotProved', factsAt(), SETTINGS);
    expect(mustLive(state)).toMatchObject({ vmState: 'active', host: 'h1', generation: 1, taskState: null, operation: null, nics: [NIC] });
    expect(state.parts.claims).toEqual([]);
    expect(said(effects)).toEqual(['host/h2 release']);
  });

  for (const why of ['hostFull', 'hostEpoch', 'hostGone'] as const) {
    it(`that is refused as ${why} places again and leaves nothing yet`, () => {
      const { state, effects } = refused(asking(), why, factsAt(), SETTINGS);
      expect(mustLive(state)).toMatchObject({ host: 'h1', generation: 1, operation: { step: 'place' } });
      expect(effects.at(-1)).toMatchObject({ do: 'wake', message: { type: 'retry' } });
    });
  }

  it('ends with the server active where its guest runs, or stopped when it was or is to be', () => {
    const done = ok({ is: 'done', power: 'running' });
    const at = { host: 'h2', generation: 2, taskState: 'rebuild_spawning' };
    expect(mustLive(told(moving('spawn', {}, { ...at, vmState: 'error', fault: { ...fault('internal'), at: '' } }), 'ran', done).state)).toMatchObject({
      vmState: 'active',
      powerState: 'running',
      taskState: null,
      operation: null,
      fault: null,
    });
    const stopping = told(moving('spawn', { args: { stopped: true } }, at), 'ran', done);
    expect([mustLive(stopping.state).operation?.step, verbOf(stopping.effects)]).toEqual(['stop', 'stop']);
    const stopped = told(stopping.state as Working, 'ran', ok({ is: 'done', power: 'shutdown' }));
    expect(mustLive(stopped.state)).toMatchObject({ vmState: 'stopped', powerState: 'shutdown', operation: null });
    expect(act(living({ vmState: 'stopped' })).state.record?.operation?.args).toMatchObject({ stopped: true });
  });

  it('that finds no host ends in error, with its addresses and its claim where they are', () => {
    const nobody = ok({ bids: [], explanation: explanation(3, { ComputeFilter: 1, RamFilter: 2 }) });
    const { state, effects } = told(moving('place', {}, {}, { slicesLeft: 1 }), 'placed', nobody);
    expect(mustLive(state)).toMatchObject({ vmState: 'error', host: 'h1', generation: 1, nics: [NIC], operation: null });
    expect([state.parts.claims, state.parts.dropAddresses, said(effects)]).toEqual([[], false, []]);
  });

  it('clears a host that failed it, keeps the addresses, and tries another', () => {
    const at = { host: 'h2', generation: 2, taskState: 'rebuild_spawning' };
    const undoing = told(moving('spawn', {}, at), 'ran', ok({ is: 'failed', fault: fault('invalid') }));
    expect(verbOf(undoing.effects)).toBe('destroy');
    const { state, effects } = told(undoing.state as Working, 'ran', ok({ is: 'done', power: null }));
    expect(mustLive(state)).toMatchObject({ host: null, nics: [NIC], taskState: 'rebuilding', operation: { step: 'place', excludedHosts: ['h1', 'h2'] } });
    expect(state.parts).toMatchObject({ claims: [{ op: 'drop', generation: 2 }], dropAddresses: false });
    expect(said(effects)).toEqual(['scheduler/0 place']);
    // What was left stays doomed: nothing of it is left behind twice.
    const asked = { ...(state as Working), soft: { ...state.soft, asked: bid('h3') } };
    expect(told(asked, 'claimed', granted).state.parts.claims).toMatchObject([{ op: 'add', host: 'h3', generation: 3 }]);
  });

  it('is taken up at any step by whoever owns the server then', () => {
    expect(said(recover(moving('place'), factsAt(), SETTINGS).effects)).toEqual(['scheduler/0 place']);
    expect(verbOf(recover(moving('spawn', {}, { host: 'h2', generation: 2 }), factsAt(), SETTINGS).effects)).toBe('spawn');
    expect(verbOf(recover(moving('stop', {}, { host: 'h2', generation: 2 }), factsAt(), SETTINGS).effects)).toBe('stop');
    const late = recover(moving('place', { stepDueMs: NOW_MS - 1 }), factsAt(), SETTINGS);
    expect(mustLive(late.state)).toMatchObject({ vmState: 'error', operation: null, host: 'h1' });
  });

  it('is ended by a delete at any step', () => {
    for (const state of [asking(), moving('spawn', {}, { host: 'h2', generation: 2 }), moving('stop', {}, { host: 'h2', generation: 2 })]) {
      const { state: after, effects } = act(state, { name: 'delete' });
      expect(mustLive(after).operation).toMatchObject({ name: 'delete' });
      expect(verbOf(effects)).toBe('destroy');
    }
  });
});

describe('a host that is lost', () => {
  const lost = (state: InstanceState, host = 'h1') => decide(state, { type: 'hostLost', host }, factsAt(), SETTINGS);

  it('while a server is being made there is left behind, with proof', () => {
    for (const step of ['spawn', 'unspawn'] as const) {
      const { state, effects } = lost(spawning({}, step));
      expect(mustLive(state)).toMatchObject({ vmState: 'building', host: null, nics: [], operation: { step: 'place', attempt: 1, excludedHosts: ['h1'] } });
      expect(state.parts).toMatchObject({ claims: [{ op: 'evacuate', generation: 1, host: 'h1' }], dropAddresses: true });
      expect(said(effects)).toContain('scheduler/0 place');
    }
  });

  it('says somebody who is wrong: nothing changes', () => {
    const state = spawning();
    expect(refused(state, 'hostNotProved', factsAt(), SETTINGS)).toEqual({ state, effects: [] });
    expect(lost(state, 'h9')).toEqual({ state, effects: [] });
    expect(lost(living())).toMatchObject({ effects: [] });
  });

  it('ends a delete at once for the user, and its claim is doomed', () => {
    const { state } = lost(working(operation('delete', 'destroy'), { taskState: 'deleting' }));
    expect(mustLive(state)).toMatchObject({ deleted: true, operation: null });
    expect(state.parts.claims).toEqual([{ op: 'doom', generation: 1 }]);
  });
});

describe('a delete that waits for its host', () => {
  const deleting = () => working(operation('delete', 'destroy'), { taskState: 'deleting' }, { round: 1 });
  const standing = { host: 'h1', node: 'n', epoch: 1, mark: '', forcedDown: false, selfFenceMs: null, proof: null, claims: 1, silentMs: 0 };

  it('asks after a moment how the host stands', () => {
    const begun = recover(deleting(), factsAt(), SETTINGS);
    expect(begun.effects.find((effect) => effect.do === 'wake')).toMatchObject({ inMs: 1_000, message: { type: 'checkHost' } });
    const { effects } = decide(begun.state, { type: 'checkHost', tag: tag(begun.state as Working) }, factsAt(), SETTINGS);
    expect(said(effects)).toEqual(['conductor/any hostStanding']);
    expect(decide(begun.state, { type: 'checkHost', tag: 'of another round' }, factsAt(), SETTINGS).effects).toEqual([]);
  });

  for (const [what, value] of [
    ['silent for longer than its lease', { ...standing, silentMs: SETTINGS.hostSilentMs + 1 }],
    ['forced down', { ...standing, forcedDown: true }],
    ['proved dead', { ...standing, proof: 'fence' }],
    ['not known any more', null],
  ] as const) {
    it(`ends at once for the user when the host is ${what}; its claim stays doomed until that is confirmed`, () => {
      const { state } = told(deleting(), 'hostStood', ok(value));
      expect(mustLive(state)).toMatchObject({ deleted: true, operation: null });
      expect(state.parts.claims).toEqual([{ op: 'doom', generation: 1 }]);
    });
  }

  it('goes on waiting for one that is there, and when nobody knows', () => {
    for (const outcome of [ok(standing), failed('unavailable')])
      expect(mustLive(told(deleting(), 'hostStood', outcome).state)).toMatchObject({ deleted: false });
  });
});
