import { beforeAll, describe, expect, it } from 'vitest';
import { API_DOOR, HOST_DOOR, parseConductorMessage } from '../../../actors/conductor/parse.ts';
import type { CreateOrder } from '../../../actors/conductor/messages/write.ts';
import { expectAllNeeded, expectUnbreakable, expectUnchanged, faultOf, messagesFor, type Loose, type Message } from '../crossing.ts';
import { saidByDoors } from '../doors.ts';
import { saidByHost, saidByInstance } from '../senders.ts';
import { EMBEDDED_MESSAGES } from './embedded-messages.ts';

const LOOSE: Loose = {
  maps: ['metadata', 'extraSpecs', 'properties', 'schedulerHints', 'args', 'limits', 'specs', 'filter', 'change', 'set'],
  optional: ['enabled', 'disabledReason', 'forcedDown', 'withDeleted', 'passwordHash', 'abilities', 'group'],
};
/** Nobody asks for these through the Compute API alone. */
const READS: readonly Message[] = [
  { type: 'listMigrations', filter: { instanceId: '0b6b2a6e-3c0e-4a35-9c3e-2f1e0b2d9a11', number: 3, changedSinceMs: 1 }, marker: null, limit: 10 },
  { type: 'history', after: 7, limit: 100 },
  { type: 'revision' },
  { type: 'secrets' },
  { type: 'listHosts', withDeleted: true },
  { type: 'showServer', id: '0b6b2a6e-3c0e-4a35-9c3e-2f1e0b2d9a11' },
  { type: 'showQuotaLimits', projectId: 'p', userId: null },
  { type: 'deleteService', uuid: '0b6b2a6e-3c0e-4a35-9c3e-2f1e0b2d9a11' },
] as Message[];

let ofHosts: Message[];
let ofDoors: Message[];
let order: CreateOrder;
beforeAll(async () => {
  ofHosts = messagesFor('conductor', await saidByHost());
  ofDoors = [...messagesFor('conductor', await saidByDoors()), ...READS, ...EMBEDDED_MESSAGES];
  const accept = ofDoors.find(({ type }) => type === 'accept');
  if (!accept || !('order' in accept)) throw new Error('no order was made');
  order = accept.order as CreateOrder;
});

describe('what other nodes say to a conductor', () => {
  it('arrives as hosts have sent it, at the door of hosts', () => {
    expect(new Set(ofHosts.map(({ type }) => type))).toEqual(new Set(Object.keys(HOST_DOOR)));
    for (const message of ofHosts) expectUnchanged(parseConductorMessage, message);
  });

  it('arrives as doors have sent it', () => {
    const known = new Set(ofDoors.map(({ type }) => type));
    expect(Object.keys(API_DOOR).filter((type) => !known.has(type))).toEqual([]);
    for (const message of ofDoors) expectUnchanged(parseConductorMessage, message);
  });

  it('arrives as instances of another control node have sent it', () => {
    const ofInstances = messagesFor('conductor', saidByInstance());
    const wanted = ['snapshotImage', 'snapshotDescribe', 'snapshotSettle', 'snapshotLeft', 'groupPlaces'];
    expect(wanted.filter((type) => !ofInstances.some((message) => message.type === type))).toEqual([]);
    for (const message of ofInstances) expectUnchanged(parseConductorMessage, message);
    for (const message of ofInstances) expectAllNeeded(parseConductorMessage, message, LOOSE);
  });

  it('is refused when anything that it needs is missing', () => {
    for (const message of [...ofHosts, ...ofDoors]) expectAllNeeded(parseConductorMessage, message, LOOSE);
  });

  it('breaks nothing when somebody breaks it', () => {
    expect(expectUnbreakable(parseConductorMessage, ofHosts, LOOSE, 15).refused).toBeGreaterThan(3_000);
    expect(expectUnbreakable(parseConductorMessage, ofDoors, LOOSE, 16).refused).toBeGreaterThan(3_000);
  });

  it('is no order for a server that begins with more than nothing', () => {
    const [one] = order.instances;
    const wrong: object[] = [
      { host: 'host1' },
      { generation: 1 },
      { nics: [{}] },
      { vmState: 'active' },
      { deleted: true },
      { operation: null },
      { operation: { ...one?.operation, name: 'delete' } },
      { commands: [{ id: 'c', atMs: 1 }] },
      { zone: 'nova' },
      { actions: [] },
      { number: 7 },
    ];
    for (const changes of wrong) {
      const body = { order: { ...order, instances: [{ ...one, ...changes }] } };
      expect(faultOf(parseConductorMessage, 'accept', body).message).toContain(`at order.instances.0.${Object.keys(changes)[0]}`);
    }
  });

  it('is no order whose servers are another project’s, or larger than what its quota counts', () => {
    const wrong: object[] = [
      { projectId: 'other' },
      { userId: 'other' },
      { needEach: { ...order.needEach, cores: 0 } },
      { needEach: { ...order.needEach, ram: 1 } },
      { instances: [] },
    ];
    for (const changes of wrong) expect(faultOf(parseConductorMessage, 'accept', { order: { ...order, ...changes } }).reason).toBe('message.invalid');
  });

  it('is never a login that carries the password itself', () => {
    const user = { name: 'demo', domain: { id: 'default' } };
    expect(parseConductorMessage('identityLogin', { user })).toEqual({ type: 'identityLogin', user });
    expect(faultOf(parseConductorMessage, 'identityLogin', { user: { ...user, password: 'hunter2' } }).message).not.toContain('hunter2');
  });
});
