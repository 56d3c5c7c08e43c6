/**
 * A fresh cloud as a process, on a private libvirtd with the tiny guest: what the whole-path tests share. Its data
 * folder stands in a folder that QEMU's user may pass, as /srv or /var/lib would.
 */
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestContext } from 'vitest';
import { invariants, query } from '../chaos/checkers.ts';
import { startCloud, lacks, type Cloud } from '../doubles/cloud.ts';
import { buildGuest, guestObstacle, hasTool, type TinyGuest } from '../guest/build.ts';
import { libvirtdObstacle, startLibvirtd, type PrivateLibvirtd } from '../guest/libvirtd.ts';

export type LibvirtCloud = {
  readonly cloud: Cloud;
  readonly daemon: PrivateLibvirtd;
  readonly guest: TinyGuest;
  /** A folder of the test, removed at the end. */
  readonly folder: string;
  /** Write `name:count` here: the cloud dies there (see runtime/base/failpoint.ts). */
  readonly failpointFile: string;
  /** The client that people use, with or without rights; its standard output. */
  openstack(...args: string[]): Promise<string>;
  openstackAdmin(...args: string[]): Promise<string>;
  /** Makes an image of a file; its id. */
  upload(name: string, format: string, file: string): Promise<string>;
  /** State by uuid, as `virsh` tells it. */
  domains(): Promise<Map<string, string>>;
  /** Names of the instances' folders. */
  folders(): string[];
  /** What is not as it must be when nothing is asked for any more; empty when all is well. */
  problems(): Promise<string[]>;
  close(): Promise<void>;
};

const run = promisify(execFile);
const CLIENT_LIMIT_MS = 120_000;
/** A guest that is up hears the power button within a second; under load it may take longer to go. */
const GRACE_MS = 20_000;

/** Why none of it can run here, or undefined. */
export async function obstacle(): Promise<string | undefined> {
  return (await libvirtdObstacle()) ?? (await guestObstacle()) ?? ((await hasTool('openstack')) ? undefined : 'needs openstack');
}

export async function need(ctx: TestContext, rig: LibvirtCloud | undefined): Promise<LibvirtCloud> {
  if (rig === undefined) lacks((why) => ctx.skip(why), ((await obstacle()) ?? '').replace(/^needs /, ''));
  if (rig === undefined) throw new Error('the cloud did not start');
  return rig;
}

export async function openLibvirtCloud(args: readonly string[] = []): Promise<LibvirtCloud> {
  const guest = await buildGuest();
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'novact-guests-')));
  chmodSync(folder, 0o711);
  const dataDir = join(folder, 'data');
  const failpointFile = join(folder, 'failpoint');
  let daemon: PrivateLibvirtd | undefined;
  try {
    daemon = await startLibvirtd();
    const sets = [`hosts.0.driver.socketPath=${daemon.socketPath}`, `operations.stopGraceMs=${GRACE_MS}`, `operations.rebootGraceMs=${GRACE_MS}`];
    const words = ['--driver', 'libvirt', ...sets.flatMap((set) => ['--set', set]), ...args];
    const cloud = await startCloud({ args: words, dataDir, env: { NOVACT_FAILPOINT_FILE: failpointFile } });
    return joined({ guest, folder, failpointFile, daemon, cloud });
  } catch (error) {
    await daemon?.close();
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function joined(parts: Pick<LibvirtCloud, 'guest' | 'folder' | 'failpointFile' | 'daemon' | 'cloud'>): LibvirtCloud {
  const { cloud, daemon, folder } = parts;
  const client = async (who: string, args: string[]): Promise<string> => {
    const env = { PATH: '/usr/bin:/bin', HOME: folder, OS_CLIENT_CONFIG_FILE: join(cloud.dataDir, 'clouds.yaml'), OS_CLOUD: who };
    return (await run('openstack', args, { env, cwd: folder, timeout: CLIENT_LIMIT_MS })).stdout;
  };
  const domains = async (): Promise<Map<string, string>> => {
    const uuids = (await daemon.virsh('list', '--all', '--uuid'))
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
    return new Map(await Promise.all(uuids.map(async (uuid) => [uuid, (await daemon.virsh('domstate', uuid)).trim()] as const)));
  };
  const folders = (): string[] => {
    const hosts = join(cloud.dataDir, 'hosts');
    return readdirSync(hosts).flatMap((host) => readdirSync(join(hosts, host, 'instances')));
  };
  return {
    ...parts,
    openstack: (...args) => client('novact', args),
    openstackAdmin: (...args) => client('novact-admin', args),
    upload: (name, format, file) => upload(cloud, { name, format, file }),
    domains,
    folders,
    problems: async () => [...(await invariants(cloud)), ...(await openWork(cloud)), ...(await astray(cloud, await domains(), folders()))],
    close: async () => {
      await cloud.close();
      await daemon.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function upload(cloud: Cloud, { name, format, file }: { name: string; format: string; file: string }): Promise<string> {
  const { body } = await cloud.api<{ id: string }>('POST', `${cloud.urls.image}/v2/images`, { name, disk_format: format, container_format: 'bare' });
  const headers = { 'x-auth-token': await cloud.adminToken(), 'content-type': 'application/octet-stream' };
  const { status } = await fetch(`${cloud.urls.image}/v2/images/${body.id}/file`, { method: 'PUT', headers, body: readFileSync(file) });
  if (status !== 204) throw new Error(`the image ${name} was not taken: ${status}`);
  return body.id;
}

async function openWork(cloud: Cloud): Promise<string[]> {
  const open = await query<{ id: string; record: { operation: unknown } }>(cloud, 'select id::text, record from instance where open');
  const doomed = await query<{ id: string }>(cloud, `select instance_id::text as id from claim where role = 'doomed'`);
  return [...open.map(({ id, record }) => `open: ${id} ${JSON.stringify(record.operation)}`), ...doomed.map(({ id }) => `doomed: ${id}`)];
}

const STATES: { readonly [vmState: string]: string } = { active: 'running', stopped: 'shut off' };

/** Servers on hosts, domains and folders are the same; and the domains are in the state that the servers say. */
async function astray(cloud: Cloud, domains: Map<string, string>, folders: readonly string[]): Promise<string[]> {
  const rows = await query<{ id: string; vm_state: string }>(cloud, 'select id::text, vm_state from instance where not deleted and host is not null');
  const said = rows.map(({ id, vm_state }) => `${id} ${STATES[vm_state] ?? vm_state}`).sort();
  const seen = [...domains].map(([id, state]) => `${id} ${state}`).sort();
  const wrong = said.join() === seen.join() ? [] : [`servers ${JSON.stringify(said)} but domains ${JSON.stringify(seen)}`];
  const ids = rows.map(({ id }) => id).sort();
  return ids.join() === [...folders].sort().join() ? wrong : [...wrong, `servers ${JSON.stringify(ids)} but folders ${JSON.stringify(folders)}`];
}
