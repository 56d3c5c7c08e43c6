/** Two real processes: what a kill -9, a restart and a stopped peer do to frames and to memory. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BootId } from '../../../runtime/base/ids.ts';
import type { Mesh } from '../../../runtime/mesh/mesh.ts';
import { B, eventually, hear, tell } from '../../contract/mesh.ts';
import type { ChildSetup } from './mesh-child.ts';
import { openZeromqRig } from './zeromq-rig.ts';
import type { ZeromqRig } from './zeromq-rig.ts';

const MIB = 1024 * 1024;
let rig: ZeromqRig;
let children: ChildProcess[];

beforeEach(async () => {
  children = [];
  rig = await openZeromqRig();
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await rig.close();
});

async function startB(boot: string): Promise<{ child: ChildProcess; heard: { heard: unknown; staleBoot: number }[] }> {
  const child = fork(new URL('./mesh-child.ts', import.meta.url), { stdio: 'inherit', execArgv: [] });
  children.push(child);
  child.send({ self: await rig.keyOf('b'), boot, keys: await rig.pairOf('b'), peers: [await rig.keyOf('a')] } satisfies ChildSetup);
  await once(child, 'message');
  const heard: { heard: unknown; staleBoot: number }[] = [];
  child.on('message', (message) => heard.push(message as { heard: unknown; staleBoot: number }));
  return { child, heard };
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

function bootSeen(a: Mesh): unknown {
  const [view] = a.peers();
  return [view?.connected, view?.boot];
}

describe('two processes', () => {
  it('ask and answer, over a kill -9 and a restart of the other', async () => {
    const a = await rig.open('a', 'a-1');
    const answers = hear(a);
    a.setPeers([await rig.keyOf('b')]);
    for (const [n, boot] of ['b-1', 'b-2'].entries()) {
      const { child } = await startB(boot);
      await eventually(() => expect(bootSeen(a)).toEqual([true, boot]));
      a.send(B, { kind: 'ask', id: n, to: 'thing/1', type: 'echo', body: n, leftMs: 5_000 });
      await eventually(() => expect(answers.at(-1)?.frame).toMatchObject({ id: n, value: { echo: n, boot } }));
      await kill(child);
      await eventually(() => expect(a.peers()[0]?.connected).toBe(false));
    }
  });

  it('drop what waited for the boot that was killed', async () => {
    const a = await rig.open('a', 'a-1');
    a.setPeers([await rig.keyOf('b')]);
    const first = await startB('b-1');
    await eventually(() => expect(bootSeen(a)).toEqual([true, 'b-1']));
    await kill(first.child);
    await eventually(() => expect(a.peers()[0]?.connected).toBe(false));
    for (let n = 0; n < 10; n++) a.send(B, tell({ stale: n }, { forBoot: 'b-1' as BootId }));
    a.send(B, tell('any'));
    const { heard } = await startB('b-2');
    await eventually(() => expect(heard).toEqual([{ heard: 'any', staleBoot: 10 }]));
  });

  it('keep memory bounded when one is stopped, say no past the limit, and go on when it continues', async () => {
    const limits = { framesMax: 2_000, bytesMax: 4 * MIB, ageMaxMs: 1_000 };
    const a = await rig.open('a', 'a-1', limits);
    a.setPeers([await rig.keyOf('b')]);
    const { child, heard } = await startB('b-1');
    await eventually(() => expect(bootSeen(a)).toEqual([true, 'b-1']));
    child.kill('SIGSTOP');
    const before = process.memoryUsage().rss;
    let refused = 0;
    for (let offered = 0; refused < 20_000 && offered < 200_000; offered++) {
      if (!a.send(B, tell('x'.repeat(1_000)))) refused++;
      if (offered % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(refused).toBe(20_000);
    expect(a.peers()[0]?.queued).toBeLessThanOrEqual(limits.framesMax);
    // Outbox, one batch being written, ZeroMQ's queue of 8 batches and the kernel's buffers; the rest is the collector's.
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB);
    // ZeroMQ's heartbeats find a stopped process, since its I/O thread is stopped too.
    await eventually(() => expect(a.peers()[0]?.connected).toBe(false));
    child.kill('SIGCONT');
    await eventually(() => expect(a.peers()[0]?.connected).toBe(true));
    expect(a.send(B, tell('after'))).toBe(true);
    await eventually(() => expect(heard.at(-1)?.heard).toBe('after'));
  }, 30_000);
});
