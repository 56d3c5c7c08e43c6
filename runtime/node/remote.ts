/**
 * Tell and ask across nodes: from an address to the node that answers for it, as frames of the mesh, and back. What
 * arrives is parsed by its kind before an actor sees it; a wrong guess about the owner is answered `route.moved`, and
 * the asker looks again.
 */
import type { Delivery } from '../actor/activation.ts';
import type { Address } from '../actor/address.ts';
import type { Outcome } from '../actor/effect.ts';
import type { Locate } from '../actor/locate.ts';
import { parseAddress } from '../actor/address.ts';
import type { ActorSystem, RemoteDoor } from '../actor/system.ts';
import type { AnyMessage } from '../actor/protocol.ts';
import { Fault } from '../base/fault.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Frame } from '../mesh/frame.ts';
import type { FrameSender, Mesh } from '../mesh/mesh.ts';

/** Asks under way to other nodes; past it the asker is answered as if nobody were there, and tries again. */
const PENDING_MAX = 10_000;

const MOVED = new Fault('unavailable', 'route.moved', 'The owner of this object is changing; try again.').toRecord();
const UNSENT = new Fault('overloaded', 'reply.unsent', 'The answer is too large, or too many wait; ask for less or later.').toRecord();
const FULL = new Fault('overloaded', 'mailbox.full', 'Too many requests are waiting there; try again later.').toRecord();

export type RemoteParts = {
  readonly mesh: Mesh;
  readonly locate: Locate;
  readonly system: ActorSystem;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether a node may say this here (P7); a Fault refuses it. */
  readonly mayTell: (from: FrameSender, to: Address, message: AnyMessage) => Fault | undefined;
  /** Types of messages that go before the others: beats, claims. */
  readonly urgent: ReadonlySet<string>;
};

/** Refusals are told at most this often each: a node that is wrong is wrong all the time. */
const REFUSED_LOG_MS = 10_000;

export class Remote implements RemoteDoor {
  readonly #mesh: Mesh;
  readonly #locate: Locate;
  readonly #system: ActorSystem;
  readonly #clock: Clock;
  readonly #parts: RemoteParts;
  readonly #pending = new Map<number, { readonly reply: (outcome: Outcome) => void; readonly forgotten: Timer }>();
  readonly #toldMs = new Map<string, number>();
  #nextId = 1;

  constructor(parts: RemoteParts) {
    this.#parts = parts;
    this.#mesh = parts.mesh;
    this.#locate = parts.locate;
    this.#system = parts.system;
    this.#clock = parts.clock;
    parts.mesh.onFrame((from, frame) => this.#receive(from, frame));
  }

  send(address: Address, { message, commandId, senderEpoch, reply, attempt }: Delivery, leftMs: number): boolean {
    const node = this.#locate.nodeOf(address, attempt ?? 0);
    if (node === undefined || node === this.#mesh.self.node) {
      this.#locate.hint();
      return false;
    }
    const { type, ...body } = message;
    const epoch = { ...(senderEpoch === undefined ? {} : { epoch: senderEpoch }), ...(this.#parts.urgent.has(type) ? { priority: true as const } : {}) };
    if (!reply) return this.#mesh.send(node, { kind: 'tell', to: address, type, body, ...epoch });
    if (this.#pending.size >= PENDING_MAX) return false;
    const id = this.#nextId++;
    // The asker has its own deadline: what is not answered by then is only forgotten here.
    this.#pending.set(id, { reply, forgotten: this.#clock.after(leftMs, () => this.#pending.delete(id)) });
    const command = commandId === undefined ? {} : { command: commandId };
    const sent = this.#mesh.send(node, { kind: 'ask', id, to: address, type, body, leftMs, ...command, ...epoch });
    if (!sent) this.#forget(id);
    return sent;
  }

  #receive(from: FrameSender, frame: Frame): void {
    switch (frame.kind) {
      case 'tell':
        return this.#deliver(from, frame, undefined);
      case 'ask':
        return this.#deliver(from, frame, (outcome) => this.#answer(from, frame.id, outcome));
      case 'reply':
        return this.#settle(frame.id, frame.ok ? { ok: true, value: frame.value } : { ok: false, fault: frame.fault });
      case 'moved':
        return this.#settle(frame.id, { ok: false, fault: MOVED });
    }
  }

  #deliver(from: FrameSender, frame: Extract<Frame, { kind: 'tell' | 'ask' }>, reply: ((outcome: Outcome) => void) | undefined): void {
    try {
      const kind = this.#system.kind(parseAddress(frame.to).kind);
      // A node that is starting knows this kind in a moment: the asker tries again.
      if (!kind) return reply?.({ ok: false, fault: MOVED });
      const message = kind.parse?.(frame.type, frame.body);
      if (!message) throw new Fault('invalid', 'message.unknown', `Nothing here understands ${frame.type} from another node.`);
      const refusal = this.#parts.mayTell(from, frame.to, message);
      if (refusal) throw refusal;
      const commandId = frame.kind === 'ask' ? frame.command : undefined;
      const taken = this.#system.deliverHere(frame.to, { message, commandId, senderEpoch: frame.epoch, reply });
      if (taken !== 'taken') reply?.({ ok: false, fault: taken === 'full' ? FULL : MOVED });
    } catch (error) {
      const fault = Fault.from(error);
      this.#tellRefused(from, frame, fault);
      reply?.({ ok: false, fault: fault.toRecord() });
    }
  }

  #tellRefused(from: FrameSender, frame: { to: Address; type: string }, fault: Fault): void {
    const nowMs = this.#clock.monotonicMs();
    const what = `${from.node} ${frame.type} ${fault.reason}`;
    if (nowMs - (this.#toldMs.get(what) ?? Number.NEGATIVE_INFINITY) < REFUSED_LOG_MS) return;
    if (this.#toldMs.size > PENDING_MAX) this.#toldMs.clear();
    this.#toldMs.set(what, nowMs);
    this.#parts.log.warn('message of another node refused', { from: from.node, roles: from.roles, to: frame.to, type: frame.type, reason: fault.reason });
  }

  #answer(from: FrameSender, id: number, outcome: Outcome): void {
    const answer = outcome.ok ? { ok: true as const, value: outcome.value } : { ok: false as const, fault: outcome.fault };
    if (this.#mesh.send(from.node, { kind: 'reply', id, forBoot: from.boot, ...answer })) return;
    // Too large, or too much waits: who asked must not wait for nothing.
    this.#mesh.send(from.node, { kind: 'reply', id, forBoot: from.boot, ok: false, fault: UNSENT });
  }

  #settle(id: number, outcome: Outcome): void {
    const pending = this.#forget(id);
    if (!outcome.ok && outcome.fault.reason.startsWith('route.')) this.#locate.hint();
    pending?.reply(outcome);
  }

  #forget(id: number): { readonly reply: (outcome: Outcome) => void } | undefined {
    const pending = this.#pending.get(id);
    pending?.forgotten.cancel();
    this.#pending.delete(id);
    return pending;
  }
}
