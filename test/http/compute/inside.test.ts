import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRig, type Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
});
afterAll(() => rig.close());

const admin = { token: 'admin' };

describe('diagnostics', () => {
  it('have names of the hypervisor until 2.47, and the common form after', async () => {
    const id = await rig.server();
    const old = await rig.ask('GET', `/v2.1/servers/${id}/diagnostics`, { ...admin, version: '2.47' });
    expect(old.body).toMatchObject({ memory: 524_288, cpu0_time: 17_300_000_000, vda_read: 262_144, vda_write_req: 488, vnet0_rx: 10, vnet0_tx_drop: 0 });
    const common = await rig.ask('GET', `/v2.1/servers/${id}/diagnostics`, { ...admin, version: '2.48' });
    expect(common.body).toEqual({
      state: 'running',
      driver: expect.any(String),
      hypervisor: expect.any(String),
      hypervisor_os: 'linux',
      uptime: 46_664,
      config_drive: false,
      num_cpus: 1,
      num_disks: 1,
      num_nics: 1,
      memory_details: { maximum: 512, used: 256 },
      cpu_details: [{ id: 0, time: 17_300_000_000, utilisation: 15 }],
      disk_details: [{ read_bytes: 262_144, read_requests: 112, write_bytes: 5_778_432, write_requests: 488, errors_count: 1 }],
      nic_details: [
        {
          mac_address: 'fa:16:3e:00:00:05',
          rx_octets: 10,
          rx_errors: 0,
          rx_drop: 0,
          rx_packets: 1,
          rx_rate: null,
          tx_octets: 10,
          tx_errors: 0,
          tx_drop: 0,
          tx_packets: 1,
          tx_rate: null,
        },
      ],
    });
  });

  it('are there for servers that run', async () => {
    const off = await rig.server();
    rig.cloud.change(off, { vmState: 'stopped', powerState: 'shutdown' });
    const nowhere = await rig.server({}, { building: true });
    for (const id of [off, nowhere]) expect((await rig.ask('GET', `/v2.1/servers/${id}/diagnostics`, admin)).status).toBe(409);
  });
});

describe('what else is inside', () => {
  it('is no NUMA node, from 2.78 on', async () => {
    const id = await rig.server();
    expect((await rig.ask('GET', `/v2.1/servers/${id}/topology`, { version: '2.77' })).status).toBe(404);
    expect((await rig.ask('GET', `/v2.1/servers/${id}/topology`, { version: '2.78' })).body).toEqual({ nodes: [], pagesize_kb: null });
  });

  it('is the password that the guest posted, until it is cleared', async () => {
    const id = await rig.server();
    const password = async () => (await rig.ask('GET', `/v2.1/servers/${id}/os-server-password`)).body;
    expect(await password()).toEqual({ password: '' });
    rig.cloud.change(id, { guestPassword: 'c2VjcmV0' });
    expect(await password()).toEqual({ password: 'c2VjcmV0' });
    expect((await rig.ask('DELETE', `/v2.1/servers/${id}/os-server-password`)).status).toBe(204);
    expect(await password()).toEqual({ password: '' });
  });
});

describe('the old name of servers', () => {
  it('serves the same servers until 2.102, and no actions that came later', async () => {
    const id = await rig.server();
    expect((await rig.ask('GET', `/v2.1/os-volumes_boot/${id}`)).body).toEqual((await rig.ask('GET', `/v2.1/servers/${id}`)).body);
    expect((await rig.ask('GET', `/v2.1/os-volumes_boot/${id}`, { version: '2.103' })).status).toBe(404);
    expect((await rig.ask('POST', `/v2.1/os-volumes_boot/${id}/action`, { body: { 'os-getConsoleOutput': {} } })).status).toBe(400);
  });
});
