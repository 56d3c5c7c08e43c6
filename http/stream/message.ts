/**
 * What may be said on a stream: the clients' messages, parsed at this door, and ours. Times are ISO text, `sub` is the
 * name that the client gave its subscription.
 */
import { z } from 'zod';
import type { CompactInstance } from '../../actors/model/event.ts';
import { UUID } from '../../runtime/base/ids.ts';
import { TOKEN_MAX } from '../kit/auth.ts';
import { FILTER_IDS_MAX, FILTER_STATUSES_MAX } from './limits.ts';

export type From = 'now' | 'snapshot' | { readonly revision: number; readonly incarnation: string | null };

/** What a reader wants to see. Sets, since each event asks them. */
export type Wish = {
  readonly scope: 'project' | 'all';
  readonly ids: ReadonlySet<string> | null;
  /** An event counts when it enters or leaves one of these statuses. */
  readonly statuses: ReadonlySet<string> | null;
  /** `every` change; or `latest`: the newest state of each object when the reader is behind. */
  readonly mode: 'every' | 'latest';
  readonly from: From;
};

export type ClientMessage =
  | { readonly type: 'auth'; readonly token: string }
  | { readonly type: 'subscribe'; readonly id: string; readonly wish: Wish }
  | { readonly type: 'unsubscribe'; readonly id: string };

/** Everything that we say except `event`, which frame.ts writes for all readers at once. */
export type ServerMessage =
  | { readonly type: 'authenticated'; readonly projectId: string | null; readonly expiresAt: string }
  | { readonly type: 'object'; readonly sub: string; readonly record: CompactInstance; readonly revision: number }
  /** The subscription's past ends here: what a snapshot showed is complete at this revision. */
  | { readonly type: 'synced'; readonly sub: string; readonly revision: number; readonly incarnation: string }
  /** Everything up to this revision has been said. */
  | { readonly type: 'bookmark'; readonly sub: string; readonly revision: number }
  | { readonly type: 'unsubscribed'; readonly sub: string }
  | { readonly type: 'expiring'; readonly at: string }
  | { readonly type: 'gone'; readonly sub: string; readonly oldest: number }
  | { readonly type: 'error'; readonly sub: string | null; readonly message: string }
  /** Last words where the transport has no close code. */
  | { readonly type: 'closed'; readonly code: number; readonly reason: string };

const subName = z.string().regex(/^[A-Za-z0-9._:-]{1,64}$/);
const revision = z.int().min(0);
const incarnation = z.string().min(1).max(64);
const ids = z.array(z.string().regex(UUID)).min(1).max(FILTER_IDS_MAX);
const statuses = z
  .array(z.string().regex(/^[A-Za-z_]{1,32}$/))
  .min(1)
  .max(FILTER_STATUSES_MAX);

const MESSAGE = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('auth'), token: z.string().min(1).max(TOKEN_MAX) }),
  z.strictObject({
    type: z.literal('subscribe'),
    id: subName,
    scope: z.enum(['project', 'all']).default('project'),
    filter: z.strictObject({ ids: ids.optional(), statuses: statuses.optional() }).optional(),
    from: z.union([z.enum(['now', 'snapshot']), z.strictObject({ revision, incarnation: incarnation.optional() })]).default('now'),
    mode: z.enum(['every', 'latest']).default('every'),
  }),
  z.strictObject({ type: z.literal('unsubscribe'), id: subName }),
]);

/** The message; a sentence that says what is wrong with it; undefined when it is no JSON object at all. */
export function parseMessage(text: string): ClientMessage | string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const parsed = MESSAGE.safeParse(value);
  if (!parsed.success) return sentence(parsed.error);
  const message = parsed.data;
  if (message.type !== 'subscribe') return message;
  const { scope, mode, filter } = message;
  const from = typeof message.from === 'string' ? message.from : { revision: message.from.revision, incarnation: message.from.incarnation ?? null };
  return { type: 'subscribe', id: message.id, wish: { scope, mode, from, ids: setOf(filter?.ids), statuses: statusSet(filter?.statuses) } };
}

const QUERY = z.object({
  scope: z.enum(['project', 'all']).default('project'),
  ids: ids.nullable(),
  statuses: statuses.nullable(),
  mode: z.enum(['every', 'latest']).default('every'),
  from: z.enum(['now', 'snapshot']).default('now'),
  after: revision.nullable(),
  incarnation: incarnation.nullable(),
});

/**
 * The same wish as a query: `scope`, `ids` and `statuses` (comma lists), `mode`, `from`, or `after` (a revision) with
 * `incarnation`. `resume` is `revision@incarnation`, as an event source sends it back, and goes before both.
 */
export function parseQuery(query: URLSearchParams, resume: string | null): Wish | string {
  const place = resume === null ? null : /^(\d{1,16})(?:@(.{1,64}))?$/.exec(resume);
  if (resume !== null && place === null) return 'Last-Event-ID is not one of ours.';
  const after = place?.[1] ?? query.get('after');
  const parsed = QUERY.safeParse({
    scope: query.get('scope') ?? undefined,
    mode: query.get('mode') ?? undefined,
    from: query.get('from') ?? undefined,
    ids: query.get('ids')?.split(',') ?? null,
    statuses: query.get('statuses')?.split(',') ?? null,
    after: after === null ? null : after === '' ? Number.NaN : Number(after),
    incarnation: place ? (place[2] ?? null) : query.get('incarnation'),
  });
  if (!parsed.success) return sentence(parsed.error);
  const { scope, mode, ...rest } = parsed.data;
  const from = rest.after === null ? rest.from : { revision: rest.after, incarnation: rest.incarnation };
  return { scope, mode, from, ids: setOf(rest.ids), statuses: statusSet(rest.statuses) };
}

function setOf(list: readonly string[] | null | undefined): ReadonlySet<string> | null {
  return list ? new Set(list) : null;
}

function statusSet(list: readonly string[] | null | undefined): ReadonlySet<string> | null {
  return list ? new Set(list.map((status) => status.toUpperCase())) : null;
}

function sentence(error: z.ZodError): string {
  const [issue] = error.issues;
  const where = issue && issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
  return `${where}${issue?.message ?? 'not understood'}`.slice(0, 200);
}
