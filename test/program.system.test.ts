import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../runtime/base/clock.ts';
import { lockDataFolder } from '../runtime/node/data-folder.ts';

const LAUNCHER = join(dirname(import.meta.dirname), 'novact.js');
let cwd: string;
beforeEach(() => void (cwd = realpathSync(mkdtempSync(join(tmpdir(), 'program-')))));
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

type Ended = { code: number | string; out: string; err: string };

function novact(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [LAUNCHER, ...args], { cwd, env: { PATH: process.env['PATH'], ...env } }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });
}

describe('the program', { timeout: 30_000 }, () => {
  it('tells its commands and its version', async () => {
    expect(await novact(['--help'])).toMatchObject({ code: 0, out: expect.stringMatching(/start[^]*config[^]*status/) });
    expect(await novact(['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it.each([
    [['strat'], /unknown command 'strat'\n\(Did you mean start\?\)/],
    [['start', '--prot-offset', '3'], /unknown option '--prot-offset'\n\(Did you mean --port-offset\?\)/],
    [['start', 'now'], /too many arguments/],
    [['start', '--data'], /argument missing/],
    [[], /Usage: novact/],
  ])('ends with 2 on what it does not understand: %j', async (args, text) => {
    const { code, err } = await novact(args);
    expect(code).toBe(2);
    expect(err).toMatch(text);
  });

  it('ends with 78 and every problem of the configuration on one', async () => {
    writeFileSync(join(cwd, 'cluster.config.ts'), `export default { zon: 'x' };`);
    const { code, err } = await novact(['start', '--set', 'ratios.cpu=0'], { NOVACT_LOG_LEVEL: 'loud' });
    expect(code).toBe(78);
    expect(err).toMatch(/3 problems[^]*cluster\.config\.ts: zon unknown[^]*NOVACT_LOG_LEVEL: log\.level is "loud"[^]*--set: ratios\.cpu is 0/);
  });

  it('prints the configuration in force, without secrets', async () => {
    const { code, out } = await novact(['config', '--roles', 'control,api'], { NOVACT_DATABASE_URL: 'postgresql://me:topsecret@server/db' });
    expect(code).toBe(0);
    expect(out).toMatch(/^roles +\S* *= \["control", "api"\] {3}# --roles$/m);
    expect(out).toMatch(/^database\.url += "postgresql:\/\/me:\*\*\*@server\/db" {3}# NOVACT_DATABASE_URL$/m);
    expect(out).not.toContain('topsecret');
  });

  it('judges a policy file: 0 when it is sound, 78 with line and rule when it is not, 2 when there is none', async () => {
    writeFileSync(join(cwd, 'policy.yaml'), '# ours\nos_compute_api:servers:create: rule:project_manager_or_admin\n');
    writeFileSync(join(cwd, 'wrong.yaml'), 'servers:create: role:a and\n');
    expect(await novact(['policy', 'check', 'policy.yaml'])).toMatchObject({ code: 0, out: 'policy.yaml: 1 rule, sound.\n' });
    expect(await novact(['policy', 'check', 'wrong.yaml'])).toMatchObject({
      code: 78,
      err: 'wrong.yaml:1: rule servers:create ends where a test should stand.\n',
    });
    expect(await novact(['policy', 'check', 'none.yaml'])).toMatchObject({ code: 78, err: expect.stringMatching(/none\.yaml cannot be read/) });
    expect((await novact(['policy', 'check'])).code).toBe(2);
    const listed = await novact(['policy', 'list', '--changed', '--json', '--set', 'policy.file=policy.yaml']);
    expect([listed.code, JSON.parse(listed.out)]).toMatchObject([0, [{ rule: 'os_compute_api:servers:create', may: ['manager', 'admin'] }]]);
  });

  it('says with 3 that no node runs on the data folder', async () => {
    expect(await novact(['status'])).toEqual({ code: 3, out: `No novact runs on ${join(cwd, '.novact')}.\n`, err: '' });
    expect(JSON.parse((await novact(['status', '--json', '--data', 'x'])).out)).toEqual({ running: false, dataDir: join(cwd, 'x') });
  });

  it('asks the node that runs on the data folder how it is', async () => {
    const health = createServer((_, response) => response.end('{"store":"well"}')).listen(0, '127.0.0.1');
    await once(health, 'listening');
    const address = health.address();
    const folder = lockDataFolder(join(cwd, '.novact'), systemClock);
    try {
      folder.describe({
        name: 'n1',
        version: '9',
        address: '127.0.0.1',
        ports: { health: address !== null && typeof address === 'object' ? address.port : 0 },
        state: 'running',
      });
      expect(await novact(['status'])).toMatchObject({
        code: 0,
        out: expect.stringMatching(new RegExp(`novact 9 runs: node n1, process ${process.pid}[^]*store +well`)),
      });
      expect(JSON.parse((await novact(['status', '--json'])).out)).toMatchObject({ running: true, pid: process.pid, well: true, health: { store: 'well' } });
    } finally {
      folder.release();
      health.close();
    }
  });
});
