/**
 * One client of a cluster: orders servers, works with them and deletes them, through the APIs of all nodes in turn. A
 * call that fails by its line or with 5xx is repeated once elsewhere when that is safe: reads, deletes, and creates by
 * their Idempotency-Key. What was accepted is written down, with every way in which it may rightly end.
 */
import { systemClock } from '../../../runtime/base/clock.ts';
import type { Random } from '../../../runtime/base/random.ts';
import type { Answer } from '../../doubles/cloud.ts';
import type { Cluster } from '../cluster.ts';
import type { Board } from './follower.ts';

export type Action = 'stop' | 'start' | 'softReboot' | 'hardReboot';

/** What a client knows of a server it ordered. */
export type Owned = {
  readonly id: string;
  /** VM states in which the server may rightly come to rest. `deleted`: it was asked for, at least. */
  readonly ends: Set<string>;
  /** A delete was accepted: nothing else is an end. */
  isDeleted: boolean;
};
export type Order = { readonly key: string; readonly count: number; readonly isAccepted: boolean };
/** An accepted call whose end stands in the server's history. */
export type Accepted = { readonly serverId: string; readonly requestId: string; readonly action: string };

export type Ledger = {
  readonly orders: Order[];
  readonly owned: Map<string, Owned>;
  readonly accepted: Accepted[];
  readonly problems: string[];
};

export type Tally = {
  /** Accepted calls by what they asked for; servers of a multi-create count each. */
  readonly accepted: { [what: string]: number };
  readonly answers: { [status: string]: number };
  calls: number;
  unanswered: number;
  /** Safe calls that failed on two nodes in a row. */
  failedTwice: number;
};

/** How many servers are still to be ordered, by all clients together. */
export type Budget = { left: number };

const BODY = {
  stop: { 'os-stop': null },
  start: { 'os-start': null },
  softReboot: { reboot: { type: 'SOFT' } },
  hardReboot: { reboot: { type: 'HARD' } },
} as const;
const HISTORY = { stop: 'stop', start: 'start', softReboot: 'reboot', hardReboot: 'reboot' } as const;
const NEEDS = { stop: 'active', start: 'stopped', softReboot: 'active', hardReboot: 'active' } as const;
const GOAL = { stop: 'stopped', start: 'active', softReboot: 'active', hardReboot: 'active' } as const;
const ACTIONS: readonly Action[] = ['stop', 'start', 'softReboot', 'hardReboot'];

/** Two answers, and the world in between, may take so long before a client looks elsewhere. */
const CALL_MS = 8_000;
const AGAIN_MS = 150;
const LOOK_MS = 20;
const POLL_MS = 2_000;
/** Longer than any step of an operation may take. */
const PATIENCE_MS = 240_000;
const SERVERS_EACH = 6;
const MANY_MAX = 5;
const LIST_EACH = 12;
/** Refusals that are right while something is away or under way. */
const FINE = new Set([404, 409, 429, 502, 503, 504]);

export type ClientParts = {
  readonly cluster: Cluster;
  readonly board: Board;
  readonly ledger: Ledger;
  readonly tally: Tally;
  readonly random: Random;
  readonly imageId: string;
  readonly number: number;
  /** Share of turns in which it works with a server rather than making or deleting one. */
  readonly workShare: number;
  readonly budget: Budget;
};

export class ClusterClient {
  readonly #parts: ClientParts;
  readonly #servers: Owned[] = [];
  #turn: number;
  #orders = 0;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#turn = parts.number;
  }

  /** One order after another, until it is over or nothing is left to do. */
  async work(over: AbortSignal): Promise<void> {
    const { random, workShare, budget, ledger } = this.#parts;
    for (let turns = 0; !over.aborted && ledger.problems.length === 0; turns++) {
      if (turns % LIST_EACH === LIST_EACH - 1) await this.#list();
      const isEmpty = this.#servers.length === 0;
      if (isEmpty && budget.left <= 0) return;
      const wish = random.next();
      const makes = budget.left > 0 && (isEmpty || (this.#servers.length < SERVERS_EACH && wish < (1 - workShare) / 2));
      if (makes) await this.#create(over);
      else if (wish < 1 - workShare) await this.#delete(over);
      else await this.#act(over);
    }
  }

  async #create(over: AbortSignal): Promise<void> {
    const { random, budget, imageId, number, ledger, tally } = this.#parts;
    const key = `client-${number}-${this.#orders++}`;
    const wanted = random.next() < 0.2 ? 2 + Math.floor(random.next() * (MANY_MAX - 1)) : 1;
    const count = Math.max(1, Math.min(wanted, budget.left));
    budget.left -= count;
    const server = { name: key, flavorRef: '42', imageRef: imageId, networks: 'auto', min_count: count, max_count: count };
    const endMs = systemClock.monotonicMs() + PATIENCE_MS;
    for (let times = 1; ; times++) {
      const answer = await this.#call<{ server?: { id?: string } }>('POST', '/servers', { server }, { 'idempotency-key': key });
      const id = answer?.body?.server?.id;
      if (answer?.status === 202 && id !== undefined) {
        ledger.orders.push({ key, count, isAccepted: true });
        tally.accepted['create'] = (tally.accepted['create'] ?? 0) + count;
        const ids = count === 1 ? [id] : await this.#idsOf(key, count, endMs);
        for (const each of ids) this.#own(each);
        if (times === 1) this.#accepted(id, answer, 'create');
        await Promise.all(ids.map((each) => this.#rest(each, over, -1)));
        return;
      }
      // Nobody knows; asked again under the same key until somebody does, or until it is over.
      if (over.aborted || systemClock.monotonicMs() > endMs) {
        if (!over.aborted) ledger.problems.push(`${key} was not accepted in ${PATIENCE_MS} ms; last answer ${answer?.status}`);
        ledger.orders.push({ key, count, isAccepted: false });
        return;
      }
      await systemClock.sleep(AGAIN_MS);
    }
  }

  #own(id: string): void {
    const owned = { id, ends: new Set(['active']), isDeleted: false };
    this.#servers.push(owned);
    this.#parts.ledger.owned.set(id, owned);
  }

  async #idsOf(key: string, count: number, endMs: number): Promise<string[]> {
    while (systemClock.monotonicMs() < endMs) {
      const answer = await this.#call<{ servers?: { id: string }[] }>('GET', `/servers?name=${encodeURIComponent(`^${key}-`)}`);
      const ids = answer?.status === 200 ? (answer.body.servers ?? []).map(({ id }) => id) : [];
      if (ids.length === count) return ids;
      await systemClock.sleep(AGAIN_MS);
    }
    this.#parts.ledger.problems.push(`the ${count} servers of ${key} are not in the list`);
    return [];
  }

  async #delete(over: AbortSignal): Promise<void> {
    const { tally, board } = this.#parts;
    const owned = this.#draw();
    const before = board.of(owned.id)?.revision ?? -1;
    owned.ends.add('deleted');
    const endMs = systemClock.monotonicMs() + PATIENCE_MS;
    for (;;) {
      const answer = await this.#call('DELETE', `/servers/${owned.id}`);
      if (answer?.status === 204 || answer?.status === 404) {
        owned.isDeleted = true;
        if (answer.status === 204) this.#accepted(owned.id, answer, 'delete');
        tally.accepted['delete'] = (tally.accepted['delete'] ?? 0) + 1;
        break;
      }
      if (systemClock.monotonicMs() > endMs) return void this.#parts.ledger.problems.push(`the delete of ${owned.id} was not accepted: ${answer?.status}`);
      if (over.aborted) return;
      await systemClock.sleep(AGAIN_MS);
    }
    this.#servers.splice(this.#servers.indexOf(owned), 1);
    await this.#rest(owned.id, over, before);
    board.forget(owned.id);
  }

  /** Not repeated when it is not answered: it may have happened. */
  async #act(over: AbortSignal): Promise<void> {
    const { random, board, tally } = this.#parts;
    const owned = this.#draw();
    const known = board.of(owned.id);
    const possible = ACTIONS.filter((action) => NEEDS[action] === known?.vmState);
    const action = possible[Math.floor(random.next() * possible.length)];
    if (action === undefined) return systemClock.sleep(LOOK_MS);
    const answer = await this.#call('POST', `/servers/${owned.id}/action`, BODY[action]);
    if (answer?.status === 202) {
      tally.accepted[action] = (tally.accepted[action] ?? 0) + 1;
      this.#accepted(owned.id, answer, HISTORY[action]);
      owned.ends.add(GOAL[action]);
      await this.#rest(owned.id, over, known?.revision ?? -1);
    } else {
      if (answer === undefined || answer.status >= 500) owned.ends.add(GOAL[action]);
      await systemClock.sleep(AGAIN_MS);
    }
  }

  async #list(): Promise<void> {
    const path = this.#parts.random.next() < 0.5 ? '/servers/detail?limit=100' : '/servers?limit=200&all_tenants=1';
    const answer = await this.#call<{ servers?: unknown[] }>('GET', path);
    if (answer?.status === 200) this.#parts.tally.accepted['list'] = (this.#parts.tally.accepted['list'] ?? 0) + 1;
  }

  /** Until nothing is under way at the server, as followers tell, or as it is asked for now and then. */
  async #rest(id: string, over: AbortSignal, before: number): Promise<void> {
    const { board, ledger } = this.#parts;
    const begunMs = systemClock.monotonicMs();
    let polledMs = begunMs;
    while (!over.aborted) {
      const known = board.of(id);
      if (known !== undefined && known.taskState === null && known.vmState !== 'building' && known.revision > before) return;
      const nowMs = systemClock.monotonicMs();
      if (nowMs - begunMs > PATIENCE_MS) return void ledger.problems.push(`${id} did not come to rest in ${PATIENCE_MS} ms`);
      if (nowMs - polledMs > POLL_MS) {
        polledMs = nowMs;
        const answer = await this.#call<{ server?: Shown }>('GET', `/servers/${id}`);
        const shown = answer?.body?.server;
        if (answer?.status === 404) return;
        if (answer?.status === 200 && shown?.['OS-EXT-STS:task_state'] === null && shown['OS-EXT-STS:vm_state'] !== 'building') return;
      }
      await systemClock.sleep(LOOK_MS);
    }
  }

  #draw(): Owned {
    const owned = this.#servers[Math.floor(this.#parts.random.next() * this.#servers.length)];
    if (owned === undefined) throw new Error('a client without servers');
    return owned;
  }

  #accepted(serverId: string, { headers }: Answer<unknown>, action: string): void {
    const requestId = String(headers['x-openstack-request-id']);
    if (this.#lastTries === 1) this.#parts.ledger.accepted.push({ serverId, requestId, action });
  }

  #lastTries = 0;

  /** Undefined when nobody answered. */
  async #call<Body = unknown>(method: string, path: string, body?: unknown, headers: { [name: string]: string } = {}): Promise<Answer<Body> | undefined> {
    const isSafe = method !== 'POST' || headers['idempotency-key'] !== undefined;
    const first = await this.#try<Body>(method, path, body, headers);
    this.#lastTries = 1;
    if (!isSafe || (first !== undefined && first.status < 500)) return this.#judged(first, method, path);
    const second = await this.#try<Body>(method, path, body, headers);
    this.#lastTries = 2;
    if (second === undefined || second.status >= 500) this.#parts.tally.failedTwice++;
    return this.#judged(second ?? first, method, path);
  }

  async #try<Body>(method: string, path: string, body: unknown, headers: { [name: string]: string }): Promise<Answer<Body> | undefined> {
    const { cluster, tally } = this.#parts;
    const node = cluster.controls[this.#turn++ % cluster.controls.length];
    if (node === undefined) return undefined;
    tally.calls++;
    try {
      const answer = await cluster.call<Body>(node, method, path, body, { headers, signal: AbortSignal.timeout(CALL_MS) });
      tally.answers[answer.status] = (tally.answers[answer.status] ?? 0) + 1;
      return answer;
    } catch {
      tally.unanswered++;
      return undefined;
    }
  }

  #judged<Body>(answer: Answer<Body> | undefined, method: string, path: string): Answer<Body> | undefined {
    if (answer !== undefined && answer.status >= 400 && !FINE.has(answer.status)) {
      this.#parts.ledger.problems.push(`${method} ${path} was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer;
  }
}

type Shown = { readonly 'OS-EXT-STS:vm_state': string; readonly 'OS-EXT-STS:task_state': string | null };
