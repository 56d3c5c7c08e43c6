import { describe, expect, it } from 'vitest';
import { decide } from '../../../actors/instance/decide.ts';
import type { Caller, Verb } from '../../../actors/instance/messages.ts';
import type { InstanceState } from '../../../actors/instance/state.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import { ADMIN, CALLER, living, mustLive, operation, placing, refusalOf, said, SETTINGS, working } from './states.ts';

const act = (state: InstanceState, verb: Verb, caller: Caller = CALLER) => decide(state, { type: 'act', verb, caller }, factsAt(), SETTINGS);
const FAR: Caller = { ...ADMIN, projectId: 'red' };

describe('a lock', () => {
  it('says whose it is and why, and stands in the history as done', () => {
    const { state, effects } = act(living(), { name: 'lock', reason: 'busy' });
    expect(mustLive(state)).toMatchObject({ locked: true, lockedBy: 'owner', lockedReason: 'busy', taskState: null, operation: null });
    expect(mustLive(state).actions.at(-1)).toMatchObject({ action: 'lock', requestId: 'req-new', events: [{ event: 'api_lock', result: 'Success' }] });
    expect(effects).toEqual([{ do: 'replyStored' }]);
    expect(mustLive(act(living(), { name: 'lock', reason: null }, FAR).state).lockedBy).toBe('admin');
  });

  it('of the owner changes nothing when the server is locked; an administrator takes it over', () => {
    const locked = living({ locked: true, lockedBy: 'owner', lockedReason: 'busy' });
    expect(act(locked, { name: 'lock', reason: 'other' }).state.record).toEqual(locked.record);
    expect(mustLive(act(locked, { name: 'lock', reason: null }, FAR).state)).toMatchObject({ lockedBy: 'admin', lockedReason: 'busy' });
  });

  it('is undone by its owner, and by others with the right to it only', () => {
    const locked = living({ locked: true, lockedBy: 'admin', lockedReason: 'busy' });
    expect(refusalOf(act(locked, { name: 'unlock', override: false }).effects)).toBe('server.lockOfAnother');
    expect(mustLive(act(locked, { name: 'unlock', override: true }).state)).toMatchObject({ locked: false, lockedBy: null, lockedReason: null });
    const own = living({ locked: true, lockedBy: 'owner' });
    expect(mustLive(act(own, { name: 'unlock', override: false }).state).locked).toBe(false);
    expect(refusalOf(act(own, { name: 'unlock', override: false }, FAR).effects)).toBe('server.lockOfAnother');
    // A lock that is older than the memory of whose it is.
    expect(mustLive(act(living({ locked: true }), { name: 'unlock', override: false }).state).locked).toBe(false);
  });

  it('stops what its rule names and nothing else', () => {
    const locked = living({ locked: true, lockedBy: 'owner' });
    const tags = decide(locked, { type: 'update', changes: { tags: { add: ['a'] } }, caller: CALLER }, factsAt(), SETTINGS);
    expect(refusalOf(tags.effects)).toBeUndefined();
    for (const verb of [{ name: 'pause' }, { name: 'delete' }, { name: 'forceDelete' }, { name: 'rescue', boot: null }] as const) {
      expect(refusalOf(act(locked, verb).effects)).toBe('server.locked');
      expect(refusalOf(act(locked, verb, ADMIN).effects)).toBeUndefined();
    }
  });
});

describe('an administrator’s word about the state', () => {
  it('ends what runs and sets the state', () => {
    const state = working(operation('stop', 'stop'), { taskState: 'powering-off', vmState: 'error' });
    const after = act(state, { name: 'resetState', to: 'active' }, ADMIN);
    expect(mustLive(after.state)).toMatchObject({ vmState: 'active', taskState: null, operation: null });
    expect(mustLive(after.state).actions.at(-1)).toMatchObject({ action: 'resetState', events: [] });
    expect(after.effects).toMatchObject([{ do: 'abort' }, { do: 'replyStored' }]);
  });

  it('gives a promise back that was being asked for', () => {
    const asked = { host: 'h2', zone: 'nova', score: 1, seen: 1 };
    expect(said(act(placing({ asked }), { name: 'resetState', to: 'error' }, ADMIN).effects)).toEqual(['host/h2 release']);
  });

  it('does not call a delete off', () => {
    const state = working(operation('delete', 'destroy'), { taskState: 'deleting' });
    expect(mustLive(act(state, { name: 'resetState', to: 'error' }, ADMIN).state)).toMatchObject({
      vmState: 'error',
      taskState: 'deleting',
      operation: { name: 'delete' },
    });
  });

  it('takes the quota again of a server that was soft-deleted', () => {
    const { state } = act(living({ vmState: 'soft-delete', reclaimAtMs: NOW_MS + 1 }), { name: 'resetState', to: 'active' }, ADMIN);
    expect([mustLive(state).reclaimAtMs, state.parts.quota?.instances]).toEqual([null, 1]);
  });
});
