/**
 * One subscriber of the status stream by WebSocket, or undefined where the service has no such stream: the endpoint is
 * `/stream` beside the Compute API. Remembers when each server's events came.
 */
import { WebSocket } from 'ws';
import { z } from 'zod';
import type { Compute } from './compute.ts';

const OPEN_MS = 5_000;
const MESSAGE = z.object({ type: z.string(), id: z.string().optional(), status: z.string().optional() });

export type StreamEvent = { readonly id: string; readonly status: string; readonly atMs: number };

export class StreamReader {
  readonly events: StreamEvent[] = [];
  readonly #socket: WebSocket;
  #onEvent: (event: StreamEvent) => void = () => undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** Resolves when the subscription is in force. */
  static async open(compute: Compute): Promise<StreamReader | undefined> {
    const url = `${compute.computeUrl.replace(/^http/, 'ws').replace(/\/+$/, '')}/stream`;
    const socket = new WebSocket(url, { headers: { 'X-Auth-Token': compute.token }, handshakeTimeout: OPEN_MS, perMessageDeflate: false });
    const reader = new StreamReader(socket);
    return new Promise((resolve) => {
      socket.on('error', () => resolve(undefined));
      socket.on('open', () => socket.send(JSON.stringify({ type: 'subscribe', id: 'bench', from: 'now' })));
      socket.on('message', (bytes: Buffer) => {
        const atMs = performance.now();
        const message = MESSAGE.parse(JSON.parse(bytes.toString()));
        if (message.type === 'synced') resolve(reader);
        if (message.type === 'error') resolve(undefined);
        if (message.type === 'event' && message.id !== undefined) reader.#take({ id: message.id, status: message.status ?? '', atMs });
      });
    });
  }

  /** Called with each event as it comes. */
  onEvent(listener: (event: StreamEvent) => void): void {
    this.#onEvent = listener;
  }

  close(): void {
    this.#socket.terminate();
  }

  #take(event: StreamEvent): void {
    this.events.push(event);
    this.#onEvent(event);
  }
}
