/**
 * How often a project may ask: a leaky bucket per project and limit, as the API of old had them. None unless they are
 * configured. Each node counts what comes to it and asks nobody: a limit is a project's share of one node.
 */
import type { Clock } from '../../runtime/base/clock.ts';
import { toIso } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { RATE_REASON } from '../kit/errors.ts';

const UNIT_S = { SECOND: 1, MINUTE: 60, HOUR: 3_600, DAY: 86_400 } as const;

export type RateLimit = {
  readonly verb: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** For people: `/servers`. */
  readonly uri: string;
  /** What of a path with its query is meant, without version and project. */
  readonly regex: string;
  readonly value: number;
  readonly unit: keyof typeof UNIT_S;
};

/** Buckets that are remembered; beyond it the one that was used longest ago is forgotten, and begins empty again. */
const BUCKETS_MAX = 50_000;
const SECOND_MS = 1_000;

type Row = RateLimit & { readonly nth: number; readonly pattern: RegExp; readonly spanMs: number; readonly eachMs: number };
type Bucket = { readonly fullMs: number; readonly atMs: number };

export class RateLimits {
  readonly #rows: readonly Row[];
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: readonly RateLimit[], clock: Clock) {
    this.#clock = clock;
    this.#rows = limits.map((limit, nth) => {
      const spanMs = UNIT_S[limit.unit] * SECOND_MS;
      return { ...limit, nth, pattern: new RegExp(limit.regex), spanMs, eachMs: spanMs / limit.value };
    });
  }

  /** Counts one request. Fault `overloaded` (reason RATE_REASON, detail: seconds to wait) when a limit is reached; then it counts for none. */
  take(projectId: string, method: string, place: string): void {
    if (this.#rows.length === 0) return;
    const wanted = this.#rows.filter((row) => row.verb === method && row.pattern.test(place));
    const nowMs = this.#clock.monotonicMs();
    let worst: { row: Row; waitMs: number } | undefined;
    for (const row of wanted) {
      const waitMs = this.#fullMs(projectId, row, nowMs) + row.eachMs - row.spanMs;
      if (waitMs > EPSILON_MS && waitMs > (worst?.waitMs ?? 0)) worst = { row, waitMs };
    }
    if (worst !== undefined) throw reached(worst.row, worst.waitMs);
    for (const row of wanted) this.#put(projectId, row, { fullMs: this.#fullMs(projectId, row, nowMs) + row.eachMs, atMs: nowMs });
  }

  /** The member `rate` of the limits of a project. */
  view(projectId: string): object[] {
    const nowMs = this.#clock.monotonicMs();
    const groups = new Map<string, { uri: string; regex: string; limit: object[] }>();
    for (const row of this.#rows) {
      const { uri, regex, verb, value, unit, eachMs, spanMs } = row;
      const key = JSON.stringify([uri, regex]);
      const group = groups.get(key) ?? { uri, regex, limit: [] };
      groups.set(key, group);
      const fullMs = this.#fullMs(projectId, row, nowMs);
      const remaining = Math.max(0, Math.floor((spanMs - fullMs + EPSILON_MS) / eachMs));
      const waitMs = Math.max(0, fullMs + eachMs - spanMs);
      group.limit.push({ verb, value, remaining, unit, 'next-available': `${toIso(this.#clock.wallMs() + waitMs).slice(0, 19)}Z` });
    }
    return [...groups.values()];
  }

  #fullMs(projectId: string, row: Row, nowMs: number): number {
    const bucket = this.#buckets.get(keyOf(projectId, row));
    return bucket === undefined ? 0 : Math.max(0, bucket.fullMs - (nowMs - bucket.atMs));
  }

  #put(projectId: string, row: Row, bucket: Bucket): void {
    const key = keyOf(projectId, row);
    this.#buckets.delete(key); // the newest stands last
    this.#buckets.set(key, bucket);
    if (this.#buckets.size <= BUCKETS_MAX) return;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}

/** Fractions of a millisecond add up wrong in their last digits. */
const EPSILON_MS = 0.001;

function keyOf(projectId: string, { nth }: Row): string {
  return `${nth} ${projectId}`;
}

function reached({ value, verb, uri, unit }: Row, waitMs: number): Fault {
  const message = `Only ${value} ${verb} request(s) can be made to ${uri} every ${unit.toLowerCase()}.`;
  return new Fault('overloaded', RATE_REASON, message, { detail: Math.max(1, Math.ceil(waitMs / SECOND_MS)) });
}
