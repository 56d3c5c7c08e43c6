import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { EventBatch } from '../../../actors/model/event.ts';
import { pick, seededRandom, type Random } from '../../../runtime/base/random.ts';
import { GUARANTEES, taken, type Seen } from './checkers.ts';
import { openRig, Socket, type Message, type Rig } from './rig.ts';

const PROJECTS = ['blue', 'green', 'red'];
const OBJECTS = 40;

/** A client that obeys the contract: it remembers the last whole revision and comes back with it. */
class Watcher {
  readonly token: string;
  readonly seen: Seen[] = [];
  revision = 0;
  #socket: Socket | undefined;
  #part = 0;
  readonly #rig: Rig;

  constructor(rig: Rig, token: string) {
    this.#rig = rig;
    this.token = token;
  }

  async connect(): Promise<void> {
    const socket = await Socket.open(this.#rig, this.token);
    this.#socket = socket;
    this.seen.push({ is: 'began', after: this.revision });
    socket.ws.on('message', (bytes) => this.#hear(JSON.parse(String(bytes)) as Message));
    const from = { revision: this.revision, incarnation: 'first' };
    socket.subscribe({ from, scope: this.token === 'admin' ? 'all' : 'project' });
  }

  /** Cut where it is, perhaps in the middle of a revision. */
  async cut(): Promise<void> {
    const socket = this.#socket;
    socket?.ws.removeAllListeners('message');
    socket?.ws.terminate();
    await socket?.closed;
    this.seen.push({ is: 'cut' });
    this.#part = 0;
  }

  #hear(message: Message): void {
    if (message.type === 'bookmark' || message.type === 'synced') {
      this.seen.push({ is: 'bookmark', revision: message['revision'] });
      this.revision = Math.max(this.revision, message['revision']);
    }
    if (message.type !== 'event') return;
    const { revision, id, status, more = false } = message as unknown as { revision: number; id: string; status: string; more?: boolean };
    this.seen.push({ is: 'event', revision, id, status, more });
    this.#part = more ? this.#part + 1 : 0;
    if (!more) this.revision = revision;
  }
}

/** Commits of one to five objects; told at once, late, in another order, or never. */
function commitSome(rig: Rig, random: Random, late: EventBatch[]): void {
  if (random.next() < 0.15) return rig.cell.plain();
  const objects = new Set(Array.from({ length: 1 + Math.floor(random.next() * 5) }, () => Math.floor(random.next() * OBJECTS)));
  const batch = rig.cell.commitUntold(
    ...[...objects].map((nth) => ({
      nth,
      patch: { projectId: PROJECTS[nth % PROJECTS.length] ?? '', vmState: pick(random, ['active', 'stopped', 'paused', 'error'] as const) },
    })),
  );
  const chance = random.next();
  if (chance < 0.75) rig.cell.tell(batch);
  else if (chance < 0.95) late.push(batch);
  if (random.next() < 0.3) for (const other of late.splice(0).sort(() => random.next() - 0.5)) rig.cell.tell(other);
}

describe.each([1, 2, 3])('a status stream under cuts, gaps and an absent store (seed %i)', (seed) => {
  it('is ordered, unique, reliable, atomic, resumable and bookmarkable', async () => {
    const random = seededRandom(seed);
    // Two rings: one that keeps nearly nothing, so that the history is read, and one that keeps enough.
    const rig = await openRig({ bookmarkMs: 48 }, { ringMaxEvents: seed === 1 ? 20 : 400 });
    try {
      rig.callers.set('red', { ...rig.callers.get('blue')!, projectId: 'red' });
      const watchers = [...PROJECTS, ...PROJECTS, ...PROJECTS, 'admin', 'admin'].map((token) => new Watcher(rig, token));
      for (const watcher of watchers) await watcher.connect();
      const late: EventBatch[] = [];
      for (let step = 0; step < 1_500; step++) {
        commitSome(rig, random, late);
        if (random.next() < 0.5) await turn();
        if (random.next() < 0.01) rig.cell.isAway = !rig.cell.isAway;
        if (random.next() < 0.06) {
          const watcher = pick(random, watchers);
          await watcher.cut();
          if (random.next() < 0.5) await turn();
          await watcher.connect();
        }
      }
      rig.cell.isAway = false;
      const until = rig.cell.revision;
      while (watchers.some(({ revision }) => revision < until)) await turn();
      let events = 0;
      for (const { token, seen } of watchers) {
        const truth = rig.cell.events.filter(({ projectId }) => token === 'admin' || projectId === token);
        events += taken(seen).length;
        for (const [name, check] of Object.entries(GUARANTEES)) expect(check({ seen, truth, until }).slice(0, 5), `${name} for ${token}`).toEqual([]);
      }
      expect(events).toBeGreaterThan(5_000);
      expect(watchers.flatMap(({ seen }) => seen.filter(({ is }) => is === 'cut')).length).toBeGreaterThan(50);
    } finally {
      await rig.close();
    }
  }, 60_000);
});

describe('the checkers', () => {
  const truth = [1, 2, 2, 4].map((revision, i) => ({ revision, id: `i${i}`, status: 'ACTIVE', projectId: 'blue' })) as never;
  const event = (revision: number, i: number, more = false): Seen => ({ is: 'event', revision, id: `i${i}`, status: 'ACTIVE', more });
  const good: Seen[] = [{ is: 'began', after: 0 }, event(1, 0), event(2, 1, true), event(2, 2), { is: 'bookmark', revision: 3 }, event(4, 3)];
  const failing = (seen: Seen[]): string[] =>
    Object.entries(GUARANTEES)
      .filter(([, check]) => check({ seen, truth, until: 4 }).length > 0)
      .map(([name]) => name);

  it('find nothing in a right history, and each breach in a wrong one', () => {
    expect(failing(good)).toEqual([]);
    expect(failing([good[0]!, good[2]!, good[3]!, good[1]!, good[4]!, good[5]!])).toContain('ordered');
    expect(failing([...good, event(4, 3)])).toContain('unique');
    expect(failing(good.slice(0, 5))).toContain('reliable');
    expect(failing([...good.slice(0, 2), event(2, 1), ...good.slice(4)])).toContain('atomic');
    expect(failing([...good.slice(0, 2), { is: 'cut' }, { is: 'began', after: 1 }, ...good.slice(5)])).toContain('resumable');
    expect(failing([good[0]!, good[1]!, good[4]!, good[2]!, good[3]!, good[5]!])).toContain('bookmarkable');
  });
});
