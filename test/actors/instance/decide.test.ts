import { describe, expect, it } from 'vitest';
import { decide, giveUp, recover, refused } from '../../../actors/instance/decide.ts';
import { NO_PARTS, NO_SOFT, type InstanceState } from '../../../actors/instance/state.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import { ALLOWED, refusal, TASK_STATES, VM_STATES, type Verb as RuleName } from '../../../actors/model/server-state.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import {
  ADMIN,
  CALLER,
  failed,
  fault,
  living,
  mustLive,
  ok,
  operation,
  placing,
  refusalOf,
  said,
  SETTINGS,
  spawning,
  tag,
  VERBS,
  verbOf,
  working,
} from './states.ts';

const act = (state: InstanceState, verb: Verb, caller = CALLER) => decide(state, { type: 'act', verb, caller }, factsAt(), SETTINGS);
const named = (verb: Verb): string => (verb.name === 'reboot' ? `${verb.kind} reboot` : verb.name);
const ruleOf = (verb: Verb): RuleName => (verb.name === 'reboot' ? (verb.kind === 'soft' ? 'rebootSoft' : 'rebootHard') : verb.name);

describe('a server', () => {
  for (const verb of VERBS) {
    it(`begins ${named(verb)} in exactly the states of the table, and says why not in the others`, () => {
      for (const vmState of VM_STATES) {
        for (const taskState of [null, ...TASK_STATES]) {
          const running = taskState === null ? null : operation('stop', 'stop');
          const state = living({ vmState, taskState, operation: running, deleted: false });
          const { state: after, effects } = act(state, verb);
          const illegal = refusal(ruleOf(verb), mustLive(state));
          const begun = mustLive(after).operation;
          if (illegal) expect([refusalOf(effects), after.record]).toEqual(['server.state', state.record]);
          else expect([refusalOf(effects), begun?.name, begun?.requestId]).toEqual([undefined, verb.name === 'forceDelete' ? 'delete' : verb.name, 'req-new']);
        }
      }
    });
  }

  it('that never ran can be deleted and nothing else', () => {
    const legal = VERBS.filter((verb) => refusalOf(act(living({ vmState: 'active', launchedAt: null }), verb).effects) === undefined);
    expect(legal.map(named)).toEqual(['delete', 'forceDelete']);
    expect(ALLOWED.delete.launched).toBe(false);
  });

  it('that has no host any more can be deleted and evacuated, and is not ready for what a host would do', () => {
    const nowhere = living({ vmState: 'error', host: null });
    const evacuate: Verb = { name: 'evacuate', target: null, force: false, stopped: false };
    const legal = [...VERBS, evacuate].filter((verb) => refusalOf(act(nowhere, verb, ADMIN).effects) === undefined);
    expect(legal.map(named)).toEqual(['delete', 'forceDelete', 'evacuate']);
    expect(act(nowhere, { name: 'stop' }).effects).toMatchObject([{ do: 'refuse', fault: { message: `Instance ${nowhere.id} is not ready` } }]);
  });

  it('that is locked refuses its users and obeys its administrators', () => {
    expect(refusalOf(act(living({ locked: true }), { name: 'stop' }).effects)).toBe('server.locked');
    expect(refusalOf(act(living({ locked: true }), { name: 'stop' }, ADMIN).effects)).toBeUndefined();
  });

  it('that does not exist, or not any more, refuses every verb as unknown', () => {
    const nobody: InstanceState = { id: 'x', record: undefined, soft: NO_SOFT, parts: NO_PARTS };
    for (const verb of VERBS) {
      expect(refusalOf(act(nobody, verb).effects)).toBe('server.unknown');
      expect(refusalOf(act(living({ deleted: true, vmState: 'deleted', host: null }), verb).effects)).toBe('server.unknown');
    }
    expect(decide(nobody, { type: 'get' }, factsAt(), SETTINGS)).toEqual({ state: nobody, effects: [{ do: 'replyStored' }] });
  });

  it('answers a verb before it asks its host, which is after the commit', () => {
    const { effects } = act(living(), { name: 'stop' });
    expect(effects.map((effect) => effect.do)).toEqual(['replyStored', 'ask']);
    expect(verbOf(effects)).toBe('stop');
  });
});

describe('delete', () => {
  const anywhere = [
    ['placing', placing()],
    ['placing with a promise asked', placing({ asked: { host: 'h2', zone: 'nova', score: 1, seen: 1 } })],
    ['spawning', spawning()],
    ['unspawning', spawning({}, 'unspawn')],
    ['stopping', working(operation('stop', 'stop'), { taskState: 'powering-off' })],
    ['starting', working(operation('start', 'start'), { vmState: 'stopped', taskState: 'powering-on' })],
    ['rebooting', working(operation('reboot', 'reboot', { args: { kind: 'hard' } }), { taskState: 'rebooting_hard' })],
    ['at rest', living()],
    ['in error', living({ vmState: 'error' })],
  ] as const;

  for (const [where, state] of anywhere) {
    it(`wins while the server is ${where}, and calls off what ran`, () => {
      const { state: after, effects } = act(state, { name: 'delete' });
      const record = mustLive(after);
      if (state.record.host === null) {
        expect([record.deleted, record.operation, after.parts.quota?.instances]).toEqual([true, null, -1]);
        expect(verbOf(effects)).toBeUndefined();
      } else {
        expect([record.operation?.name, record.operation?.step, record.taskState]).toEqual(['delete', 'destroy', 'deleting']);
        expect(verbOf(effects)).toBe('destroy');
      }
      if (state.record.operation) expect(effects[0]).toEqual({ do: 'abort', tag: tag(state as ReturnType<typeof placing>) });
    });
  }

  it('gives back the promise that was asked for', () => {
    const state = placing({ asked: { host: 'h2', zone: 'nova', score: 1, seen: 1 } });
    expect(said(act(state, { name: 'delete' }).effects)).toContain('host/h2 release');
  });

  it('asked again while it runs is answered and begins nothing', () => {
    const state = working(operation('delete', 'destroy'), { taskState: 'deleting' });
    expect(act(state, { name: 'delete' })).toEqual({ state, effects: [{ do: 'replyStored' }] });
  });

  it('of a destroyed guest drops claim, addresses and quota in one commit', () => {
    const state = working(operation('delete', 'destroy'), { taskState: 'deleting' }, { round: 1 });
    const { state: after } = decide(state, { type: 'ran', tag: tag(state), outcome: ok({ is: 'done', power: null }) }, factsAt(), SETTINGS);
    expect(after.parts).toEqual({
      claims: [{ op: 'drop', generation: 1 }],
      takeAddresses: [],
      dropAddresses: true,
      quota: { projectId: 'blue', userId: 'ann', instances: -1, cores: -1, ram: -512 },
    });
    expect(mustLive(after)).toMatchObject({ deleted: true, vmState: 'deleted', host: null, nics: [], operation: null, taskState: null });
  });

  it('that its host does not answer in time ends all the same, and leaves the claim doomed', () => {
    const state = working(operation('delete', 'destroy', { stepDueMs: NOW_MS }), { taskState: 'deleting' });
    const { state: after } = decide(state, { type: 'wake' }, factsAt(), SETTINGS);
    expect([mustLive(after).deleted, after.parts.claims]).toEqual([true, [{ op: 'doom', generation: 1 }]]);
  });
});

describe('an answer', () => {
  const answers = [
    { type: 'placed', outcome: ok({ bids: [], explanation: { considered: 0, removed: {}, bids: [] } }) },
    { type: 'addressed', outcome: failed('notFound') },
    { type: 'claimed', outcome: ok({ granted: true, hostEpoch: 1 }) },
    { type: 'ran', outcome: ok({ is: 'done', power: 'running' }) },
  ] as const;
  for (const answer of answers) {
    it(`${answer.type} to a round that is over is ignored`, () => {
      for (const state of [placing(), spawning(), working(operation('stop', 'stop'), {}, { round: 4 }), living()]) {
        const { state: after, effects } = decide(state, { ...answer, tag: 'op/place/0' }, factsAt(), SETTINGS);
        expect([after.record, effects]).toEqual([state.record, []]);
      }
    });
  }
});

describe('the limit of a step', () => {
  it('that a clock noted which ran ahead is noted anew, so that the step does end', () => {
    const ahead = working(operation('stop', 'stop', { stepDueMs: NOW_MS + 3_600_000 }));
    const longestMs = SETTINGS.spawnLimitMs;
    const dueOf = (state: InstanceState): number => (mustLive(state).operation?.stepDueMs ?? 0) - NOW_MS;
    const woken = decide(ahead, { type: 'wake' }, factsAt(), SETTINGS);
    expect([dueOf(woken.state), woken.effects]).toEqual([longestMs, []]);
    const recovered = recover(ahead, factsAt(), SETTINGS);
    expect([dueOf(recovered.state), recovered.effects.map((effect) => effect.do)]).toEqual([longestMs, ['ask']]);
    const near = working(operation('stop', 'stop', { stepDueMs: NOW_MS + longestMs }));
    expect(decide(near, { type: 'wake' }, factsAt(), SETTINGS).state).toBe(near);
  });

  const due = { stepDueMs: NOW_MS };
  const steps = [
    ['create/place', placing({}, due), { vmState: 'error', operation: null }],
    ['create/spawn', spawning(due), { operation: { step: 'unspawn' } }],
    ['create/unspawn', spawning(due, 'unspawn'), { vmState: 'error', operation: null, host: null }],
    ['delete/destroy', working(operation('delete', 'destroy', due)), { deleted: true, operation: null }],
    [
      'start',
      working(operation('start', 'start', due), { vmState: 'stopped', powerState: 'shutdown' }),
      { vmState: 'stopped', operation: null, taskState: null },
    ],
    ['stop', working(operation('stop', 'stop', due)), { vmState: 'active', operation: null, taskState: null }],
    ['soft reboot', working(operation('reboot', 'reboot', { ...due, args: { kind: 'soft' } })), { vmState: 'active', operation: null }],
    ['hard reboot', working(operation('reboot', 'reboot', { ...due, args: { kind: 'hard' } })), { vmState: 'error', operation: null }],
  ] as const;

  for (const [step, state, wanted] of steps) {
    it(`ends ${step}, by a wake, a retry or a new owner alike`, () => {
      const ways = [
        decide(state, { type: 'wake' }, factsAt(), SETTINGS),
        decide(state, { type: 'retry', tag: tag(state) }, factsAt(), SETTINGS),
        recover(state, factsAt(), SETTINGS),
      ];
      // What may run on a host that is silent goes elsewhere only with proof, which the store refuses here.
      const ends = ways.map((way) => (way.state.parts.claims.some(({ op }) => op === 'evacuate') ? refused(state, 'hostNotProved', factsAt(), SETTINGS) : way));
      for (const { state: after } of ends) expect(after.record).toMatchObject(wanted);
    });

    it(`does not end ${step} a moment early`, () => {
      const early = factsAt(NOW_MS - 1);
      expect(decide(state, { type: 'wake' }, early, SETTINGS).state.record).toEqual(state.record);
      expect(recover(state, early, SETTINGS).effects.length).toBeGreaterThan(0);
    });
  }

  it('is in the history, with its fault', () => {
    const { state } = decide(working(operation('stop', 'stop', due), { actions: [action()] }), { type: 'wake' }, factsAt(), SETTINGS);
    expect(mustLive(state).actions[0]).toMatchObject({
      message: 'Error',
      events: [{ result: 'Error', fault: { code: 'timeout', reason: 'operation.stop.stop' } }],
    });
  });
});

describe('a verb of power', () => {
  const stopping = () => working(operation('stop', 'stop'), { taskState: 'powering-off' }, { round: 1 });
  const ran = (outcome: Parameters<typeof ok>[0]) => decide(stopping(), { type: 'ran', tag: tag(stopping()), outcome: ok(outcome) }, factsAt(), SETTINGS);

  it('that has ended is the new state', () => {
    expect(mustLive(ran({ is: 'done', power: 'shutdown' }).state)).toMatchObject({
      vmState: 'stopped',
      powerState: 'shutdown',
      operation: null,
      taskState: null,
    });
  });

  it('that still runs is asked for again at once, under the same operation', () => {
    const { state, effects } = ran({ is: 'running' });
    expect([mustLive(state).operation?.id, verbOf(effects)]).toEqual(['op', 'stop']);
  });

  it('that failed for the moment, or met no claim, is tried again after a pause', () => {
    for (const answer of [{ is: 'failed', fault: fault('unavailable') }, { is: 'noClaim' }]) {
      const { state, effects } = ran(answer);
      expect(mustLive(state).operation?.name).toBe('stop');
      expect(effects).toMatchObject([{ do: 'wake', message: { type: 'retry' } }]);
    }
  });

  it('that failed for good leaves the server as it was', () => {
    expect(mustLive(ran({ is: 'failed', fault: fault('invalid') }).state)).toMatchObject({ vmState: 'active', operation: null, taskState: null });
  });
});

describe('a server whose decisions crash', () => {
  it('gives its operation up with the fault, and ends a delete anyway', () => {
    expect(giveUp(spawning(), fault('internal'), factsAt(), SETTINGS).state.record).toMatchObject({
      vmState: 'error',
      operation: null,
      fault: { code: 'internal' },
    });
    const { state } = giveUp(working(operation('delete', 'destroy')), fault('internal'), factsAt(), SETTINGS);
    expect([mustLive(state).deleted, state.parts.claims]).toEqual([true, [{ op: 'doom', generation: 1 }]]);
    expect(giveUp(living(), fault('internal'), factsAt(), SETTINGS).state).toEqual(living());
  });

  it('takes a refused commit as one when it was no placement', () => {
    expect(() => refused(spawning(), 'hostFull', factsAt(), SETTINGS)).toThrow('refused');
  });
});

function action() {
  const startedAt = '2026-01-01T11:59:00.000Z';
  return {
    requestId: 'req-old',
    action: 'stop',
    userId: 'ann',
    projectId: 'blue',
    startedAt,
    updatedAt: startedAt,
    message: null,
    events: [{ event: 'compute_stop_instance', startedAt, finishedAt: null, result: null, host: 'h1', fault: null }],
  };
}
