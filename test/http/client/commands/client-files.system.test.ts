import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { shellWord, writeClientFiles } from '../../../../http/client/commands/client-files.ts';

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "client's files-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const PASSWORD = `p'a"s$s \`w\\o: #rd`;
const demo = { cloud: 'novact', username: 'demo', password: PASSWORD, project: 'demo', userDomain: 'Default', projectDomain: 'Default' };
const admin = { ...demo, cloud: 'novact-admin', username: 'admin', project: 'admin' };
const write = () => writeClientFiles(dir, { authUrl: 'http://127.0.0.1:5000/v3', region: 'RegionOne', accounts: [demo, admin] });

describe('files for clients', () => {
  it('hold every account as a cloud, whatever its password', () => {
    const { clouds } = parse(readFileSync(write().cloudsYaml, 'utf8'));
    expect(Object.keys(clouds)).toEqual(['novact', 'novact-admin']);
    expect(clouds['novact-admin']).toEqual({
      auth: {
        auth_url: 'http://127.0.0.1:5000/v3',
        username: 'admin',
        password: PASSWORD,
        project_name: 'admin',
        user_domain_name: 'Default',
        project_domain_name: 'Default',
      },
      region_name: 'RegionOne',
      identity_api_version: 3,
      interface: 'public',
    });
  });

  it('can be sourced by a shell, for the first account', () => {
    const { openrc } = write();
    const script = `OS_CLOUD=other; export OS_CLOUD; . ${shellWord(openrc)}; printf '%s\\n%s\\n%s' "$OS_USERNAME" "$OS_PASSWORD" "$OS_CLOUD"`;
    expect(execFileSync('sh', ['-c', script], { encoding: 'utf8' })).toBe(`demo\n${PASSWORD}\n`);
  });

  it('are closed to other accounts, also when they are written again', () => {
    write();
    const { cloudsYaml, openrc } = write();
    expect([cloudsYaml, openrc].map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o600]);
  });

  it('say at their top how they are used', () => {
    expect(readFileSync(write().cloudsYaml, 'utf8').split('\n')[0]).toContain(
      `export OS_CLIENT_CONFIG_FILE=${shellWord(join(dir, 'clouds.yaml'))} OS_CLOUD=novact`,
    );
  });
});
