/**
 * A route is data: where it is, in which versions, who may, what goes in, and the function that serves it.
 * The door checks in this order: version, body, query, policy (403), `find` (404), `serve`; under `/servers/` `find` first.
 */
import type { Call } from './call.ts';
import type { Target } from './policy.ts';
import type { QueryTable } from './query.ts';
import type { BodySchema } from './schema.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export type Reply = {
  /** Default: the route's `ok`. */
  readonly status?: number;
  readonly body?: object;
  /** JSON that is rendered already; wins over `body`. */
  readonly text?: string;
  readonly headers?: { readonly [name: string]: string };
};

export type Route<Parts, Rule extends string, Found = unknown> = {
  readonly method: Method;
  /** `/servers/:id` */
  readonly path: string;
  /** For `POST …/action`: the one member of the body. */
  readonly action?: string;
  /** Inclusive minors; absent: every version. */
  readonly versions?: readonly [number, number];
  /** null: everybody with a token. */
  readonly policy: Rule | null;
  /** Whose the object is that the rule is asked about, where what `find` found does not say it. */
  readonly target?: (call: Call) => Target;
  readonly body?: BodySchema;
  readonly query?: QueryTable;
  readonly ok: number | ((version: number) => number);
  /** The object that the path names, as the caller may see it; Fault `notFound` otherwise. */
  readonly find?: (call: Call, parts: Parts) => Promise<Found>;
  readonly serve: (call: Call, parts: Parts, found: Found) => Reply | Promise<Reply>;
};

/** A route whose found type is no longer known: what tables hold. */
export type AnyRoute<Parts, Rule extends string> = Omit<Route<Parts, Rule>, 'serve'> & {
  readonly serve: (call: Call, parts: Parts, found: never) => Reply | Promise<Reply>;
};

export const LATEST = Number.POSITIVE_INFINITY;

export function servedIn(route: { readonly versions?: readonly [number, number] }, version: number): boolean {
  return route.versions === undefined || (version >= route.versions[0] && version <= route.versions[1]);
}
