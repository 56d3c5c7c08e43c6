/** Runs a service kind: stateless, each message at once, at most `concurrency` under way, a bounded queue behind. */
import { BoundedQueue } from '../base/bounded-queue.ts';
import { Fault } from '../base/fault.ts';
import type { Delivery } from './activation.ts';
import type { ServiceKind } from './kind.ts';
import type { Taken } from './room.ts';

export class Service {
  readonly kind: ServiceKind;
  readonly #waiting: BoundedQueue<Delivery>;
  readonly #abort = new AbortController();
  #running = 0;

  constructor(kind: ServiceKind) {
    this.kind = kind;
    this.#waiting = new BoundedQueue(kind.mailboxMax);
  }

  deliver(delivery: Delivery): Taken {
    if (this.#running < this.kind.concurrency) {
      void this.#serve(delivery);
      return 'taken';
    }
    return this.#waiting.push(delivery) ? 'taken' : 'full';
  }

  close(): void {
    this.#abort.abort(new Fault('unavailable', 'route.stopped', 'The node is stopping.'));
  }

  async #serve(first: Delivery): Promise<void> {
    this.#running++;
    for (let delivery: Delivery | undefined = first; delivery; delivery = this.#waiting.shift()) await this.#one(delivery);
    this.#running--;
  }

  async #one({ message, commandId, reply }: Delivery): Promise<void> {
    try {
      const serve = this.kind.serve[message.type];
      if (!serve) throw new Fault('invalid', 'message.unknown', `${this.kind.kind} does not understand ${message.type}.`);
      const value = await serve(message as never, { signal: this.#abort.signal, commandId });
      reply?.({ ok: true, value });
    } catch (error) {
      reply?.({ ok: false, fault: Fault.from(error).toRecord() });
    }
  }
}
