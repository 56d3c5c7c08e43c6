/** What the Identity service is made of: what it is given, how it is set, and what its routes share. Types, no behaviour. */
import type Koa from 'koa';
import type { Named } from '../../../actors/conductor/messages/identity.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import type { Log } from '../../../runtime/base/log.ts';
import type { Random } from '../../../runtime/base/random.ts';
import type { PasswordCost, Passwords } from './password.ts';
import { PASSWORD_COST } from './password.ts';
import type { TokenDesk } from './token-desk.ts';

export type IdentitySettings = {
  /** How long a token lives from its login on; rescoping does not lengthen it. */
  readonly tokenTtlMs: number;
  /** Address in links, without `/v3`; null: as the client wrote it. */
  readonly publicUrl: string | null;
  readonly passwordCost: PasswordCost;
  /** Of this node's services, by type: what stands for `{image}` in an endpoint. Others are left out of the catalog. */
  readonly addresses: { readonly [type: string]: string };
};
export const IDENTITY_SETTINGS: IdentitySettings = { tokenTtlMs: 4 * 3_600_000, publicUrl: null, passwordCost: PASSWORD_COST, addresses: {} };

export type IdentityParts = {
  readonly actors: Actors;
  readonly clock: Clock;
  /** Must be cryptographic: tokens are drawn from it. */
  readonly random: Random;
  readonly log: Log;
  readonly settings: IdentitySettings;
};

/** What the routes share. */
export type Identity = IdentityParts & {
  readonly desk: TokenDesk;
  readonly passwords: Passwords;
  readonly base: (ctx: Koa.Context) => string;
  /** Fault `unauthorized` for a wrong password, an unknown or disabled user, or too many tries. */
  readonly checkPassword: (user: Named, password: string) => Promise<{ userId: string; passwordHash: string }>;
};
