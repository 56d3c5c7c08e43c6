/**
 * Messages between two processes as actors send them: address → node → frame → ZeroMQ with CURVE → frame → zod parser of
 * the kind → turn, and the answer back. 200-byte frames one way, asks at a time and at half of the rate reached. Run:
 * `node --expose-gc test/bench/remote.ts`.
 */
import { z } from 'zod';
import { defineKind, type ActorKind } from '../../runtime/actor/kind.ts';
import type { NodeName } from '../../runtime/base/ids.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { systemClock } from '../../runtime/base/clock.ts';
import type { BootId } from '../../runtime/base/ids.ts';
import { newKeyPair, type CurveKeyPair } from '../../runtime/mesh/curve.ts';
import type { Mesh, PeerKey } from '../../runtime/mesh/mesh.ts';
import { openZeromqMesh } from '../../runtime/mesh/zeromq.ts';
import { Remote } from '../../runtime/node/remote.ts';
import { ask, openInside, type Inside } from './rig/inside.ts';
import { asFastAsAnswered, atFixedRate } from './rig/pace.ts';
import { sleep } from './rig/http-load.ts';
import { endWithParent, Report, secondsWanted } from './rig/program.ts';
import { heardFromNear, openFar, tellNear } from './rig/two-ends.ts';

type Setup = { readonly keys: CurveKeyPair; readonly other: PeerKey };
type Seen = { readonly messages: number; readonly cpuUs: number; readonly rssMiB: number; readonly frameBytes: number };

const ACTORS = 1_000;
const IN_FLIGHT = 256;
const SLICE = 500;
const LOOK_MS = 5;
const STILL_LOOKS = 200;
const FRAME_BYTES = 200;
const WARM_MS = 1_000;
const [near, far] = ['near', 'far'] as NodeName[];

const REPORT = z.strictObject({
  instanceId: z.string().max(64),
  generation: z.number().int().nonnegative(),
  need: z.strictObject({ vcpus: z.number().int().nonnegative(), memoryMiB: z.number().int().nonnegative() }),
  pad: z.string().max(1_024),
});
const BODY = { instanceId: '6b1c1d3e-3c0b-4f3e-9d3f-2f8f3a1c9e11', generation: 1, need: { vcpus: 2, memoryMiB: 512 } };
const BARE_BYTES = JSON.stringify({ kind: 'tell', to: 'remote/100', type: 'report', body: { ...BODY, pad: '' } }).length;
const PAD = 'x'.repeat(FRAME_BYTES - BARE_BYTES);

type RemoteProtocol = { report: { body: z.infer<typeof REPORT>; reply: { readonly count: number } } };
let seen = 0;

const remoteKind: ActorKind = defineKind<RemoteProtocol, { readonly count: number }>({
  kind: 'remote',
  home: 'node',
  mailboxMax: 10_000,
  passivateAfterMs: Number.POSITIVE_INFINITY,
  parse: (_type, body) => ({ type: 'report', ...REPORT.parse(body) }),
  load: () => ({ count: 0 }),
  decide: (state) => {
    seen++;
    return { state: { count: state.count + 1 }, effects: [{ do: 'reply', value: { count: state.count } }] };
  },
});

async function openNode(self: NodeName, { keys, other }: Setup, inside: Inside): Promise<Mesh> {
  const mesh = await openZeromqMesh({
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
  const locate = { nodeOf: () => other.node, hint: () => undefined };
  const remote = new Remote({ mesh, locate, system: inside.system, clock: systemClock, log: silentLog, mayTell: () => undefined, urgent: new Set() });
  inside.system.plug({ remote });
  inside.system.register(remoteKind);
  return mesh;
}

async function runFar(): Promise<void> {
  const setup = await heardFromNear<Setup>();
  const inside = openInside();
  const mesh = await openNode(far!, setup, inside);
  for (let index = 0; index < ACTORS; index++) inside.room.start(remoteKind, `remote/${index}`);
  tellNear({ endpoint: mesh.self.endpoint });
  const { peers } = await heardFromNear<{ peers: PeerKey[] }>();
  mesh.setPeers(peers);
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    tellNear({ messages: seen, cpuUs: user + system, rssMiB: process.memoryUsage().rss / 1024 ** 2 });
  });
}

async function runNear(ms: number): Promise<void> {
  const keys = [newKeyPair(), newKeyPair()] as const;
  const other = openFar(import.meta.filename, 'far');
  const report = new Report();
  const inside = openInside();
  const nearKey: PeerKey = { node: near!, endpoint: '', publicKey: keys[0].publicKey, roles: [] };
  other.tell({ keys: keys[1], other: nearKey } satisfies Setup);
  const { endpoint } = await other.next<{ endpoint: string }>();
  const farKey: PeerKey = { node: far!, endpoint, publicKey: keys[1].publicKey, roles: [] };
  const mesh = await openNode(near!, { keys: keys[0], other: farKey }, inside);
  mesh.setPeers([farKey]);
  other.tell({ peers: [{ ...nearKey, endpoint: mesh.self.endpoint }] });
  const look = (): Promise<Seen> => {
    other.tell({ look: true });
    return other.next<Seen>();
  };
  const { system } = inside;
  let nth = 0;
  const message = (): never => ({ type: 'report', ...BODY, generation: nth % 10, pad: PAD }) as never;
  const one = (): Promise<unknown> => ask(system, `remote/${nth++ % ACTORS}`, message());
  await asFastAsAnswered(IN_FLIGHT, WARM_MS, one);

  const before = await look();
  const cpu = process.cpuUsage();
  const beginMs = performance.now();
  const lostBefore = system.counts.lostTells;
  let tried = 0;
  while (performance.now() - beginMs < ms) {
    // What the full outbox refuses is not sent: its bound is the sender's brake.
    for (let i = 0; i < SLICE; i++) system.tell(`remote/${nth++ % ACTORS}` as never, message());
    tried += SLICE;
    await new Promise((resolve) => setImmediate(resolve));
  }
  const sent = tried - (system.counts.lostTells - lostBefore);
  const arrived = await untilStill(async () => (await look()).messages - before.messages, sent);
  const tookMs = performance.now() - beginMs;
  const after = await look();
  const used = process.cpuUsage(cpu);
  report.add('remote.tell', (arrived / tookMs) * 1_000, 'messages/s');
  report.add('remote.tell.delivered', arrived / sent, 'ratio');
  report.add('remote.tell.senderCpu', (used.user + used.system) / sent, 'us/message');
  report.add('remote.tell.receiverCpu', (after.cpuUs - before.cpuUs) / arrived, 'us/message');
  report.add('remote.tell.framesPerMessage', mesh.counters().framesOut / mesh.counters().messagesOut, 'frames');
  const single = await asFastAsAnswered(1, ms / 2, one);
  report.add('remote.ask.1.p50', single.p50Ms, 'ms');
  report.add('remote.ask.1.p99', single.p99Ms, 'ms');
  const full = await asFastAsAnswered(IN_FLIGHT, ms, one);
  report.add(`remote.ask.${IN_FLIGHT}`, full.perSecond, 'asks/s');
  report.add(`remote.ask.${IN_FLIGHT}.p99`, full.p99Ms, 'ms');
  const half = await atFixedRate(full.perSecond / 2, ms, one);
  report.add('remote.ask.half', half.perSecond, 'asks/s');
  report.add('remote.ask.half.p50', half.p50Ms, 'ms');
  report.add('remote.ask.half.p99', half.p99Ms, 'ms');
  report.add('remote.ask.half.latestStart', half.latestMs, 'ms');
  report.add('remote.ask.failed', single.failed + full.failed + half.failed, 'asks');
  other.end();
  report.print();
}

/** The count when it has come to `wanted`, or does not grow any more. */
async function untilStill(count: () => Promise<number>, wanted: number): Promise<number> {
  for (let last = -1, still = 0; ;) {
    const now = await count();
    still = now === last ? still + 1 : 0;
    last = now;
    if (now >= wanted || still >= STILL_LOOKS) return now;
    await sleep(LOOK_MS);
  }
}

endWithParent();
await (process.argv[2] === 'far' ? runFar() : runNear(secondsWanted() * 1_000));
