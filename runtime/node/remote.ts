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
import { Fault } from '../base/fault.ts';
import type { BootId, NodeName } from '../base/ids.ts';
import type { Clock } from '../base/clock.ts';
import type { Frame } from '../mesh/frame.ts';
import type { Mesh } from '../mesh/mesh.ts';

/** Asks under way to other nodes; past it the asker is answered as if nobody were there, and tries again. */
const PENDING_MAX = 10_000;

const MOVED = new Fault('unavailable', 'route.moved', 'The owner of this object is changing; try again.').toRecord();
const FULL = new Fault('overloaded', 'mailbox.full', 'Too many requests are waiting there; try again later.').toRecord();

type From = { readonly node: NodeName; readonly boot: BootId };

export class Remote implements RemoteDoor {
  readonly #mesh: Mesh;
  readonly #locate: Locate;
  readonly #system: ActorSystem;
  readonly #clock: Clock;
  readonly #pending = new Map<number, (outcome: Outcome) => void>();
  #nextId = 1;

  constructor(parts: { mesh: Mesh; locate: Locate; system: ActorSystem; clock: Clock }) {
    this.#mesh = parts.mesh;
    this.#locate = parts.locate;
    this.#system = parts.system;
    this.#clock = parts.clock;
    parts.mesh.onFrame((from, frame) => this.#receive(from, frame));
  }

  send(address: Address, { message, commandId, senderEpoch, reply }: Delivery, leftMs: number): boolean {
    const node = this.#locate.nodeOf(address);
    if (node === undefined || node === this.#mesh.self.node) {
      this.#locate.hint();
      return false;
    }
    const { type, ...body } = message;
    const epoch = senderEpoch === undefined ? {} : { epoch: senderEpoch };
    if (!reply) return this.#mesh.send(node, { kind: 'tell', to: address, type, body, ...epoch });
    if (this.#pending.size >= PENDING_MAX) return false;
    const id = this.#nextId++;
    this.#pending.set(id, reply);
    // The asker has its own deadline: what is not answered by then is only forgotten here.
    this.#clock.after(leftMs, () => this.#pending.delete(id));
    const command = commandId === undefined ? {} : { command: commandId };
    const sent = this.#mesh.send(node, { kind: 'ask', id, to: address, type, body, leftMs, ...command, ...epoch });
    if (!sent) this.#pending.delete(id);
    return sent;
  }

  #receive(from: From, frame: Frame): void {
    switch (frame.kind) {
      case 'tell':
        return this.#deliver(frame, undefined);
      case 'ask':
        return this.#deliver(frame, (outcome) => this.#answer(from, frame.id, outcome));
      case 'reply':
        return this.#settle(frame.id, frame.ok ? { ok: true, value: frame.value } : { ok: false, fault: frame.fault });
      case 'moved':
        return this.#settle(frame.id, { ok: false, fault: MOVED });
    }
  }

  #deliver(frame: Extract<Frame, { kind: 'tell' | 'ask' }>, reply: ((outcome: Outcome) => void) | undefined): void {
    try {
      const kind = this.#system.kind(parseAddress(frame.to).kind);
      const message = kind?.parse?.(frame.type, frame.body);
      if (!message) throw new Fault('invalid', 'message.unknown', `Nothing here understands ${frame.type} from another node.`);
      const commandId = frame.kind === 'ask' ? frame.command : undefined;
      const taken = this.#system.deliverHere(frame.to, { message, commandId, senderEpoch: frame.epoch, reply });
      if (taken !== 'taken') reply?.({ ok: false, fault: taken === 'full' ? FULL : MOVED });
    } catch (error) {
      reply?.({ ok: false, fault: Fault.from(error).toRecord() });
    }
  }

  #answer(from: From, id: number, outcome: Outcome): void {
    const answer = outcome.ok ? { ok: true as const, value: outcome.value } : { ok: false as const, fault: outcome.fault };
    this.#mesh.send(from.node, { kind: 'reply', id, forBoot: from.boot, ...answer });
  }

  #settle(id: number, outcome: Outcome): void {
    const reply = this.#pending.get(id);
    if (!outcome.ok && outcome.fault.reason.startsWith('route.')) this.#locate.hint();
    this.#pending.delete(id);
    reply?.(outcome);
  }
}
