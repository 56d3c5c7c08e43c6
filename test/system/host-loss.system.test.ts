/**
 * A host is lost: its node is killed, and its guests run on, as they do. Nothing happens by that alone. With an
 * operator's word its servers go elsewhere; what comes back finds out before it does anything, and destroys its copies.
 * The witness reads the files in which the simulated hypervisors keep their guests, on both sides.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cloud } from '../doubles/cloud.ts';
import { openPair, type Pair } from './pair.ts';
import { Witness } from './witness.ts';

const SERVERS = 4;
const LEASES = ['leases.hostMs=4000'];

let pair: Pair;
let witness: Witness;
let first: Cloud;
let second: Cloud;
let ids: readonly string[] = [];

beforeAll(async () => {
  pair = await openPair({ settings: LEASES, firstHosts: 2, secondHosts: 1 });
  ({ first, second } = pair);
  witness = new Witness([first.dataDir, second.dataDir]);
  ids = await pair.serversOn('second-1', SERVERS);
  witness.watch();
});

afterAll(async () => {
  witness?.end();
  await pair?.close();
});

describe('a host that is lost with its node', () => {
  it('that is up is not left behind', async () => {
    const { status, text } = await pair.evacuate(ids[0]!);
    expect([status, text]).toEqual([400, expect.stringContaining('Compute service of second-1 is still in use.')]);
  });

  it('is shown as down, its guests run on, and nothing goes elsewhere', async () => {
    await second.kill9();
    await pair.until('the service is down', async () => (await pair.service('second-1')).state === 'down');
    for (const id of ids) expect(await pair.show(id)).toMatchObject({ status: 'ACTIVE', host_status: 'DOWN', 'OS-EXT-SRV-ATTR:host': 'second-1' });
    expect(witness.running(ids).sort()).toEqual(ids.map((id) => `${id}/1`).sort());
  });

  it('without proof is not left behind, and the refusal says what would prove it', async () => {
    const { status, text } = await pair.evacuate(ids[0]!);
    expect([status, text]).toEqual([409, expect.stringContaining('nothing proves that its servers do not run there')]);
    expect(text).toContain('forced_down');
  });

  it('and of which a server is deleted lets it go at once for its user', async () => {
    const last = ids.at(-1)!;
    expect((await first.api('DELETE', `/servers/${last}`)).status).toBe(204);
    await pair.until('it is gone', async () => (await first.api('GET', `/servers/${last}`)).status === 404);
    expect(await pair.claims('second-1')).toContainEqual({ id: last, generation: 1, role: 'doomed' });
    ids = ids.slice(0, -1);
  });

  it('and that was forced down is left behind: its servers run elsewhere with the addresses that they had', async () => {
    const before = await Promise.all(ids.map((id) => pair.show(id)));
    witness.end(); // an operator's word ends what the files of that host say
    await pair.forceDown('second-1', true);
    for (const id of ids) expect((await pair.evacuate(id)).status).toBe(200);
    await pair.until('all are active elsewhere', async () => {
      const now = await Promise.all(ids.map((id) => pair.show(id)));
      return now.every((server) => server.status === 'ACTIVE' && server['OS-EXT-SRV-ATTR:host'].startsWith('first'));
    });
    const after = await Promise.all(ids.map((id) => pair.show(id)));
    expect(after.map((server) => server.addresses)).toEqual(before.map((server) => server.addresses));
    const { body } = await first.api<{ instanceActions: { action: string; message: string | null }[] }>('GET', `/servers/${ids[0]}/os-instance-actions`);
    expect(body.instanceActions.map(({ action, message }) => [action, message])).toEqual([
      ['evacuate', null],
      ['create', null],
    ]);
  });

  it('cannot be said to be up while it has not said that its copies are gone', async () => {
    expect((await pair.forceDown('second-1', false)).status).toBe(400);
  });

  it('and comes back destroys its copies before it does anything, and gives its room back', async () => {
    await second.restart();
    await pair.until('its copies are gone', async () => witness.running(ids).every((guest) => guest.endsWith('/2')));
    await pair.until('its claims are gone', async () => (await pair.claims('second-1')).length === 0);
    expect(witness.running(ids).sort()).toEqual(ids.map((id) => `${id}/2`).sort());
    expect((await pair.forceDown('second-1', false)).status).toBe(200);
    await pair.until('it is up', async () => (await pair.service('second-1')).state === 'up');
  });

  it('and slept meanwhile begins anew when it wakes', async () => {
    const [id] = await pair.serversOn('second-1', 1);
    const server = id!;
    process.kill(second.pid(), 'SIGSTOP');
    try {
      await pair.until('the service is down', async () => (await pair.service('second-1')).state === 'down');
      await pair.forceDown('second-1', true);
      await pair.until('the evacuation is accepted', async () => (await pair.evacuate(server)).status === 200);
      await pair.until('it is active elsewhere', async () => (await pair.show(server))['OS-EXT-SRV-ATTR:host'].startsWith('first'));
    } finally {
      process.kill(second.pid(), 'SIGCONT');
    }
    await pair.until('its copy is gone', async () => witness.running([server]).join() === `${server}/2`);
    await pair.until('its claims are gone', async () => (await pair.claims('second-1')).length === 0);
  });
});
