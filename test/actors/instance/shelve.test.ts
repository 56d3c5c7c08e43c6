import { describe, expect, it } from 'vitest';
import { decide, recover, refused } from '../../../actors/instance/decide.ts';
import { instanceKind } from '../../../actors/instance/kind.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import type { InstanceSettings } from '../../../actors/instance/settings.ts';
import type { InstanceState, Working } from '../../../actors/instance/state.ts';
import type { Outcome } from '../../../runtime/actor/effect.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import { asks, bid, CALLER, DRAFT, explanation, fault, IMAGE, living, mustLive, NIC, ok, operation, said, SETTINGS, tag, verbOf, working } from './states.ts';

const AT_ONCE: InstanceSettings = { ...SETTINGS, shelvedOffloadMs: 0 };
const LATER: InstanceSettings = { ...SETTINGS, shelvedOffloadMs: 60_000 };
const NEVER: InstanceSettings = { ...SETTINGS, shelvedOffloadMs: -1 };
const act = (state: InstanceState, verb: Verb, settings = AT_ONCE) => decide(state, { type: 'act', verb, caller: CALLER }, factsAt(), settings);
const told = (state: InstanceState, type: 'imaged' | 'ran' | 'placed' | 'claimed', outcome: Outcome, settings = AT_ONCE) =>
  decide(state, { type, tag: tag(state as Working), outcome }, factsAt(), settings);
const done = (power: string | null = null, more: object = {}) => ok({ is: 'done', power, ...more });
const DISK = { diskFormat: 'raw', sizeBytes: 7, virtualBytes: 9 };
const shelving = (step: string, more: object = {}, record: object = {}) =>
  working(operation('shelve', step, { args: { image: DRAFT }, ...more }), { taskState: 'shelving', ...record }, { round: 3 });
const shelved = (more: object = {}) => living({ vmState: 'shelved', powerState: 'shutdown', shelved: { image: IMAGE, offloadDueMs: null }, ...more });
const offloaded = (more: object = {}) => shelved({ vmState: 'shelved_offloaded', powerState: 'pending', host: null, ...more });

describe('a shelve', () => {
  it('turns the guest off, makes an image of its disk, and leaves the host at once; addresses stay, the claim goes', () => {
    const seen: unknown[] = [];
    let at = act(living(), { name: 'shelve', image: DRAFT });
    const note = (): void => void seen.push([mustLive(at.state).vmState, mustLive(at.state).taskState, asks(at.effects)[0]?.message.type, verbOf(at.effects)]);
    note();
    const answers: ['imaged' | 'ran', Outcome][] = [
      ['imaged', ok(undefined)],
      ['ran', done('shutdown')],
      ['ran', done(null, { disk: DISK })],
      ['imaged', ok(undefined)],
      ['ran', done()],
      ['imaged', ok(IMAGE)],
    ];
    for (const [type, outcome] of answers) {
      at = told(at.state, type, outcome);
      note();
    }
    expect(seen).toEqual([
      ['active', 'shelving', 'snapshotImage', undefined],
      ['active', 'shelving', 'run', 'stop'],
      ['active', 'shelving', 'run', 'snapshot'],
      ['active', 'shelving_image_pending_upload', 'snapshotDescribe', undefined],
      ['active', 'shelving_image_uploading', 'run', 'upload'],
      ['active', 'shelving_image_uploading', 'snapshotSettle', undefined],
      ['shelved', 'shelving_offloading', 'run', 'destroy'],
    ]);
    const { state, effects } = told(at.state, 'ran', done());
    expect(mustLive(state)).toMatchObject({
      vmState: 'shelved_offloaded',
      taskState: null,
      operation: null,
      host: null,
      generation: 1,
      nics: [NIC],
      shelved: { image: IMAGE },
    });
    expect(state.parts).toMatchObject({ claims: [{ op: 'drop', generation: 1 }], dropAddresses: false, quota: null });
    expect(said(effects)).toEqual(['host/h1 release']);
  });

  it('stays on its host when that is set, until its time is over or for ever', () => {
    const late = told(shelving('settle'), 'imaged', ok(IMAGE), LATER);
    expect(mustLive(late.state)).toMatchObject({
      vmState: 'shelved',
      taskState: null,
      operation: null,
      host: 'h1',
      shelved: { offloadDueMs: NOW_MS + 60_000 },
    });
    const never = told(shelving('settle'), 'imaged', ok(IMAGE), NEVER);
    expect(mustLive(never.state)).toMatchObject({ vmState: 'shelved', host: 'h1', shelved: { offloadDueMs: null } });
  });

  it('has its time in the row, so that whoever owns the server then takes it off its host', () => {
    const due = shelved({ shelved: { image: IMAGE, offloadDueMs: NOW_MS } });
    const commit = instanceKind(LATER).commitOf?.(due.record, due.record, due);
    expect(commit).toMatchObject({ open: false, dueAtMs: NOW_MS });
    const { state, effects } = decide(due, { type: 'wake' }, factsAt(), LATER);
    expect([mustLive(state).operation?.name, mustLive(state).taskState, verbOf(effects)]).toEqual(['shelveOffload', 'shelving_offloading', 'destroy']);
    expect(decide(due, { type: 'wake' }, factsAt(NOW_MS - 1), LATER).effects).toEqual([]);
  });

  it('has a time that can be, although a clock ran ahead', () => {
    const far = shelved({ shelved: { image: IMAGE, offloadDueMs: NOW_MS + 3_600_000 } });
    const seen = { type: 'guestSeen', host: 'h1', generation: 1, power: 'shutdown' } as const;
    expect(mustLive(decide(far, seen, factsAt(), LATER).state).shelved?.offloadDueMs).toBe(NOW_MS + 60_000);
  });

  it('that fails leaves no copy, and a guest that ran running', () => {
    const discarding = told(shelving('snapshot', {}, { powerState: 'shutdown' }), 'ran', ok({ is: 'failed', fault: fault('invalid') }));
    expect(verbOf(discarding.effects)).toBe('dropSnapshot');
    const starting = told(discarding.state, 'ran', done());
    expect(verbOf(starting.effects)).toBe('start');
    const { state, effects } = told(starting.state, 'ran', done('running'));
    expect(mustLive(state)).toMatchObject({ vmState: 'active', powerState: 'running', taskState: null, operation: null, host: 'h1' });
    expect(said(effects)).toEqual(['conductor/any snapshotLeft']);
  });

  it('of a stopped server that fails leaves it stopped', () => {
    const discarding = told(shelving('upload', {}, { vmState: 'stopped', powerState: 'shutdown' }), 'ran', ok({ is: 'failed', fault: fault('notFound') }));
    expect(mustLive(told(discarding.state, 'ran', done()).state)).toMatchObject({ vmState: 'stopped', powerState: 'shutdown', operation: null });
  });

  for (const [name, state] of [
    ['shelve', shelving('offload', {}, { vmState: 'shelved', shelved: { image: IMAGE, offloadDueMs: null } })],
    ['shelveOffload', working(operation('shelveOffload', 'offload'), { vmState: 'shelved', shelved: { image: IMAGE, offloadDueMs: null } }, { round: 1 })],
  ] as const) {
    it(`(${name}) whose host does not let it go leaves it with proof alone, and is tried again later else`, () => {
      const left = told(state, 'ran', ok({ is: 'failed', fault: fault('internal') }), LATER);
      expect(mustLive(left.state)).toMatchObject({ vmState: 'shelved_offloaded', host: null });
      expect(left.state.parts.claims).toEqual([{ op: 'evacuate', generation: 1, host: 'h1' }]);
      const stays = refused(state, 'hostNotProved', factsAt(), LATER);
      expect(mustLive(stays.state)).toMatchObject({
        vmState: 'shelved',
        host: 'h1',
        operation: null,
        taskState: null,
        shelved: { offloadDueMs: NOW_MS + 60_000 },
      });
      expect(stays.state.parts.claims).toEqual([]);
      expect(mustLive(refused(state, 'hostNotProved', factsAt(), AT_ONCE).state).shelved?.offloadDueMs).toBe(NOW_MS + 60_000);
    });
  }

  it('is taken up at any step by whoever owns the server then', () => {
    for (const step of ['image', 'quiet', 'snapshot', 'describe', 'upload', 'settle', 'offload', 'discard', 'restart'])
      expect(asks(recover(shelving(step), factsAt(), AT_ONCE).effects), step).toHaveLength(1);
  });
});

describe('an unshelve', () => {
  const coming = (step: string, more: object = {}, record: object = {}, soft: object = {}) =>
    working(operation('unshelve', step, more), { ...offloaded().record, taskState: 'unshelving', ...record }, { round: 1, ...soft });
  const on = { host: 'h2', generation: 2, taskState: 'spawning' };

  it('of a group asks where the others are, before it asks schedulers', () => {
    const asked = act(offloaded({ group: { id: DRAFT.id } }), { name: 'unshelve', host: null });
    expect(said(asked.effects)).toEqual(['conductor/any groupPlaces']);
    const { effects } = decide(asked.state, { type: 'grouped', tag: tag(asked.state as Working), outcome: ok(null) }, factsAt(), AT_ONCE);
    expect(asks(effects).every(({ message }) => message.type === 'place')).toBe(true);
  });

  it('that its group refuses there gives the promise back and asks anew', () => {
    const asking = coming('place', {}, { host: null }, { asked: bid('h2'), slicesLeft: 0 });
    const { state, effects } = refused(asking, 'groupPolicy', factsAt(), AT_ONCE);
    expect(mustLive(state)).toMatchObject({ vmState: 'shelved_offloaded', operation: { step: 'place' } });
    expect(said(effects)).toContain('host/h2 release');
    expect(effects.at(-1)).toMatchObject({ do: 'wake', message: { type: 'retry' } });
  });

  it('takes a generation that none of its former places had', () => {
    const asking = coming('place', {}, { host: null, generation: 3, generationTop: 6 }, { slicesLeft: 1 });
    const { effects } = told(asking, 'placed', ok({ bids: [bid('h2')], explanation: explanation(1) }));
    expect(asks(effects)[0]?.message).toMatchObject({ type: 'claim', generation: 7 });
  });

  it('of a server that is still on its host starts it there, and its image is needed no more', () => {
    const begun = act(shelved(), { name: 'unshelve', host: null });
    expect([mustLive(begun.state).operation?.step, verbOf(begun.effects)]).toEqual(['start', 'start']);
    const { state, effects } = told(begun.state, 'ran', done('running'));
    expect(mustLive(state)).toMatchObject({ vmState: 'active', powerState: 'running', shelved: null, operation: null, host: 'h1' });
    expect(said(effects)).toEqual(['conductor/any snapshotLeft']);
  });

  it('of one that left is placed like a new one, but keeps its addresses, and runs from its own image', () => {
    const begun = act(offloaded(), { name: 'unshelve', host: null, zone: 'east' });
    expect(said(begun.effects)).toEqual(['scheduler/0 place']);
    expect(asks(begun.effects)[0]?.message).toMatchObject({ request: { zone: 'east', onlyHost: null } });
    const asking = coming('place', {}, {}, { asked: bid('h2'), explanation: explanation(1) });
    const spawning = told(asking, 'claimed', ok({ granted: true, hostEpoch: 3 }));
    expect(spawning.state.parts).toMatchObject({ claims: [{ op: 'add', generation: 2, host: 'h2' }], takeAddresses: [] });
    expect(asks(spawning.effects)[0]?.message).toMatchObject({ verb: { name: 'spawn', spec: { image: { id: IMAGE.id }, generation: 2 } } });
    const { state, effects } = told(spawning.state, 'ran', done('running'));
    expect(mustLive(state)).toMatchObject({
      vmState: 'active',
      taskState: null,
      shelved: null,
      nics: [NIC],
      host: 'h2',
      image: { id: living().record.image.id },
    });
    expect(said(effects)).toEqual(['conductor/any snapshotLeft']);
  });

  it('goes to the host that is named, and is pinned to no zone any more when that is said', () => {
    const { state, effects } = act(offloaded({ requestedZone: 'west' }), { name: 'unshelve', host: 'h9', zone: null });
    expect(asks(effects)[0]?.message).toMatchObject({ request: { onlyHost: 'h9', zone: null, skipFilters: false } });
    expect(mustLive(state).requestedZone).toBeNull();
    expect(mustLive(act(offloaded({ requestedZone: 'west' }), { name: 'unshelve', host: null }).state).requestedZone).toBe('west');
  });

  it('that finds no host leaves it shelved, with its image and its addresses', () => {
    const { state, effects } = told(coming('place', {}, {}, { slicesLeft: 1 }), 'placed', ok({ bids: [], explanation: explanation(2, { RamFilter: 2 }) }));
    expect(mustLive(state)).toMatchObject({
      vmState: 'shelved_offloaded',
      host: null,
      taskState: null,
      operation: null,
      shelved: { image: IMAGE },
      nics: [NIC],
    });
    expect(said(effects)).toEqual([]);
  });

  it('clears a host that failed it, tries others, and leaves it shelved when none will do', () => {
    const undoing = told(coming('spawn', {}, on), 'ran', ok({ is: 'failed', fault: fault('invalid') }));
    expect(verbOf(undoing.effects)).toBe('destroy');
    const again = told(undoing.state, 'ran', done());
    expect(mustLive(again.state)).toMatchObject({ host: null, nics: [NIC], taskState: 'unshelving', operation: { step: 'place', excludedHosts: ['h2'] } });
    expect(again.state.parts).toMatchObject({ claims: [{ op: 'drop', generation: 2 }], dropAddresses: false });
    const last = told(coming('unspawn', { attempt: SETTINGS.attemptsMax - 1, args: { fault: fault('invalid') } }, on), 'ran', done());
    expect(mustLive(last.state)).toMatchObject({ vmState: 'shelved_offloaded', host: null, shelved: { image: IMAGE } });
  });

  it('that a host cannot be cleared of goes nowhere else: there it stays, in error (P3)', () => {
    const silent = coming('unspawn', { args: { fault: fault('internal') } }, on);
    expect(told(silent, 'ran', ok({ is: 'failed', fault: fault('internal') })).state.parts.claims).toEqual([{ op: 'evacuate', generation: 2, host: 'h2' }]);
    const { state } = refused(silent, 'hostNotProved', factsAt(), AT_ONCE);
    expect(mustLive(state)).toMatchObject({ vmState: 'error', host: 'h2', generation: 2, operation: null, shelved: { image: IMAGE } });
    expect(state.parts.claims).toEqual([]);
  });

  it('whose start fails leaves it shelved on its host', () => {
    const starting = working(operation('unshelve', 'start'), { ...shelved().record, taskState: 'unshelving' }, { round: 1 });
    expect(mustLive(told(starting, 'ran', ok({ is: 'failed', fault: fault('invalid') })).state)).toMatchObject({
      vmState: 'shelved',
      host: 'h1',
      operation: null,
    });
  });

  it('loses a host that is proved dead while it is made there, and goes elsewhere', () => {
    const { state } = decide(coming('spawn', {}, on), { type: 'hostLost', host: 'h2' }, factsAt(), AT_ONCE);
    expect(mustLive(state)).toMatchObject({ host: null, operation: { step: 'place' }, nics: [NIC] });
  });
});

describe('a shelved server that is deleted', () => {
  it('needs no host when it has none, gives quota and addresses back, and its image goes', () => {
    const { state, effects } = act(offloaded(), { name: 'delete' });
    expect(mustLive(state)).toMatchObject({ deleted: true, operation: null });
    expect(state.parts).toMatchObject({ claims: [], dropAddresses: true, quota: { instances: -1 } });
    expect(said(effects)).toContain('conductor/any snapshotLeft');
  });

  it('on its host goes from there first', () => {
    const { effects } = act(shelved(), { name: 'delete' });
    expect(verbOf(effects)).toBe('destroy');
  });
});
