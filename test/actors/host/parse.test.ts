import { beforeAll, describe, expect, it } from 'vitest';
import { parseHostMessage } from '../../../actors/host/parse.ts';
import { toGuestSpec } from '../../../actors/instance/guest-spec.ts';
import { expectAllNeeded, expectUnbreakable, expectUnchanged, faultOf, messagesFor, type Loose, type Message } from '../crossing.ts';
import { saidByDoors } from '../doors.ts';
import { richInstance, saidByInstance } from '../senders.ts';

const LOOSE: Loose = { maps: ['metadata', 'properties'], optional: ['kernel', 'ramdisk', 'zone'] };
const GUEST = { instanceId: richInstance().id, generation: 1 };

const IN_PLACE = ['pause', 'unpause', 'suspend', 'resume', 'rescue', 'unrescue', 'setPassword', 'crashDump'];

let messages: Message[];
beforeAll(async () => {
  messages = [...messagesFor('host', [...saidByInstance(), ...(await saidByDoors())]), { type: 'report' }, { type: 'rowChanged' }];
});

function spawn(changes: object = {}): object {
  const spec = { ...toGuestSpec({ ...richInstance(), generation: 1 }), ...changes };
  return { ...GUEST, operation: 'op/spawn/0', verb: { name: 'spawn', spec }, waitMs: 20_000 };
}

describe('what other nodes say to a host', () => {
  it('arrives as instances and doors have sent it', () => {
    expect(new Set(messages.map(({ type }) => type))).toEqual(
      new Set(['claim', 'release', 'run', 'consoleOutput', 'hostUptime', 'diagnostics', 'report', 'rowChanged', 'guestChanged', 'hurry']),
    );
    const verbs = messages.flatMap((message) => ('verb' in message ? [(message.verb as { name: string }).name] : []));
    expect(new Set(verbs)).toEqual(
      new Set([
        'spawn',
        'destroy',
        'start',
        'stop',
        'reboot',
        'snapshot',
        'upload',
        'dropSnapshot',
        'park',
        'offer',
        'receive',
        'unpark',
        'prepare',
        'send',
        'land',
        'stay',
        ...IN_PLACE,
      ]),
    );
    for (const message of messages) expectUnchanged(parseHostMessage, message);
  });

  it('is refused when anything that it needs is missing, in the whole of a guest too', () => {
    const needed = messages.map((message) => expectAllNeeded(parseHostMessage, message, LOOSE));
    expect(Math.max(...needed)).toBeGreaterThan(40);
  });

  it('breaks nothing when somebody breaks it', () => {
    const { refused } = expectUnbreakable(parseHostMessage, messages, LOOSE, 12);
    expect(refused).toBeGreaterThan(3_000);
  });

  it('is never the end of its own work, its timer, or an event of its driver', () => {
    const types = ['started', 'listed', 'ended', 'claimRead', 'rowRead', 'consoleRead', 'uptimeRead', 'imagesFetched', 'diagnosed', 'waited', 'tick'];
    for (const type of types) expect(faultOf(parseHostMessage, type, {}).reason).toBe('message.invalid');
    expect(faultOf(parseHostMessage, 'guestChanged', { event: { ...GUEST, power: 'crashed' } }).message).toContain('at event.');
  });

  it('is never a guest of another instance or generation than the claim it runs under', () => {
    expect(parseHostMessage('run', spawn())).toMatchObject({ type: 'run' });
    expect(faultOf(parseHostMessage, 'run', spawn({ generation: 2 })).message).toContain('at verb.spec.');
    expect(faultOf(parseHostMessage, 'run', spawn({ instanceId: '00000000-0000-4000-8000-000000000001' })).message).toContain('at verb.spec.');
  });

  it('is never a guest beyond all limits', () => {
    const wrong: object[] = [
      { displayName: 'x'.repeat(2_000) },
      { userData: 'A'.repeat(200_000) },
      { vcpus: 0 },
      { memoryMiB: 1.5 },
      { rootGiB: -1 },
      { name: 'a b' },
      { more: 1 },
      { metadata: Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`k${i}`, 'v'])) },
      { metadata: JSON.parse('{"__proto__": "x"}') as object },
      { nics: Array.from({ length: 100 }, () => ({ network: 'n', mac: 'fa:16:0a:14:00:05', address: '10.0.0.1/8', gateway: null })) },
      { hostname: 'a\u0000b' },
    ];
    for (const changes of wrong) expect(faultOf(parseHostMessage, 'run', spawn(changes)).message).toContain(`at verb.spec.${Object.keys(changes)[0]}`);
  });
});
