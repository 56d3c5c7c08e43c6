/** The hypervisor contract on a real libvirtd with real guests, and on libvirt's own test hypervisor. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { driverContract, type DriverRig } from '../../contract/driver.ts';
import { libvirtObstacle, openRig, type LibvirtRig } from './rig.ts';

const FOREIGN_XML = (name: string, uuid: string): string => `
  <domain type='qemu'><name>${name}</name><uuid>${uuid}</uuid><memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os></domain>`;

async function plant(rig: LibvirtRig): Promise<{ name: string; remove(): Promise<void> }> {
  const name = `foreign-${randomUUID().slice(0, 8)}`;
  const folder = await mkdtemp(join(tmpdir(), 'novact-foreign-'));
  await writeFile(join(folder, 'domain.xml'), FOREIGN_XML(name, randomUUID()));
  await rig.daemon.virsh('define', join(folder, 'domain.xml'));
  await rm(folder, { recursive: true });
  return { name, remove: async () => void (await rig.daemon.virsh('undefine', name)) };
}

/** A rig with its first driver; closed again when the driver can't be opened. */
async function openWith(open: (rig: LibvirtRig) => ReturnType<LibvirtRig['open']>) {
  const rig = await openRig();
  try {
    return { rig, driver: await open(rig) };
  } catch (error) {
    await rig.close();
    throw error;
  }
}

async function openQemu(): Promise<DriverRig> {
  const { rig, driver } = await openWith((one) => one.open());
  return {
    driver,
    reopen: () => rig.open(),
    specFor: (overrides) => rig.specFor(overrides),
    settleMs: 60_000,
    hardTimeoutMs: 120_000,
    close: () => rig.close(),
    plantForeign: () => plant(rig),
    cutPower: ({ instanceId }) => rig.daemon.killGuest(instanceId),
    pauseGuest: async ({ name }) => void (await rig.daemon.virsh('suspend', name)),
    leftovers: (guest) => rig.leftovers(guest),
    bootText: 'GUEST READY',
  };
}

driverContract('libvirt with QEMU', openQemu, { testTimeoutMs: 180_000, crowd: 2, missing: libvirtObstacle });

/** No QEMU: the same code against a hypervisor that only keeps books. It writes no console and lives in one process. */
async function openTest(): Promise<DriverRig> {
  const uri = 'test:///default';
  const { rig, driver } = await openWith((one) => one.open({ uri }));
  return {
    driver,
    reopen: () => rig.open({ uri }),
    specFor: (overrides) => rig.specFor({ nics: [], ...overrides }),
    close: () => rig.close(),
  };
}

driverContract("libvirt's test hypervisor", openTest, { crowd: 20, missing: libvirtObstacle });
