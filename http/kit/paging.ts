/** `limit` and `marker` of lists; where a page ends and whether another follows. */
import { invalid } from './errors.ts';
import type { Query } from './query.ts';

/** No page is longer, whatever was asked. */
export const PAGE_MAX = 1_000;

export type Page = { readonly limit: number; readonly marker: string | null };

/** The query's page; `limit` is checked by the query's table before. */
export function pageOf(query: Query, max = PAGE_MAX): Page {
  const asked = query.one('limit');
  if (asked !== undefined && !/^\d{1,18}$/.test(asked)) throw invalid('limit must be a non-negative integer');
  return { limit: asked === undefined ? max : Math.min(Number(asked), max), marker: query.one('marker') ?? null };
}

/** Of lists that are cut by `offset`: a `limit` of 0 is none at all. */
export function sliceOf(query: Query, max = PAGE_MAX): { readonly offset: number; readonly limit: number } {
  const { limit } = pageOf(query, max);
  const offset = query.one('offset') ?? '0';
  if (!/^\d{1,9}$/.test(offset)) throw invalid('offset must be a non-negative integer');
  return { offset: Number(offset), limit: limit === 0 ? max : limit };
}

/** A page of a list that is in memory. Fault `invalid` when the marker names nothing in it. */
export function cutPage<T>(items: readonly T[], page: Page, idOf: (item: T) => string): { items: readonly T[]; full: boolean } {
  let start = 0;
  if (page.marker !== null) {
    start = items.findIndex((item) => idOf(item) === page.marker) + 1;
    if (start === 0) throw markerUnknown(page.marker);
  }
  const cut = items.slice(start, start + page.limit);
  return { items: cut, full: isFull(cut.length, page) };
}

/** Whether the answer gets a link to the next page. */
export function isFull(length: number, page: Page): boolean {
  return length > 0 && length === page.limit;
}

export function markerUnknown(marker: string): Error {
  return invalid(`marker [${marker.slice(0, 100)}] not found`, 'marker');
}
