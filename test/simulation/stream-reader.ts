/**
 * One who listens to all changes: a client of the status stream of one node, through the real fan-out and cursor of
 * http/stream, without a socket. When its node is gone it comes back, there or elsewhere, with the last revision that
 * it got whole. What it got is compared with what happened (P5).
 */
import { bringUp } from '../../http/stream/cursor.ts';
import { FanOut } from '../../http/stream/fan-out.ts';
import { Lanes } from '../../http/stream/lanes.ts';
import { Ring } from '../../http/stream/ring.ts';
import { Subscription, type Reader } from '../../http/stream/subscription.ts';
import type { StatusEvent } from '../../actors/model/event.ts';
import type { Random } from '../../runtime/base/random.ts';
import { silentLog } from '../../runtime/base/log.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

const PROJECT = 'blue';
const LOOK_MS = 500;
/** How often the fan-out of a node asks where the cell stands: as the streams' wheel does. */
const FRESHEN_MS = 4_000;
/** Now and then a reader leaves by itself. */
const LEAVE_CHANCE = 0.01;

type Frame = Pick<StatusEvent, 'revision' | 'id'> & { readonly more?: boolean };

export class StreamReader {
  readonly name: string;
  /** Revision and id of every event that it took over, in the order of arrival. */
  readonly got: string[] = [];
  readonly #world: World;
  readonly #random: Random;
  #last = 0;
  /** Events of a revision that is not whole yet. */
  #part: string[] = [];
  #turn = 0;

  constructor(world: World, name: string, random: Random) {
    this.#world = world;
    this.name = name;
    this.#random = random;
  }

  /** Listens until the end of the run, at the node of its own name while that is up. */
  async live(): Promise<void> {
    const { clock } = this.#world.time;
    for (;;) {
      const node = this.#choose();
      if (node) await this.#listen(node);
      await clock.sleep(LOOK_MS);
    }
  }

  #choose(): SimNode | undefined {
    const up = this.#world.nodes.filter((node) => node.isUp && node.isControl);
    return up.find((node) => node.name === this.name) ?? up[0];
  }

  async #listen(node: SimNode): Promise<void> {
    const { life, actors } = node;
    const turn = ++this.#turn;
    this.#part = [];
    const fanOut = fanOutOf(node);
    const wish = { scope: 'project', ids: null, statuses: null, mode: 'every', from: { revision: this.#last, incarnation: null } } as const;
    const sub = new Subscription(
      'all',
      wish,
      this.#reader(() => turn === this.#turn && life.alive),
    );
    let isOver = false;
    bringUp(sub, { actors, fanOut, lanes: new Lanes(4), clock: life.clock, random: this.#random }).catch(() => (isOver = true));
    while (life.alive && node.isUp && !isOver && sub.phase !== 'ended' && this.#random.next() >= LEAVE_CHANCE) await this.#world.time.clock.sleep(LOOK_MS);
    this.#turn += 1;
    fanOut.leave(sub);
  }

  #reader(isListening: () => boolean): Reader {
    const lost = (why: string) => (): void => this.#world.problem(`P5 the reader at ${this.name} was closed: ${why}`);
    return {
      form: 'list',
      projectId: PROJECT,
      isAdmin: true,
      bufferedBytes: 0,
      bufferMaxBytes: Number.POSITIVE_INFINITY,
      isFull: false,
      send: (frame) => isListening() && this.#take(JSON.parse(frame.toString()) as Frame),
      tell: () => undefined,
      hold: () => undefined,
      release: () => undefined,
      drained: async () => undefined,
      isAuthorised: () => true,
      closeSlow: lost('slow'),
      closeGone: lost('gone'),
    };
  }

  /** A revision is taken over when its last event is there. */
  #take({ revision, id, more }: Frame): void {
    this.#part.push(`${revision} ${id}`);
    if (more) return;
    this.got.push(...this.#part);
    this.#part = [];
    this.#last = revision;
  }
}

const FAN_OUTS = new WeakMap<SimNode, FanOut>();

function fanOutOf(node: SimNode): FanOut {
  const known = FAN_OUTS.get(node);
  if (known) return known;
  const { clock } = node.life;
  const fanOut = new FanOut({ actors: node.actors, feed: node.feed, clock, log: silentLog, ring: new Ring(64) });
  FAN_OUTS.set(node, fanOut);
  const freshen = (): void => {
    clock.after(FRESHEN_MS, freshen);
    fanOut.freshen().catch(() => undefined);
  };
  clock.after(FRESHEN_MS, freshen);
  return fanOut;
}
