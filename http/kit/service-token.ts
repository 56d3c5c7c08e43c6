/** The token of our own account at an external Identity service: fetched when needed, renewed before it ends. */
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import type { Clock } from '../../runtime/base/clock.ts';
import { askOutside, serviceDown } from './outside-json.ts';

export interface ServiceToken {
  /** Fault `unavailable` when identity gives none. */
  get(): Promise<string>;
  /** The one we have was refused. */
  forget(): void;
}

export type ServiceAccount = {
  readonly userName: string;
  readonly password: string;
  readonly userDomain: string;
  readonly project: string;
  readonly projectDomain: string;
};

const TIMEOUT_MS = 5_000;
/** Renewed so long before its end that no request is caught by it. */
const MARGIN_MS = 60_000;

const answerShape = z.object({ token: z.object({ expires_at: z.string() }) });

export function openServiceToken(options: { url: string; account: ServiceAccount; clock: Clock; dispatcher?: Dispatcher }): ServiceToken {
  const { url, account, clock, dispatcher } = options;
  let current: { readonly token: string; readonly endsAtMs: number } | undefined;
  let flying: Promise<string> | undefined;

  async function login(): Promise<string> {
    const answer = await askOutside({
      service: 'identity',
      url: `${url}/auth/tokens?nocatalog`,
      method: 'POST',
      headers: {},
      json: loginBody(account),
      timeoutMs: TIMEOUT_MS,
      ...(dispatcher === undefined ? {} : { dispatcher }),
    });
    const token = answer.headers['x-subject-token'];
    const parsed = answerShape.safeParse(answer.body);
    if (answer.status !== 201 || typeof token !== 'string' || !parsed.success) throw serviceDown('identity', `login of our account: status ${answer.status}`);
    current = { token, endsAtMs: Date.parse(parsed.data.token.expires_at) - MARGIN_MS };
    return token;
  }

  return {
    get() {
      if (current !== undefined && current.endsAtMs > clock.wallMs()) return Promise.resolve(current.token);
      flying ??= login().finally(() => {
        flying = undefined;
      });
      return flying;
    },
    forget() {
      current = undefined;
    },
  };
}

function loginBody(account: ServiceAccount): object {
  const user = { name: account.userName, domain: { name: account.userDomain }, password: account.password };
  const project = { name: account.project, domain: { name: account.projectDomain } };
  return { auth: { identity: { methods: ['password'], password: { user } }, scope: { project } } };
}
