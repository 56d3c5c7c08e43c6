/**
 * Who asks, and what they may. The rule is small: administrators change everything; the `service` role may validate
 * and read; users read themselves, their projects and their own tokens.
 */
import type { Call } from '../wire.ts';
import { forbiddenTo, unauthenticated } from './error.ts';
import type { KnownToken, TokenDesk } from './token-desk.ts';

export type Caller = KnownToken & { readonly admin: boolean; readonly service: boolean };

/** Fault `unauthorized` without a valid X-Auth-Token. */
export async function callerOf({ ctx }: Call, desk: TokenDesk): Promise<Caller> {
  const known = await desk.validate(ctx.get('x-auth-token'));
  if (!known) throw unauthenticated();
  const roles = known.view.roles.map((role) => role.name);
  return { ...known, admin: roles.includes('admin'), service: roles.includes('service') };
}

export async function adminOf(call: Call, desk: TokenDesk, rule: string): Promise<Caller> {
  const caller = await callerOf(call, desk);
  if (!caller.admin) throw forbiddenTo(rule);
  return caller;
}

export async function selfOrAdminOf(call: Call, desk: TokenDesk, rule: string, userId: string): Promise<Caller> {
  const caller = await callerOf(call, desk);
  if (!caller.admin && caller.view.userId !== userId) throw forbiddenTo(rule);
  return caller;
}

export function mayRead(caller: Caller): boolean {
  return caller.admin || caller.service;
}
