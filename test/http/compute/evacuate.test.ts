import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { standingOf } from '../../actors/doors.ts';
import { openRig, type Rig } from './rig.ts';

const ADMIN = { token: 'admin' };
let rig: Rig;
let id: string;

beforeEach(async () => {
  rig = await openRig();
  id = await rig.server();
  rig.cloud.standings.set('host1', standingOf('host1', { proof: 'forceDown', forcedDown: true, silentMs: 90_000 }));
  rig.cloud.standings.set('host2', standingOf('host2'));
});
afterEach(() => rig.close());

function evacuate(version: string, argument: object = {}, who: object = ADMIN) {
  return rig.ask('POST', `/v2.1/servers/${id}/action`, { version, body: { evacuate: argument }, ...who });
}

describe('evacuate', () => {
  it('answers with the password up to 2.13, and with nothing from 2.14 on', async () => {
    const given = await evacuate('2.13', { adminPass: 'MySecretPass', onSharedStorage: 'False' });
    expect([given.status, given.body]).toEqual([200, { adminPass: 'MySecretPass' }]);
    rig.cloud.change(id, { taskState: null });
    expect((await evacuate('2.1', { onSharedStorage: false })).at('adminPass')).toMatch(/^.{12,}$/);
    rig.cloud.change(id, { taskState: null });
    expect((await evacuate('2.1', { onSharedStorage: true })).body).toEqual({ adminPass: null });
    rig.cloud.change(id, { taskState: null });
    const lean = await evacuate('2.14', { host: 'host2', adminPass: 'MySecretPass' });
    expect([lean.status, lean.text]).toEqual([200, '']);
  });

  it('takes by version what the reference takes', async () => {
    for (const [version, argument, status] of [
      ['2.13', {}, 400],
      ['2.14', { onSharedStorage: true }, 400],
      ['2.28', { host: 'host2', force: true }, 400],
      ['2.29', { host: 'host2', force: false }, 200],
      ['2.67', { host: 'host2', force: 'True' }, 200],
      ['2.68', { host: 'host2', force: true }, 400],
      ['2.95', { host: 'host2' }, 200],
      ['2.1', { adminPass: 'x', onSharedStorage: true }, 400],
    ] as const) {
      expect((await evacuate(version, argument)).status, `${version} ${JSON.stringify(argument)}`).toBe(status);
      rig.cloud.change(id, { taskState: null });
    }
    expect((await evacuate('2.29', { force: true })).at('badRequest', 'message')).toBe("Can't force to a non-provided destination");
  });

  it('is for administrators, and does not mind a lock', async () => {
    expect((await evacuate('2.14', {}, {})).status).toBe(403);
    rig.cloud.change(id, { locked: true });
    expect((await evacuate('2.14')).status).toBe(200);
  });

  it('is refused while the service of the host is up, whoever drives it', async () => {
    rig.cloud.standings.set('host1', standingOf('host1'));
    const { status, body } = await evacuate('2.14');
    expect([status, body]).toEqual([400, { badRequest: { code: 400, message: 'Compute service of host1 is still in use.' } }]);
  });

  it('of a server on a silent host is refused without proof, and says which proofs there are', async () => {
    rig.cloud.standings.set('host1', standingOf('host1', { silentMs: 90_000 }));
    const { status, text } = await evacuate('2.14');
    expect(status).toBe(409);
    expect(text).toMatch(/nothing proves.*forced_down.*recovery\.fence.*selfFence/);
    rig.cloud.standings.set('host1', standingOf('host1', { silentMs: 90_000, forcedDown: true }));
    expect((await evacuate('2.14')).text).toMatch(/has started again since it was forced down/);
    rig.cloud.standings.set('host1', standingOf('host1', { silentMs: 90_000, selfFenceMs: 15_000 }));
    expect((await evacuate('2.14')).text).toMatch(/its guard has until the end of its lease/);
  });

  it('is refused for a host that is not known, and for the one that the server is on', async () => {
    const { status, body } = await evacuate('2.14', { host: 'nowhere' });
    expect([status, body]).toEqual([404, { itemNotFound: { code: 404, message: 'Compute host nowhere not found.' } }]);
    expect((await evacuate('2.14', { host: 'host1' })).at('badRequest', 'message')).toBe("The target host can't be the same one.");
  });

  it('is refused in a state that the reference refuses', async () => {
    rig.cloud.change(id, { vmState: 'paused' });
    const { status, text } = await evacuate('2.14');
    expect([status, text]).toEqual([409, expect.stringContaining(`Cannot 'evacuate' instance ${id} while it is in vm_state paused`)]);
    rig.cloud.change(id, { vmState: 'active', taskState: 'deleting' });
    expect((await evacuate('2.14')).status).toBe(409);
    rig.cloud.change(id, { taskState: 'powering-off' });
    expect((await evacuate('2.14')).status).toBe(200);
  });
});
