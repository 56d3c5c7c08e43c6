import { beforeAll, describe, expect, it } from 'vitest';
import { parseSchedulerMessage } from '../../../actors/scheduler/parse.ts';
import { expectAllNeeded, expectUnbreakable, expectUnchanged, faultOf, messagesFor, type Loose, type Message } from '../crossing.ts';
import { saidByHost, saidByInstance } from '../senders.ts';

const LOOSE: Loose = { maps: ['extraSpecs', 'imageProperties', 'hints', 'metadata', 'hosts'], optional: ['group'] };

let messages: Message[];
beforeAll(async () => {
  messages = messagesFor('scheduler', [...saidByInstance(), ...(await saidByHost())]);
});

describe('what other nodes say to a scheduler', () => {
  it('arrives as instances and hosts have sent it', () => {
    expect(new Set(messages.map(({ type }) => type))).toEqual(new Set(['place', 'report', 'unclaimed']));
    expect(JSON.stringify(messages)).toContain('"granted":"');
    for (const message of messages) expectUnchanged(parseSchedulerMessage, message);
  });

  it('is refused when anything that it needs is missing', () => {
    const needed = messages.map((message) => expectAllNeeded(parseSchedulerMessage, message, LOOSE));
    expect(Math.max(...needed)).toBeGreaterThan(20);
  });

  it('breaks nothing when somebody breaks it', () => {
    const { refused } = expectUnbreakable(parseSchedulerMessage, messages, LOOSE, 13);
    expect(refused).toBeGreaterThan(3_000);
  });

  it('holds hints of any form, within limits of depth, size and keys', () => {
    const place = messages.find(({ type }) => type === 'place') as Message & { request: object; wanted: number };
    const withHints = (hints: unknown): object => ({ request: { ...place.request, hints }, wanted: 3 });
    expect(parseSchedulerMessage('place', withHints({ any: [[{ a: null }], 1.5, 'x'] }))).toMatchObject({ type: 'place' });
    const deep = JSON.parse(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`) as object;
    const wrong = [
      deep,
      { a: 'x'.repeat(2_000_000) },
      { a: Array.from({ length: 100_000 }, () => 0) },
      { a: [JSON.parse('{"__proto__": {}}') as unknown] },
      [],
      null,
      'x',
    ];
    for (const hints of wrong) expect(faultOf(parseSchedulerMessage, 'place', withHints(hints)).message).toContain('at request.hints');
  });
});
