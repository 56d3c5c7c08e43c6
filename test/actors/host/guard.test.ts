import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guard, guardFile, leaseFile, nodeFile, orderFile, readWord, writeWord } from '../../../actors/host/guard.ts';
import type { HostFence } from '../../../drivers/driver.ts';
import { silentLog } from '../../../runtime/base/log.ts';

const HOSTS = ['h1', 'h2'];
let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'novact-guard-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A guard whose time is told to it: each of its pauses ends with the next step of the script. */
class Rig {
  nowMs = 1_000;
  isNodeThere = true;
  /** Guests that run, by host; a fence that is closed ends them. */
  readonly running = new Map(HOSTS.map((host) => [host, 2]));
  readonly said: string[] = [];
  fails = false;

  constructor() {
    writeWord(orderFile(folder), JSON.stringify({ hosts: HOSTS.map((name) => ({ name, driver: { kind: 'simulated', directory: name } })) }));
    writeWord(nodeFile(folder), 'node');
  }

  lease(host: string, untilMs: number, boot = 'this'): void {
    writeWord(leaseFile(folder, host), `${boot} ${untilMs}`);
  }

  /** Runs the guard: before each of its looks but the first comes a step. It is ended after the last. */
  async run(steps: readonly (() => void)[], self = 'me'): Promise<'ended' | 'stopped'> {
    const left = [...steps];
    const stop = new AbortController();
    const sleep = async (): Promise<void> => {
      const step = left.shift();
      if (step) step();
      else stop.abort();
      await new Promise((resolve) => setImmediate(resolve)); // what a fence was asked is done between two looks
    };
    const guard = new Guard({
      folder,
      self,
      boot: 'this',
      clock: { wallMs: () => 0, monotonicMs: () => 0, after: () => ({ cancel() {} }), sleep },
      log: silentLog,
      uptimeMs: () => this.nowMs,
      lives: () => this.isNodeThere,
      openFence: async (driver) => this.#fence('directory' in driver ? driver.directory : ''),
    });
    await guard.run(stop.signal);
    return stop.signal.aborted ? 'stopped' : 'ended';
  }

  #fence(host: string): HostFence {
    return {
      close: async () => {
        this.said.push(`close ${host}`);
        if (this.fails) throw new Error('the hypervisor does not answer');
        const stopped = this.running.get(host) ?? 0;
        this.running.set(host, 0);
        return { stopped };
      },
      open: async () => void this.said.push(`open ${host}`),
      end: async () => void this.said.push(`end ${host}`),
    };
  }
}

const nothing = (): void => {};

describe('the guard', () => {
  it('stops the guests of a host when its lease ends, and only of that host', async () => {
    const rig = new Rig();
    rig.lease('h1', 2_000);
    rig.lease('h2', 9_000);
    await rig.run([() => (rig.nowMs = 1_999), () => expect(rig.said).toEqual([]), () => (rig.nowMs = 2_000), nothing]);
    expect([...rig.running]).toEqual([
      ['h1', 0],
      ['h2', 2],
    ]);
  });

  it('stops nobody while leases are renewed in time', async () => {
    const rig = new Rig();
    rig.lease('h1', 2_000);
    const renew = (nowMs: number) => () => {
      rig.nowMs = nowMs;
      rig.lease('h1', nowMs + 500);
    };
    await rig.run([1_900, 2_300, 2_700, 3_100].map(renew));
    expect(rig.said).toEqual([]);
  });

  it('goes on to close while it has no lease, and opens when it is back', async () => {
    const rig = new Rig();
    rig.lease('h1', 500);
    await rig.run([nothing, () => rig.running.set('h1', 1), nothing, () => rig.lease('h1', 5_000), nothing]);
    expect(rig.said.at(-1)).toBe('open h1');
    expect(rig.said.filter((one) => one === 'open h1')).toEqual(['open h1']);
    expect(rig.said.filter((one) => one === 'close h1').length).toBeGreaterThan(2);
    expect(rig.running.get('h1')).toBe(0);
  });

  it('takes no lease of a former start of the machine for one', async () => {
    const rig = new Rig();
    rig.lease('h1', 999_999, 'before');
    await rig.run([nothing]);
    expect(rig.running.get('h1')).toBe(0);
  });

  it('lets a host go on to which the node has said goodbye', async () => {
    const rig = new Rig();
    rig.lease('h1', 2_000);
    await rig.run([() => rmSync(leaseFile(folder, 'h1')), () => (rig.nowMs = 9_000), nothing]);
    expect(rig.said).toEqual([]);
  });

  it('ends with its node when that has said goodbye to all', async () => {
    const rig = new Rig();
    rig.lease('h1', 2_000);
    const goodbye = (): void => {
      rmSync(leaseFile(folder, 'h1'));
      rmSync(nodeFile(folder));
    };
    expect(await rig.run([goodbye, nothing, nothing])).toBe('ended');
  });

  it('stays when its node was killed, until nothing runs any more', async () => {
    const rig = new Rig();
    rig.lease('h1', 2_000);
    const steps = [() => (rig.isNodeThere = false), nothing, () => (rig.nowMs = 2_000), nothing, nothing, nothing];
    expect(await rig.run(steps)).toBe('ended');
    expect(rig.running.get('h1')).toBe(0);
    expect(rig.said.at(-1)).toBe('end h1');
  });

  it('does not end while a hypervisor does not say that nothing runs', async () => {
    const rig = new Rig();
    rig.lease('h1', 500);
    rig.isNodeThere = false;
    rig.fails = true;
    expect(await rig.run([nothing, nothing, nothing, nothing])).toBe('stopped');
    expect(rig.said.length).toBeGreaterThan(3);
  });

  it('gives way to another guard without stopping anybody', async () => {
    const rig = new Rig();
    rig.lease('h1', 2_000);
    const taken = (): void => {
      writeWord(guardFile(folder), 'another\n');
      rig.nowMs = 5_000;
    };
    expect(await rig.run([taken, nothing])).toBe('ended');
    expect(rig.said).toEqual([]);
    expect(readWord(guardFile(folder))).toBe('another\n');
  });
});
