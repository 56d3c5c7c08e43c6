/** Aggregates of the cloud in memory: what the door can see of them. Zones and servers are not compared: the store's tests do. */
import { Fault } from '../../../runtime/base/fault.ts';
import type { Aggregate } from '../../../actors/model/aggregate.ts';

type Message = { readonly type: string; readonly [member: string]: unknown };

const AT = '2026-11-22T10:00:00.000Z';

export class MemoryAggregates {
  readonly rows = new Map<number, Aggregate>();
  readonly wanted: { readonly id: number; readonly images: readonly { readonly id: string }[] }[] = [];
  readonly #hosts: () => readonly string[];
  #last = 0;

  constructor(hosts: () => readonly string[]) {
    this.#hosts = hosts;
  }

  ask(m: Message): unknown {
    const id = Number(m['id']);
    switch (m.type) {
      case 'listAggregates':
        return [...this.rows.values()];
      case 'showAggregate':
        return this.rows.get(id) ?? null;
      case 'createAggregate':
        return this.#create(String(m['name']), m['zone'] as string | null);
      case 'deleteAggregate':
        if (this.#found(id).hosts.length > 0) throw new Fault('invalid', 'aggregate.hosts', 'Host aggregate is not empty');
        this.rows.delete(id);
        return undefined;
      case 'updateAggregate': {
        const { name, zone } = m['change'] as { name?: string; zone?: string | null };
        return this.#change(id, { ...(name === undefined ? {} : { name }), ...this.#zone(id, zone) });
      }
      case 'addAggregateHost': {
        const host = String(m['host']);
        if (!this.#hosts().includes(host)) throw new Fault('notFound', 'host.unknown', `Compute host ${host} could not be found.`);
        if (this.#found(id).hosts.includes(host)) throw new Fault('conflict', 'aggregate.has', 'has it');
        return this.#change(id, { hosts: [...this.#found(id).hosts, host] });
      }
      case 'removeAggregateHost':
        if (!this.#found(id).hosts.includes(String(m['host']))) throw new Fault('notFound', 'aggregate.host', 'has it not');
        return this.#change(id, { hosts: this.#found(id).hosts.filter((host) => host !== m['host']) });
      case 'setAggregateWords': {
        const words = Object.entries({ ...this.#found(id).metadata, ...(m['set'] as object) });
        return this.#change(id, { metadata: Object.fromEntries(words.filter(([key]) => !(m['drop'] as string[]).includes(key))) });
      }
      case 'wantImages':
        this.wanted.push(m as never);
        return { hosts: this.#found(id).hosts };
      default:
        throw new Fault('internal', 'double', m.type);
    }
  }

  #create(name: string, zone: string | null): Aggregate {
    if ([...this.rows.values()].some((row) => row.name === name)) throw new Fault('conflict', 'aggregate.name', `Aggregate ${name} already exists.`);
    const id = ++this.#last;
    const metadata: Aggregate['metadata'] = zone === null ? {} : { availability_zone: zone };
    const row: Aggregate = { id, uuid: '33333333-3333-4333-8333-333333333333', name, metadata, hosts: [], createdAt: AT, updatedAt: null };
    this.rows.set(id, row);
    return row;
  }

  #zone(id: number, zone: string | null | undefined): Partial<Aggregate> {
    if (zone === undefined) return {};
    const { availability_zone: _, ...others } = this.#found(id).metadata;
    return { metadata: zone === null ? others : { ...others, availability_zone: zone } };
  }

  #found(id: number): Aggregate {
    const row = this.rows.get(id);
    if (!row) throw new Fault('notFound', 'aggregate', `Aggregate ${id} could not be found.`);
    return row;
  }

  #change(id: number, changes: Partial<Aggregate>): Aggregate {
    const row = { ...this.#found(id), ...changes, updatedAt: AT };
    this.rows.set(id, row);
    return row;
  }
}
