/**
 * Tell and ask by address. Looks up who answers: a service or an actor of this node, an activation of a shard that
 * this node owns, or another node through the mesh. Delivery is at most once per try; `ask` tries again, with the same
 * command id, while the owner moves and when another node does not answer, until its deadline. A `tell` is a hint and
 * may be lost.
 */
import { Fault, type FaultRecord } from '../base/fault.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { parseAddress, type Address } from './address.ts';
import { DEFAULT_ASK_MS, LONGEST_ASK_MS, type Actors, type AskOptions } from './ask.ts';
import type { Outcome } from './effect.ts';
import type { Delivery } from './activation.ts';
import type { AnyKind } from './kind.ts';
import type { AnyMessage } from './protocol.ts';
import type { NodeRoom, Taken } from './room.ts';
import { Service } from './service.ts';

/** Pause between tries while an owner moves. */
const RETRY_MS = 20;
const RETRY_MAX_MS = 500;
/** A frame may be lost without a word: what was not answered in this part of its time is sent again, if it may be. */
const RESENDS = 4;
const RESEND_MIN_MS = 250;

/** Activations of shards; filled by runtime/shard. */
export interface ShardDoor {
  /** `absent`: this node doesn't own the address's shard now. */
  deliver(kind: AnyKind, address: Address, delivery: Delivery): Taken;
}

/** Other nodes; filled by runtime/node with the mesh. */
export interface RemoteDoor {
  /** False when nobody can be asked now. `reply` is called at most once. */
  send(address: Address, delivery: Delivery, leftMs: number): boolean;
}

/** `node`: this node's name; a service of another node's name is elsewhere, of `any` it is here. */
export type SystemParts = { readonly clock: Clock; readonly random: Random; readonly log: Log; readonly node?: string };

export class ActorSystem implements Actors {
  readonly #parts: SystemParts;
  readonly #kinds = new Map<string, AnyKind>();
  readonly #services = new Map<string, Service>();
  #room: NodeRoom | undefined;
  #shards: ShardDoor | undefined;
  #remote: RemoteDoor | undefined;
  /** Counted for the inspector and /metrics. */
  readonly counts = { tells: 0, asks: 0, retries: 0, overloaded: 0, timeouts: 0, lostTells: 0 };

  constructor(parts: SystemParts) {
    this.#parts = parts;
  }

  plug(doors: { room?: NodeRoom; shards?: ShardDoor; remote?: RemoteDoor }): void {
    this.#room = doors.room ?? this.#room;
    this.#shards = doors.shards ?? this.#shards;
    this.#remote = doors.remote ?? this.#remote;
  }

  /** `isHere` false: this node knows the kind, others answer for it. */
  register(kind: AnyKind, isHere = true): void {
    this.#kinds.set(kind.kind, kind);
    if (kind.sort === 'service' && isHere) this.#services.set(kind.kind, new Service(kind));
  }

  kind(name: string): AnyKind | undefined {
    return this.#kinds.get(name);
  }

  tell(to: Address, message: AnyMessage): void {
    this.counts.tells++;
    const taken = this.deliver(to, { message, commandId: undefined, senderEpoch: undefined, reply: undefined }, DEFAULT_ASK_MS);
    if (taken === 'full' || taken === 'absent') this.counts.lostTells++;
  }

  ask(to: Address, message: AnyMessage, options: AskOptions = {}): Promise<never> {
    this.counts.asks++;
    const timeoutMs = Math.min(options.timeoutMs ?? DEFAULT_ASK_MS, LONGEST_ASK_MS);
    return new Promise((resolve, reject) => new Ask(this, this.#parts, { to, message, timeoutMs, options, resolve, reject }).start());
  }

  /** To whoever answers here or elsewhere. `sent`: to another node, it may get lost. `absent`: nobody is known to answer now. */
  deliver(to: Address, delivery: Delivery, leftMs: number): Taken | 'sent' {
    const { kind: name } = parseAddress(to);
    const kind = this.#kinds.get(name);
    const here = kind ? this.#deliverHere(kind, to, delivery) : 'absent';
    if (here !== 'absent') return here;
    return this.#remote?.send(to, delivery, leftMs) ? 'sent' : 'absent';
  }

  /** Only to this node: what the mesh brings. */
  deliverHere(to: Address, delivery: Delivery): Taken {
    const kind = this.#kinds.get(parseAddress(to).kind);
    return kind ? this.#deliverHere(kind, to, delivery) : 'absent';
  }

  close(): void {
    for (const service of this.#services.values()) service.close();
  }

  #isHere(service: Address): boolean {
    const { id } = parseAddress(service);
    return id === 'any' || id === this.#parts.node;
  }

  #deliverHere(kind: AnyKind, to: Address, delivery: Delivery): Taken {
    if (kind.sort === 'service') return this.#isHere(to) ? (this.#services.get(kind.kind)?.deliver(delivery) ?? 'absent') : 'absent';
    if (kind.home === 'shard') return this.#shards?.deliver(kind, to, delivery) ?? 'absent';
    return this.#room?.deliver(to, delivery) ?? 'absent';
  }
}

type AskRequest = {
  readonly to: Address;
  readonly message: AnyMessage;
  readonly timeoutMs: number;
  readonly options: AskOptions;
  readonly resolve: (value: never) => void;
  readonly reject: (fault: Fault) => void;
};

/** One ask: its deadline, its tries, its one end. */
class Ask {
  readonly #system: ActorSystem;
  readonly #parts: SystemParts;
  readonly #request: AskRequest;
  readonly #commandId: string | undefined;
  readonly #deadlineMs: number;
  readonly #timer: { cancel(): void };
  readonly #aborted: () => void;
  readonly #isRepeatable: boolean;
  #retryMs = RETRY_MS;
  #attempt = 0;
  #next: { cancel(): void } | undefined;
  #ended = false;

  constructor(system: ActorSystem, parts: SystemParts, request: AskRequest) {
    this.#system = system;
    this.#parts = parts;
    this.#request = request;
    const kind = system.kind(parseAddress(request.to).kind);
    const remembers = kind?.sort === 'actor' && kind.withCommands !== undefined;
    this.#commandId = request.options.commandId ?? (remembers ? parts.random.uuid() : undefined);
    this.#isRepeatable = kind?.sort !== 'service' || (kind.repeatable?.has(request.message.type) ?? false);
    this.#deadlineMs = parts.clock.monotonicMs() + request.timeoutMs;
    this.#timer = parts.clock.after(request.timeoutMs, () => {
      system.counts.timeouts++;
      this.#end({
        ok: false,
        fault: new Fault('timeout', 'ask.timeout', 'No answer came in time.', { detail: `${request.to} ${request.message.type}` }).toRecord(),
      });
    });
    this.#aborted = () => this.#end({ ok: false, fault: new Fault('cancelled', 'ask.cancelled', 'The request was called off.').toRecord() });
    request.options.signal?.addEventListener('abort', this.#aborted, { once: true });
  }

  start(): void {
    if (this.#ended) return;
    const { to, message, options } = this.#request;
    if (options.signal?.aborted) return this.#aborted(); // called off before it began: nothing may be sent any more
    const delivery: Delivery = {
      message,
      commandId: this.#commandId,
      senderEpoch: options.senderEpoch,
      reply: (outcome) => this.#answered(outcome),
      attempt: this.#attempt++,
    };
    const leftMs = this.#deadlineMs - this.#parts.clock.monotonicMs();
    const taken = this.#system.deliver(to, delivery, leftMs);
    if (taken === 'full') {
      this.#system.counts.overloaded++;
      this.#end({ ok: false, fault: new Fault('overloaded', 'mailbox.full', 'Too many requests are waiting there; try again later.').toRecord() });
    } else if (taken === 'absent') this.#again();
    else if (taken === 'sent' && this.#isRepeatable) this.#later(Math.max(RESEND_MIN_MS, this.#request.timeoutMs / RESENDS));
  }

  #answered(outcome: Outcome): void {
    if (!outcome.ok && isRouting(outcome.fault)) this.#again();
    else this.#end(outcome);
  }

  #again(): void {
    if (this.#ended) return;
    this.#system.counts.retries++;
    this.#later(this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  #later(inMs: number): void {
    this.#next?.cancel();
    this.#next = this.#parts.clock.after(inMs, () => this.start());
  }

  #end(outcome: Outcome): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer.cancel();
    this.#next?.cancel();
    this.#request.options.signal?.removeEventListener('abort', this.#aborted);
    if (outcome.ok) this.#request.resolve(outcome.value as never);
    else this.#request.reject(Fault.fromRecord(outcome.fault));
  }
}

/** Not an answer of the actor: it is elsewhere, or on its way. */
function isRouting(fault: FaultRecord): boolean {
  return fault.code === 'unavailable' && fault.reason.startsWith('route.');
}
