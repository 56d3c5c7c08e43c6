/**
 * Who is calling. Identity comes from the token and from nothing else: headers like X-User-Id or X-Roles that a client
 * sends are never read (S26). The port is filled by `keystone-tokens.ts` or by the embedded service's own checker.
 */
import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Fault } from '../../runtime/base/fault.ts';

export type Caller = {
  /** sha256 of the token, base64url: names it in caches and logs. */
  readonly tokenHash: string;
  readonly userId: string;
  readonly userName: string;
  readonly userDomainId: string;
  /** null for a token without project. */
  readonly projectId: string | null;
  readonly projectName: string | null;
  readonly projectDomainId: string | null;
  /** Lower case. */
  readonly roles: readonly string[];
  readonly isAdmin: boolean;
  readonly expiresAtMs: number;
};

/** A caller whose token is for a project: what every cloud call needs. */
export type ProjectCaller = Caller & { readonly projectId: string };

export interface TokenChecker {
  /** null: no such token, or not any more. Fault `unavailable` when identity cannot be asked. */
  check(token: string, signal: AbortSignal): Promise<Caller | null>;
}

/** Longer than any token that we know (PKI tokens of old were 8 KiB and are not taken). */
export const TOKEN_MAX = 4_096;

const TOKEN_FORM = /^[\x21-\x7e]+$/;

export function hashToken(token: string): string {
  return hash('sha256', token, 'base64url');
}

/**
 * Fault `unauthorized` when there is no valid token. The token of another service may come beside it
 * (`X-Service-Token`): it gives no rights here, but a wrong one is refused as any wrong token is.
 */
export async function authenticate(headers: IncomingHttpHeaders, tokens: TokenChecker, signal: AbortSignal, nowMs: number): Promise<Caller> {
  const serviceToken = headers['x-service-token'];
  const caller = await callerOf(headers['x-auth-token'], tokens, signal, nowMs);
  if (serviceToken !== undefined && serviceToken !== '') await callerOf(serviceToken, tokens, signal, nowMs);
  return caller;
}

async function callerOf(token: string | string[] | undefined, tokens: TokenChecker, signal: AbortSignal, nowMs: number): Promise<Caller> {
  if (typeof token !== 'string' || token === '' || token.length > TOKEN_MAX || !TOKEN_FORM.test(token)) throw unauthorized();
  const caller = await tokens.check(token, signal);
  if (caller === null || caller.expiresAtMs <= nowMs) throw unauthorized();
  return caller;
}

/** Fault `forbidden` when the token is for no project. */
export function inProject(caller: Caller): ProjectCaller {
  if (!hasProject(caller)) throw new Fault('forbidden', 'scope', 'The token is not scoped to a project.');
  return caller;
}

function hasProject(caller: Caller): caller is ProjectCaller {
  return caller.projectId !== null;
}

function unauthorized(): Fault {
  return new Fault('unauthorized', 'token', 'The request you have made requires authentication.');
}
