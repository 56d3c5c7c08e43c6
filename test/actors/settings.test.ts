import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLUSTER_DEFAULTS, explainConfig, furtherProcesses, hostsOf, instanceSettingsOf, loadConfig, type Flags } from '../../actors/settings.ts';
import shipped from '../../cluster.config.ts';

let cwd: string;
beforeEach(() => void (cwd = realpathSync(mkdtempSync(join(tmpdir(), 'config-')))));
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const load = (flags: Flags = {}, env: NodeJS.ProcessEnv = {}) => loadConfig({ flags, env, cwd });
const write = (name: string, settings: unknown) => writeFileSync(join(cwd, name), `export default ${JSON.stringify(settings)};\n`);

async function complaint(flags: Flags = {}, env: NodeJS.ProcessEnv = {}): Promise<string> {
  try {
    await load(flags, env);
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return 'none';
}

describe('the cluster’s configuration', () => {
  it('needs no file: eight simulated hosts on loopback, all roles, embedded services', async () => {
    const config = await load();
    expect(config).toMatchObject({ ...CLUSTER_DEFAULTS, dataDir: join(cwd, '.novact'), publicAddress: '127.0.0.1' });
    expect(config.database.url).toBeUndefined();
    expect(hostsOf(config, (host) => `/d/${host}`)).toHaveLength(8);
    expect(hostsOf(config, (host) => `/d/${host}`)[7]).toEqual({
      name: 'host-8',
      selfFence: false,
      group: 0,
      driver: { kind: 'simulated', directory: '/d/host-8', capacity: { vcpus: 64, memoryMiB: 262_144, diskGiB: 4_096 } },
    });
  });

  it('as shipped changes no default', async () => {
    writeFileSync(join(cwd, 'cluster.config.json'), JSON.stringify(shipped));
    const withFile = await load({ config: 'cluster.config.json' });
    expect(withFile).toEqual(await load());
  });

  it('lets the environment win over the file and flags over both', async () => {
    write('cluster.config.ts', { region: 'FromFile', zone: 'from-file', log: { level: 'error' }, leases: { beatMs: 500 } });
    const env = { NOVACT_LOG_LEVEL: 'warn', NOVACT_SET_ZONE: 'from-env', NOVACT_SET_LEASES__MARGIN_MS: '400' };
    const config = await load({ logLevel: 'debug', set: ['leases.controlMs=4000'] }, env);
    expect(config).toMatchObject({
      region: 'FromFile',
      zone: 'from-env',
      log: { level: 'debug' },
      leases: { beatMs: 500, marginMs: 400, controlMs: 4_000, hostMs: 15_000 },
    });
  });

  it('takes a relative folder from the file that names it, or from where the program was started', async () => {
    mkdirSync(join(cwd, 'etc'));
    write('etc/my.config.ts', { dataDir: 'data' });
    expect((await load({ config: 'etc/my.config.ts' })).dataDir).toBe(join(cwd, 'etc/data'));
    expect((await load({}, { NOVACT_CONFIG: 'etc/my.config.ts', NOVACT_DATA: 'other' })).dataDir).toBe(join(cwd, 'other'));
    expect((await load({ config: 'etc/my.config.ts', data: '/abs' })).dataDir).toBe('/abs');
    expect((await load({ set: ['dataDir=x'] })).dataDir).toBe(join(cwd, 'x'));
  });

  it('adds the offset to every port, and shows it so', async () => {
    const { config, settings } = await explainConfig({ flags: { portOffset: '100' }, env: {}, cwd });
    expect(config.ports).toMatchObject({ compute: 8_874, mesh: 7_870, database: 54_429 });
    expect(settings).toContainEqual({ path: 'ports.compute', value: '8874', source: 'default, plus portOffset' });
  });

  it('makes hosts by flags: so many simulated ones, or this machine’s libvirt', async () => {
    const names = (config: Awaited<ReturnType<typeof load>>) => hostsOf(config, () => '/d').map(({ name, driver }) => `${name} ${driver.kind}`);
    expect(names(await load({ hosts: '2' }))).toEqual(['host-1 simulated', 'host-2 simulated']);
    expect(names(await load({ driver: 'simulated', hosts: '1' }))).toEqual(['host-1 simulated']);
    const [libvirt] = hostsOf(await load({ driver: 'libvirt' }), (host) => `/d/${host}`);
    expect(libvirt?.driver).toEqual({ kind: 'libvirt', virtType: 'qemu', stateDir: `/d/${libvirt?.name}` });
    const [accelerated] = hostsOf(await load({ driver: 'libvirt', set: ['hosts.0.driver.virtType=kvm'] }), () => '/d');
    expect(accelerated?.driver).toMatchObject({ kind: 'libvirt', virtType: 'kvm' });
  });

  it('hands operation limits to instances as they are set', async () => {
    expect(instanceSettingsOf(await load({ set: ['operations.spawnLimitMs=9000', 'scheduler.slices=2', 'scheduler.weights.ramweigher=0'] }))).toMatchObject({
      spawnLimitMs: 9_000,
      schedulerSlices: 2,
      stopGraceMs: 60_000,
    });
  });

  it.each<[string, unknown, Flags, NodeJS.ProcessEnv, string]>([
    ['an unknown driver', {}, { driver: 'kvm' }, {}, '--driver: hosts.0.driver.kind is "kvm": must be one of simulated, libvirt'],
    ['too many hosts', {}, { hosts: '1000000' }, {}, '--hosts: hosts.0.count is 1000000: must be a whole number from 1 to 100000'],
    ['an unknown role', {}, { roles: 'api,comptue' }, {}, '--roles: roles.1 is "comptue": must be one of api, metadata'],
    ['an unknown variable', {}, {}, { NOVACT_PORTOFFSET: '1' }, 'NOVACT_PORTOFFSET: unknown variable, did you mean NOVACT_PORT_OFFSET?'],
    [
      'a database that is none of ours',
      {},
      {},
      { NOVACT_DATABASE_URL: 'mysql://u:pw@s/d' },
      'NOVACT_DATABASE_URL: database.url is "mysql://u:***@s/d": must be a URL like postgresql://',
    ],
    [
      'a beat as long as its lease',
      { leases: { beatMs: 2_500 } },
      {},
      {},
      'cluster.config.ts: leases.beatMs is 2500: must be less than leases.controlMs − leases.marginMs (3000 − 500 = 2500)',
    ],
    [
      'a session longer than the lease',
      {},
      { set: ['leases.controlMs=2000', 'leases.beatMs=300'] },
      {},
      '--set: session.statementMs is 2000: must be less than leases.controlMs (2000)',
    ],
    [
      'a host lease shorter than a beat',
      {},
      { set: ['leases.hostMs=1200'] },
      {},
      '--set: leases.hostMs is 1200: must be more than leases.beatMs + leases.marginMs (1500)',
    ],
    [
      'a host lease that a takeover would end, under a guard',
      {},
      { set: ['leases.hostMs=5500', 'hosts.0.selfFence=true'] },
      {},
      'with selfFence it must be more than leases.controlMs and a takeover (leases.marginMs + 2 × leases.beatMs), 5500',
    ],
    ['one port for two services', { ports: { mesh: 8_774 } }, {}, {}, 'cluster.config.ts: ports.compute is 8774: ports.mesh has that port too'],
    ['an offset past the last port', {}, { portOffset: '20000' }, {}, '--port-offset: portOffset is 20000: ports.database would be 74329; ports end at 65535'],
    ['a group of hosts of one name', { hosts: [{ name: 'a', count: 2, driver: { kind: 'simulated' } }] }, {}, {}, 'hosts.0.name is "a": must contain {n}'],
    ['several hosts on one libvirt', {}, { driver: 'libvirt', hosts: '3' }, {}, 'hosts.0.count is 3: must be 1, since a host is the whole of one libvirt'],
    [
      'one libvirt twice',
      {
        hosts: [
          { name: 'a', driver: { kind: 'libvirt' } },
          { name: 'b', driver: { kind: 'libvirt', virtType: 'kvm' } },
        ],
      },
      {},
      {},
      'hosts.1.driver is the same libvirt as that of hosts.0',
    ],
    [
      'one host name twice',
      {
        hosts: [
          { count: 3, driver: { kind: 'simulated' } },
          { name: 'host-2', driver: { kind: 'simulated' } },
        ],
      },
      {},
      {},
      'hosts.1.name is "host-2": host-2 is a host of hosts.0 too',
    ],
    ['a network with bits behind its length', { network: { cidr: '10.20.0.1/16' } }, {}, {}, 'network.cidr is "10.20.0.1/16": must be an IPv4 network'],
    ['a network too small', { network: { cidr: '10.20.0.0/30' } }, {}, {}, 'at most /29'],
    ['an identity service without its account', { identity: { url: 'http://k:5000/v3' } }, {}, {}, 'cluster.config.ts: identity.password is missing'],
    ['an image service that cannot be found', { image: {} }, {}, {}, 'image has no url: with the embedded identity service there is no catalog'],
    ['no process', {}, { processes: '0' }, {}, '--processes: processes.count is 0: must be a whole number from 1 to 64'],
    ['processes that are no number', {}, { processes: 'all' }, {}, '--processes: processes.count is "all": must be a whole number from 1 to 64'],
    [
      'a port amid those of further processes',
      {},
      { processes: '4', set: ['ports.compute=7803'] },
      {},
      'ports.compute is 7803: further processes have the ports 7800 to 7805',
    ],
    ['a name too long for further processes', {}, { processes: '2', name: 'n'.repeat(62) }, {}, 'name has 62 characters: too many'],
    ['an unknown quota', { quotas: { core: 1 } }, {}, {}, 'did you mean quotas.cores?'],
    ['an unknown filter', {}, { set: ['scheduler.withoutFilters=RamFiltre'] }, {}, '--set: scheduler.withoutFilters.0 is "RamFiltre": must be one of '],
    ['a weight of an unknown weigher', { scheduler: { weights: { RamWeigher: 1 } } }, {}, {}, 'did you mean scheduler.weights.RAMWeigher?'],
    [
      'an unknown latency',
      { hosts: [{ driver: { kind: 'simulated', latency: { bootMs: 1 } } }] },
      {},
      {},
      'hosts.0.driver.latency.bootMs unknown setting, did you mean hosts.0.driver.latency.rebootMs?',
    ],
  ])('refuses %s', async (_, settings, flags, env, text) => {
    write('cluster.config.ts', settings);
    expect(await complaint(flags, env)).toContain(text);
  });

  it('hands all that is in force down to further processes, with what is their own', async () => {
    write('cluster.config.ts', { name: 'box', roles: ['control', 'api', 'compute'], limits: { pageMax: 7 } });
    const first = await load({ processes: '3', portOffset: '100' }, { NOVACT_SET_REGION: 'West' });
    const [second, third] = furtherProcesses(first, 'postgresql://novact:secret@server/novact');
    expect([second?.ports, third?.ports]).toEqual([
      { mesh: 7900, health: 7901 },
      { mesh: 7902, health: 7903 },
    ]);
    writeFileSync(join(cwd, 'cluster.config.ts'), 'export default {'); // read once, by the first
    const config = await load({}, second?.variables);
    expect(config).toMatchObject({ name: 'box-2', roles: ['control', 'api'], region: 'West', hosts: [], limits: { pageMax: 7 } });
    expect(config).toMatchObject({ dataDir: join(first.dataDir, 'processes/2'), database: { url: 'postgresql://novact:secret@server/novact' } });
    expect(config.ports).toEqual({ ...first.ports, mesh: 7900, health: 7901, processes: first.ports.mesh });
    expect(furtherProcesses(config, '')).toEqual([]);
    expect(await complaint({}, { NOVACT_PROCESS: 'by hand' })).toContain('unset it');
  });

  it('tells clients one address and nodes another', async () => {
    expect(await load({ set: ['bind=127.0.0.9'] })).toMatchObject({ nodeAddress: '127.0.0.9', publicAddress: '127.0.0.9' });
    expect(await load({ set: ['bind=127.0.0.9', 'publicAddress=cloud.example.org'] })).toMatchObject({
      nodeAddress: '127.0.0.9',
      publicAddress: 'cloud.example.org',
    });
  });

  it('refuses a file that is missing though named, unreadable, or no configuration', async () => {
    expect(await complaint({ config: 'no.ts' })).toBe(`The configuration file ${join(cwd, 'no.ts')} does not exist.`);
    writeFileSync(join(cwd, 'broken.ts'), 'export default {');
    expect(await complaint({ config: 'broken.ts' })).toMatch(/broken\.ts cannot be read: /);
    writeFileSync(join(cwd, 'empty.ts'), 'export const x = 1;');
    expect(await complaint({ config: 'empty.ts' })).toMatch(/empty\.ts holds no settings/);
    writeFileSync(join(cwd, 'a.toml'), '');
    expect(await complaint({ config: 'a.toml' })).toMatch(/of no known kind/);
  });
});
