/**
 * A token of the cloud's own service account from any Identity v3 service, kept until shortly before it expires, and
 * the catalog that came with it. The password is never logged and appears in no error.
 */
import { request } from 'undici';
import { z } from 'zod';
import { Fault } from '../../runtime/base/fault.ts';
import type { Clock } from '../../runtime/base/clock.ts';

export type ServiceAccount = {
  /** With or without `/v3`. */
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly project: string;
  readonly userDomain: string;
  readonly projectDomain: string;
};

export type ServiceToken = { readonly token: string; readonly expiresAtMs: number; endpoint(type: string): string | undefined };

/** A token this close to its end is not used any more. */
const RENEW_BEFORE_MS = 60_000;
const ANSWER_MS = 10_000;

const answerShape = z.object({
  token: z.object({
    expires_at: z.string(),
    catalog: z.array(z.object({ type: z.string(), endpoints: z.array(z.object({ interface: z.string(), url: z.string() })) })).default([]),
  }),
});

export class ServiceSession {
  readonly #account: ServiceAccount;
  readonly #clock: Clock;
  #current: ServiceToken | undefined;
  #asking: Promise<ServiceToken> | undefined;

  constructor(account: ServiceAccount, clock: Clock) {
    this.#account = account;
    this.#clock = clock;
  }

  /** Faults: `unavailable` (identity does not answer), `unauthorized` (the account is refused). */
  async token(): Promise<ServiceToken> {
    if (this.#current && this.#clock.wallMs() < this.#current.expiresAtMs - RENEW_BEFORE_MS) return this.#current;
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  /** The service said that the token is no good: the next one is new. */
  forget(): void {
    this.#current = undefined;
  }

  async #ask(): Promise<ServiceToken> {
    const { url, username, password, project, userDomain, projectDomain } = this.#account;
    const user = { name: username, password, domain: { name: userDomain } };
    const body = { auth: { identity: { methods: ['password'], password: { user } }, scope: { project: { name: project, domain: { name: projectDomain } } } } };
    const base = url.replace(/\/+$/, '').replace(/(\/v3)?$/, '/v3');
    const answer = await request(`${base}/auth/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS),
    }).catch((error: unknown) => {
      throw new Fault('unavailable', 'identity.away', 'The identity service does not answer.', { cause: error });
    });
    const text = await answer.body.text().catch(() => '');
    if (answer.statusCode === 401) throw new Fault('unauthorized', 'identity.account', 'The identity service refuses the service account.');
    if (answer.statusCode !== 201) throw new Fault('unavailable', 'identity.failed', `The identity service answered ${answer.statusCode}.`);
    const token = answer.headers['x-subject-token'];
    const parsed = answerShape.safeParse(parse(text));
    if (typeof token !== 'string' || !parsed.success) throw new Fault('unavailable', 'identity.failed', 'The identity service gave no token.');
    const { catalog, expires_at: expiresAt } = parsed.data.token;
    const endpoint = (type: string): string | undefined => {
      const found = catalog.filter((service) => service.type === type).flatMap((service) => service.endpoints);
      return (found.find((entry) => entry.interface === 'internal') ?? found.find((entry) => entry.interface === 'public'))?.url;
    };
    this.#current = { token, endpoint, expiresAtMs: Date.parse(expiresAt) };
    return this.#current;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
