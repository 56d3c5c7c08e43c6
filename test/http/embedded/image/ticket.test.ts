import { describe, expect, it } from 'vitest';
import { openTickets } from '../../../../http/embedded/image/ticket.ts';
import { systemClock, type Clock } from '../../../../runtime/base/clock.ts';
import { systemRandom } from '../../../../runtime/base/random.ts';

describe('a ticket', () => {
  let nowMs = Date.UTC(2026, 0, 1);
  const clock: Clock = { ...systemClock, wallMs: () => nowMs };
  const tickets = openTickets('key of the cloud', clock);
  const image = systemRandom.uuid();

  it('opens its image at every node with the key, for its use', () => {
    const other = openTickets('key of the cloud', clock);
    expect(other.check(tickets.issue('host', image).token, image)).toBe('host');
    expect(other.check(tickets.issue('copy', image).token, image)).toBe('copy');
    expect(other.check(tickets.issue('write', image).token, image)).toBe('write');
  });

  it('is none with another key, for another image, for another use, with a later end, or cut', () => {
    const { token, expiresAtMs } = tickets.issue('host', image);
    expect(openTickets('another key', clock).check(token, image)).toBeUndefined();
    expect(tickets.check(token, systemRandom.uuid())).toBeUndefined();
    for (const forged of [
      token.replace('host', 'copy'),
      token.replace('host', 'write'),
      token.replace(String(expiresAtMs), String(expiresAtMs + 1)),
      token.replace(String(expiresAtMs), `0${expiresAtMs}`).replace('0', '9'),
      token.slice(0, -1),
      `${token}A`,
      'ticket.host..',
      '',
    ]) {
      expect([forged, tickets.check(forged, image)]).toEqual([forged, undefined]);
    }
  });

  it('ends after minutes', () => {
    const { token, expiresAtMs } = tickets.issue('host', image);
    nowMs = expiresAtMs;
    expect(tickets.check(token, image)).toBe('host');
    nowMs = expiresAtMs + 1;
    expect(tickets.check(token, image)).toBeUndefined();
  });
});
