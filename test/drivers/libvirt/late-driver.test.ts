import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GuestEvent, HypervisorDriver } from '../../../drivers/driver.ts';
import { LateDriver, openLateDriver } from '../../../drivers/libvirt/late-driver.ts';
import { absence, adviceOf, locateLibvirt } from '../../../drivers/libvirt/locate.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { startFakeLibvirtd } from './fake-libvirtd.ts';

const never = new AbortController().signal;
const faultOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no fault',
    (error: unknown) => (Fault.is(error) ? `${error.code} ${error.reason}` : error),
  );
const guest = { instanceId: '0', generation: 1 };

/** Only what these tests ask of it. */
function innerDriver(): HypervisorDriver & { tell: (event: GuestEvent | null) => void; closed: boolean } {
  const watchers: ((event: GuestEvent | null) => void)[] = [];
  const inner = {
    closed: false,
    tell: (event: GuestEvent | null) => watchers.forEach((watcher) => watcher(event)),
    inventory: async () => ({ vcpus: 7 }),
    list: async () => [],
    watch: (onEvent: (event: GuestEvent | null) => void) => void watchers.push(onEvent),
    status: () => ({ isUp: true, text: 'there' }),
    close: async () => void (inner.closed = true),
  };
  return inner as unknown as HypervisorDriver & typeof inner;
}

describe('a libvirt that is not there yet', () => {
  let inner: ReturnType<typeof innerDriver>;
  let opened: number;
  let answer: () => Promise<HypervisorDriver>;
  let late: LateDriver;
  beforeEach(() => {
    inner = innerDriver();
    opened = 0;
    answer = () => Promise.reject(new Fault('unavailable', 'libvirt.unreachable', 'The hypervisor does not answer.'));
    const open = (): Promise<HypervisorDriver> => (opened++, answer());
    late = new LateDriver({ open, log: silentLog, absence: () => 'no libvirt answers at /x', advice: 'Start libvirt.' });
  });

  it('is no reason not to start; it says where it was looked for and what to do', async () => {
    await late.tryNow();
    expect(late.status()).toEqual({ isUp: false, text: 'no libvirt answers at /x', hint: { text: 'Start libvirt.' } });
  });

  it('fails every verb at once, and is looked for by each look at the inventory, once at a time', async () => {
    await late.tryNow();
    expect(await faultOf(late.list(never))).toBe('unavailable libvirt.unreachable');
    expect(await faultOf(late.destroy(guest, never))).toBe('unavailable libvirt.unreachable');
    expect(opened).toBe(1);
    expect(await Promise.all([faultOf(late.inventory(never)), faultOf(late.inventory(never))])).toEqual([
      'unavailable libvirt.unreachable',
      'unavailable libvirt.unreachable',
    ]);
    expect(opened).toBe(2);
  });

  it('is taken up when it comes, with those who watched before and after', async () => {
    const heard: string[] = [];
    await late.tryNow();
    late.watch(() => heard.push('early'));
    answer = async () => inner;
    expect(await late.inventory(never)).toEqual({ vcpus: 7 });
    late.watch(() => heard.push('later'));
    inner.tell(null);
    expect(heard).toEqual(['early', 'later']);
    expect(await late.list(never)).toEqual([]);
    expect([late.status(), opened]).toEqual([{ isUp: true, text: 'there' }, 2]);
    await late.close();
    expect(inner.closed).toBe(true);
  });

  it('ends a look that is called off or closed meanwhile, and closes what still came', async () => {
    const given = Promise.withResolvers<HypervisorDriver>();
    answer = () => given.promise;
    const stop = new AbortController();
    const look = faultOf(late.inventory(stop.signal));
    stop.abort();
    expect(await look).toBe('cancelled libvirt.cancelled');
    const closing = late.close();
    given.resolve(inner);
    await closing;
    expect(inner.closed).toBe(true);
    expect(await faultOf(late.inventory(never))).toBe('no fault'); // its driver says so itself
  });

  it('that answers and cannot be used ends the start', async () => {
    answer = () => Promise.reject(new Fault('invalid', 'libvirt.stateDir', 'The folder is closed.'));
    expect(await faultOf(late.tryNow())).toBe('invalid libvirt.stateDir');
    expect(late.status().text).toBe('The folder is closed.');
  });
});

describe('which libvirt is driven', () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'novact-locate-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is the machine’s for root and one’s own for anybody else, unless the settings say', () => {
    expect(absence({}, { uid: 0 })).toBe('no libvirt answers at /run/libvirt/libvirt-sock or /run/libvirt/virtqemud-sock');
    expect(absence({}, { uid: 1000, environment: { XDG_RUNTIME_DIR: '/run/user/1000' } })).toBe(
      'no libvirt answers at /run/user/1000/libvirt/libvirt-sock or /run/user/1000/libvirt/virtqemud-sock',
    );
    expect(absence({}, { uid: 1000, environment: {} })).toBe('it is not known where qemu:///session listens, since XDG_RUNTIME_DIR is not set');
    expect(absence({ uri: 'qemu:///system', socketPath: '/x' }, { uid: 1000 })).toBe('no libvirt answers at /x');
    expect(adviceOf({ uri: 'qemu:///session' })).toContain('virsh -c qemu:///session list');
  });

  it('is the first whose socket answers', async () => {
    const fake = await startFakeLibvirtd();
    try {
      expect(await locateLibvirt({ socketPath: fake.path }, { uid: 0 })).toEqual({ uri: 'qemu:///system', endpoint: { path: fake.path } });
      expect(await faultOf(locateLibvirt({}, { uid: 1000, environment: { XDG_RUNTIME_DIR: folder } }))).toBe('unavailable libvirt.unreachable');
      const options = { socketPath: join(folder, 'none'), stateDir: join(folder, 'state'), virtType: 'qemu', clock: systemClock, log: silentLog } as const;
      const driver = await openLateDriver({ ...options, images: { open: () => Promise.reject(new Error('not wanted')) } });
      expect(driver.status?.()).toMatchObject({ isUp: false, text: `no libvirt answers at ${join(folder, 'none')}` });
      await driver.close();
    } finally {
      await fake.close();
    }
  });
});
