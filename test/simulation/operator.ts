/**
 * The operator of the simulated cluster, who tells the truth: a machine whose power is lost is said to be forced down
 * (os-services) only while it is off, and gets its power back only when nothing that was said of it is still on its
 * way. Some machines are lost for good. What came back is forced up again, as soon as that is allowed.
 */
import { CONDUCTOR } from '../../actors/conductor/messages.ts';
import { hostRef } from '../../actors/host/messages.ts';
import { RECOVERY } from '../../actors/recovery/messages.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { pick, type Random } from '../../runtime/base/random.ts';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

const ASK_MS = 5_000;
const AGAIN_MS = 1_000;
const POLL_MS = 500;
/** Longer than a statement may still take; and, when an ask had no answer, than a node may be paused that holds it. */
const HOLD_MS = 5_000;
const HOLD_UNSURE_MS = 45_000;
/** In the quiet time no pause lasts. */
const HOLD_QUIET_MS = 10_000;
const FOR_GOOD_SHARE = 0.25;
const SAYS_SHARE = 0.7;
const TAKES_BACK_SHARE = 0.1;
const RESUMES_SHARE = 0.3;

export class Operator {
  /** What is still to be done, for people. */
  readonly busy = new Set<string>();
  readonly #world: World;
  readonly #random: Random;
  #isQuiet = false;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  /** From now on no machine is lost, and those that are come back. */
  becomeQuiet(): void {
    this.#isQuiet = true;
  }

  /** A machine loses its power; one at least keeps the store in reach. */
  loseOne(): void {
    const { machines } = this.#world;
    const hasOther = (machine: Machine): boolean =>
      !machine.hasDatabase || machines.some((other) => other !== machine && other.hasDatabase && !other.isGone && !other.isOff);
    const candidates = machines.filter((machine) => !machine.isOff && machine.hosts.length > 0 && hasOther(machine));
    if (candidates.length === 0 || this.#isQuiet) return;
    const machine = pick(this.#random, candidates);
    const isForGood = machine.isGone || (this.#random.next() < FOR_GOOD_SHARE && machines.filter((other) => !other.isGone).length > 2);
    void this.#care(machine, isForGood);
  }

  async #care(machine: Machine, isForGood: boolean): Promise<void> {
    const { name } = machine;
    const job = `${name} lost its power`;
    this.busy.add(job);
    this.#world.lose(machine, isForGood);
    await this.#wait(1_000 + this.#random.next() * 14_000);
    let heldMs = 0;
    if (this.#random.next() < SAYS_SHARE) {
      heldMs = await this.#say(machine, true);
      if (this.#random.next() < TAKES_BACK_SHARE) {
        await this.#wait(this.#random.next() * 10_000);
        heldMs = Math.max(heldMs, await this.#say(machine, false, 3));
      }
    }
    if (this.#random.next() < RESUMES_SHARE && this.#world.options.losses?.auto)
      await this.#ask((node) => node.actors.ask(RECOVERY, { type: 'resume' }, { timeoutMs: ASK_MS }));
    if (!isForGood) {
      await this.#wait(5_000 + this.#random.next() ** 2 * 60_000);
      await this.#hold(heldMs);
      this.#world.powerOn(machine);
      await this.#wait(this.#random.next() * 10_000);
      await this.#say(machine, false);
    }
    this.busy.delete(job);
  }

  /** Of each of its hosts, again until it is accepted or `tries` are over. Answers with how long it may be on its way. */
  async #say(machine: Machine, down: boolean, tries = Number.POSITIVE_INFINITY): Promise<number> {
    let heldMs = HOLD_MS;
    for (const { name: host } of machine.hosts) {
      for (let i = 0; i < tries; i++) {
        if (!this.#world.tables.hosts.has(host)) break; // never began
        if (!down && machine.isGone) break; // crashed for good at its start: nobody says of it that it is back
        const said = await this.#ask((node) =>
          node.actors.ask(CONDUCTOR, { type: 'updateService', uuid: null, host, forcedDown: down }, { timeoutMs: ASK_MS }),
        );
        if (said === 'silent') heldMs = HOLD_UNSURE_MS;
        this.#world.meet(`operator: force ${down ? 'down' : 'up'} ${said}`);
        this.#world.faults.note(`OPERATOR ${host} forced ${down ? 'down' : 'up'}: ${said}`);
        if (said === 'done') {
          // As the door does.
          this.#world.node?.actors.tell(hostRef(host), { type: 'rowChanged' });
          break;
        }
        await this.#world.time.clock.sleep(AGAIN_MS);
      }
    }
    return heldMs;
  }

  async #ask(ask: (node: NonNullable<World['node']>) => Promise<unknown>): Promise<'done' | 'refused' | 'silent'> {
    const { node } = this.#world;
    if (!node) return 'silent';
    const silence = this.#world.time.clock.sleep(ASK_MS + AGAIN_MS).then(() => 'silent' as const);
    const answer = ask(node).then(
      () => 'done' as const,
      (error: unknown) => (Fault.from(error).retryable ? ('silent' as const) : ('refused' as const)),
    );
    return Promise.race([silence, answer]);
  }

  /** Cut short by the quiet time. */
  async #wait(ms: number): Promise<void> {
    const { time } = this.#world;
    for (const endMs = time.nowMs + ms; time.nowMs < endMs && !this.#isQuiet;) await time.clock.sleep(Math.min(POLL_MS, endMs - time.nowMs));
  }

  async #hold(ms: number): Promise<void> {
    await this.#wait(ms);
    if (this.#isQuiet) await this.#world.time.clock.sleep(Math.min(ms, HOLD_QUIET_MS));
  }
}
