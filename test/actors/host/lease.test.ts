import { describe, expect, it } from 'vitest';
import { HostLease, type HostGuard } from '../../../actors/host/lease.ts';
import { hostJobs } from '../../../actors/host/perform.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { noFailpoint } from '../../../runtime/base/failpoint.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import type { HypervisorDriver } from '../../../drivers/driver.ts';
import { factsAt } from '../facts.ts';
import { answers, claimOf, jobs, ready, recorded, runOf, say, seen, SETTINGS, tells } from './states.ts';

const LEASE_MS = 10_000;
const { signal } = new AbortController();

/** A conductor that hears beats or does not, or is away; and a clock that stands until it is moved. */
function rig(guard?: HostGuard) {
  const world = { nowMs: 0, isHeard: true as boolean | 'away', asked: [] as string[], tookMs: 0 };
  const actors = {
    tell() {},
    async ask(_to: string, message: { type: string }) {
      world.asked.push(message.type);
      world.nowMs += world.tookMs;
      if (world.isHeard === 'away') throw new Fault('unavailable', 'store.read', 'The database does not answer.');
      return world.isHeard as never;
    },
  } as unknown as Actors;
  const clock = { wallMs: () => 0, monotonicMs: () => world.nowMs, after: () => ({ cancel() {} }), sleep: async () => {} };
  const lease = new HostLease({ host: 'h1', leaseMs: LEASE_MS, clock, actors, ...(guard && { guard }) });
  return { world, lease, actors };
}

describe('the lease of a host', () => {
  it('counts from before the beat that was heard was sent', async () => {
    const { world, lease } = rig();
    world.tookMs = 3_000;
    expect(await lease.beat(4, signal)).toBe(true);
    world.nowMs = LEASE_MS - 1;
    await lease.check(signal);
    expect(world.asked).toEqual(['hostBeat']);
    world.nowMs = LEASE_MS;
    await lease.check(signal);
    expect(world.asked).toEqual(['hostBeat', 'hostBeat']);
  });

  it('is not lengthened by a beat that nobody heard or answered', async () => {
    const told: number[] = [];
    const { world, lease } = rig({ selfFenceMs: LEASE_MS, watched: async () => {}, nowMs: () => 500, extend: (untilMs) => void told.push(untilMs) });
    await lease.beat(4, signal);
    world.isHeard = false;
    expect(await lease.beat(4, signal)).toBe(false);
    world.isHeard = 'away';
    await expect(lease.beat(4, signal)).rejects.toThrow();
    expect(told).toEqual([500 + LEASE_MS]);
  });

  it('is over for verbs that bring a guest up until a beat is heard again; what takes one down goes on', async () => {
    const { world, lease, actors } = rig();
    const ran: string[] = [];
    const verb = (name: string) => async () => (ran.push(name), { power: 'running' });
    const driver = { start: verb('start'), stop: verb('stop'), destroy: verb('destroy') } as unknown as HypervisorDriver;
    const run = hostJobs({ driver, actors, log: silentLog, failpoint: noFailpoint, lease }, SETTINGS)['verb']!;
    const asked = (name: string) => run({ instanceId: 'a', generation: 1, verb: { name, graceMs: 0 } } as never, signal);
    world.isHeard = false;
    await expect(asked('start')).rejects.toMatchObject({ code: 'unavailable', reason: 'host.fenced' });
    await asked('stop');
    await asked('destroy');
    world.isHeard = true;
    await asked('start');
    expect(ran).toEqual(['stop', 'destroy', 'start']);
  });
});

describe('a host whose beat is not heard', () => {
  const beaten = (epoch: number, isHeard: boolean) => ({ type: 'beaten' as const, tag: `beat ${epoch}`, outcome: { ok: true as const, value: { isHeard } } });

  it('begins anew before it does anything: verbs are called off, claims and verbs refused, everything is read', () => {
    const running = say(ready([recorded('a')], [seen('a')]).state, runOf('a', 'op')).state;
    const { state, effects } = say(running, beaten(3, false));
    expect(state).toMatchObject({ phase: 'new', spawning: 0 });
    expect(effects).toContainEqual({ do: 'abort', tag: 'a op' });
    expect(answers(effects)).toEqual([{ is: 'running' }]);
    expect(tells(effects, 'report')[0]?.message).toMatchObject({ report: { up: false } });
    expect(jobs(say(state, { type: 'tick' }).effects)).toEqual(['begin begin']);
    expect(answers(say(state, runOf('b', 'op')).effects)).toMatchObject([{ is: 'failed', fault: { reason: 'host.starting' } }]);
    expect(say(state, claimOf('b')).effects).toMatchObject([{ do: 'reply', value: { granted: false, why: 'starting' } }]);
  });

  it('goes on when it is heard, when nobody answers, and when the word is about a former life', () => {
    const { state } = ready();
    expect(say(state, beaten(3, true)).state.phase).toBe('ready');
    expect(say(state, beaten(2, false)).state.phase).toBe('ready');
    const away = { type: 'beaten' as const, tag: 'beat 3', outcome: { ok: false as const, fault: new Fault('unavailable', 'x', 'x').toRecord() } };
    expect(say(state, away).state.phase).toBe('ready');
  });

  it('destroys what was doomed meanwhile when it has begun anew', () => {
    const anew = say(ready([recorded('a')]).state, beaten(3, false)).state;
    expect(anew.phase).toBe('new');
    const { effects } = ready([recorded('a', 1, 'doomed')], [seen('a')], factsAt());
    expect(jobs(effects)).toContain('clear cleared');
  });
});

describe('a host that is disabled', () => {
  it('reads its row again when somebody wants a claim all the same', () => {
    const { state } = ready();
    const { effects } = say({ ...state, enabled: false }, claimOf('a'));
    expect(effects).toMatchObject([
      { do: 'reply', value: { why: 'disabled' } },
      { do: 'ask', message: { type: 'hostRow' } },
    ]);
  });
});
