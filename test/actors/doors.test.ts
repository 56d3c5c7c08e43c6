import { describe, expect, it } from 'vitest';
import { API_DOOR, HOST_DOOR, NODE_DOOR } from '../../actors/conductor/parse.ts';
import { doorOf } from '../../actors/doors.ts';
import type { BootId, NodeName } from '../../runtime/base/ids.ts';
import type { FrameSender } from '../../runtime/mesh/mesh.ts';

const sender = (node: string, ...roles: string[]): FrameSender => ({ node: node as NodeName, boot: `${node}-1` as BootId, roles });
const CONTROL = sender('n1', 'control', 'api');
const DOORS = sender('a1', 'api');
const COMPUTE = sender('c1', 'compute');
const HOSTS = new Map([
  ['h1', 'c1'],
  ['h2', 'c2'],
]);
const say = doorOf((host) => HOSTS.get(host));
const refused = (from: FrameSender, to: string, message: { type: string }): string | undefined => say(from, to, message)?.reason;

describe('what a node may say', () => {
  it('is everything when it is of the control plane', () => {
    for (const type of [...Object.keys(API_DOOR), ...Object.keys(HOST_DOOR)]) expect(refused(CONTROL, 'conductor/any', { type })).toBeUndefined();
    expect(refused(CONTROL, 'host/h1', { type: 'claim' })).toBeUndefined();
  });

  it('is nothing that users ask for, when it drives hosts', () => {
    for (const type of Object.keys(API_DOOR)) expect(refused(COMPUTE, 'conductor/any', { type })).toBe('door.closed');
    for (const type of ['act', 'get', 'update', 'wake']) expect(refused(COMPUTE, 'instance/i', { type })).toBe('door.closed');
    for (const type of ['claim', 'run', 'release', 'report']) expect(refused(COMPUTE, 'host/h1', { type })).toBe('door.closed');
    for (const type of ['place', 'unclaimed']) expect(refused(COMPUTE, 'scheduler/0', { type })).toBe('door.closed');
    expect(refused(COMPUTE, 'feed/n1', { type: 'batch' })).toBe('door.closed');
    expect(refused(COMPUTE, 'network/n', { type: 'propose' })).toBe('door.closed');
  });

  it('is about the hosts that it drives, and no other', () => {
    for (const type of Object.keys(HOST_DOOR)) {
      expect(refused(COMPUTE, 'conductor/any', { type, host: 'h1' } as { type: string })).toBeUndefined();
      expect(refused(COMPUTE, 'conductor/any', { type, host: 'h2' } as { type: string })).toBe('door.closed');
      expect(refused(COMPUTE, 'conductor/any', { type })).toBe('door.closed');
    }
    const seen = (host: string) => ({ type: 'guestSeen', host, generation: 1, power: 'running' });
    expect(refused(COMPUTE, 'instance/i', seen('h1'))).toBeUndefined();
    expect(refused(COMPUTE, 'instance/i', seen('h2'))).toBe('door.closed');
    const report = (host: string) => ({ type: 'report', report: { host } });
    expect(refused(COMPUTE, 'scheduler/0', report('h1'))).toBeUndefined();
    expect(refused(COMPUTE, 'scheduler/0', report('h2'))).toBe('door.closed');
  });

  it('begins a host that nobody drives, for itself only, and is tried again about one that is not known yet', () => {
    const start = (host: string, node: string) => ({ type: 'hostStart', host, node });
    expect(refused(COMPUTE, 'conductor/any', start('new', 'c1'))).toBeUndefined();
    expect(refused(COMPUTE, 'conductor/any', start('h1', 'c1'))).toBeUndefined();
    expect(refused(COMPUTE, 'conductor/any', start('new', 'c2'))).toBe('door.closed');
    expect(refused(COMPUTE, 'conductor/any', start('h2', 'c1'))).toBe('door.closed');
    expect(say(COMPUTE, 'conductor/any', { type: 'hostBeat', host: 'new', epoch: 1 } as { type: string })?.retryable).toBe(true);
  });

  it('is about itself in the table of nodes', () => {
    for (const from of [COMPUTE, DOORS]) {
      expect(refused(from, 'conductor/any', { type: 'nodeBeat', name: from.node, boot: 'b' } as { type: string })).toBeUndefined();
      expect(refused(from, 'conductor/any', { type: 'nodeBeat', name: 'other', boot: 'b' } as { type: string })).toBe('door.closed');
      expect(refused(from, 'conductor/any', { type: 'nodeEnter', row: { name: 'other' } } as { type: string })).toBe('door.closed');
      for (const type of Object.keys(NODE_DOOR).filter((one) => !['nodeEnter', 'nodeBeat'].includes(one)))
        expect(refused(from, 'conductor/any', { type })).toBeUndefined();
    }
  });

  it('is what users ask for, when it has doors, and never about hosts', () => {
    for (const type of Object.keys(API_DOOR)) expect(refused(DOORS, 'conductor/any', { type })).toBeUndefined();
    for (const type of Object.keys(HOST_DOOR)) expect(refused(DOORS, 'conductor/any', { type, host: 'h1' } as { type: string })).toBe('door.closed');
    expect(refused(sender('m1', 'metadata', 'console'), 'conductor/any', { type: 'secrets' })).toBe('door.closed');
    expect(refused(DOORS, 'instance/i', { type: 'act' })).toBeUndefined();
    expect(refused(DOORS, 'instance/i', { type: 'guestSeen' })).toBe('door.closed');
    expect(refused(DOORS, 'host/h1', { type: 'claim' })).toBe('door.closed');
  });

  it('is nothing at all without a role', () => {
    expect(refused(sender('x'), 'conductor/any', { type: 'hostBeat', host: 'h1' } as { type: string })).toBe('door.closed');
  });
});
