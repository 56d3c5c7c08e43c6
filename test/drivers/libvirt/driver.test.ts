/** The driver against a scripted libvirtd: starts that fail, images that lie, events. A sane libvirtd does few of these. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import type { GuestEvent, GuestSpec, HypervisorDriver } from '../../../drivers/driver.ts';
import { openLibvirtDriver } from '../../../drivers/libvirt/driver.ts';
import { LIFECYCLE_MESSAGE, PROCEDURES } from '../../../drivers/libvirt/procedures.ts';
import { encode } from '../../../drivers/libvirt/xdr.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { hasTool } from '../../guest/build.ts';
import { qcow2, vmdk } from '../image/headers.ts';
import { startFakeLibvirtd, type FakeLibvirtd } from './fake-libvirtd.ts';

const limit = (): AbortSignal => AbortSignal.timeout(20_000);
const nothing = Buffer.alloc(0);
const spec: GuestSpec = {
  instanceId: randomUUID(),
  generation: 2,
  name: 'instance-1',
  displayName: 'a',
  hostname: 'a',
  projectId: 'p',
  userId: 'u',
  vcpus: 1,
  memoryMiB: 64,
  rootGiB: 0,
  ephemeralGiB: 0,
  swapMiB: 0,
  image: { id: 'blank', diskFormat: 'raw', sizeBytes: 4096, hash: null, properties: {} },
  nics: [],
  userData: null,
  metadata: {},
};
const dom = { name: spec.name, uuid: spec.instanceId, id: -1 };

let folder: string;
let fake: FakeLibvirtd;
let driver: HypervisorDriver;
/** What the scripted libvirtd has: state and reason of the domain, once it is defined. */
let domain: { state: number; reason: number } | undefined;
/** What the image service sends. */
let bytes: Buffer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'novact-fake-'));
  fake = await startFakeLibvirtd();
  domain = undefined;
  bytes = Buffer.alloc(4096);
  const gone = { error: 42, text: 'no domain' };
  fake.on('connectGetCapabilities', () => encode(PROCEDURES.connectGetCapabilities.ret, { capabilities: '<capabilities/>' }));
  fake.on('connectDomainEventCallbackRegisterAny', () => encode(PROCEDURES.connectDomainEventCallbackRegisterAny.ret, { callbackId: 1 }));
  fake.on('domainLookupByUuid', () => (domain === undefined ? gone : encode(PROCEDURES.domainLookupByUuid.ret, { dom })));
  fake.on('domainGetMetadata', () => encode(PROCEDURES.domainGetMetadata.ret, { metadata: '<instance generation="2"/>' }));
  fake.on('domainDefineXmlFlags', () => ((domain = { state: 5, reason: 0 }), encode(PROCEDURES.domainDefineXmlFlags.ret, { dom })));
  fake.on('domainGetState', () => encode(PROCEDURES.domainGetState.ret, domain ?? { state: 0, reason: 0 }));
  fake.on('domainHasManagedSaveImage', () => encode(PROCEDURES.domainHasManagedSaveImage.ret, { result: 0 }));
  fake.on('domainDestroyFlags', () => ((domain = { state: 5, reason: 2 }), nothing));
  fake.on('domainUndefineFlags', () => ((domain = undefined), nothing));
  driver = await openLibvirtDriver({
    uri: 'qemu:///system',
    socketPath: fake.path,
    stateDir: join(folder, 'state'),
    virtType: 'kvm',
    clock: systemClock,
    log: silentLog,
    images: { open: async () => Readable.from([bytes]) },
  });
});
afterEach(async () => {
  await driver.close();
  await fake.close();
  await rm(folder, { recursive: true });
});

/** From now on a start leads to this state. */
function startLeadsTo(state: number, reason: number): void {
  fake.on('domainCreateWithFlags', () => ((domain = { state, reason }), encode(PROCEDURES.domainCreateWithFlags.ret, { dom })));
}
async function need(ctx: TestContext): Promise<void> {
  if (!(await hasTool('qemu-img')) && process.env['CI'] === undefined) ctx.skip('needs qemu-img');
}
const faultOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no fault',
    (error: unknown) => (Fault.is(error) ? `${error.code} ${error.reason}` : error),
  );

describe('a spawn', () => {
  it.for([
    ['paused', 3, 5],
    ['off', 5, 6],
  ] as const)('fails when the guest is %s right after its start, and leaves nothing', async ([, state, reason], ctx) => {
    await need(ctx);
    startLeadsTo(state, reason);
    expect(await faultOf(driver.spawn(spec, limit()))).toBe('unsupported libvirt.notRunning');
    expect(domain).toBeUndefined();
    expect(await readdir(join(folder, 'state/instances'))).toEqual([]);
  });

  it('succeeds when the guest keeps running', async (ctx) => {
    await need(ctx);
    startLeadsTo(1, 1);
    expect(await driver.spawn(spec, limit())).toEqual({ power: 'running' });
  });

  it('on a host without memory says that the host is full', async (ctx) => {
    await need(ctx);
    fake.on('domainCreateWithFlags', () => ({ error: 1, text: 'cannot set up guest memory: Cannot allocate memory' }));
    expect(await faultOf(driver.spawn(spec, limit()))).toBe('overloaded libvirt.full');
    expect(domain).toBeUndefined();
  });

  it('that the hypervisor itself refuses is not tried there again, and leaves nothing', async (ctx) => {
    await need(ctx);
    fake.on('domainCreateWithFlags', () => ({ error: 1, text: 'internal error: process exited while connecting to monitor' }));
    expect(await faultOf(driver.spawn(spec, limit()))).toBe('unsupported libvirt.failed');
    fake.on('domainDefineXmlFlags', () => ({
      error: 9,
      text: "operation failed: domain 'instance-00000001' already exists with uuid 5a1f4b9e-0000-4000-8000-000000000000",
    }));
    expect(await faultOf(driver.spawn(spec, limit()))).toBe('conflict libvirt.nameTaken');
    expect([domain, await readdir(join(folder, 'state/instances'))]).toEqual([undefined, []]);
  });

  it('does not take over the guest of somebody else', async () => {
    domain = { state: 1, reason: 1 };
    fake.on('domainGetMetadata', () => ({ error: 80, text: 'no metadata' }));
    expect(await faultOf(driver.spawn(spec, limit()))).toBe('conflict guest.foreign');
    await driver.destroy(spec, limit());
    expect(domain).toEqual({ state: 1, reason: 1 });
  });
});

describe('an image that lies', () => {
  const imageOf = (diskFormat: string): GuestSpec['image'] => ({ ...spec.image, diskFormat, sizeBytes: bytes.length });

  it.for([
    ['a data file (S1)', qcow2({ features: 4n }), 'qcow2', 0, 'image.unsafe'],
    ['another format than declared (S2)', qcow2(), 'raw', 0, 'image.mismatch'],
    ['a path in its extent (S3)', vmdk({ extents: ['RW 2048 FLAT "/etc/passwd" 0'] }), 'vmdk', 0, 'image.unsafe'],
    ['a backing file by protocol (S7)', qcow2({ backing: 'json:{}' }), 'qcow2', 0, 'image.unsafe'],
    ['a disk larger than the flavor has', qcow2({ virtualBytes: 2n << 30n, clusterBits: 17 }), 'qcow2', 1, 'image.tooLarge'],
  ] as const)('with %s is refused before any tool or libvirt sees it', async ([, content, diskFormat, rootGiB, reason]) => {
    bytes = content;
    expect(await faultOf(driver.spawn({ ...spec, rootGiB, image: imageOf(diskFormat) }, limit()))).toBe(`invalid ${reason}`);
    expect(fake.asked).not.toContain('domainDefineXmlFlags');
    expect(await readdir(join(folder, 'state/instances'))).toEqual([]);
  });

  it('has an honest twin that is spawned', async (ctx) => {
    await need(ctx);
    startLeadsTo(1, 1);
    bytes = qcow2();
    expect(await driver.spawn({ ...spec, rootGiB: 1, image: imageOf('qcow2') }, limit())).toEqual({ power: 'running' });
  });
});

describe('a cancelled spawn', () => {
  it('waits for the change under way, so that the next verb finds it', async (ctx) => {
    await need(ctx);
    startLeadsTo(1, 1);
    const stop = new AbortController();
    fake.on('domainDefineXmlFlags', () => {
      stop.abort();
      domain = { state: 5, reason: 0 };
      return encode(PROCEDURES.domainDefineXmlFlags.ret, { dom });
    });
    expect(await faultOf(driver.spawn(spec, stop.signal))).toBe('cancelled libvirt.cancelled');
    expect(domain).toEqual({ state: 5, reason: 0 });
    await driver.destroy(spec, limit());
    expect([domain, await readdir(join(folder, 'state/instances'))]).toEqual([undefined, []]);
  });
});

describe('events', () => {
  it('carry the generation, come in order, and are dropped for guests of others', async (ctx) => {
    await need(ctx);
    startLeadsTo(1, 1);
    await driver.spawn(spec, limit());
    const heard: (GuestEvent | null)[] = [];
    driver.watch((event) => heard.push(event));
    const send = (uuid: string, event: number, detail: number): void =>
      fake.send({ procedure: LIFECYCLE_MESSAGE.number, payload: encode(LIFECYCLE_MESSAGE.codec, { callbackId: 1, dom: { ...dom, uuid }, event, detail }) });
    send(spec.instanceId, 3, 0);
    send(randomUUID(), 5, 0);
    send(spec.instanceId, 4, 0);
    send(spec.instanceId, 6, 0); // about to shut down: no change yet
    send(spec.instanceId, 5, 5);
    await expect
      .poll(() => heard.map((event) => [event?.generation, event?.power]))
      .toEqual([
        [2, 'paused'],
        [2, 'running'],
        [2, 'crashed'],
      ]);
  });
});

describe('a password', () => {
  const set = () => driver.setPassword?.(spec, 'secret', limit()) ?? Promise.reject(new Error('it cannot'));
  const running = (): void => void (domain = { state: 1, reason: 1 });

  it('is set for the administrator that stands on the domain', async () => {
    running();
    let seen: unknown;
    fake.on('domainSetUserPassword', (args) => ((seen = args), nothing));
    fake.on('domainGetMetadata', () => encode(PROCEDURES.domainGetMetadata.ret, { metadata: '<instance generation="2" admin="cloud-user"/>' }));
    await set();
    expect(seen).toMatchObject({ user: 'cloud-user', password: 'secret' });
  });

  it.each([
    [74, 'conflict guest.noAgent'],
    [86, 'conflict libvirt.agentSilent'],
  ])('that libvirt refuses with %i is a %s', async (error, said) => {
    running();
    fake.on('domainSetUserPassword', () => ({ error, text: 'no agent' }));
    expect(await faultOf(set())).toBe(said);
  });

  it('of a guest that is off is a conflict, and nobody is asked', async () => {
    domain = { state: 5, reason: 0 };
    expect(await faultOf(set())).toBe('conflict guest.power');
  });
});
