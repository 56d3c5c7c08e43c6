import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { Lifecycle, type Stage, type Undo } from '../../../runtime/node/lifecycle.ts';

/** A clock that moves when told. */
function handClock(): Clock & { advance(ms: number): void } {
  let nowMs = 0;
  let timers: { atMs: number; run: () => void }[] = [];
  return {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.push(timer);
      return { cancel: () => void (timers = timers.filter((other) => other !== timer)) };
    },
    sleep: () => Promise.reject(new Error('not used')),
    advance(ms) {
      nowMs += ms;
      const due = timers.filter(({ atMs }) => atMs <= nowMs);
      timers = timers.filter(({ atMs }) => atMs > nowMs);
      for (const timer of due) timer.run();
    },
  };
}

function world() {
  const clock = handClock();
  const told: string[] = [];
  const lifecycle = new Lifecycle({ clock, log: silentLog, progress: ({ stage, state }) => told.push(`${stage} ${state}`) });
  const stage = (name: string, start: Stage['start'] = () => Promise.resolve(() => Promise.resolve())): Stage => ({
    name,
    startLimitMs: 1_000,
    stopLimitMs: 1_000,
    start,
  });
  return { clock, told, lifecycle, stage };
}

/** Ends when its signal fires, as a well-behaved stage does. */
const untilAborted = (signal: AbortSignal) => new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
const never = () => new Promise<never>(() => undefined);
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('stages', () => {
  it('come up in order and go down in reverse', async () => {
    const { told, lifecycle, stage } = world();
    await lifecycle.start([stage('a'), stage('b')]);
    await lifecycle.stop();
    expect(told).toEqual(['a starting', 'a up', 'b starting', 'b up', 'b stopping', 'b down', 'a stopping', 'a down']);
  });

  it('that came up go down when a later one fails, and the failure is told', async () => {
    const { told, lifecycle, stage } = world();
    await expect(lifecycle.start([stage('a'), stage('b', () => Promise.reject(new Error('no'))), stage('c')])).rejects.toThrow('no');
    expect(told).toEqual(['a starting', 'a up', 'b starting', 'b failed', 'a stopping', 'a down']);
  });

  it('have a limit to come up, named when it passes', async () => {
    const { clock, lifecycle, stage } = world();
    const start = lifecycle.start([stage('slow', untilAborted)]);
    await settle();
    clock.advance(1_000);
    await expect(start).rejects.toMatchObject({ code: 'timeout', message: 'slow did not start within 1 s.' });
  });

  it('that ignore the limit are left after a grace', async () => {
    const { clock, lifecycle, stage } = world();
    const start = lifecycle.start([stage('deaf', never)]);
    await settle();
    clock.advance(1_000);
    clock.advance(2_000);
    await expect(start).rejects.toMatchObject({ code: 'timeout' });
  });

  it('that do not go down in time are left, and the others go down', async () => {
    const { clock, told, lifecycle, stage } = world();
    await lifecycle.start([stage('a'), stage('stuck', () => Promise.resolve(never))]);
    const stop = lifecycle.stop();
    await settle();
    clock.advance(1_000);
    clock.advance(2_000);
    await stop;
    expect(told.slice(-3)).toEqual(['stuck left', 'a stopping', 'a down']);
  });

  it('that fail to go down do not keep the others up', async () => {
    const { told, lifecycle, stage } = world();
    const failing: Undo = () => Promise.reject(new Error('no'));
    await lifecycle.start([stage('a'), stage('b', () => Promise.resolve(failing))]);
    await lifecycle.stop();
    expect(told.slice(-3)).toEqual(['b left', 'a stopping', 'a down']);
  });

  it('still coming up are broken off by a stop', async () => {
    const { told, lifecycle, stage } = world();
    const start = lifecycle.start([stage('a'), stage('b', untilAborted), stage('c')]);
    const failed = expect(start).rejects.toMatchObject({ code: 'cancelled' });
    await settle();
    expect(lifecycle.stopping.aborted).toBe(false);
    await lifecycle.stop();
    await failed;
    expect(lifecycle.stopping.aborted).toBe(true);
    expect(told).toEqual(['a starting', 'a up', 'b starting', 'b failed', 'a stopping', 'a down']);
  });

  it('go down once, however often a stop is asked for', async () => {
    const { lifecycle, stage } = world();
    let times = 0;
    const count: Undo = () => Promise.resolve(void times++);
    await lifecycle.start([stage('a', () => Promise.resolve(count))]);
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    await lifecycle.stop();
    expect(times).toBe(1);
  });
});
