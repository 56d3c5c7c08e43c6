/**
 * One who follows the stream of a node from its first revision on: whatever happens to the line, it comes back with
 * the last revision that it took over. What it was told must be what is stored: every event, once, in order, whole
 * revisions. What it knows it shares on a board, so that clients need not poll.
 */
import { WebSocket } from 'ws';
import { systemClock } from '../../../runtime/base/clock.ts';
import { query } from '../checkers.ts';
import type { Cluster } from '../cluster.ts';
import type { ClusterNode } from '../rig/node.ts';

type Message = {
  readonly type: string;
  readonly revision?: number;
  readonly incarnation?: string;
  readonly id?: string;
  readonly status?: string;
  readonly more?: boolean;
  readonly record?: { readonly vmState: string; readonly taskState: string | null };
};

export type Known = { readonly revision: number; readonly vmState: string; readonly taskState: string | null };

/** Bookmarks come every 5 s: a line without them is dead. */
const SILENCE_MS = 12_000;
const CONNECT_MS = 5_000;
const AGAIN_MS = 100;
const CATCH_UP_MS = 60_000;
const LOOK_MS = 50;

/** The newest that any follower was told of each server. */
export class Board {
  readonly #known = new Map<string, Known>();

  tell(id: string, known: Known): void {
    const before = this.#known.get(id);
    if (before === undefined || before.revision < known.revision) this.#known.set(id, known);
  }

  of(id: string): Known | undefined {
    return this.#known.get(id);
  }

  forget(id: string): void {
    this.#known.delete(id);
  }
}

export class Follower {
  readonly problems: string[] = [];
  /** Lines that were opened. */
  lines = 0;
  /** Events that were compared with what is stored. */
  compared = 0;
  readonly #cluster: Cluster;
  readonly #node: ClusterNode;
  readonly #board: Board;
  #revision: number;
  #checked: number;
  #incarnation: string | undefined;
  #taken: string[] = [];

  constructor(cluster: Cluster, node: ClusterNode, board: Board, revision: number) {
    this.#cluster = cluster;
    this.#node = node;
    this.#board = board;
    this.#revision = this.#checked = revision;
  }

  async follow(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await this.#line(over).catch(() => undefined);
      await systemClock.sleep(AGAIN_MS, over).catch(() => undefined);
    }
  }

  /** Once everything is at rest: what it was told other than what is stored since the last time. */
  async missed(): Promise<string[]> {
    const [cell] = await query<{ revision: string }>(this.#cluster, 'select revision from cell');
    const until = Number(cell?.revision ?? 0);
    const endMs = systemClock.monotonicMs() + CATCH_UP_MS;
    const rows = await query<{ at: string; revision: string }>(
      this.#cluster,
      `select revision, revision || ' ' || id as at from event where revision > $1 and revision <= $2 order by revision, ord`,
      [this.#checked, until],
    );
    const last = Number(rows.at(-1)?.revision ?? 0);
    while (this.#revision < last && systemClock.monotonicMs() < endMs) await systemClock.sleep(LOOK_MS);
    const told = this.#taken.filter((at) => Number(at.split(' ')[0]) <= until);
    this.#taken = this.#taken.slice(told.length);
    const from = this.#checked;
    this.#checked = until;
    this.compared += rows.length;
    const who = `P5 the follower of ${this.#node.name}`;
    const wrong = rows.findIndex(({ at }, index) => at !== told[index]);
    if (wrong >= 0)
      return [`${who} was told ${told[wrong]} where ${rows[wrong]?.at} is stored, the ${wrong + 1}th after revision ${from} (it is at ${this.#revision})`];
    return told.length === rows.length ? [] : [`${who} was told ${told.length} events of ${rows.length} after revision ${from}`];
  }

  /** One line, until it breaks or falls silent. */
  async #line(over: AbortSignal): Promise<void> {
    const { address } = this.#node.member;
    const token = await this.#cluster.token();
    const socket = new WebSocket(`ws://${address}:8774/v2.1/stream`, ['novact.v1'], { headers: { 'X-Auth-Token': token }, handshakeTimeout: CONNECT_MS });
    let heardMs = systemClock.monotonicMs();
    let part: Message[] = [];
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.once('open', () => {
      this.lines++;
      const from = { revision: this.#revision, ...(this.#incarnation === undefined ? {} : { incarnation: this.#incarnation }) };
      socket.send(JSON.stringify({ type: 'subscribe', id: 'all', scope: 'all', from }));
    });
    socket.on('message', (bytes) => {
      heardMs = systemClock.monotonicMs();
      part = this.#hear(JSON.parse(String(bytes)) as Message, part);
    });
    const stop = (): void => socket.terminate();
    over.addEventListener('abort', stop, { once: true });
    const isOpen = (): boolean => socket.readyState === WebSocket.OPEN || socket.readyState === WebSocket.CONNECTING;
    while (isOpen() && systemClock.monotonicMs() - heardMs < SILENCE_MS) {
      await Promise.race([ended, systemClock.sleep(1_000, over).catch(() => undefined)]);
    }
    socket.terminate();
    await ended;
    over.removeEventListener('abort', stop);
  }

  /** Answers with the events of a revision that is not whole yet. */
  #hear(message: Message, part: Message[]): Message[] {
    const { type, revision = 0, incarnation } = message;
    if (type === 'gone') this.problems.push(`P5 the follower of ${this.#node.name} was told that ${this.#revision} is gone`);
    if (incarnation !== undefined && type === 'synced') this.#incarnation = incarnation;
    if (type === 'bookmark' || type === 'synced') this.#revision = Math.max(this.#revision, revision);
    if (type !== 'event') return part;
    if (revision <= this.#revision) this.problems.push(`P5 the follower of ${this.#node.name} was told ${revision} after ${this.#revision}`);
    const whole = [...part, message];
    if (message.more === true) return whole;
    for (const event of whole) this.#take(event);
    this.#revision = revision;
    return [];
  }

  #take({ revision = 0, id = '', record }: Message): void {
    this.#taken.push(`${revision} ${id}`);
    if (record !== undefined) this.#board.tell(id, { revision, vmState: record.vmState, taskState: record.taskState });
  }
}
