import { describe, expect, it } from 'vitest';
import { decide } from '../../../actors/instance/decide.ts';
import type { InstanceState } from '../../../actors/instance/state.ts';
import type { PowerState } from '../../../actors/model/server-state.ts';
import { factsAt } from '../facts.ts';
import { living, mustLive, operation, SETTINGS, verbOf, working } from './states.ts';

const see = (state: InstanceState, power: PowerState, more: { host?: string; generation?: number } = {}) =>
  decide(state, { type: 'guestSeen', host: 'h1', generation: 1, power, ...more }, factsAt(), SETTINGS);

describe('a power state that nobody asked for', () => {
  it.each(['shutdown', 'crashed'] as const)('%s makes an active server a stopped one', (power) => {
    expect(mustLive(see(living(), power).state)).toMatchObject({ vmState: 'stopped', powerState: power, operation: null });
  });

  it.each(['shutdown', 'crashed'] as const)('%s makes a paused server a stopped one', (power) => {
    expect(mustLive(see(living({ vmState: 'paused', powerState: 'paused' }), power).state)).toMatchObject({ vmState: 'stopped', powerState: power });
  });

  it('suspended makes an active server stop: what was saved without us is not what its user left', () => {
    const { state, effects } = see(living(), 'suspended');
    expect([mustLive(state).taskState, verbOf(effects)]).toEqual(['powering-off', 'stop']);
  });

  it.each(['suspended', 'rescued', 'error', 'building'] as const)('of a %s server is only noted', (vmState) => {
    const { state, effects } = see(living({ vmState, powerState: 'pending' }), 'shutdown');
    expect([mustLive(state).vmState, mustLive(state).powerState, effects]).toEqual([vmState, 'shutdown', []]);
  });

  it('running makes a stopped server stop again', () => {
    const { state, effects } = see(living({ vmState: 'stopped', powerState: 'shutdown' }), 'running');
    expect([mustLive(state).operation?.name, mustLive(state).taskState, verbOf(effects)]).toEqual(['stop', 'powering-off', 'stop']);
  });

  it('running makes a stopped server stop again also when it was seen running before and could not be stopped', () => {
    expect(verbOf(see(living({ vmState: 'stopped', powerState: 'running' }), 'running').effects)).toBe('stop');
  });

  it('is only noted when it contradicts nothing, and not at all when it is known', () => {
    expect(mustLive(see(living(), 'paused').state)).toMatchObject({ vmState: 'active', powerState: 'paused' });
    const state = living();
    expect(see(state, 'running')).toEqual({ state, effects: [] });
  });

  it('of another host, another generation, during an operation or after the end means nothing', () => {
    const cases: [InstanceState, { host?: string; generation?: number }][] = [
      [living(), { host: 'h2' }],
      [living(), { generation: 2 }],
      [working(operation('stop', 'stop')), {}],
      [living({ deleted: true, vmState: 'deleted' }), {}],
    ];
    for (const [state, more] of cases) expect(see(state, 'crashed', more)).toEqual({ state, effects: [] });
  });
});
