import { describe, expect, it } from 'vitest';
import { parseNetworkMessage } from '../../../actors/network/parse.ts';
import { expectAllNeeded, expectUnbreakable, expectUnchanged, messagesFor, type Loose, type Message } from '../crossing.ts';
import { saidByInstance } from '../senders.ts';

const LOOSE: Loose = { maps: [], optional: [] };
const messages: Message[] = [...messagesFor('network', saidByInstance()), { type: 'get' }];

describe('what other nodes say to a network', () => {
  it('arrives as instances have sent it', () => {
    expect(new Set(messages.map(({ type }) => type))).toEqual(new Set(['propose', 'free', 'get']));
    for (const message of messages) expectUnchanged(parseNetworkMessage, message);
  });

  it('is refused when anything that it needs is missing', () => {
    expect(messages.map((message) => expectAllNeeded(parseNetworkMessage, message, LOOSE))).toContain(2);
  });

  it('breaks nothing when somebody breaks it', () => {
    expect(expectUnbreakable(parseNetworkMessage, messages, LOOSE, 14).refused).toBeGreaterThan(3_000);
  });
});
