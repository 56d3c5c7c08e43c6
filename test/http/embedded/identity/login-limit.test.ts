import { describe, expect, it } from 'vitest';
import { openLoginLimit } from '../../../../http/embedded/identity/login-limit.ts';
import type { Clock } from '../../../../runtime/base/clock.ts';

function handClock(): { clock: Clock; pass: (ms: number) => void } {
  let nowMs = 0;
  const clock: Clock = { wallMs: () => nowMs, monotonicMs: () => nowMs, after: () => ({ cancel: () => undefined }), sleep: () => Promise.resolve() };
  return { clock, pass: (ms) => void (nowMs += ms) };
}

describe('login limit', () => {
  it('lets ten failures through, then one try in five seconds', () => {
    const { clock, pass } = handClock();
    const limit = openLoginLimit(clock);
    for (let i = 0; i < 10; i++) {
      expect(limit.admit('a')).toBe(true);
      limit.failed('a');
    }
    expect(limit.admit('a')).toBe(false);
    expect(limit.admit('b')).toBe(true);
    pass(5_000);
    expect([limit.admit('a'), limit.admit('a')]).toEqual([true, false]);
  });

  it('forgets after a success, and after five quiet minutes', () => {
    const { clock, pass } = handClock();
    const limit = openLoginLimit(clock);
    for (let i = 0; i < 11; i++) limit.failed('a');
    limit.succeeded('a');
    expect(limit.admit('a')).toBe(true);
    for (let i = 0; i < 11; i++) limit.failed('a');
    pass(300_001);
    limit.failed('a');
    expect(limit.admit('a')).toBe(true);
  });

  it('remembers ten thousand users and no more', () => {
    const { clock } = handClock();
    const limit = openLoginLimit(clock);
    for (let i = 0; i < 10; i++) limit.failed('first');
    expect(limit.admit('first')).toBe(false);
    for (let i = 0; i < 10_000; i++) limit.failed(`user ${i}`);
    expect(limit.admit('first')).toBe(true);
  });
});
