/**
 * The stream as server-sent events (WHATWG HTML, 9.2): one subscription, named by the query, the same messages and
 * revisions as on a socket. The id is `revision@incarnation` and only stands where a revision is whole, so that the
 * `Last-Event-ID` of a client that comes back is a place from which nothing is missed or repeated.
 */
import type { ServerResponse } from 'node:http';
import { Client, type ClientParts, type Line } from './client.ts';
import { messageFrame, type Form } from '../frame.ts';

const HEADERS = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' };
const COMMENT = Buffer.from(': ping\n\n');

class SourceLine implements Line {
  readonly form: Form = 'source';
  readonly #res: ServerResponse;

  constructor(res: ServerResponse) {
    this.#res = res;
  }

  get bufferedBytes(): number {
    return this.#res.writableLength;
  }

  get isFull(): boolean {
    return this.#res.writableNeedDrain;
  }

  write(frame: Buffer): void {
    if (!this.#res.writableEnded) this.#res.write(frame);
  }

  hold(): void {
    this.#res.cork();
  }

  release(): void {
    this.#res.uncork();
  }

  ping(): void {
    this.write(COMMENT); // there is no answer to it: a dead connection is found by its unsent bytes
  }

  close(code: number, reason: string): void {
    this.write(messageFrame('source', { type: 'closed', code, reason }));
    this.#res.end();
  }

  cut(): void {
    this.#res.destroy();
  }
}

export function openEventSource(res: ServerResponse, requestId: string, parts: ClientParts): Client {
  const client = new Client(new SourceLine(res), parts);
  res.on('drain', () => client.roomAgain());
  res.on('close', () => client.ended());
  res.on('error', () => undefined); // `close` follows
  res.writeHead(200, { ...HEADERS, 'X-OpenStack-Request-Id': requestId });
  res.flushHeaders();
  return client;
}
