import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressPool, macOf } from '../../../actors/network/address-pool.ts';
import { decide, type NetworkState } from '../../../actors/network/decide.ts';
import type { NetworkRecord } from '../../../actors/model/addressing.ts';
import { factsAt, NOW_MS } from '../facts.ts';

const NETWORK: NetworkRecord = { id: 'net', label: 'private', cidr: '10.20.0.0/29', gateway: '10.20.0.1', projectId: null };
const ADDRESSES = ['10.20.0.2', '10.20.0.3', '10.20.0.4', '10.20.0.5', '10.20.0.6'];
const open = (taken: readonly string[] = []): NetworkState => ({ id: 'net', network: NETWORK, pool: new AddressPool(NETWORK, taken) });
const ask = (state: NetworkState, instanceId: string, wanted: string | null = null, nowMs = NOW_MS) =>
  decide(state, { type: 'propose', instanceId, wanted }, factsAt(nowMs)).effects[0];
const proposed = (state: NetworkState, instanceId: string, wanted: string | null = null, nowMs = NOW_MS): string | undefined => {
  const effect = ask(state, instanceId, wanted, nowMs);
  return effect?.do === 'reply' ? (effect.value as { address: string }).address : undefined;
};

describe('a network', () => {
  it('proposes each address once, but neither its own, the gateway’s nor the broadcast one', () => {
    const state = open();
    expect(ADDRESSES.map((_, i) => proposed(state, `i${i}`))).toEqual(ADDRESSES);
    expect(ask(state, 'more')).toMatchObject({ do: 'refuse', fault: { code: 'conflict', reason: 'network.noAddress' } });
  });

  it('proposes with it what a port needs', () => {
    expect(ask(open(), 'i')).toEqual({
      do: 'reply',
      value: { networkId: 'net', label: 'private', address: '10.20.0.2', prefix: 29, gateway: '10.20.0.1', mac: 'fa:16:0a:14:00:02' },
    });
  });

  it('proposes nothing that its rows say is in use', () => {
    expect(proposed(open(['10.20.0.2', '10.20.0.3']), 'i')).toBe('10.20.0.4');
  });

  it('proposes the same again to the same server', () => {
    const state = open();
    expect([proposed(state, 'i'), proposed(state, 'i'), proposed(state, 'j')]).toEqual(['10.20.0.2', '10.20.0.2', '10.20.0.3']);
  });

  it('takes an address back, and proposes another to the server that gave it back', () => {
    const state = open();
    proposed(state, 'i');
    decide(state, { type: 'free', instanceId: 'i', address: '10.20.0.2' }, factsAt());
    expect(proposed(state, 'i')).toBe('10.20.0.3');
    for (const id of ['a', 'b', 'c']) proposed(state, id);
    expect(proposed(state, 'last')).toBe('10.20.0.2');
  });

  it('gives a wanted address when it is inside and free', () => {
    const state = open(['10.20.0.3']);
    expect(proposed(state, 'i', '10.20.0.4')).toBe('10.20.0.4');
    expect(proposed(state, 'i', '10.20.0.4')).toBe('10.20.0.4');
    for (const wanted of ['10.20.0.4', '10.20.0.3', '10.20.0.1', '10.20.0.0', '10.20.0.7', '10.21.0.2', 'nonsense', ''])
      expect(proposed(state, 'j', wanted)).toBeUndefined();
  });

  it('that ran out tries proposals again which nobody seems to have used for a minute', () => {
    const state = open();
    ADDRESSES.forEach((_, i) => proposed(state, `i${i}`));
    expect(proposed(state, 'more', null, NOW_MS + 59_999)).toBeUndefined();
    expect(proposed(state, 'more', null, NOW_MS + 60_000)).toBe('10.20.0.2');
  });

  it('that does not exist says so', () => {
    expect(ask({ id: 'gone', network: undefined }, 'i')).toMatchObject({ do: 'refuse', fault: { code: 'notFound' } });
  });

  it('never has one address out to two servers at once', () => {
    const step = fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), free: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const state = open();
        const out = new Map<string, string>();
        for (const { id, free } of steps) {
          const held = out.get(id);
          if (free && held !== undefined) {
            decide(state, { type: 'free', instanceId: id, address: held }, factsAt());
            out.delete(id);
          } else if (!free) {
            const address = proposed(state, id);
            if (address !== undefined) out.set(id, address);
          }
          expect(new Set(out.values()).size).toBe(out.size);
        }
      }),
    );
  });

  it('makes hardware addresses that are local, unicast and different', () => {
    const macs = ADDRESSES.map(macOf);
    expect(new Set(macs).size).toBe(macs.length);
    for (const mac of macs) expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2);
  });
});
