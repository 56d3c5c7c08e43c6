import { beforeAll, describe, expect, it } from 'vitest';
import { parseInstanceMessage } from '../../../actors/instance/parse.ts';
import { cross, expectAllNeeded, expectUnbreakable, expectUnchanged, faultOf, messagesFor, type Loose, type Message } from '../crossing.ts';
import { saidByDoors } from '../doors.ts';
import { saidByHost } from '../senders.ts';

/** Of changes any may be left out. */
const LOOSE: Loose = { maps: ['changes', 'properties'], optional: ['zone'] };
const CALLER = { userId: 'u', projectId: 'p', isAdmin: false, requestId: 'req-1' };

let messages: Message[];
beforeAll(async () => {
  messages = messagesFor('instance', [...(await saidByDoors()), ...(await saidByHost())]);
});

describe('what other nodes say to an instance', () => {
  it('arrives as doors and hosts have sent it', () => {
    expect(new Set(messages.map(({ type }) => type))).toEqual(new Set(['get', 'act', 'update', 'wake', 'guestSeen']));
    for (const message of messages) expectUnchanged(parseInstanceMessage, message);
  });

  it('is refused when anything that it needs is missing', () => {
    const needed = messages.map((message) => expectAllNeeded(parseInstanceMessage, message, LOOSE));
    expect(Math.max(...needed)).toBeGreaterThan(5);
  });

  it('breaks nothing when somebody breaks it', () => {
    const { refused } = expectUnbreakable(parseInstanceMessage, messages, LOOSE, 11);
    expect(refused).toBeGreaterThan(3_000);
  });

  it('is never an answer to its own asks, nor its timer', () => {
    for (const type of ['placed', 'grouped', 'addressed', 'claimed', 'ran', 'retry', '__proto__', 'constructor']) {
      expect(faultOf(parseInstanceMessage, type, { tag: '', outcome: { ok: true, value: null } })).toMatchObject({
        code: 'invalid',
        reason: 'message.invalid',
      });
    }
  });

  it('is refused by type and place, never by value', () => {
    const fault = faultOf(parseInstanceMessage, 'act', { verb: { name: 'reboot', kind: 'secret-kind' }, caller: CALLER });
    expect(fault.message).toBe('Message instance.act is wrong at verb.kind.');
    expect(JSON.stringify(fault.toRecord())).not.toContain('secret-kind');
  });

  it('is never a map with a key that objects have by themselves', () => {
    for (const set of ['{"__proto__": "x"}']) {
      const body = { changes: { metadata: { set: JSON.parse(set) as object } }, caller: CALLER };
      expect(faultOf(parseInstanceMessage, 'update', body).message).toContain('changes.metadata.set.');
    }
    expect(cross(parseInstanceMessage, { type: 'update', changes: { metadata: { set: { toString: 'x' } } }, caller: CALLER } as Message)).toMatchObject({
      type: 'update',
    });
  });
});
