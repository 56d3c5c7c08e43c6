/**
 * Issues, validates and revokes tokens. A token is 256 random bits; only its SHA-256 is stored or kept here.
 *
 * Validated tokens are kept (bounded, least used go first), since services validate again and again. They are
 * believed while the identity revision stands: a change made by this process is seen at once, one made by another
 * process after `TRUST_MS` at the latest. A load that a change overtook is not kept.
 */
import { createHash } from 'node:crypto';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { TokenView, WantedScope } from '../../../actors/conductor/messages/identity.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import type { Random } from '../../../runtime/base/random.ts';
import type { Addresses, Catalog } from './catalog.ts';
import { loadCatalog } from './catalog.ts';

export const TRUST_MS = 1_000;
const KEPT_MAX = 5_000;
const TOKEN_BYTES = 32;
const AUDIT_BYTES = 16;
/** No token is longer; whatever is, is not looked up. */
const TOKEN_TEXT_MAX = 255;
const PURGE_EVERY_MS = 600_000;

export type KnownToken = {
  readonly hash: string;
  readonly view: TokenView;
  /** Bodies rendered before, for repeated validations. */
  readonly bodies: Map<string, string>;
};
export type Proof = { readonly passwordHash: string } | { readonly tokenHash: string };
export type IssueOrder = {
  readonly userId: string;
  readonly proof: Proof;
  readonly scope: WantedScope;
  readonly methods: readonly string[];
  /** The token it comes from, whose end it keeps. */
  readonly parent: TokenView | null;
};

export interface TokenDesk {
  /** undefined when the user has no right to that scope. */
  issue(order: IssueOrder): Promise<{ token: string; known: KnownToken } | undefined>;
  validate(token: string): Promise<KnownToken | undefined>;
  revoke(token: string): Promise<void>;
  catalog(): Promise<Catalog>;
  /** This process changed something: the next validation looks at the revision first. */
  changed(): void;
}

export type DeskParts = { actors: Actors; clock: Clock; random: Random; tokenTtlMs: number; addresses: Addresses };

export function openTokenDesk(parts: DeskParts): TokenDesk {
  const { actors, clock, random } = parts;
  const kept = new Map<string, KnownToken>();
  let catalog: Promise<Catalog> | undefined;
  let revision = -1;
  let checkedMs = -Infinity;
  let checking: Promise<void> | undefined;
  /** Grows whenever what is kept may be wrong. */
  let turn = 0;
  let purgedMs = -Infinity;

  function forget(): void {
    turn++;
    kept.clear();
    catalog = undefined;
  }
  function changed(): void {
    checkedMs = -Infinity;
    forget();
  }
  async function check(): Promise<void> {
    const askedMs = clock.monotonicMs();
    const askedTurn = turn;
    const now = await actors.ask(CONDUCTOR, { type: 'identityRevision' });
    if (askedTurn !== turn) return; // a change overtook the answer: it must be asked again
    if (now !== revision) forget();
    revision = now;
    checkedMs = askedMs;
  }
  async function current(): Promise<void> {
    while (clock.monotonicMs() - checkedMs > TRUST_MS) {
      checking ??= check().finally(() => (checking = undefined));
      await checking;
    }
  }
  function keep(known: KnownToken, askedTurn: number): KnownToken {
    if (askedTurn !== turn) return known;
    kept.delete(known.hash);
    kept.set(known.hash, known);
    const [oldest] = kept.keys();
    if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest);
    return known;
  }
  async function purge(): Promise<void> {
    if (clock.monotonicMs() - purgedMs < PURGE_EVERY_MS) return;
    purgedMs = clock.monotonicMs();
    while ((await actors.ask(CONDUCTOR, { type: 'identityPurgeTokens', nowMs: clock.wallMs() })) > 0);
  }

  return {
    async issue({ userId, proof, scope, methods, parent }) {
      await purge();
      await current();
      const askedTurn = turn;
      const token = random.bytes(TOKEN_BYTES).toString('base64url');
      const hash = hashOf(token);
      const issuedAtMs = clock.wallMs();
      const chain = parent?.auditIds.at(-1);
      const view = await actors.ask(CONDUCTOR, {
        type: 'identityIssueToken',
        hash,
        userId,
        proof,
        scope,
        methods,
        issuedAtMs,
        auditIds: [random.bytes(AUDIT_BYTES).toString('base64url'), ...(chain === undefined ? [] : [chain])],
        expiresAtMs: parent?.expiresAtMs ?? issuedAtMs + parts.tokenTtlMs,
      });
      return view ? { token, known: keep({ hash, view, bodies: new Map() }, askedTurn) } : undefined;
    },
    async validate(token) {
      if (token.length === 0 || token.length > TOKEN_TEXT_MAX) return undefined;
      await current();
      const hash = hashOf(token);
      const known = kept.get(hash);
      if (known) return known.view.expiresAtMs > clock.wallMs() ? keep(known, turn) : undefined;
      const askedTurn = turn;
      const view = await actors.ask(CONDUCTOR, { type: 'identityLoadToken', hash, nowMs: clock.wallMs() });
      return view ? keep({ hash, view, bodies: new Map() }, askedTurn) : undefined;
    },
    async revoke(token) {
      await actors.ask(CONDUCTOR, { type: 'identityRevokeToken', hash: hashOf(token) });
      changed();
    },
    async catalog() {
      await current();
      catalog ??= loadCatalog(actors, parts.addresses);
      const loading = catalog;
      loading.catch(() => {
        if (catalog === loading) catalog = undefined;
      });
      return loading;
    },
    changed,
  };
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
