/**
 * Links as clients asked: the same scheme, host and version segment; the project id only when it was in the path.
 * `self` names the version, `bookmark` leaves it out.
 */
import type { IncomingMessage } from 'node:http';
import type { Query } from './query.ts';

export type Link = { readonly rel: string; readonly href: string };

const HOST_FORM = /^[A-Za-z0-9.\-_:[\]]{1,255}$/;

export class Links {
  /** `http://host:8774` */
  readonly base: string;
  /** `http://host:8774/v2.1/<project>` or without project. */
  readonly self: string;
  readonly bookmark: string;

  constructor(base: string, versionSegment: string, projectSegment: string | undefined) {
    const project = projectSegment === undefined ? '' : `/${projectSegment}`;
    this.base = base;
    this.self = `${base}/${versionSegment}${project}`;
    this.bookmark = `${base}${project}`;
  }

  of(collection: string, id: string): readonly [Link, Link] {
    const name = encodeURIComponent(id);
    return [
      { rel: 'self', href: `${this.self}/${collection}/${name}` },
      { rel: 'bookmark', href: `${this.bookmark}/${collection}/${name}` },
    ];
  }

  bookmarkOf(collection: string, id: string): readonly [Link] {
    return [{ rel: 'bookmark', href: `${this.bookmark}/${collection}/${encodeURIComponent(id)}` }];
  }

  /** The next page of `path`: the same query with the marker replaced. */
  next(path: string, query: Query, marker: string): readonly [Link] {
    const kept = query.entries.filter(([name]) => name !== 'marker').map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
    kept.push(`marker=${encodeURIComponent(marker)}`);
    return [{ rel: 'next', href: `${this.self}${path}?${kept.join('&')}` }];
  }
}

/** Scheme and host that the client used. `prefix` overrides; forwarded headers count only behind a trusted proxy. */
export function baseOf(request: IncomingMessage, options: { prefix: string | null; behindProxy: boolean }): string {
  if (options.prefix !== null) return options.prefix;
  const { headers, socket } = request;
  let scheme = 'encrypted' in socket && socket.encrypted === true ? 'https' : 'http';
  if (options.behindProxy && /^https?$/.test(String(headers['x-forwarded-proto']))) scheme = String(headers['x-forwarded-proto']);
  const host = headers.host;
  if (host !== undefined && HOST_FORM.test(host)) return `${scheme}://${host}`;
  return `${scheme}://${socket.localAddress ?? 'localhost'}:${socket.localPort ?? 0}`;
}
