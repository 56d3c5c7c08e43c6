import { describe, expect, it } from 'vitest';
import { decide, recover } from '../../../actors/instance/decide.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import type { InstanceState, Working } from '../../../actors/instance/state.ts';
import type { OperationName } from '../../../actors/model/operation.ts';
import type { TaskState, VmState } from '../../../actors/model/server-state.ts';
import { instanceRecord } from '../conductor/rows.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import { asks, CALLER, failed, fault, living, mustLive, ok, operation, refusalOf, SETTINGS, tag, verbOf, working } from './states.ts';

const act = (state: InstanceState, verb: Verb) => decide(state, { type: 'act', verb, caller: CALLER }, factsAt(), SETTINGS);
const answer = (state: InstanceState, outcome: object) =>
  decide(state, { type: 'ran', tag: tag(state as Working), outcome: outcome as never }, factsAt(), SETTINGS);

type Row = readonly [verb: Verb, from: VmState, task: TaskState, to: VmState, power: string, event: string];
const ROWS: readonly Row[] = [
  [{ name: 'pause' }, 'active', 'pausing', 'paused', 'paused', 'compute_pause_instance'],
  [{ name: 'unpause' }, 'paused', 'unpausing', 'active', 'running', 'compute_unpause_instance'],
  [{ name: 'suspend' }, 'active', 'suspending', 'suspended', 'suspended', 'compute_suspend_instance'],
  [{ name: 'resume' }, 'suspended', 'resuming', 'active', 'running', 'compute_resume_instance'],
  [{ name: 'rescue', boot: null }, 'stopped', 'rescuing', 'rescued', 'running', 'compute_rescue_instance'],
  [{ name: 'unrescue' }, 'rescued', 'unrescuing', 'active', 'running', 'compute_unrescue_instance'],
];

describe.each(ROWS)('%o', (verb, from, task, to, power, event) => {
  const name = verb.name as OperationName;

  it(`takes a server from ${from} to ${to}, and the history says how`, () => {
    const begun = act(living({ vmState: from }), verb);
    expect([mustLive(begun.state).taskState, verbOf(begun.effects)]).toEqual([task, name]);
    expect(mustLive(begun.state).actions.at(-1)).toMatchObject({ action: name, events: [{ event, result: null }] });
    const { state } = answer(begun.state, ok({ is: 'done', power }));
    expect(mustLive(state)).toMatchObject({ vmState: to, taskState: null, powerState: power, operation: null });
    expect(mustLive(state).actions.at(-1)).toMatchObject({ message: null, events: [{ event, result: 'Success', host: 'h1' }] });
  });

  it('is taken up again by a new owner', () => {
    const { effects } = recover(working(operation(name, name), { vmState: from, taskState: task }), factsAt(), SETTINGS);
    expect(verbOf(effects)).toBe(name);
  });

  it('is called off by a delete', () => {
    const { state } = act(working(operation(name, name), { vmState: from, taskState: task }), { name: 'delete' });
    expect([mustLive(state).taskState, mustLive(state).operation?.name]).toEqual(['deleting', 'delete']);
  });

  it(`that fails ${name === 'rescue' || name === 'resume' ? 'leaves the server in error' : 'leaves the server as it was'}`, () => {
    const state = working(operation(name, name), { vmState: from, taskState: task });
    const record = mustLive(answer(state, ok({ is: 'failed', fault: fault('invalid') })).state);
    const isBroken = name === 'rescue' || name === 'resume';
    expect(record).toMatchObject({ vmState: isBroken ? 'error' : from, taskState: null, operation: null });
    expect(record.fault?.reason).toBe(isBroken ? 'test.invalid' : undefined);
  });

  it('of a server without a host is not ready', () => {
    expect(refusalOf(act(living({ vmState: from, host: null }), verb).effects)).toBe('server.state');
  });
});

describe('a hard reboot', () => {
  it.each(['pausing', 'unpausing', 'suspending', 'resuming'] as const)('calls off what is %s', (taskState) => {
    const { state, effects } = act(working(operation('pause', 'pause'), { vmState: 'paused', taskState }), { name: 'reboot', kind: 'hard' });
    expect([mustLive(state).taskState, verbOf(effects)]).toEqual(['rebooting_hard', 'reboot']);
  });

  it.each(['paused', 'suspended'] as const)('of a %s server ends active', (vmState) => {
    const { state } = act(living({ vmState }), { name: 'reboot', kind: 'hard' });
    expect(mustLive(answer(state, ok({ is: 'done', power: 'running' })).state)).toMatchObject({ vmState: 'active', powerState: 'running' });
  });
});

describe('a rescue', () => {
  const { image } = instanceRecord(1);
  const bootOf = (effects: Parameters<typeof asks>[0]): unknown =>
    (asks(effects)[0]?.message as { verb?: { boot?: { image: { id: string } } } } | undefined)?.verb?.boot?.image.id;

  it('boots the image that was asked for, also after a crash, and its own without one', () => {
    const begun = act(living(), { name: 'rescue', boot: { image: { ...image, id: 'rescuer' }, kernel: null, ramdisk: null } });
    expect(bootOf(begun.effects)).toBe('rescuer');
    expect(bootOf(recover({ ...begun.state, soft: living().soft }, factsAt(), SETTINGS).effects)).toBe('rescuer');
    expect(bootOf(act(living(), { name: 'rescue', boot: null }).effects)).toBe(image.id);
  });

  it('counts as a launch', () => {
    const { state } = act(living({ launchedAt: '2020-01-01T00:00:00.000Z' }), { name: 'rescue', boot: null });
    expect(Date.parse(mustLive(answer(state, ok({ is: 'done', power: 'running' })).state).launchedAt ?? '')).toBe(NOW_MS);
  });
});

describe('what callers wait for', () => {
  const password: Verb = { name: 'changePassword', password: 'secret' };
  const answers = (effects: readonly { do: string; to?: unknown }[]): unknown[] => effects.filter(({ do: what }) => what === 'replyStored').map(({ to }) => to);

  it('is answered when it has ended, and the password is not in the record', () => {
    const begun = act(living(), password);
    expect([answers(begun.effects), mustLive(begun.state).taskState, verbOf(begun.effects)]).toEqual([[], 'updating_password', 'setPassword']);
    expect(JSON.stringify(begun.state.record)).not.toContain('secret');
    const { waiter } = begun.state.soft;
    const ended = answer(begun.state, ok({ is: 'done', power: null }));
    expect(answers(ended.effects)).toEqual([waiter]);
    expect(mustLive(ended.state)).toMatchObject({ vmState: 'active', taskState: null, powerState: 'running' });
  });

  it('is answered when something else replaces it', () => {
    const begun = act(living(), password);
    expect(answers(act(begun.state, { name: 'delete' }).effects)).toEqual([undefined, begun.state.soft.waiter]);
  });

  it('ends where nobody knows the password any more', () => {
    const { state, effects } = recover(working(operation('changePassword', 'changePassword'), { taskState: 'updating_password' }), factsAt(), SETTINGS);
    expect([mustLive(state).operation, mustLive(state).vmState, verbOf(effects)]).toEqual([null, 'active', undefined]);
  });

  it.each([
    ['unsupported', 'active'],
    ['conflict', 'active'],
    ['invalid', 'error'],
  ] as const)('a password that fails as %s leaves the server %s', (code, vmState) => {
    const { state } = answer(act(living(), password).state, ok({ is: 'failed', fault: fault(code) }));
    expect(mustLive(state)).toMatchObject({ vmState, taskState: null, operation: null });
  });

  it('a crash dump changes nothing but the history', () => {
    const begun = act(living({ vmState: 'paused', powerState: 'paused' }), { name: 'crashDump' });
    expect([mustLive(begun.state).taskState, verbOf(begun.effects)]).toEqual([null, 'crashDump']);
    const { state, effects } = answer(begun.state, ok({ is: 'done', power: null }));
    expect([answers(effects), mustLive(state).vmState, mustLive(state).powerState]).toEqual([[begun.state.soft.waiter], 'paused', 'paused']);
    expect(mustLive(state).actions.at(-1)).toMatchObject({
      action: 'trigger_crash_dump',
      events: [{ event: 'compute_trigger_crash_dump', result: 'Success' }],
    });
  });

  it('is asked again when the host does not answer', () => {
    const { state, effects } = answer(act(living(), password).state, failed('unavailable'));
    expect(effects).toMatchObject([{ do: 'wake', message: { type: 'retry' } }]);
    expect(verbOf(decide(state, { type: 'retry', tag: tag(state as Working) }, factsAt(), SETTINGS).effects)).toBe('setPassword');
  });
});
