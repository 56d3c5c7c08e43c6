/** What `runtime/node/deploy` tells systemd and Docker to run is understood by the program, and means what it says. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { newKeyPair } from '../../../runtime/mesh/curve.ts';
import { renderKeyFile } from '../../../runtime/node/key-file.ts';
import { CHECKOUT, lacks, LAUNCHER } from '../../doubles/cloud.ts';
import type { NodeName } from '../../../runtime/base/ids.ts';

type Service = { readonly command?: readonly string[]; readonly entrypoint?: readonly string[]; readonly environment?: { readonly [name: string]: string } };
type Compose = {
  readonly services: {
    readonly [name: string]: Service & { readonly healthcheck?: { readonly test: readonly string[] }; readonly volumes?: readonly string[] };
  };
  readonly volumes: object;
};

const DEPLOY = join(CHECKOUT, 'runtime/node/deploy');
const UNITS = ['novact-control.service', 'novact-compute.service'];
let folder: string;

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'novact-deploy-')));
  const seed = { node: 'n1' as NodeName, endpoint: 'tcp://n1:7770', publicKey: newKeyPair().publicKey, roles: ['control', 'api'] };
  const cluster = '7d0c64a1-5f5c-4c0e-9a3f-0b6a5b1e2c02';
  for (const [node, file] of [
    ['c1', 'c1.key'],
    ['kvm-1', 'compute.key'],
  ] as const) {
    writeFileSync(join(folder, file), renderKeyFile({ node, roles: ['compute'], cluster, keys: newKeyPair(), seeds: [seed] }), { mode: 0o600 });
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the units of systemd', () => {
  it('start a control node with all that its settings say', async () => {
    const said = await settingsOf(execStart('novact-control.service'), envOf('control.env.example'));
    expect(said).toMatchObject({
      roles: '["control", "api"]',
      dataDir: '"/var/lib/novact-control"',
      bind: '"0.0.0.0"',
      publicAddress: '"cloud.example.org"',
      'database.url': '"postgresql://novact:***@db.example.org:5432/novact"',
      'processes.count': '2',
      'log.to': '"stderr"',
    });
  });

  it('start a compute node by its key, on libvirt', async () => {
    const said = await settingsOf(execStart('novact-compute.service'), envOf('compute.env.example'));
    expect(said).toMatchObject({ name: '"kvm-1"', roles: '["compute"]', dataDir: '"/var/lib/novact-compute"', bind: '"0.0.0.0"' });
    expect(JSON.stringify(said)).toContain('libvirt');
    expect(said).not.toHaveProperty('database.url');
  });

  it('are what systemd understands', (context) => {
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) return lacks(context.skip, 'systemd-analyze');
    const copies = UNITS.map((unit) => {
      const text = read(unit).replaceAll('/opt/novact', CHECKOUT);
      writeFileSync(join(folder, unit), text);
      return join(folder, unit);
    });
    const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', ...copies], { encoding: 'utf8' });
    expect(`${stdout}${stderr}`.split('\n').filter((line) => UNITS.some((unit) => line.includes(unit)))).toEqual([]);
  });

  it('give the program more time to stop than it takes, and only their own folders', () => {
    for (const unit of UNITS) {
      const text = read(unit);
      const [, data = ''] = /--data \/var\/lib\/(\S+)/.exec(text) ?? [];
      expect(text).toMatch(new RegExp(`^StateDirectory=${data}$`, 'm'));
      expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1])).toBeGreaterThan(60);
      for (const line of ['NoNewPrivileges=yes', 'ProtectSystem=strict', 'Restart=on-failure']) expect(text).toContain(`\n${line}\n`);
    }
  });
});

describe('the Compose file', () => {
  const compose = parse(read('compose.yaml'), { merge: true }) as Compose;

  it('starts three control nodes, each under its own name and on its own volume', async () => {
    for (const name of ['n1', 'n2', 'n3']) {
      const service = compose.services[name];
      const said = await settingsOf(service?.command ?? [], unfolded(service?.environment));
      expect(said).toMatchObject({
        name: `"${name}"`,
        nodeAddress: `"${name}"`,
        roles: '["control", "api"]',
        dataDir: '"/var/lib/novact"',
        bind: '"0.0.0.0"',
        publicAddress: '"127.0.0.1"',
      });
      expect(said['database.url']).toBe('"postgresql://novact:***@postgres:5432/novact"');
      expect(service?.volumes).toEqual([`${name}:/var/lib/novact`]);
      expect(compose.volumes).toHaveProperty(name);
    }
  });

  it('starts a compute node by its key, without the database', async () => {
    const { c1 } = compose.services;
    const said = await settingsOf(c1?.command ?? [], unfolded(c1?.environment));
    expect(said).toMatchObject({ name: '"c1"', roles: '["compute"]', nodeAddress: '"c1"' });
    expect(JSON.stringify(c1)).not.toMatch(/postgres|DATABASE/);
  });

  it('makes the key and asks for health by commands that exist', async () => {
    const script = compose.services['c1-key']?.entrypoint?.at(-1) ?? '';
    const [, adding = ''] = /node novact\.js (.*) > \/keys\/new/.exec(script) ?? [];
    // Nobody listens there: what is understood fails with 1, what is not with 2.
    expect((await novact(adding.split(' '), { NOVACT_DATABASE_URL: 'postgresql://a:b@127.0.0.1:1/c' })).code).toBe(1);
    const [, , , ...asking] = compose.services['n1']?.healthcheck?.test ?? [];
    expect(
      (
        await novact(
          asking.map((word) => word.replace('/var/lib/novact', join(folder, 'none'))),
          {},
        )
      ).code,
    ).toBe(3);
  });

  it('has a balancer before the ports of all control nodes', () => {
    const text = read('haproxy.cfg');
    for (const name of ['n1', 'n2', 'n3']) for (const port of [5000, 8774, 9292]) expect(text).toContain(`server ${name} ${name}:${port}\n`);
    expect(read('Dockerfile')).toContain('ENTRYPOINT ["node", "novact.js"]');
    expect(readdirSync(DEPLOY)).toContain('Dockerfile.dockerignore');
  });
});

/** The settings in force as the program tells them, when it is started with these words. */
async function settingsOf(command: readonly string[], env: NodeJS.ProcessEnv): Promise<{ [path: string]: string }> {
  const [verb, ...flags] = command;
  expect(verb).toBe('start');
  const { code, out, err } = await novact(['config', ...flags.map(placed)], env);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return Object.fromEntries([...out.matchAll(/^(\S+) += (.*?)(?: {3}#.*)?$/gm)].map(([, path = '', value = '']) => [path, value]));
}

function novact(words: readonly string[], env: NodeJS.ProcessEnv): Promise<{ code: number | string; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [LAUNCHER, ...words], { cwd: folder, env: { PATH: process.env['PATH'], ...env } }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });
}

function read(name: string): string {
  return readFileSync(join(DEPLOY, name), 'utf8');
}

function execStart(unit: string): string[] {
  const [, words = ''] = /^ExecStart=\/opt\/novact\/node_modules\/\.bin\/node \/opt\/novact\/novact\.js (.*)$/m.exec(read(unit)) ?? [];
  return words.split(' ');
}

function envOf(name: string): NodeJS.ProcessEnv {
  return Object.fromEntries([...read(name).matchAll(/^(\w+)=(.*)$/gm)].map(([, key = '', value = '']) => [key, placed(value)]));
}

/** Key files are in the test's folder. */
function placed(word: string): string {
  return /^(\/keys|\/etc\/novact)$/.test(dirname(word)) ? join(folder, word.split('/').at(-1) ?? '') : word;
}

/** `${NAME:-usual}` as it is when nobody sets it. */
function unfolded(environment: Service['environment']): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment ?? {}).map(([name, value]) => [name, value.replace(/\$\{\w+:-(.*?)\}/g, '$1')]));
}
