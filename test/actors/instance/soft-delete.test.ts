import { describe, expect, it } from 'vitest';
import { decide, giveUp, refused } from '../../../actors/instance/decide.ts';
import { instanceKind } from '../../../actors/instance/kind.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import type { InstanceState, Working } from '../../../actors/instance/state.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import { CALLER, fault, living, mustLive, ok, operation, refusalOf, SETTINGS, spawning, tag, verbOf, working } from './states.ts';

const RECLAIM_MS = 600_000;
const SOFT = { ...SETTINGS, reclaimAfterMs: RECLAIM_MS };
const act = (state: InstanceState, verb: Verb, settings = SOFT) => decide(state, { type: 'act', verb, caller: CALLER }, factsAt(), settings);
const ran = (state: InstanceState, answer: object) => decide(state, { type: 'ran', tag: tag(state as Working), outcome: ok(answer) as never }, factsAt(), SOFT);
const wake = (state: InstanceState) => decide(state, { type: 'wake' }, factsAt(), SOFT);

const BACK = { projectId: 'blue', userId: 'ann', instances: -1, cores: -1, ram: -512 };
const softDeleted = (more: object = {}) => living({ vmState: 'soft-delete', powerState: 'shutdown', reclaimAtMs: NOW_MS + 5_000, ...more });

describe('a delete that can be undone', () => {
  it('turns the guest off, gives the quota back and says until when', () => {
    const begun = act(living(), { name: 'delete' });
    expect([mustLive(begun.state).taskState, verbOf(begun.effects), begun.state.parts.quota]).toEqual(['soft-deleting', 'stop', null]);
    const { state } = ran(begun.state, { is: 'done', power: 'shutdown' });
    expect(mustLive(state)).toMatchObject({
      vmState: 'soft-delete',
      taskState: null,
      powerState: 'shutdown',
      deleted: false,
      host: 'h1',
      reclaimAtMs: NOW_MS + RECLAIM_MS,
    });
    expect(state.parts).toMatchObject({ quota: BACK, claims: [], dropAddresses: false });
    expect(mustLive(state).actions.at(-1)).toMatchObject({ action: 'delete', events: [{ event: 'compute_soft_delete_instance', result: 'Success' }] });
  });

  it('ends so also when the host does not do it, or when it crashed too often', () => {
    const state = working(operation('softDelete', 'softDelete'), { taskState: 'soft-deleting' });
    expect(mustLive(ran(state, { is: 'failed', fault: fault('invalid') }).state)).toMatchObject({ vmState: 'soft-delete', operation: null });
    expect(mustLive(giveUp(state, fault('internal'), factsAt(), SOFT).state)).toMatchObject({ vmState: 'soft-delete', operation: null });
  });

  it('is for good where nothing can be restored: switched off, never launched, without a host, or forced', () => {
    expect(mustLive(act(living(), { name: 'delete' }, SETTINGS).state).operation?.name).toBe('delete');
    expect(mustLive(act(spawning(), { name: 'delete' }).state).operation?.name).toBe('delete');
    expect(mustLive(act(living({ vmState: 'error', host: null }), { name: 'delete' }).state).deleted).toBe(true);
    expect(mustLive(act(living(), { name: 'forceDelete' }).state).operation?.name).toBe('delete');
    // Its guest may not stand yet where it is being made anew.
    const moving = working(operation('evacuate', 'spawn'), { taskState: 'rebuild_spawning' });
    expect(mustLive(act(moving, { name: 'delete' }).state).operation?.name).toBe('delete');
  });

  it('is accepted again while it runs and when it is done, and changes nothing then', () => {
    for (const state of [
      working(operation('softDelete', 'softDelete'), { taskState: 'soft-deleting' }),
      softDeleted(),
      working(operation('delete', 'destroy'), { taskState: 'deleting' }),
    ]) {
      const { state: after, effects } = act(state, { name: 'delete' });
      expect([after.record, effects]).toEqual([state.record, [{ do: 'replyStored' }]]);
    }
  });

  it('is overtaken by one that is for good', () => {
    const { state, effects } = act(working(operation('softDelete', 'softDelete'), { taskState: 'soft-deleting' }), { name: 'forceDelete' });
    expect([mustLive(state).operation?.name, verbOf(effects)]).toEqual(['delete', 'destroy']);
  });
});

describe('a soft-deleted server', () => {
  it('has the time of its end in the row, though nothing is open', () => {
    const { commitOf } = instanceKind(SOFT);
    const before = mustLive(living());
    expect(commitOf?.(before as never, mustLive(softDeleted()) as never, softDeleted() as never)).toMatchObject({ open: false, dueAtMs: NOW_MS + 5_000 });
  });

  it('is deleted for good when its time is over, not before, and gives no quota back again', () => {
    expect(wake(softDeleted())).toMatchObject({ effects: [] });
    const begun = wake(softDeleted({ reclaimAtMs: NOW_MS }));
    expect([mustLive(begun.state).taskState, mustLive(begun.state).operation?.name, verbOf(begun.effects)]).toEqual(['deleting', 'delete', 'destroy']);
    const { state } = ran(begun.state, { is: 'done', power: null });
    expect(mustLive(state)).toMatchObject({ deleted: true, vmState: 'deleted', reclaimAtMs: null });
    expect(state.parts).toMatchObject({ quota: null, claims: [{ op: 'drop', generation: 1 }], dropAddresses: true });
  });

  it('can be deleted for good at once', () => {
    expect(mustLive(act(softDeleted(), { name: 'forceDelete' }).state).operation?.name).toBe('delete');
    expect(mustLive(act(softDeleted(), { name: 'delete' }, SETTINGS).state).operation?.name).toBe('delete');
  });

  it('is turned off when it is seen running, and its time runs on', () => {
    const begun = decide(softDeleted(), { type: 'guestSeen', host: 'h1', generation: 1, power: 'running' }, factsAt(), SOFT);
    expect([mustLive(begun.state).taskState, verbOf(begun.effects)]).toEqual(['soft-deleting', 'stop']);
    const { state } = ran(begun.state, { is: 'done', power: 'shutdown' });
    expect([mustLive(state).reclaimAtMs, state.parts.quota]).toEqual([NOW_MS + 5_000, null]);
  });
});

describe('a restore', () => {
  it('takes the quota in the commit that accepts it, and starts the guest', () => {
    const begun = act(softDeleted(), { name: 'restore' });
    expect(begun.state.parts.quota).toEqual({ ...BACK, instances: 1, cores: 1, ram: 512 });
    expect(mustLive(begun.state)).toMatchObject({ vmState: 'soft-delete', taskState: 'restoring', reclaimAtMs: null });
    expect(verbOf(begun.effects)).toBe('start');
    const { state } = ran(begun.state, { is: 'done', power: 'running' });
    expect([mustLive(state).vmState, mustLive(state).reclaimAtMs, state.parts.quota]).toEqual(['active', null, null]);
  });

  it('is refused when no quota is left, and the server stays as it was', () => {
    const { state, effects } = refused(softDeleted(), 'quota', factsAt(), SOFT);
    expect([state, refusalOf(effects)]).toEqual([softDeleted(), 'quota.exceeded']);
  });

  it('that fails gives the quota back and begins the time anew', () => {
    const begun = act(softDeleted(), { name: 'restore' });
    const { state } = ran(begun.state, { is: 'failed', fault: fault('invalid') });
    expect([mustLive(state).vmState, mustLive(state).reclaimAtMs, state.parts.quota]).toEqual(['soft-delete', NOW_MS + RECLAIM_MS, BACK]);
    expect(mustLive(state).actions.at(-1)).toMatchObject({ action: 'restore', message: 'Error' });
  });

  it('is called off by a delete, which then gives the quota back', () => {
    const begun = act(softDeleted(), { name: 'restore' });
    const again = act(begun.state, { name: 'delete' });
    expect(mustLive(again.state).operation?.name).toBe('softDelete');
    expect(ran(again.state, { is: 'done', power: 'shutdown' }).state.parts.quota).toEqual(BACK);
  });
});
