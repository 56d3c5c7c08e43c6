/**
 * Tokens checked by an Identity v3 service. Answers are kept for a few seconds (and never past the token's end), so a
 * revoked token works no longer than that; equal questions in flight are one; unknown tokens are remembered shortly,
 * so that a client with a dead token does not hammer the service. Only hashes of tokens are kept.
 */
import { z } from 'zod';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { Dispatcher } from 'undici';
import { hashToken } from './auth.ts';
import type { Caller, TokenChecker } from './auth.ts';
import { askOutside, serviceDown } from './outside-json.ts';

/** Port: the token of our own account, renewed before it ends. */
export interface ServiceToken {
  /** Fault `unavailable` or `unauthorized` when identity gives none. */
  get(): Promise<string>;
  /** The one we have was refused. */
  forget(): void;
}

export type KeystoneOptions = {
  /** With its version: `http://127.0.0.1:5000/v3`. */
  readonly url: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The account that asks; without one each token asks about itself. */
  readonly serviceToken?: ServiceToken;
  readonly ttlMs?: number;
  readonly negativeTtlMs?: number;
  readonly timeoutMs?: number;
  readonly keptMax?: number;
  readonly dispatcher?: Dispatcher;
};

const TTL_MS = 5_000;
const NEGATIVE_TTL_MS = 1_000;
const TIMEOUT_MS = 4_000;
const KEPT_MAX = 20_000;
/** Questions in flight; more than this and the next caller is told to come again. */
const IN_FLIGHT_MAX = 1_000;
const ADMIN = 'admin';

const named = z.object({ id: z.string(), name: z.string() });
const answerShape = z.object({
  token: z.object({
    expires_at: z.string(),
    user: named.extend({ domain: z.object({ id: z.string() }).optional() }),
    project: named.extend({ domain: z.object({ id: z.string() }).optional() }).optional(),
    roles: z.array(z.object({ name: z.string() })).default([]),
  }),
});

type Kept = { readonly caller: Caller | null; readonly untilMs: number };

export function openKeystoneTokens(options: KeystoneOptions): TokenChecker {
  const { clock } = options;
  const ttlMs = options.ttlMs ?? TTL_MS;
  const negativeTtlMs = options.negativeTtlMs ?? NEGATIVE_TTL_MS;
  const keptMax = options.keptMax ?? KEPT_MAX;
  const kept = new Map<string, Kept>();
  const flying = new Map<string, Promise<Caller | null>>();

  function keep(hash: string, caller: Caller | null): void {
    const untilMs = clock.monotonicMs() + (caller === null ? negativeTtlMs : Math.min(ttlMs, caller.expiresAtMs - clock.wallMs()));
    kept.delete(hash);
    kept.set(hash, { caller, untilMs });
    if (kept.size <= keptMax) return;
    const oldest = kept.keys().next();
    if (!oldest.done) kept.delete(oldest.value);
  }

  async function load(token: string, hash: string): Promise<Caller | null> {
    const caller = await askKeystone(token, hash, options);
    keep(hash, caller);
    return caller;
  }

  return {
    check(token) {
      const hash = hashToken(token);
      const known = kept.get(hash);
      if (known !== undefined && known.untilMs > clock.monotonicMs()) return Promise.resolve(known.caller);
      const running = flying.get(hash);
      if (running !== undefined) return running;
      if (flying.size >= IN_FLIGHT_MAX) return Promise.reject(serviceDown('identity', 'too many checks in flight'));
      // Not the caller's signal: others may wait for the same answer. The deadline ends it.
      const flight = load(token, hash).finally(() => flying.delete(hash));
      flying.set(hash, flight);
      return flight;
    },
  };
}

async function askKeystone(token: string, hash: string, options: KeystoneOptions): Promise<Caller | null> {
  const { serviceToken } = options;
  let answer = await askOnce(token, options, serviceToken === undefined ? token : await ours(serviceToken));
  if (answer.status === 401 && serviceToken !== undefined) {
    serviceToken.forget(); // ours has ended early: once more with a new one
    answer = await askOnce(token, options, await ours(serviceToken));
  }
  if (answer.status === 404) return null;
  if (answer.status === 401 || answer.status === 403) {
    if (serviceToken === undefined) return null;
    options.log.error('identity.refusesUs', { status: answer.status });
    throw serviceDown('identity', `our account is refused with ${answer.status}`);
  }
  const parsed = answerShape.safeParse(answer.body);
  if (answer.status !== 200 || !parsed.success) throw serviceDown('identity', `not understood, status ${answer.status}`);
  return callerOf(parsed.data.token, hash);
}

/** A refusal of our account is not one of the caller's. */
async function ours(serviceToken: ServiceToken): Promise<string> {
  return serviceToken.get().catch((error: unknown) => {
    throw Fault.is(error, 'unauthorized') ? serviceDown('identity', 'our account is refused') : error;
  });
}

function askOnce(token: string, options: KeystoneOptions, asker: string) {
  const { dispatcher } = options;
  return askOutside({
    service: 'identity',
    url: `${options.url}/auth/tokens?nocatalog`,
    headers: { 'X-Auth-Token': asker, 'X-Subject-Token': token, Accept: 'application/json' },
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    ...(dispatcher === undefined ? {} : { dispatcher }),
  });
}

function callerOf(token: z.output<typeof answerShape>['token'], tokenHash: string): Caller | null {
  const expiresAtMs = Date.parse(token.expires_at);
  if (Number.isNaN(expiresAtMs)) return null;
  const roles = token.roles.map(({ name }) => name.toLowerCase());
  return {
    tokenHash,
    userId: token.user.id,
    userName: token.user.name,
    userDomainId: token.user.domain?.id ?? 'default',
    projectId: token.project?.id ?? null,
    projectName: token.project?.name ?? null,
    projectDomainId: token.project?.domain?.id ?? null,
    roles,
    isAdmin: roles.includes(ADMIN),
    expiresAtMs,
  };
}
