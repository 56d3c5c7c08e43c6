/**
 * One incarnation of a node, from its start to its crash. Everything that a node does goes through its life: when it
 * has ended, no timer of it fires, nothing it asked for comes back, and nothing it does reaches the outside. What was
 * already on its way (a statement in flight, a verb at the hypervisor) goes on without it, as in the world.
 *
 * A life that is paused (SIGSTOP, a long collection of garbage) runs nothing at all: what should have run waits in its
 * line and runs in that order when it goes on, while its monotonic clock has gone on all the time.
 */
import type { Address } from '../../runtime/actor/address.ts';
import type { Actors, AskOptions } from '../../runtime/actor/ask.ts';
import { openTurns, type Turns } from '../../runtime/actor/turn.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { sleepOn, type VirtualWorld } from '../doubles/virtual-clock.ts';

/** What decides, at each named point that a life reaches, whether it ends there; and what gets lost or late. */
export interface Fate {
  reach(life: Life, point: string): void;
  losesTell(): boolean;
  delayMs(): number;
}

export type LifeParts = {
  readonly name: string;
  readonly number: number;
  readonly world: VirtualWorld;
  readonly fate: Fate;
  /** How far the machine's wall clock is off now. */
  readonly wallOffMs: () => number;
};

export class Life {
  readonly name: string;
  readonly number: number;
  readonly clock: Clock;
  readonly turns: Turns;
  readonly #world: VirtualWorld;
  readonly #fate: Fate;
  /** When the last message to an address comes out of its line: messages to one address keep their order. */
  readonly #lines = new Map<Address, number>();
  /** What waits for the end of a pause. */
  readonly #late: (() => void)[] = [];
  #isPaused = false;
  #isCatchingUp = false;
  #alive = true;

  constructor({ name, number, world, fate, wallOffMs }: LifeParts) {
    this.name = name;
    this.number = number;
    this.#world = world;
    this.#fate = fate;
    const turns = openTurns(`${name}-${number}`);
    this.turns = {
      give: (group, drain) => this.#alive && turns.give(group, () => (this.isAwake ? drain() : this.#onTime().then(drain))),
      close: () => turns.close(),
    };
    this.clock = {
      wallMs: () => world.clock.wallMs() + wallOffMs(),
      monotonicMs: () => world.clock.monotonicMs(),
      after: (delayMs, run) => this.#timer(delayMs, run),
      sleep: (delayMs, signal) => sleepOn(this.clock, delayMs, signal),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** It runs now: neither ended nor paused. */
  get isAwake(): boolean {
    return this.#alive && !this.#isPaused && !this.#isCatchingUp;
  }

  end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#late.length = 0;
    this.turns.close();
  }

  pause(): void {
    this.#isPaused = true;
  }

  goOn(): void {
    this.#isPaused = false;
    if (this.#isCatchingUp) return;
    this.#isCatchingUp = true;
    this.#catchUp();
  }

  /** Runs it now, or when the pause is over, or never. In the order of asking. */
  whenAwake(run: () => void): void {
    if (!this.#alive) return;
    if (this.isAwake) run();
    else this.#late.push(run);
  }

  /** A point at which the life may end. */
  readonly reach = (point: string): void => {
    if (this.#alive) this.#fate.reach(this, point);
  };

  /** An await on the outside: the life may end before it and after it, and then it never comes back. */
  async through<T>(point: string, work: () => Promise<T>): Promise<T> {
    this.reach(`${point}.before`);
    if (!this.#alive) return never();
    try {
      return await this.#held(work());
    } finally {
      this.reach(`${point}.after`);
      if (!this.#alive) await never();
    }
  }

  /** The same actors, through this life: tells may get lost, and both may be late, in order. */
  within(actors: Actors): Actors {
    const tell = (to: Address, message: { type: string }): void => {
      this.reach(`tell.${message.type}`);
      if (!this.#alive || this.#fate.losesTell()) return;
      this.#inLine(to, () => actors.tell(to as never, message as never));
    };
    const ask = async (to: Address, message: { type: string }, options?: AskOptions): Promise<never> => {
      if (!this.#alive) return never();
      await new Promise<void>((resolve) => this.#inLine(to, resolve));
      return this.#held(actors.ask(to as never, message as never, options) as Promise<never>);
    };
    return { tell, ask } as Actors;
  }

  #timer(delayMs: number, run: () => void): { cancel(): void } {
    let isOver = false;
    const timer = this.#world.after(delayMs, () => this.whenAwake(() => isOver || run()));
    const cancel = (): void => {
      isOver = true;
      timer.cancel();
    };
    return { cancel };
  }

  /** One after the other, each with a turn of its own; what comes meanwhile waits behind. */
  #catchUp(): void {
    this.#world.after(0, () => {
      if (!this.#alive || this.#isPaused) return void (this.#isCatchingUp = false);
      const run = this.#late.shift();
      if (!run) return void (this.#isCatchingUp = false);
      run();
      this.#catchUp();
    });
  }

  #inLine(to: Address, send: () => void): void {
    const { nowMs } = this.#world;
    const delayMs = this.#fate.delayMs();
    const before = this.#lines.get(to) ?? 0;
    if (delayMs === 0 && before <= nowMs) return send();
    const atMs = Math.max(before + 0.001, nowMs + delayMs);
    this.#lines.set(to, atMs);
    this.clock.after(atMs - nowMs, send);
  }

  async #held<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      if (!this.isAwake) await this.#onTime();
    }
  }

  async #onTime(): Promise<void> {
    if (!this.#alive) return never();
    if (!this.isAwake) await new Promise<void>((resolve) => this.#late.push(resolve));
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}
