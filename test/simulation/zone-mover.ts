/**
 * An operator of the simulated cell who moves hosts between zones by aggregates, as actors/conductor/records/aggregates.ts
 * does it: in one step, not while the host has servers, and with a new epoch for the host.
 */
import { hostRef } from '../../actors/host/messages.ts';
import { pick, type Random } from '../../runtime/base/random.ts';
import { placeOf, provedBy } from '../doubles/memory-tables.ts';
import type { World } from './world.ts';

export const ZONES = ['east', 'west'] as const;
/** Of hosts that no aggregate puts elsewhere. */
export const HOME_ZONE = 'nova';
const PAUSE_MS = 1_500;
/** The host hears of it by itself too, but later. */
const TELLS_SHARE = 0.5;

export class ZoneMover {
  readonly #world: World;
  readonly #random: Random;
  #stopped = false;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    world.tables.aggregates.push(...ZONES.map((zone, i) => ({ id: i + 1, metadata: { availability_zone: zone }, hosts: [] })));
  }

  stop(): void {
    this.#stopped = true;
  }

  async move(): Promise<void> {
    while (!this.#stopped) {
      await this.#world.time.clock.sleep(this.#random.next() * PAUSE_MS);
      const host = pick(this.#random, this.#world.hosts).name;
      this.#put(host, pick(this.#random, [HOME_ZONE, ...ZONES]));
    }
  }

  #put(host: string, zone: string): void {
    const { tables } = this.#world;
    const row = tables.hosts.get(host);
    if (!row || placeOf(tables, row).zone === zone) return;
    if ([...tables.claims.values()].some((claim) => claim.host === host && claim.role !== 'doomed')) return this.#world.meet('zone: kept by servers');
    tables.aggregates.forEach((aggregate, i) => {
      const others = aggregate.hosts.filter((name) => name !== host);
      tables.aggregates[i] = { ...aggregate, hosts: aggregate.metadata['availability_zone'] === zone ? [...others, host] : others };
    });
    if (provedBy(row) === null) tables.hosts.set(host, { ...row, epoch: row.epoch + 1 });
    this.#world.meet('zone: moved');
    this.#world.faults.note(`OPERATOR ${host} is in ${zone} now`);
    if (this.#random.next() < TELLS_SHARE) this.#world.node?.actors.tell(hostRef(host), { type: 'rowChanged' });
  }
}
