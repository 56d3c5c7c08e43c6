/**
 * Rates of the ZeroMQ mesh between two processes over loopback, CURVE on: 200-byte tells one way, and ask/reply pairs
 * with 1 and 64 in flight. Frames only: no actors and no parser of bodies (those are in remote.ts). Run:
 * `node --expose-gc test/bench/mesh.ts`.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { systemClock } from '../../runtime/base/clock.ts';
import type { BootId, NodeName } from '../../runtime/base/ids.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { newKeyPair } from '../../runtime/mesh/curve.ts';
import type { CurveKeyPair } from '../../runtime/mesh/curve.ts';
import type { Frame } from '../../runtime/mesh/frame.ts';
import type { Mesh, PeerKey } from '../../runtime/mesh/mesh.ts';
import { openZeromqMesh } from '../../runtime/mesh/zeromq.ts';
import { endWithParent, Report } from './rig/program.ts';

const TELLS = 1_000_000;
const SLICE = 2_000; // tells offered before the event loop turns once
const BARE_BYTES =
  JSON.stringify({
    kind: 'tell',
    to: 'instance/6b1c1d3e-3c0b-4f3e-9d3f',
    type: 'report',
    body: { instanceId: '6b1c1d3e-3c0b-4f3e-9d3f-2f8f3a1c9e11', generation: 0, need: { vcpus: 2, memoryMiB: 512 }, pad: '' },
  }).length - 1;
const DONE: Frame = { kind: 'tell', to: 'bench/end', type: 'end', body: {} };
const [near, far] = ['near', 'far'] as NodeName[];

type Setup = { readonly keys: CurveKeyPair; readonly other: PeerKey };

async function openNode(self: NodeName, { keys, other }: Setup): Promise<Mesh> {
  return openZeromqMesh({
    self,
    boot: `${self}-1` as BootId,
    roles: [],
    bind: 'tcp://127.0.0.1:*',
    cluster: 'bench',
    keys,
    isAllowed: (key) => (key === other.publicKey ? other : undefined),
    clock: systemClock,
    log: silentLog,
  });
}

/** Different each time and with a body of several members, so that neither side gains by sameness. */
function tellOf(number: number, bytes: number): Frame {
  const body = { instanceId: '6b1c1d3e-3c0b-4f3e-9d3f-2f8f3a1c9e11', generation: number, need: { vcpus: 2, memoryMiB: 512 }, pad: '' };
  const tell = { kind: 'tell', to: 'instance/6b1c1d3e-3c0b-4f3e-9d3f', type: 'report', body } as const;
  body.pad = 'x'.repeat(Math.max(0, bytes - BARE_BYTES - String(number).length));
  return tell;
}

/** The other process: counts tells, answers asks, says how many tells came. */
async function runFar(): Promise<void> {
  const [setup] = (await once(process, 'message')) as [Setup];
  const mesh = await openNode(far!, setup);
  let tells = 0;
  let bytes = 0;
  let first = 0;
  let cpu = process.cpuUsage();
  let lagMs = 0;
  let last = performance.now();
  setInterval(() => {
    lagMs = Math.max(lagMs, performance.now() - last - 10);
    last = performance.now();
  }, 10);
  mesh.onFrame((from, frame) => {
    if (frame.kind === 'ask') mesh.send(from.node, { kind: 'reply', id: frame.id, ok: true, value: frame.body });
    else if (frame.kind === 'tell' && frame.type === 'end') process.send?.({ tells, bytes, ms: performance.now() - first, lagMs, cpu: process.cpuUsage(cpu) });
    else {
      if (tells++ === 0) [first, lagMs, cpu] = [performance.now(), 0, process.cpuUsage()];
      if (tells % 1_000 === 0) bytes = JSON.stringify(frame).length; // proof that whole frames arrive
    }
  });
  process.send?.({ endpoint: mesh.self.endpoint });
  const [peers] = (await once(process, 'message')) as [PeerKey[]];
  mesh.setPeers(peers);
}

async function flood(mesh: Mesh): Promise<void> {
  for (let sent = 0; sent < TELLS;) {
    for (let i = 0; i < SLICE && sent < TELLS; i++) if (mesh.send(far!, tellOf(sent, 200))) sent++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  while (!mesh.send(far!, DONE)) await systemClock.sleep(1);
}

async function askMany(mesh: Mesh, total: number, inFlight: number): Promise<{ perSecond: number; p50Ms: number; p99Ms: number }> {
  const startedMs = new Map<number, number>();
  const took: number[] = [];
  let next = 0;
  const beginMs = performance.now();
  await new Promise<void>((resolve) => {
    const ask = (): void => {
      const id = next++;
      startedMs.set(id, performance.now());
      mesh.send(far!, { kind: 'ask', id, to: 'bench/1', type: 'echo', body: { text: 'x'.repeat(100) }, leftMs: 5_000 });
    };
    mesh.onFrame((_from, frame) => {
      if (frame.kind !== 'reply') return;
      took.push(performance.now() - (startedMs.get(frame.id) ?? 0));
      startedMs.delete(frame.id);
      if (took.length === total) resolve();
      else if (next < total) ask();
    });
    for (let i = 0; i < inFlight; i++) ask();
  });
  const ms = performance.now() - beginMs;
  took.sort((a, b) => a - b);
  return { perSecond: (total / ms) * 1000, p50Ms: took[Math.floor(total * 0.5)] ?? 0, p99Ms: took[Math.floor(total * 0.99)] ?? 0 };
}

async function runNear(): Promise<void> {
  const report = new Report();
  const keys = [newKeyPair(), newKeyPair()] as const;
  const child = fork(import.meta.filename, ['far'], { stdio: 'inherit' });
  try {
    const nearKey: PeerKey = { node: near!, endpoint: '', publicKey: keys[0].publicKey, roles: [] };
    child.send({ keys: keys[1], other: nearKey } satisfies Setup);
    const [{ endpoint }] = (await once(child, 'message')) as [{ endpoint: string }];
    const farKey: PeerKey = { node: far!, endpoint, publicKey: keys[1].publicKey, roles: [] };
    const mesh = await openNode(near!, { keys: keys[0], other: farKey });
    mesh.setPeers([farKey]);
    child.send([{ ...nearKey, endpoint: mesh.self.endpoint }]);
    await askMany(mesh, 2_000, 8); // warm

    const cpu = process.cpuUsage();
    const beginMs = performance.now();
    const [come] = (await Promise.all([once(child, 'message'), flood(mesh)]))[0] as [
      { tells: number; bytes: number; ms: number; lagMs: number; cpu: NodeJS.CpuUsage },
    ];
    const wallMs = performance.now() - beginMs;
    const used = process.cpuUsage(cpu);
    report.add('mesh.tell.200B', (come.tells / come.ms) * 1000, 'frames/s');
    report.add('mesh.tell.200B.seenBySender', (come.tells / wallMs) * 1000, 'frames/s');
    report.add('mesh.tell.200B.size', come.bytes, 'bytes');
    report.add('mesh.tell.200B.delivered', come.tells / TELLS, 'ratio');
    report.add('mesh.tell.200B.senderCpu', (used.user + used.system) / TELLS, 'us/frame');
    report.add('mesh.tell.200B.receiverCpu', (come.cpu.user + come.cpu.system) / TELLS, 'us/frame');
    report.add('mesh.tell.200B.receiverLag', come.lagMs, 'ms');
    report.add('mesh.tell.200B.framesPerMessage', mesh.counters().framesOut / mesh.counters().messagesOut, 'frames');
    for (const inFlight of [1, 64]) {
      const { perSecond, p50Ms, p99Ms } = await askMany(mesh, inFlight === 1 ? 5_000 : 50_000, inFlight);
      report.add(`mesh.ask.${inFlight}`, perSecond, 'pairs/s');
      report.add(`mesh.ask.${inFlight}.p50`, p50Ms, 'ms');
      report.add(`mesh.ask.${inFlight}.p99`, p99Ms, 'ms');
    }
    await mesh.close();
  } finally {
    child.kill('SIGKILL');
  }
  report.print();
}

endWithParent();
await (process.argv[2] === 'far' ? runFar() : runNear());
