/**
 * What CURVE costs: the product's mesh has no switch for it, so this compares plain ZeroMQ sockets (DEALER → ROUTER)
 * between two processes, with the same frames and batches as the mesh, with and without CURVE. No greeting, outbox or
 * limits: the difference between the two is the figure. Run: `node --expose-gc test/bench/sockets.ts`.
 */
import { Dealer, Router, type SocketOptions } from 'zeromq';
import { newKeyPair, type CurveKeyPair } from '../../runtime/mesh/curve.ts';
import { encodeFrame, encodeMessage, parseMessage, type Frame } from '../../runtime/mesh/frame.ts';
import { asFastAsAnswered, atFixedRate } from './rig/pace.ts';
import { endWithParent, Report, secondsWanted } from './rig/program.ts';
import { heardFromNear, openFar, tellNear } from './rig/two-ends.ts';

type Setup = { readonly keys: CurveKeyPair | null };
type Curve = SocketOptions<Router> & SocketOptions<Dealer>;

const BATCH_FRAMES = 256;
const IN_FLIGHT = 256;
const HIGH_WATER_MARK = 8;
const WARM_MS = 500;
const FRAME_BYTES = 200;
const BODY = { instanceId: '6b1c1d3e-3c0b-4f3e-9d3f-2f8f3a1c9e11', generation: 1, need: { vcpus: 2, memoryMiB: 512 } };
const bareOf = (pad: string): Frame => ({ kind: 'tell', to: 'remote/100', type: 'report', body: { ...BODY, pad } });
const TELL = bareOf('x'.repeat(FRAME_BYTES - JSON.stringify(bareOf('')).length));
const END: Frame = { kind: 'tell', to: 'remote/1', type: 'end', body: {} };

async function runFar(): Promise<void> {
  const { keys } = await heardFromNear<Setup>();
  const curve: Curve = keys === null ? {} : { curveServer: true, curveSecretKey: keys.secretKey };
  const router = new Router({ ...curve, linger: 0, sendHighWaterMark: 1_000 });
  await router.bind('tcp://127.0.0.1:*');
  tellNear({ endpoint: router.lastEndpoint });
  let tells = 0;
  let cpuBegin = 0;
  let waiting: string[] = [];
  let sending = Promise.resolve();
  for await (const [id, bytes] of router) {
    if (!id || !bytes) continue;
    for (const frame of parseMessage(bytes)?.frames ?? []) {
      if (frame.kind === 'ask') waiting.push(encodeFrame({ kind: 'reply', id: frame.id, ok: true, value: { count: 1 } }) ?? '');
      else if (frame.kind === 'tell' && frame.type === 'end') tellNear({ tells, cpuUs: cpuUs() - cpuBegin });
      else if (frame.kind === 'tell' && tells++ === 0) cpuBegin = cpuUs();
    }
    if (waiting.length === 0) continue;
    const texts = waiting;
    waiting = [];
    sending = sending.then(() => router.send([id, encodeMessage(texts)]));
  }
  await sending;
}

async function measure(name: string, keys: readonly [CurveKeyPair, CurveKeyPair] | undefined, ms: number, report: Report): Promise<void> {
  const far = openFar(import.meta.filename, 'far');
  far.tell({ keys: keys?.[1] ?? null } satisfies Setup);
  const { endpoint } = await far.next<{ endpoint: string }>();
  const curve: Curve = keys === undefined ? {} : { curveServerKey: keys[1].publicKey, curvePublicKey: keys[0].publicKey, curveSecretKey: keys[0].secretKey };
  const dealer = new Dealer({ ...curve, linger: 0, sendHighWaterMark: HIGH_WATER_MARK });
  dealer.connect(endpoint);
  const link = new Asker(dealer);
  void link.listen();
  await asFastAsAnswered(IN_FLIGHT, WARM_MS, () => link.ask());

  const beginMs = performance.now();
  const cpuBegin = cpuUs();
  let sent = 0;
  while (performance.now() - beginMs < ms) {
    await dealer.send(encodeMessage(Array.from({ length: BATCH_FRAMES }, () => encodeFrame(TELL) ?? '')));
    sent += BATCH_FRAMES;
  }
  await dealer.send(encodeMessage([encodeFrame(END) ?? '']));
  const { tells, cpuUs: farUs } = await far.next<{ tells: number; cpuUs: number }>();
  report.add(`${name}.tell`, (tells / (performance.now() - beginMs)) * 1_000, 'messages/s');
  report.add(`${name}.tell.delivered`, tells / sent, 'ratio');
  report.add(`${name}.tell.senderCpu`, (cpuUs() - cpuBegin) / sent, 'us/message');
  report.add(`${name}.tell.receiverCpu`, farUs / sent, 'us/message');
  const full = await asFastAsAnswered(IN_FLIGHT, ms, () => link.ask());
  report.add(`${name}.ask.${IN_FLIGHT}`, full.perSecond, 'asks/s');
  const half = await atFixedRate(full.perSecond / 2, ms, () => link.ask());
  report.add(`${name}.ask.half.p50`, half.p50Ms, 'ms');
  report.add(`${name}.ask.half.p99`, half.p99Ms, 'ms');
  dealer.close();
  far.end();
}

/** Asks that come in one turn leave in one message, as in the mesh. */
class Asker {
  readonly #dealer: Dealer;
  readonly #pending = new Map<number, () => void>();
  #waiting: string[] = [];
  #isSending = false;
  #nextId = 1;

  constructor(dealer: Dealer) {
    this.#dealer = dealer;
  }

  ask(): Promise<void> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#waiting.push(encodeFrame({ kind: 'ask', id, to: 'remote/1', type: 'report', body: BODY, leftMs: 5_000 }) ?? '');
      if (!this.#isSending) void this.#send();
    });
  }

  async listen(): Promise<void> {
    for await (const [bytes] of this.#dealer) {
      for (const frame of (bytes && parseMessage(bytes)?.frames) ?? []) {
        if (frame.kind !== 'reply') continue;
        this.#pending.get(frame.id)?.();
        this.#pending.delete(frame.id);
      }
    }
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#dealer.send(encodeMessage(this.#waiting.splice(0, BATCH_FRAMES)));
    this.#isSending = false;
  }
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function runNear(ms: number): Promise<void> {
  const report = new Report();
  await measure('sockets.plain', undefined, ms, report);
  await measure('sockets.curve', [newKeyPair(), newKeyPair()], ms, report);
  report.print();
}

endWithParent();
await (process.argv[2] === 'far' ? runFar() : runNear(secondsWanted() * 1_000));
