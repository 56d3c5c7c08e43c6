import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '../../../runtime/base/fault.ts';
import { IMAGE_ID, openRig, type Answer, type AskOptions, type Rig } from './rig.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await openRig();
});
afterEach(() => rig.close());

const act = (id: string, body: object, options: AskOptions = {}): Promise<Answer> => rig.ask('POST', `/v2.1/servers/${id}/action`, { body, ...options });
const shown = async (id: string, version = '2.73'): Promise<Answer> => rig.ask('GET', `/v2.1/servers/${id}`, { version });

describe('an action in place', () => {
  it.each([
    ['pause', 'active', 'pausing'],
    ['unpause', 'paused', 'unpausing'],
    ['suspend', 'active', 'suspending'],
    ['resume', 'suspended', 'resuming'],
    ['unrescue', 'rescued', 'unrescuing'],
    ['restore', 'soft-delete', 'restoring'],
  ] as const)('%s of a server that is %s is accepted without a word, whatever its argument', async (action, vmState, taskState) => {
    const id = await rig.server();
    for (const argument of [null, {}]) {
      rig.cloud.change(id, { vmState, taskState: null });
      const { status, text } = await act(id, { [action]: argument });
      expect([status, text, rig.cloud.servers.get(id)?.record.taskState]).toEqual([202, '', taskState]);
    }
  });

  it('of a server that is on no host is refused as not ready', async () => {
    const id = await rig.server();
    rig.cloud.change(id, { host: null });
    const answer = await act(id, { pause: null });
    expect([answer.status, answer.at('conflictingRequest', 'message')]).toEqual([409, `Instance ${id} is not ready`]);
  });

  it('of a server that never ran says so', async () => {
    const id = await rig.server();
    rig.cloud.change(id, { launchedAt: null });
    expect((await act(id, { suspend: null })).at('conflictingRequest', 'message')).toBe(`Cannot 'suspend' instance ${id} while it is in launched_at None`);
  });
});

describe('a lock', () => {
  it('is shown with its reason, and refuses what changes the server to all but administrators', async () => {
    const id = await rig.server();
    expect((await act(id, { lock: { locked_reason: 'busy' } }, { version: '2.73' })).status).toBe(202);
    const view = await shown(id);
    expect([view.at('server', 'locked'), view.at('server', 'locked_reason')]).toEqual([true, 'busy']);
    expect([(await shown(id, '2.72')).at('server', 'locked'), (await shown(id, '2.72')).at('server', 'locked_reason')]).toEqual([true, undefined]);
    expect((await shown(id, '2.8')).at('server', 'locked')).toBeUndefined();
    for (const body of [{ pause: null }, { 'os-stop': null }, { rescue: null }, { changePassword: { adminPass: 'x' } }, { forceDelete: null }]) {
      const answer = await act(id, body);
      expect([answer.status, answer.at('conflictingRequest', 'message')]).toEqual([409, `Instance ${id} is locked`]);
    }
    expect((await rig.ask('DELETE', `/v2.1/servers/${id}`)).status).toBe(409);
    expect((await rig.ask('PUT', `/v2.1/servers/${id}`, { body: { server: { name: 'b' } } })).status).toBe(409);
    expect((await act(id, { pause: null }, { token: 'admin' })).status).toBe(202);
  });

  it('leaves reads, tags and consoles alone', async () => {
    const id = await rig.server();
    await act(id, { lock: null });
    expect((await rig.ask('PUT', `/v2.1/servers/${id}/tags`, { version: '2.26', body: { tags: ['a'] } })).status).toBe(200);
    expect((await act(id, { 'os-getConsoleOutput': {} })).status).toBe(200);
  });

  it('takes no reason before 2.73', async () => {
    const id = await rig.server();
    expect((await act(id, { lock: { locked_reason: 'busy' } }, { version: '2.72' })).status).toBe(202);
    expect((await shown(id)).at('server', 'locked_reason')).toBeNull();
  });

  it('of an administrator is not undone by a member; of the project by whom the rule lets', async () => {
    const id = await rig.server();
    rig.cloud.change(id, { locked: true, lockedBy: 'admin' });
    const answer = await act(id, { unlock: null });
    expect([answer.status, answer.at('forbidden', 'message')]).toEqual([
      403,
      "Policy doesn't allow os_compute_api:os-lock-server:unlock:unlock_override to be performed.",
    ]);
    expect((await act(id, { unlock: null }, { token: 'admin' })).status).toBe(202);
    await act(id, { lock: null });
    expect((await act(id, { unlock: null })).status).toBe(202);
    expect(rig.cloud.servers.get(id)?.record).toMatchObject({ locked: false, lockedBy: null });
  });
});

describe('a rescue', () => {
  it('answers with the password, the given one or a new one', async () => {
    const id = await rig.server();
    expect((await act(id, { rescue: { adminPass: 'MySecret' } })).body).toEqual({ adminPass: 'MySecret' });
    rig.cloud.change(id, { vmState: 'stopped', taskState: null });
    const answer = await act(id, { rescue: null });
    expect([answer.status, answer.at('adminPass')]).toEqual([200, expect.stringMatching(/^\w{12}$/)]);
    expect(rig.cloud.verbs.map(({ verb }) => verb)).toEqual([
      { name: 'rescue', boot: null },
      { name: 'rescue', boot: null },
    ]);
  });

  it('boots the image that is asked for, with its kernel, when the caller may read it', async () => {
    const id = await rig.server();
    const kernelId = '11111111-2222-4333-8444-555555555555';
    const rescueId = '66666666-7777-4888-8999-aaaaaaaaaaaa';
    rig.images.add({ id: kernelId }).add({ id: rescueId, properties: { kernel_id: kernelId } });
    expect((await act(id, { rescue: { rescue_image_ref: rescueId } }, { version: '2.87' })).status).toBe(200);
    expect(rig.cloud.verbs[0]?.verb).toMatchObject({ boot: { image: { id: rescueId }, kernel: { id: kernelId }, ramdisk: null } });
    const [queued, foreign] = [IMAGE_ID.replace('7', '8'), IMAGE_ID.replace('7', '9')];
    rig.images.add({ id: queued, status: 'queued' }).add({ id: foreign, visibility: 'private', owner: 'ffffffffffffffffffffffffffffffff' });
    for (const ref of [queued, foreign]) {
      const answer = await act(await rig.server(), { rescue: { rescue_image_ref: ref } });
      expect([answer.status, answer.at('badRequest', 'message')]).toEqual([400, `Requested rescue image '${ref}' is not supported`]);
    }
  });
});

describe('a new password', () => {
  const password = { changePassword: { adminPass: 'new' } };

  it('is accepted when it is set', async () => {
    const id = await rig.server();
    expect((await act(id, password)).status).toBe(202);
    expect(rig.cloud.verbs).toEqual([{ id, verb: { name: 'changePassword', password: 'new' } }]);
  });

  it('is refused in the words of what kept it from being set', async () => {
    const id = await rig.server();
    rig.cloud.guestFault = new Fault('unsupported', 'driver.lacks', 'It cannot.').toRecord();
    const lacking = await act(id, password);
    expect([lacking.status, lacking.at('notImplemented', 'message')]).toEqual([501, 'Unable to set password on instance']);
    rig.cloud.guestFault = new Fault('conflict', 'guest.noAgent', 'The guest has no agent that could do it.').toRecord();
    const silent = await act(id, password);
    expect([silent.status, silent.at('conflictingRequest', 'message')]).toEqual([
      409,
      `Failed to set admin password on ${id}: The guest has no agent that could do it.`,
    ]);
  });

  it('is never said again', async () => {
    const id = await rig.server();
    const answer = await act(id, { changePassword: { adminPass: ['topsecret'] } });
    expect([answer.status, answer.text.includes('topsecret')]).toEqual([400, false]);
  });
});

describe('a crash dump', () => {
  it('is asked of a host that is up', async () => {
    const id = await rig.server();
    const ask = () => act(id, { trigger_crash_dump: null }, { version: '2.17' });
    expect((await ask()).status).toBe(202);
    rig.cloud.guestFault = new Fault('unsupported', 'driver.lacks', 'It cannot.').toRecord();
    expect((await ask()).status).toBe(400);
  });

  it('is refused when the host is down', async () => {
    const id = await rig.server();
    rig.cloud.hosts = rig.cloud.hosts.map((host) => ({ ...host, up: false }));
    expect((await act(id, { trigger_crash_dump: null }, { version: '2.17' })).status).toBe(409);
  });
});

describe('a soft-deleted server', () => {
  it('is shown by its id and hidden in lists, unless its state is asked for', async () => {
    const id = await rig.server();
    rig.cloud.change(id, { vmState: 'soft-delete' });
    const listed = async (query: string, token = 'member') => (await rig.ask('GET', `/v2.1/servers${query}`, { token })).at('servers', 0, 'id');
    expect([(await shown(id)).status, (await shown(id)).at('server', 'status')]).toEqual([200, 'SOFT_DELETED']);
    expect(await listed('')).toBeUndefined();
    expect(await listed('?status=SOFT_DELETED')).toBe(id);
    expect(await listed('?soft_deleted=True', 'admin')).toBe(id);
    expect(await listed('?soft_deleted=True')).toBeUndefined();
    expect(await listed('?deleted=True', 'admin')).toBe(id);
    expect(await listed('?deleted=True&soft_deleted=False', 'admin')).toBeUndefined();
  });

  it('is restored as long as there is quota for it, and the refusal says what is missing', async () => {
    const id = await rig.server();
    rig.cloud.change(id, { vmState: 'soft-delete' });
    rig.cloud.full = true;
    rig.cloud.limits.set(`${rig.cloud.servers.get(id)?.record.projectId}/`, { instances: 1, cores: 0 });
    const answer = await act(id, { restore: null });
    expect([answer.status, answer.at('forbidden', 'message')]).toEqual([
      403,
      'Quota exceeded for instances, cores: Requested 1, 1, but already used 1, 1 of 1, 0 instances, cores',
    ]);
    rig.cloud.full = false;
    expect((await act(id, { restore: null })).status).toBe(202);
  });

  it('is deleted for good when that is forced', async () => {
    const id = await rig.server();
    rig.cloud.change(id, { vmState: 'soft-delete' });
    expect((await act(id, { forceDelete: null })).status).toBe(202);
    expect((await shown(id)).status).toBe(404);
  });
});

describe('administrators', () => {
  it('set the state, whatever runs', async () => {
    const id = await rig.server();
    rig.cloud.change(id, { vmState: 'error', taskState: 'powering-off' });
    expect((await act(id, { 'os-resetState': { state: 'active' } }, { token: 'admin' })).status).toBe(202);
    expect(rig.cloud.servers.get(id)?.record).toMatchObject({ vmState: 'active', taskState: null });
  });

  it('may ask for the network of a guest to be set anew, which changes nothing here', async () => {
    const id = await rig.server();
    expect((await act(id, { injectNetworkInfo: null }, { token: 'admin' })).status).toBe(202);
    expect((await act(id, { resetNetwork: null }, { token: 'admin' })).status).toBe(410); // dropped by the reference
    expect(rig.cloud.verbs).toEqual([]);
  });
});
