/**
 * Status streams over loopback, clients in a process of their own: deliveries per second of the server's CPU time with
 * 1,000 subscribers, the time from commit to client with 100 subscribers at 100 events a second, and the memory of an
 * idle socket with 10,000. The store behind is a double in memory, so the figures are of `http/stream` and the kernel. Run:
 * `node --expose-gc test/bench/stream.ts`.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { on, once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../runtime/base/clock.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { systemRandom } from '../../runtime/base/random.ts';
import type { TokenChecker } from '../../http/kit/auth.ts';
import { STREAM_DEFAULTS } from '../../http/stream/limits.ts';
import { openStatusStream } from '../../http/stream/stream.ts';
import { Cell } from '../http/stream/cell.ts';
import { callerOf } from '../http/stream/rig.ts';
import { endWithParent, Report } from './rig/program.ts';

const SUBSCRIBERS = 1_000;
const FLOOD_MS = 6_000;
const AHEAD_MAX = 100_000; // deliveries that the clients may be behind
const PACED = { subscribers: 100, perSecond: 100, seconds: 6 };
const IDLE = 10_000;
const OPENING_MAX = 50;

type Order = { open: number; port: number } | { report: true } | { close: true };
type Heard = { events: number; bytes: number; latenciesMs: number[] };

const now = (): number => performance.timeOrigin + performance.now();

/** Counts frames without a WebSocket library, so that the clients' core keeps up. */
class Counter {
  readonly #report: Heard;
  #rest: Buffer = Buffer.alloc(0);
  #isOpen = false;

  constructor(report: Heard) {
    this.#report = report;
  }

  /** True when the upgrade has been answered in this chunk. */
  take(chunk: Buffer): boolean {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let opened = false;
    if (!this.#isOpen) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return this.#keep(bytes);
      this.#isOpen = opened = true;
      bytes = bytes.subarray(end + 4);
    }
    for (;;) {
      const short = bytes.length >= 2 ? bytes[1]! & 0x7f : 0;
      const head = short === 126 ? 4 : 2;
      if (bytes.length < head) break;
      const size = head + (short === 126 ? bytes.readUInt16BE(2) : short);
      if (bytes.length < size) break;
      if (size > 300) this.#event(bytes, size);
      bytes = bytes.subarray(size);
    }
    this.#keep(bytes);
    return opened;
  }

  #event(bytes: Buffer, size: number): void {
    const report = this.#report;
    report.events++;
    report.bytes += size;
    if (report.events % 16 !== 0 || report.latenciesMs.length > 100_000) return;
    const text = bytes.toString('latin1', 0, size);
    const sent = /"requestId":"([\d.]+)"/.exec(text)?.[1];
    if (sent !== undefined) report.latenciesMs.push(now() - Number(sent));
  }

  #keep(bytes: Buffer): false {
    this.#rest = bytes.length > 0 ? Buffer.from(bytes) : Buffer.alloc(0);
    return false;
  }
}

/** The clients' process. */
async function runClients(): Promise<void> {
  const sockets: Socket[] = [];
  let report: Heard = { events: 0, bytes: 0, latenciesMs: [] };
  const counters = { get: () => report };
  const subscribe = maskedText('{"type":"subscribe","id":"s"}');
  async function openOne(port: number): Promise<void> {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    const counter = new Counter(counters.get());
    const opened = new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('data', (chunk) => {
        if (!counter.take(chunk)) return;
        socket.write(subscribe);
        resolve();
      });
    });
    socket.write(
      `GET /v2.1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Auth-Token: blue\r\n\r\n`,
    );
    await opened;
  }
  for await (const [order] of on(process, 'message') as AsyncIterable<[Order]>) {
    if ('open' in order) {
      report = { events: 0, bytes: 0, latenciesMs: [] };
      for (let left = order.open; left > 0; left -= OPENING_MAX)
        await Promise.all(Array.from({ length: Math.min(left, OPENING_MAX) }, () => openOne(order.port)));
    } else if ('close' in order) for (const socket of sockets.splice(0)) socket.destroy();
    process.send?.('report' in order ? report : { done: true });
  }
}

function maskedText(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

async function order(child: ChildProcess, what: Order): Promise<Heard> {
  const answer = once(child, 'message');
  child.send(what);
  return (await answer)[0] as Heard;
}

function percentile(values: number[], part: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * part)] ?? 0;
}

async function openServer(): Promise<{ cell: Cell; port: number; stream: ReturnType<typeof openStatusStream>; commit(): void; close(): Promise<void> }> {
  const cell = new Cell();
  const tokens: TokenChecker = { check: async () => callerOf('blue') };
  const settings = { ...STREAM_DEFAULTS, streamsPerProjectMax: 20_000 };
  const stream = openStatusStream({ actors: cell.actors, feed: cell, tokens, clock: systemClock, random: systemRandom, log: silentLog, settings });
  const server = createServer();
  server.on('upgrade', (req, socket, head) => void stream.handleUpgrade(req, socket, head));
  server.listen(0, '127.0.0.1', 2_000);
  await once(server, 'listening');
  const commit = (): void => {
    const operation = { name: 'reboot', requestId: String(now()), step: 'power' } as never;
    cell.commit({ nth: cell.revision % 1_000, patch: { operation, vmState: cell.revision % 2 ? 'active' : 'stopped' } });
    cell.events.length = 0; // no history is asked here
  };
  const close = async (): Promise<void> => {
    await stream.close();
    server.close();
  };
  return { cell, port: (server.address() as AddressInfo).port, stream, commit, close };
}

async function allLive(stream: ReturnType<typeof openStatusStream>, count: number): Promise<void> {
  while (stream.stats().live < count) await sleep(10);
}

async function runServer(): Promise<void> {
  const report = new Report();
  const child = fork(import.meta.filename, ['clients'], { stdio: 'inherit' });
  const { stream, port, commit, close } = await openServer();
  try {
    const before = settled();
    await order(child, { open: IDLE, port });
    await allLive(stream, IDLE);
    await sleep(500);
    const after = settled();
    report.add('stream.idle.sockets', stream.stats().sockets, 'sockets');
    report.add('stream.idle.rss', (after.rss - before.rss) / IDLE, 'bytes/socket');
    report.add('stream.idle.heap', (after.heapUsed + after.external - before.heapUsed - before.external) / IDLE, 'bytes/socket');
    const idle = process.cpuUsage();
    await sleep(8_000);
    const { user, system } = process.cpuUsage(idle);
    report.add('stream.idle.cpu', (user + system) / 8_000_000, 'cores');
    await order(child, { close: true });
    while (stream.stats().sockets > 0) await sleep(10);

    await order(child, { open: PACED.subscribers, port });
    await allLive(stream, PACED.subscribers);
    for (let i = 0, beginMs = performance.now(); i < PACED.seconds * PACED.perSecond; i++) {
      commit();
      await sleep(Math.max(0, beginMs + ((i + 1) * 1_000) / PACED.perSecond - performance.now()));
    }
    const paced = await order(child, { report: true });
    report.add('stream.latency.p50', percentile(paced.latenciesMs, 0.5), 'ms');
    report.add('stream.latency.p99', percentile(paced.latenciesMs, 0.99), 'ms');
    await order(child, { close: true });
    while (stream.stats().sockets > 0) await sleep(10);

    await order(child, { open: SUBSCRIBERS, port });
    await allLive(stream, SUBSCRIBERS);
    const begin = { deliveries: stream.stats().deliveries, cpu: process.cpuUsage(), ms: performance.now() };
    let got = 0;
    while (performance.now() - begin.ms < FLOOD_MS) {
      for (let i = 0; i < 10; i++) {
        commit();
        await turn();
      }
      while (stream.stats().deliveries - begin.deliveries - got > AHEAD_MAX) got = (await order(child, { report: true })).events;
    }
    const sent = stream.stats().deliveries - begin.deliveries;
    const used = process.cpuUsage(begin.cpu);
    const wallMs = performance.now() - begin.ms;
    while (got < sent) got = (await order(child, { report: true })).events;
    const flood = await order(child, { report: true });
    report.add('stream.deliveries', (sent / wallMs) * 1_000, 'deliveries/s');
    report.add('stream.deliveries.perCore', (sent / (used.user + used.system)) * 1_000_000, 'deliveries/s of CPU');
    report.add('stream.deliveries.received', got / sent, 'ratio');
    report.add('stream.frame', flood.bytes / flood.events, 'bytes');
    report.add('stream.subscribers', stream.stats().live, 'sockets');
  } finally {
    child.kill('SIGKILL');
    await close();
  }
  report.print();
}

function settled(): NodeJS.MemoryUsage {
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  return process.memoryUsage();
}

endWithParent();
await (process.argv[2] === 'clients' ? runClients() : runServer());
