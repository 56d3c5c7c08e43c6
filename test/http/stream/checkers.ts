/**
 * The six guarantees of a watch, each as a checker over what a client saw in all its connections. Each answers with a
 * sentence for each breach; an empty list means that the guarantee held.
 */
import type { StatusEvent } from '../../../actors/model/event.ts';

export type Seen =
  | { readonly is: 'began'; readonly after: number }
  | { readonly is: 'event'; readonly revision: number; readonly id: string; readonly status: string; readonly more: boolean }
  | { readonly is: 'bookmark'; readonly revision: number }
  | { readonly is: 'cut' };

type SeenEvent = Extract<Seen, { is: 'event' }>;

/** What one client saw, and what it should have seen: the cell's events that it may see, in order. */
export type History = { readonly seen: readonly Seen[]; readonly truth: readonly StatusEvent[]; readonly until: number };

export const GUARANTEES: { readonly [name: string]: (history: History) => string[] } = { ordered, unique, reliable, atomic, resumable, bookmarkable };

/** What the client took over: events of whole revisions; a revision that was cut off is forgotten. */
export function taken(seen: readonly Seen[]): SeenEvent[] {
  const out: SeenEvent[] = [];
  let part: SeenEvent[] = [];
  for (const item of seen) {
    if (item.is === 'cut') part = [];
    if (item.is !== 'event') continue;
    part.push(item);
    if (item.more) continue;
    out.push(...part);
    part = [];
  }
  return out;
}

function ordered({ seen }: History): string[] {
  return pairs(taken(seen))
    .filter(([a, b]) => b.revision < a.revision)
    .map(([a, b]) => `${b.revision} came after ${a.revision}`);
}

function unique({ seen }: History): string[] {
  const known = new Set<string>();
  return taken(seen).flatMap((event) => {
    const name = `${event.revision}/${event.id}`;
    if (known.has(name)) return [`${name} came twice`];
    known.add(name);
    return [];
  });
}

function reliable({ seen, truth, until }: History): string[] {
  const first = seen.find((item) => item.is === 'began');
  const known = new Map(taken(seen).map((event) => [`${event.revision}/${event.id}`, event.status]));
  const wanted = truth.filter(({ revision }) => first !== undefined && revision > first.after && revision <= until);
  const missing = wanted.filter(({ revision, id, status }) => known.get(`${revision}/${id}`) !== status);
  const invented = known.size - (wanted.length - missing.length);
  return [...missing.map(({ revision, id }) => `${revision}/${id} never came`), ...(invented > 0 ? [`${invented} events came that nobody committed`] : [])];
}

/** Events of a revision come together, all of them, and only the last one ends it. */
function atomic({ seen, truth }: History): string[] {
  const out: string[] = [];
  const sizes = new Map<number, number>();
  for (const { revision } of truth) sizes.set(revision, (sizes.get(revision) ?? 0) + 1);
  let open: { revision: number; count: number } | undefined;
  for (const item of seen) {
    if (item.is === 'cut') open = undefined;
    if (open && item.is === 'bookmark') out.push(`a bookmark inside of ${open.revision}`);
    if (item.is !== 'event') continue;
    if (open && open.revision !== item.revision) out.push(`${item.revision} began inside of ${open.revision}`);
    open = { revision: item.revision, count: (open?.count ?? 0) + 1 };
    if (item.more) continue;
    if (open.count !== sizes.get(item.revision)) out.push(`${item.revision} ended after ${open.count} of ${sizes.get(item.revision)}`);
    open = undefined;
  }
  return out;
}

/** After coming back with a revision the next event is the very next one after it. */
function resumable({ seen, truth, until }: History): string[] {
  return seen.flatMap((item, i) => {
    if (item.is !== 'began') return [];
    const rest = seen.slice(i + 1);
    const end = rest.findIndex(({ is }) => is === 'began');
    const first = (end < 0 ? rest : rest.slice(0, end)).find(({ is }) => is === 'event') as SeenEvent | undefined;
    const next = truth.find(({ revision }) => revision > item.after && revision <= until);
    if (first === undefined || (first.revision === next?.revision && first.id === next.id)) return [];
    return [`after ${item.after} came ${first.revision}, not ${next?.revision}`];
  });
}

/** A bookmark says that all up to it was said: nothing of it comes later, and nothing of it is missing by then. */
function bookmarkable({ seen, truth }: History): string[] {
  const out: string[] = [];
  let start: number | undefined;
  let count = 0;
  let highest = 0;
  const whole = new Set(taken(seen));
  for (const item of seen) {
    if (item.is === 'began') start ??= item.after;
    if (item.is === 'event' && whole.has(item)) count++;
    if (item.is === 'event' && item.revision <= highest) out.push(`${item.revision} came after the bookmark ${highest}`);
    if (item.is !== 'bookmark') continue;
    const wanted = truth.filter(({ revision }) => revision > (start ?? 0) && revision <= item.revision).length;
    if (count < wanted) out.push(`the bookmark ${item.revision} came after ${count} of ${wanted} events`);
    highest = Math.max(highest, item.revision);
  }
  return out;
}

function pairs<T>(list: readonly T[]): [T, T][] {
  return list.slice(1).map((item, i) => [list[i] as T, item]);
}
