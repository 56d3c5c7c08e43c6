/** One request on its way through a route: what was asked, by whom, in which version. Lives until it is answered. */
import type { IncomingHttpHeaders } from 'node:http';
import type { ProjectCaller } from './auth.ts';
import type { Links } from './links.ts';
import type { Query } from './query.ts';

export type CallParts = {
  readonly method: string;
  /** As routed: without version segment and project. */
  readonly path: string;
  readonly params: { readonly [name: string]: string | undefined };
  readonly query: Query;
  readonly headers: IncomingHttpHeaders;
  readonly version: number;
  readonly legacy: boolean;
  readonly caller: ProjectCaller;
  readonly token: string;
  readonly requestId: string;
  readonly links: Links;
  readonly signal: AbortSignal;
};

export class Call {
  readonly method: string;
  readonly path: string;
  readonly params: { readonly [name: string]: string | undefined };
  readonly query: Query;
  readonly headers: IncomingHttpHeaders;
  /** Minor microversion. */
  readonly version: number;
  /** `/v2`: lenient bodies, no version headers. */
  readonly legacy: boolean;
  readonly caller: ProjectCaller;
  /** The caller's own token, for services that are asked in the caller's name. Never logged. */
  readonly token: string;
  readonly requestId: string;
  readonly links: Links;
  /** Fires when the client goes away before it is answered. */
  readonly signal: AbortSignal;
  /** Parsed JSON; null when there was none. */
  body: unknown = null;

  constructor(parts: CallParts) {
    this.method = parts.method;
    this.path = parts.path;
    this.params = parts.params;
    this.query = parts.query;
    this.headers = parts.headers;
    this.version = parts.version;
    this.legacy = parts.legacy;
    this.caller = parts.caller;
    this.token = parts.token;
    this.requestId = parts.requestId;
    this.links = parts.links;
    this.signal = parts.signal;
  }

  /** A path parameter; the route guarantees that it is there. */
  param(name: string): string {
    return this.params[name] ?? '';
  }
}
