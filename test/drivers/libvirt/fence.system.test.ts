import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFence } from '../../../drivers/fence.ts';
import type { HypervisorDriver } from '../../../drivers/driver.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { lacks } from '../../doubles/cloud.ts';
import { libvirtObstacle, openRig, type LibvirtRig } from './rig.ts';

const LIMIT_MS = 120_000;
const limit = (): AbortSignal => AbortSignal.timeout(LIMIT_MS);

let missing: string | undefined;
let rig: LibvirtRig;
let driver: HypervisorDriver;

beforeAll(async () => {
  missing = await libvirtObstacle();
  if (missing !== undefined) return;
  rig = await openRig();
  driver = await rig.open();
}, LIMIT_MS);
afterAll(() => rig?.close());

describe('the fence of a libvirt host', () => {
  it('pulls the plug of every guest of ours and of nobody else, without the driver', { timeout: LIMIT_MS }, async (ctx) => {
    if (missing !== undefined) return lacks(ctx.skip.bind(ctx), missing);
    const ours = [rig.specFor(), rig.specFor()];
    for (const spec of ours) await driver.spawn(spec, limit());
    const foreign = await startForeign();
    const { uri, socketPath } = rig.daemon;
    const fence = await openFence({ kind: 'libvirt', uri, socketPath, stateDir: rig.stateDir, virtType: 'qemu' }, { clock: systemClock, log: silentLog });
    try {
      expect(await fence.close(limit())).toEqual({ stopped: 2 });
      expect(await fence.close(limit())).toEqual({ stopped: 0 });
      const seen = await driver.list(limit());
      expect(seen.filter(({ instanceId }) => ours.some((spec) => spec.instanceId === instanceId)).map(({ power }) => power)).toEqual(['shutdown', 'shutdown']);
      expect((await rig.daemon.virsh('domstate', foreign)).trim()).toBe('running');
      await fence.open();
      expect(await driver.start(ours[0]!, limit())).toEqual({ power: 'running' });
    } finally {
      await fence.end();
      await rig.daemon.virsh('destroy', foreign);
      for (const spec of ours) await driver.destroy(spec, limit());
    }
  });

  it('says that it cannot when libvirt does not answer: guests may run', async () => {
    const fence = await openFence(
      { kind: 'libvirt', uri: 'qemu:///system', socketPath: '/nowhere/libvirt-sock', stateDir: '/nowhere', virtType: 'qemu' },
      { clock: systemClock, log: silentLog },
    );
    await expect(fence.close(limit())).rejects.toMatchObject({ code: 'unavailable' });
    await fence.end();
  });
});

/** A guest of somebody else; answers with its name. */
async function startForeign(): Promise<string> {
  const name = `foreign-${randomUUID().slice(0, 8)}`;
  const folder = await mkdtemp(join(tmpdir(), 'novact-foreign-'));
  const xml = `<domain type='qemu'><name>${name}</name><memory unit='MiB'>32</memory><os><type arch='x86_64' machine='pc'>hvm</type></os></domain>`;
  await writeFile(join(folder, 'domain.xml'), xml);
  await rig.daemon.virsh('create', join(folder, 'domain.xml'));
  await rm(folder, { recursive: true });
  return name;
}
