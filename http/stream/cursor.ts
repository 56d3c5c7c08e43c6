/**
 * Brings one subscription from where it wants to begin to where the fan-out can feed it: list pages for a snapshot,
 * then whatever happened since, from the ring or from the history, then `synced`, and it is live.
 *
 * There is no gap between list and watch by construction: the place is taken before the list is read (the revision of
 * its first page), and everything after it is replayed. An object that the list showed in a newer state is not set back:
 * events up to that state are left out for it. `synced` says that what was shown is complete at that revision.
 *
 * A slow reader is waited for here, since we choose the pace; the keeper of its socket closes it when it takes nothing.
 */
import { CONDUCTOR } from '../../actors/conductor/messages.ts';
import type { ReadProtocol, ServerFilter } from '../../actors/conductor/messages/read.ts';
import { toCompact } from '../../actors/model/events-of.ts';
import { statesOfStatus } from '../../actors/model/server-state.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Random } from '../../runtime/base/random.ts';
import type { FanOut } from './fan-out.ts';
import { Entry, shownTo } from './frame.ts';
import type { Lanes } from './lanes.ts';
import { ASK_MS } from './limits.ts';
import { byRevision } from './ring.ts';
import type { Subscription } from './subscription.ts';

const LIST_PAGE = 500;
const HISTORY_PAGE = 500;
const TRIES_MAX = 6;
const FIRST_DELAY_MS = 100;

export type CursorParts = {
  readonly actors: Actors;
  readonly fanOut: FanOut;
  /** Bounds the questions to the store when thousands come back at once. */
  readonly lanes: Lanes;
  readonly clock: Clock;
  readonly random: Random;
};

/**
 * Resolves when the subscription is live or has ended. Fault `unavailable` or the like when the store cannot be asked;
 * it may have got a part of its past by then.
 */
export async function bringUp(sub: Subscription, parts: CursorParts): Promise<void> {
  const { fanOut } = parts;
  await retried(parts, sub, () => fanOut.freshen());
  if (isOver(sub)) return;
  sub.dress(fanOut.incarnation);
  const { from } = sub.wish;
  if (from === 'now') sub.settled = fanOut.ring.through;
  else if (from === 'snapshot') await showSnapshot(sub, parts);
  else if (isFromElsewhere(from, fanOut)) return sub.reader.closeGone(sub.id, fanOut.oldest);
  else sub.settled = from.revision;
  await follow(sub, parts);
}

/** Another incarnation, or a revision that this one has not reached: the cursor is of another history. */
function isFromElsewhere(from: { revision: number; incarnation: string | null }, fanOut: FanOut): boolean {
  return from.revision > fanOut.ring.through || (from.incarnation !== null && from.incarnation !== fanOut.incarnation);
}

async function follow(sub: Subscription, parts: CursorParts): Promise<void> {
  const { fanOut } = parts;
  while (!isOver(sub)) {
    if (sub.incarnation !== fanOut.incarnation) return sub.reader.closeGone(sub.id, fanOut.oldest);
    if (!fanOut.ring.covers(sub.settled)) await replayHistory(sub, parts);
    else if (replayRing(sub, fanOut)) return goLive(sub, fanOut);
    else await sub.reader.drained();
  }
}

/** Nothing may be awaited between the last event of the ring and joining. */
function goLive(sub: Subscription, fanOut: FanOut): void {
  sub.settled = fanOut.ring.through;
  sub.listed = undefined;
  sub.reader.tell({ type: 'synced', sub: sub.id, revision: sub.settled, incarnation: sub.incarnation }, sub.incarnation);
  if (!isOver(sub)) fanOut.join(sub);
}

/** True when it has got everything up to where the ring ends; false when the reader is full. */
function replayRing(sub: Subscription, { ring }: FanOut): boolean {
  sub.reader.hold();
  try {
    for (let slot = ring.next(sub.settled); slot !== undefined; slot = ring.next(slot.revision)) {
      if (sub.reader.isFull) return false;
      if (isOver(sub)) return true;
      sub.take(slot.entries, slot.revision);
    }
    return !sub.owes;
  } finally {
    sub.reader.release();
  }
}

async function replayHistory(sub: Subscription, parts: CursorParts): Promise<void> {
  const page = await readHistory(sub, parts);
  if (page === undefined) return;
  for (const { revision, events } of byRevision(page.events)) {
    if (sub.reader.isFull) await sub.reader.drained();
    if (isOver(sub)) return;
    sub.take(
      events.map((event) => new Entry(event)),
      revision,
    );
  }
  sub.settled = Math.max(sub.settled, page.upTo);
}

async function readHistory(sub: Subscription, parts: CursorParts): Promise<ReadProtocol['history']['reply'] | undefined> {
  try {
    const question = { type: 'history', after: sub.settled, limit: HISTORY_PAGE } as const;
    return await retried(parts, sub, () => parts.lanes.run(() => parts.actors.ask(CONDUCTOR, question, { timeoutMs: ASK_MS })));
  } catch (error) {
    if (!Fault.is(error, 'notFound')) throw error;
    sub.reader.closeGone(sub.id, oldestOf(error) ?? parts.fanOut.oldest);
    return undefined;
  }
}

function oldestOf({ detail }: Fault): number | undefined {
  if (typeof detail !== 'object' || detail === null || !('oldest' in detail)) return undefined;
  return typeof detail.oldest === 'number' ? detail.oldest : undefined;
}

async function showSnapshot(sub: Subscription, parts: CursorParts): Promise<void> {
  const listed = new Map<string, number>();
  let start: number | undefined;
  let newest = 0;
  for (let marker: string | null = null; ;) {
    const page = await retried(parts, sub, () => readPage(sub, marker, parts));
    if (isOver(sub)) return;
    start ??= page.revision;
    newest = Math.max(newest, page.revision);
    sub.reader.hold();
    for (const { record, revision } of page.servers) {
      sub.reader.tell({ type: 'object', sub: sub.id, record: shownTo(sub.reader.isAdmin, toCompact(record)), revision });
      newest = Math.max(newest, revision);
      if (revision > start) listed.set(record.id, revision);
    }
    sub.reader.release();
    marker = page.servers.at(-1)?.record.id ?? null;
    // A page holds less than its limit when one of its rows was deleted meanwhile: only an empty one is the end.
    if (marker === null) break;
    if (sub.reader.isFull) await sub.reader.drained();
  }
  sub.listed = listed;
  sub.settled = start;
  // What the list showed must be behind us before `synced`.
  if (newest > parts.fanOut.ring.through) await retried(parts, sub, () => parts.fanOut.freshen());
}

/** By age, oldest first: what is made meanwhile comes last, and no change moves an object past the marker. */
function readPage(sub: Subscription, marker: string | null, parts: CursorParts): Promise<ReadProtocol['listServers']['reply']> {
  const { scope, ids, statuses } = sub.wish;
  const filter: ServerFilter = {
    ...ANY,
    projectId: scope === 'all' ? null : sub.reader.projectId,
    ids: ids && [...ids],
    states: statuses && [...statuses].flatMap(statesOfStatus),
  };
  const sort = [
    { key: 'createdAt', descending: false },
    { key: 'id', descending: false },
  ] as const;
  const question = { type: 'listServers', filter, sort, marker, limit: LIST_PAGE } as const;
  return parts.lanes.run(() => parts.actors.ask(CONDUCTOR, question, { timeoutMs: ASK_MS }));
}

const ANY: ServerFilter = {
  projectId: null,
  deleted: null,
  changedSinceMs: null,
  changedBeforeMs: null,
  name: null,
  states: null,
  vmState: null,
  taskState: null,
  powerState: null,
  imageId: null,
  flavorId: null,
  userId: null,
  host: null,
  zone: null,
  reservationId: null,
  keyName: null,
  ids: null,
  ip: null,
  ip6: null,
  hostname: null,
  configDrive: null,
  locked: null,
  tags: null,
  tagsAny: null,
  notTags: null,
  notTagsAny: null,
};

/** Asks again while the fault is one that passes; the delays double and are spread. */
async function retried<T>(parts: CursorParts, sub: Subscription, ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (attempt === TRIES_MAX || isOver(sub) || !Fault.is(error) || !error.retryable) throw error;
      await parts.clock.sleep(FIRST_DELAY_MS * 2 ** (attempt - 1) * (0.5 + parts.random.next()));
    }
  }
}

function isOver(sub: Subscription): boolean {
  return sub.phase === 'ended';
}
