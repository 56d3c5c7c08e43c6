import { describe, expect, it } from 'vitest';
import { RateLimits, type RateLimit } from '../../../http/compute/rate-limits.ts';
import { systemClock, type Clock } from '../../../runtime/base/clock.ts';

let nowMs = 0;
const clock: Clock = { ...systemClock, monotonicMs: () => nowMs, wallMs: () => Date.UTC(2026, 0, 1) + nowMs };
const PER_MINUTE: RateLimit = { verb: 'POST', uri: '*', regex: '.*', value: 3, unit: 'MINUTE' };

describe('a rate limit', () => {
  it('lets its value through at once, then one per share of its unit, and all after a whole one', () => {
    const rates = new RateLimits([PER_MINUTE], clock);
    const passes = (): boolean => {
      try {
        rates.take('blue', 'POST', '/servers');
        return true;
      } catch (error) {
        expect(error).toMatchObject({ code: 'overloaded', reason: 'http.rate', detail: expect.any(Number) });
        return false;
      }
    };
    expect([passes(), passes(), passes(), passes()]).toEqual([true, true, true, false]);
    nowMs += 20_000;
    expect([passes(), passes()]).toEqual([true, false]);
    nowMs += 60_000;
    expect([passes(), passes(), passes(), passes()]).toEqual([true, true, true, false]);
  });

  it('that refuses counts for no other, and other verbs and projects are not its own', () => {
    const rates = new RateLimits([PER_MINUTE, { ...PER_MINUTE, uri: '*/servers', regex: '^/servers', value: 1, unit: 'DAY' }], clock);
    rates.take('blue', 'POST', '/servers');
    expect(() => rates.take('blue', 'POST', '/servers')).toThrow('Only 1 POST request(s) can be made to */servers every day.');
    rates.take('blue', 'POST', '/flavors');
    rates.take('blue', 'POST', '/flavors');
    rates.take('blue', 'GET', '/servers');
    rates.take('red', 'POST', '/servers');
    expect(rates.view('blue')).toMatchObject([
      { uri: '*', limit: [{ remaining: 0 }] },
      { uri: '*/servers', limit: [{ remaining: 0, unit: 'DAY' }] },
    ]);
    expect(rates.view('red')).toMatchObject([{ limit: [{ remaining: 2 }] }, {}]);
  });
});
