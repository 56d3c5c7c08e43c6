/**
 * Peers that are wrong: a node that says what its role may not, one under a key that nobody let in, one of another
 * cluster. Each is refused, and the refusal stands in the log of the node that made it.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../runtime/base/clock.ts';
import type { BootId, NodeName } from '../../runtime/base/ids.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { newKeyPair, type CurveKeyPair } from '../../runtime/mesh/curve.ts';
import type { Frame } from '../../runtime/mesh/frame.ts';
import type { Mesh } from '../../runtime/mesh/mesh.ts';
import { openZeromqMesh } from '../../runtime/mesh/zeromq.ts';
import { readKeyFile, type NodeKeyFile } from '../../runtime/node/key-file.ts';
import { LAUNCHER, startCloud, type Cloud } from '../doubles/cloud.ts';

const WAIT_MS = 20_000;
const opened: Mesh[] = [];
let folder: string;
let cloud: Cloud;
let file: NodeKeyFile;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'novact-rogue-'));
  cloud = await startCloud({ args: ['--name', 'n1', '--hosts', '1'] });
  const { PATH, HOME, TMPDIR } = process.env;
  const words = [LAUNCHER, 'node', 'add', 'rogue', '--roles', 'compute', '--data', cloud.dataDir];
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: tmpdir(), env: { PATH, HOME, TMPDIR } });
  const path = join(folder, 'rogue.key');
  writeFileSync(path, stdout, { mode: 0o600 });
  file = await readKeyFile(path);
});

afterAll(async () => {
  await Promise.all(opened.map((mesh) => mesh.close()));
  await cloud?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('a peer', () => {
  it('of the right key that says what only doors or the control plane may say is refused, and nothing happens', async () => {
    const { mesh, ask } = await speak(file.keys, file.cluster);
    await until('it is greeted', () => mesh.peers()[0]?.connected === true);
    // The answers come back once the other side has learned where this one listens.
    const enter = { row: { name: 'rogue', boot: mesh.self.boot, endpoint: mesh.self.endpoint, publicKey: file.keys.publicKey, roles: ['compute'] } };
    expect(await ask('conductor/any', 'nodeEnter', enter)).toMatchObject({ ok: true });
    const wrong: [string, string, object][] = [
      ['conductor/any', 'listNetworks', { projectId: null }],
      ['conductor/any', 'secrets', {}],
      ['conductor/any', 'hostClaims', { host: 'host-1', instanceId: null }],
      ['conductor/any', 'nodeBeat', { name: 'n1', boot: 'b' }],
      ['host/host-1', 'report', {}],
      ['scheduler/0', 'unclaimed', { host: 'host-1', instanceId: '0b6b2a6e-3c0e-4a35-9c3e-2f1e0b2d9a11' }],
    ];
    for (const [to, type, body] of wrong)
      expect(await ask(to, type, body), type).toMatchObject({ ok: false, fault: { code: 'forbidden', reason: 'door.closed' } });
    expect(await ask('conductor/any', 'nodeEnter', { row: { ...enter.row, roles: ['compute', 'control'] } })).toMatchObject({
      ok: false,
      fault: { reason: 'node.unknownKey' },
    });
    for (const [, type] of wrong) expect(log()).toMatch(new RegExp(`"from":"rogue".*"type":"${type}".*refused`));
  });

  it('under a key that nobody let in does not get a connection', async () => {
    const { mesh } = await speak(newKeyPair(), file.cluster);
    await until('it is turned away', () => log().includes('mesh.turnedAway.unknownKey'));
    expect(mesh.peers()[0]?.connected).toBe(false);
  });

  it('of another cluster is not greeted, though its key is known', async () => {
    const { mesh } = await speak(file.keys, 'e4c1ae0e-45a3-4b8d-9ef5-0a9e7a2d7a11');
    await until('it is turned away', () => log().includes('mesh.turnedAway.wrongCluster'));
    expect(mesh.peers()[0]?.connected).toBe(false);
  });
});

type Reply = Extract<Frame, { kind: 'reply' }>;

/** A mesh of its own beside any program, which says what it likes. */
async function speak(keys: CurveKeyPair, cluster: string) {
  const [seed] = file.seeds;
  if (!seed) throw new Error('a key file names a seed');
  const mesh = await openZeromqMesh({
    self: 'rogue' as NodeName,
    boot: `boot-${opened.length}` as BootId,
    roles: ['compute'],
    bind: 'tcp://127.0.0.1:*',
    cluster,
    keys,
    isAllowed: (publicKey) => (publicKey === seed.publicKey ? seed : undefined),
    clock: systemClock,
    log: silentLog,
  });
  opened.push(mesh);
  const waiting = new Map<number, (reply: Reply) => void>();
  mesh.onFrame((_, frame) => void (frame.kind === 'reply' && waiting.get(frame.id)?.(frame)));
  mesh.setPeers([seed]);
  let id = 0;
  const ask = (to: string, type: string, body: object): Promise<Reply> =>
    new Promise((resolve, reject) => {
      id += 1;
      waiting.set(id, resolve);
      mesh.send(seed.node, { kind: 'ask', id, to, type, body, leftMs: WAIT_MS });
      setTimeout(() => reject(new Error(`${type} was not answered`)), WAIT_MS).unref();
    });
  return { mesh, ask };
}

function log(): string {
  return readFileSync(join(cloud.dataDir, 'novact.log'), 'utf8');
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const endMs = Date.now() + WAIT_MS;
  while (!isSo()) {
    if (Date.now() > endMs) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
