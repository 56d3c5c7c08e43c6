/**
 * How disks go from host to host in the simulated cluster: what is offered is given as long as the process that offered
 * it lives, and both machines have power. An answer may take as long as the source's own life lets it.
 */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { GuestDisks } from '../../actors/host/parts.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Life } from './life.ts';

const GIVEN_WITHIN_MS = 10_000;

type Offer = { readonly life: Life; readonly read: (signal: AbortSignal) => Promise<Readable> };

export class Roads {
  readonly #offers = new Map<string, Offer>();

  /** As the hosts of one process use it. */
  of(life: Life): GuestDisks {
    return {
      offer: ({ instanceId, generation }, read) => {
        const token = `${life.name}#${life.number} ${instanceId}/${generation}`;
        this.#offers.set(token, { life, read });
        return { urls: [`memory://${life.name}`], token };
      },
      open: (way, signal) => life.through('disk.open', () => this.#open(way.token, life, signal)),
    };
  }

  async #open(token: string, asker: Life, signal: AbortSignal): Promise<Readable> {
    const offer = this.#offers.get(token);
    if (!offer?.life.alive) throw away();
    const late = asker.clock.sleep(GIVEN_WITHIN_MS, signal).then(
      () => Promise.reject(away()),
      () => Promise.reject(away()),
    );
    return Promise.race([late, offer.read(signal).then(async (bytes) => Readable.from([await buffer(bytes)]))]);
  }
}

function away(): Fault {
  return new Fault('unavailable', 'disk.away', 'The other host does not give the disk.');
}
