/**
 * One actor in memory: inbox, turn, decide → commit → effects. The order is the promise: nothing is said to anybody
 * before the commit that makes it true (P6), and nothing at all after a commit was refused for its fence (P1).
 *
 * - A commit whose outcome is unknown, or that finds another version, counts as not ours: the state is dropped, the
 *   row is loaded, and `recover` runs the effects that the row asks for. The message is answered `unavailable`, so
 *   an ask tries again; its command id tells a second try from a new command.
 * - A throw in `decide` is a bug: the state is dropped, the message is answered `internal` and not repeated. After
 *   too many of them `giveUp` ends what is open.
 * - Answers of asks and jobs that belong to a dropped state are ignored: each state has an incarnation.
 */
import { BoundedQueue } from '../base/bounded-queue.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { Fault, type FaultRecord } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { unreachable } from '../base/check.ts';
import type { Failpoint } from '../base/failpoint.ts';
import type { Address } from './address.ts';
import type { Actors } from './ask.ts';
import type { Effect, Outcome, ReplyHandle } from './effect.ts';
import type { ActorKind, Facts, Next } from './kind.ts';
import type { AnyMessage } from './protocol.ts';
import { CrashCount } from './supervision.ts';
import type { CommitAnswer, Loaded, Store } from './store.ts';
import type { Turns } from './turn.ts';

/** Messages per turn before the loop is given back to others. */
const TURN_MESSAGES = 64;
/** How long an answered command is remembered: longer than any ask may retry. */
export const COMMAND_MEMORY_MS = 120_000;
const COMMAND_MEMORY_MAX = 64;
const COMMANDS_KEPT = 2;
/** Between tries to load a row in which something may be open. */
const LOAD_RETRY_MS = 500;

export type Delivery = {
  readonly message: AnyMessage;
  readonly commandId: string | undefined;
  /** Shard epoch of the sending actor, when it has one: receivers fence by it. */
  readonly senderEpoch: number | undefined;
  /** Absent for a tell. Called once. */
  readonly reply: ((outcome: Outcome) => void) | undefined;
  /** Counts the tries of one ask, from 0. */
  readonly attempt?: number;
};

/** The right to run: the shard's number and epoch, or undefined when it is lost. Asked after every await. */
export type Fence = () => { readonly shard: number; readonly epoch: number } | undefined;

export type ActivationParts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly turns: Turns;
  readonly actors: Actors;
  readonly store: Store | undefined;
  readonly fence: Fence;
  readonly failpoint: Failpoint;
  /** The activation leaves memory; messages that still come go to a new one. */
  readonly gone: (activation: Activation) => void;
};

type CommandMemory = { readonly id: string; readonly atMs: number };
type Recorded = { readonly commands?: readonly CommandMemory[] };

export class Activation {
  readonly kind: ActorKind;
  readonly address: Address;
  readonly id: string;
  readonly #parts: ActivationParts;
  readonly #inbox: BoundedQueue<Delivery>;
  readonly #crashes = new CrashCount();
  readonly #held = new Map<ReplyHandle, Delivery>();
  readonly #timers = new Map<string, Timer>();
  readonly #jobs = new Map<string, Set<AbortController>>();
  #state: unknown;
  #loaded = false;
  #version = 0;
  #revision = 0;
  #incarnation = 0;
  #nextHandle = 1;
  #pending = 0;
  #draining = false;
  #gone = false;
  lastUsedMs: number;

  constructor(kind: ActorKind, address: Address, id: string, parts: ActivationParts) {
    this.kind = kind;
    this.address = address;
    this.id = id;
    this.#parts = parts;
    this.#inbox = new BoundedQueue(kind.mailboxMax);
    this.lastUsedMs = parts.clock.monotonicMs();
  }

  /** For the inspector. */
  view(): { address: string; inbox: number; version: number; crashes: number; busy: boolean } {
    return { address: this.address, inbox: this.#inbox.length, version: this.#version, crashes: this.#crashes.count, busy: this.#draining };
  }

  /** Takes a message in. False when the inbox is full: the sender is answered `overloaded`. */
  deliver(delivery: Delivery): boolean {
    if (!this.#inbox.push(delivery)) return false;
    this.lastUsedMs = this.#parts.clock.monotonicMs();
    if (!this.#draining) {
      this.#draining = true;
      this.#parts.turns.give(this.kind.kind, () => this.#drain());
    }
    return true;
  }

  /** Idle, nothing open, nothing awaited: it may leave memory without a trace. */
  get isIdle(): boolean {
    if (this.#draining || this.#inbox.length > 0 || this.#pending > 0 || this.#held.size > 0 || this.#timers.size > 0) return false;
    return !this.#loaded || (this.kind.isIdle?.(this.#state) ?? true);
  }

  /** Forgets everything: jobs are aborted, timers cancelled, waiting senders told to ask again. */
  discard(fault: Fault): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#forget();
    const outcome: Outcome = { ok: false, fault: fault.toRecord() };
    for (const delivery of this.#inbox.drain()) delivery.reply?.(outcome);
    this.#parts.gone(this);
  }

  async #drain(): Promise<void> {
    for (;;) {
      for (let i = 0; i < TURN_MESSAGES; i++) {
        if (this.#gone) return;
        const delivery = this.#inbox.shift();
        if (!delivery) {
          this.#draining = false;
          return;
        }
        await this.#take(delivery);
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  /** One message, start to end. Never throws. */
  async #take(delivery: Delivery): Promise<void> {
    try {
      if (!this.#loaded && !(await this.#load(delivery))) return this.#dismiss(delivery, ROUTE_LOST);
      if (delivery.commandId !== undefined && this.#knows(delivery.commandId)) return this.#answerAgain(delivery);
      const next = this.kind.decide(this.#state, delivery.message as never, this.#facts(delivery));
      await this.#apply(next, delivery, true);
    } catch (error) {
      await this.#crash(delivery, error);
    }
  }

  async #load(delivery: Delivery): Promise<boolean> {
    const { store } = this.#parts;
    let row: Loaded | undefined;
    if (store) {
      try {
        row = await store.load(this.address);
      } catch (error) {
        this.#parts.log.warn('row cannot be loaded', { address: this.address, error });
        // Something may be open there, and nobody else will ask for it before its time is over.
        if (delivery.message.type === WAKE.type && this.kind.recover) this.#wakeLater();
        else this.discard(Fault.is(error) ? error : ROUTE_LOST);
        return false;
      }
      if (!this.#mayGoOn()) {
        this.discard(ROUTE_LOST);
        return false;
      }
    }
    this.#version = row?.version ?? 0;
    this.#revision = row?.revision ?? 0;
    this.#state = this.kind.load(this.id, row?.record as never);
    this.#loaded = true;
    if (this.kind.recover) await this.#apply(this.kind.recover(this.#state, this.#facts()), undefined, true);
    return this.#loaded && !this.#gone; // recovering may have dropped it again
  }

  /** Asked after each await: it may have been discarded meanwhile, and its shard may be back under the same epoch. */
  #mayGoOn(): boolean {
    return !this.#gone && (!this.#parts.store || this.#parts.fence() !== undefined);
  }

  /** Commit when the record changed, then the effects. `mayDecide`: a refusal may be decided on once. */
  async #apply(next: Next<unknown>, delivery: Delivery | undefined, mayDecide: boolean): Promise<void> {
    const { kind } = this;
    const before = kind.recordOf?.(this.#state as never);
    let after = kind.recordOf?.(next.state as never);
    if (after === before || after === undefined) {
      this.#state = next.state;
      this.#run(next.effects, delivery);
      return;
    }
    let state = next.state;
    if (delivery?.commandId !== undefined && kind.withCommands) {
      after = kind.withCommands(after as never, this.#remember(after, delivery.commandId)) as unknown;
      state = kind.withRecord?.(state as never, after as never) ?? state;
    }
    const answer = await this.#commit(before, after, state);
    switch (answer.is) {
      case 'done':
        this.#version = answer.version;
        this.#revision = answer.revision;
        this.#state = state;
        if (!this.#mayGoOn()) return this.#leave(delivery);
        this.#run(next.effects, delivery);
        return;
      case 'refused':
        return this.#refused(answer.why, delivery, mayDecide);
      case 'unknown':
        return this.#reset(delivery);
      case 'broken':
        throw new Error(`the store cannot take the record: ${answer.why}`);
      default:
        return unreachable(answer);
    }
  }

  async #commit(before: unknown, after: unknown, state: unknown): Promise<CommitAnswer> {
    const fence = this.#parts.fence();
    const { store } = this.#parts;
    if (!fence || !store || !this.kind.commitOf) return { is: 'refused', why: 'epoch' };
    const commit = this.kind.commitOf(before as never, after as never, state as never);
    return store.commit({ address: this.address, ...fence, version: this.#version, record: after, commit });
  }

  async #refused(why: string, delivery: Delivery | undefined, mayDecide: boolean): Promise<void> {
    if (why === 'epoch') return this.#leave(delivery);
    if (why === 'version') return this.#reset(delivery);
    if (!this.kind.refused || !mayDecide) throw new Error(`a commit was refused: ${why}`);
    await this.#apply(this.kind.refused(this.#state as never, why, this.#facts(delivery)), delivery, false);
  }

  /** Not the owner any more: the message is to be asked elsewhere. */
  #leave(delivery: Delivery | undefined): void {
    if (delivery) this.#dismiss(delivery, ROUTE_LOST);
    this.discard(ROUTE_LOST);
  }

  /** Drops the state; the row is loaded with the next message, which is at once. */
  #reset(delivery: Delivery | undefined): void {
    this.#forget();
    if (delivery) this.#dismiss(delivery, ROUTE_LOST);
    this.#again();
  }

  async #crash(delivery: Delivery, error: unknown): Promise<void> {
    const { log, clock } = this.#parts;
    log.error('actor crashed', { address: this.address, message: delivery.message.type, error });
    const fault = Fault.from(error);
    this.#dismiss(delivery, fault);
    for (const [handle, held] of this.#held) if (held === delivery) this.#held.delete(handle);
    const state = this.#state;
    const wasLoaded = this.#loaded;
    this.#forget();
    if (!this.#crashes.crashed(clock.monotonicMs())) return this.#again();
    log.error('actor gives up what is open', { address: this.address });
    try {
      if (!wasLoaded || !this.kind.giveUp) return this.discard(fault);
      this.#state = state;
      this.#loaded = true;
      await this.#apply(this.kind.giveUp(state as never, fault, this.#facts()), undefined, false);
    } catch (second) {
      log.error('actor cannot give up', { address: this.address, error: second });
      this.discard(fault);
    }
  }

  /** A message to itself that only loads the row: what is open is taken up there. */
  #again(): void {
    if (this.kind.home === 'shard' && this.kind.recover && !this.#gone)
      this.#inbox.push({ message: WAKE, commandId: undefined, senderEpoch: undefined, reply: undefined });
  }

  #wakeLater(): void {
    const timer = this.#parts.clock.after(LOAD_RETRY_MS, () => {
      this.#timers.delete(LOAD_TAG);
      this.#tellSelf(WAKE);
    });
    this.#timers.get(LOAD_TAG)?.cancel();
    this.#timers.set(LOAD_TAG, timer);
  }

  #forget(): void {
    this.#incarnation++;
    this.#loaded = false;
    this.#pending = 0;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    for (const jobs of this.#jobs.values()) for (const job of jobs) job.abort(new Fault('cancelled', 'actor.reset', 'The actor was reset.'));
    this.#jobs.clear();
    // Nobody will answer these any more: who waits is to ask again.
    for (const delivery of this.#held.values()) this.#dismiss(delivery, ROUTE_LOST);
    this.#held.clear();
  }

  #dismiss(delivery: Delivery, fault: Fault): void {
    delivery.reply?.({ ok: false, fault: fault.toRecord() });
  }

  #facts(delivery?: Delivery): Facts {
    const { clock, random } = this.#parts;
    return {
      nowMs: clock.wallMs(),
      upMs: clock.monotonicMs(),
      newId: () => random.uuid(),
      chance: () => random.next(),
      senderEpoch: delivery?.senderEpoch,
      commandId: delivery?.commandId,
      holdReply: () => {
        const handle = this.#nextHandle++;
        if (delivery) this.#held.set(handle, delivery);
        return handle;
      },
    };
  }

  #knows(commandId: string): boolean {
    const record = this.kind.recordOf?.(this.#state as never) as Recorded | undefined;
    return record?.commands?.some((command) => command.id === commandId) ?? false;
  }

  #remember(record: unknown, id: string): CommandMemory[] {
    const nowMs = this.#parts.clock.wallMs();
    const commands = (record as Recorded).commands ?? [];
    // The newest ones whatever the wall clock says: it may have jumped since.
    const kept = commands.filter((command, i) => i >= commands.length - COMMANDS_KEPT || nowMs - command.atMs < COMMAND_MEMORY_MS);
    return [...kept.slice(-(COMMAND_MEMORY_MAX - 1)), { id, atMs: nowMs }];
  }

  #answerAgain(delivery: Delivery): void {
    delivery.reply?.({ ok: true, value: this.#stored() });
  }

  #stored(): unknown {
    const record = this.kind.recordOf?.(this.#state as never);
    return record === undefined ? null : { record, version: this.#version, revision: this.#revision };
  }

  #run(effects: readonly Effect[], delivery: Delivery | undefined): void {
    for (const effect of effects) this.#runOne(effect, delivery);
  }

  #runOne(effect: Effect, delivery: Delivery | undefined): void {
    const { actors, clock, failpoint } = this.#parts;
    switch (effect.do) {
      case 'reply':
        return this.#reply(effect.to, delivery, { ok: true, value: effect.value });
      case 'replyStored':
        return this.#reply(effect.to, delivery, { ok: true, value: this.#stored() });
      case 'refuse':
        return this.#reply(effect.to, delivery, { ok: false, fault: effect.fault });
      case 'tell':
        return actors.tell(effect.to as never, effect.message as never);
      case 'ask': {
        failpoint(`ask.${effect.message.type}.before`);
        const { signal, ended } = this.#abortable(effect.tag);
        const asked: Promise<unknown> = actors.ask(effect.to as never, effect.message as never, { timeoutMs: effect.timeoutMs, signal, ...this.#epoch() });
        return this.#await(asked.finally(ended), effect.as, effect.tag, `ask.${effect.message.type}.after`);
      }
      case 'perform':
        return this.#perform(effect);
      case 'abort':
        for (const job of this.#jobs.get(effect.tag) ?? []) job.abort(new Fault('cancelled', 'job.aborted', 'The work was called off.'));
        return;
      case 'wake': {
        this.#timers.get(effect.tag)?.cancel();
        const timer = clock.after(effect.inMs, () => {
          this.#timers.delete(effect.tag);
          this.#tellSelf(effect.message);
        });
        this.#timers.set(effect.tag, timer);
        return;
      }
      case 'sleep':
        this.#timers.get(effect.tag)?.cancel();
        this.#timers.delete(effect.tag);
        return;
      default:
        return unreachable(effect);
    }
  }

  #epoch(): { senderEpoch: number } | undefined {
    const fence = this.#parts.fence();
    return fence && { senderEpoch: fence.epoch };
  }

  #reply(to: ReplyHandle | undefined, delivery: Delivery | undefined, outcome: Outcome): void {
    const target = to === undefined ? delivery : this.#held.get(to);
    if (to !== undefined) this.#held.delete(to);
    if (!target?.reply) return;
    this.#parts.failpoint('reply.before');
    target.reply(outcome);
    this.#parts.failpoint('reply.after');
  }

  #perform(effect: Extract<Effect, { do: 'perform' }>): void {
    const job = this.kind.perform?.[effect.job];
    if (!job) throw new Error(`kind ${this.kind.kind} has no job ${effect.job}`);
    const { clock, failpoint } = this.#parts;
    const { abort, signal, ended } = this.#abortable(effect.tag);
    const limit = clock.after(effect.timeoutMs, () => abort(new Fault('timeout', 'job.timeout', `The work took longer than ${effect.timeoutMs} ms.`)));
    failpoint(`${effect.job}.before`);
    const run = job(effect.args as never, signal).finally(() => {
      limit.cancel();
      ended();
    });
    this.#await(run, effect.as, effect.tag, `${effect.job}.after`);
  }

  /** Asks and jobs under way, by tag: an `abort` effect or the end of the state calls them off. */
  #abortable(tag: string): { abort: (why: Fault) => void; signal: AbortSignal; ended: () => void } {
    const controller = new AbortController();
    const running = this.#jobs.get(tag) ?? new Set();
    this.#jobs.set(tag, running.add(controller));
    const ended = (): void => {
      running.delete(controller);
      if (running.size === 0 && this.#jobs.get(tag) === running) this.#jobs.delete(tag);
    };
    return { abort: (why) => controller.abort(why), signal: controller.signal, ended };
  }

  /** The end of an ask or a job comes back as a message, unless this state is gone by then. */
  #await(work: Promise<unknown>, as: string, tag: string, failpoint: string): void {
    const incarnation = this.#incarnation;
    this.#pending++;
    const back = (outcome: Outcome): void => {
      this.#parts.failpoint(failpoint);
      if (incarnation !== this.#incarnation) return;
      this.#pending--;
      this.#tellSelf({ type: as, tag, outcome } as AnyMessage);
    };
    work.then(
      (value) => back({ ok: true, value }),
      (error: unknown) => back({ ok: false, fault: faultOf(error) }),
    );
  }

  /** Its own messages must not be lost to a full inbox: they are tried again until there is room. */
  #tellSelf(message: AnyMessage): void {
    if (this.#gone) return;
    const incarnation = this.#incarnation;
    if (this.deliver({ message, commandId: undefined, senderEpoch: undefined, reply: undefined })) return;
    this.#parts.clock.after(50, () => {
      if (incarnation === this.#incarnation) this.#tellSelf(message);
    });
  }
}

/** The hint that every kind with `recover` takes: look at your row. */
const WAKE: AnyMessage = { type: 'wake' };
const LOAD_TAG = '#load';
const ROUTE_LOST = new Fault('unavailable', 'route.moved', 'The owner of this object is changing; try again.');

function faultOf(error: unknown): FaultRecord {
  return Fault.from(error).toRecord();
}
