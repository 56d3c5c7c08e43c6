import { expect, it } from 'vitest';
import { diagnosticsOf, type StatsValue } from '../../../drivers/libvirt/stats.ts';
import { decode, typedValue } from '../../../drivers/libvirt/xdr.ts';

const STATS: [string, StatsValue][] = [
  ['vcpu.current', 2],
  ['vcpu.0.time', 17_300_000_000n],
  ['vcpu.1.time', 5n],
  ['balloon.current', 262_144n],
  ['balloon.maximum', 524_288n],
  ['block.count', 1],
  ['block.0.name', 'vda'],
  ['block.0.rd.bytes', 262_144n],
  ['block.0.rd.reqs', 112n],
  ['block.0.wr.bytes', 5_778_432n],
  ['block.0.wr.reqs', 488n],
  ['net.count', 1],
  ['net.0.name', 'vnet7'],
  ['net.0.rx.bytes', 10n],
  ['net.0.tx.drop', 3n],
];

it('reads what a guest counts, and says of the rest that nobody does', () => {
  const found = diagnosticsOf(new Map(STATS), 'running');
  expect(found).toEqual({
    power: 'running',
    uptimeS: null,
    cpus: [
      { id: 0, timeNs: 17_300_000_000, utilisation: null },
      { id: 1, timeNs: 5, utilisation: null },
    ],
    disks: [{ name: 'vda', readBytes: 262_144, readRequests: 112, writeBytes: 5_778_432, writeRequests: 488, errors: null }],
    nics: [
      {
        name: 'vnet7',
        mac: null,
        rx: { octets: 10, packets: null, errors: null, drops: null },
        tx: { octets: null, packets: null, errors: null, drops: 3 },
      },
    ],
    memory: { maximumMiB: 512, usedMiB: 256 },
  });
});

it('is empty where a hypervisor counts nothing, and bounded where it says nonsense', () => {
  expect(diagnosticsOf(new Map(), 'running')).toMatchObject({ cpus: [], disks: [], nics: [], memory: { maximumMiB: null, usedMiB: null } });
  expect(diagnosticsOf(new Map([['vcpu.current', 2 ** 31]]), 'running').cpus.length).toBeLessThanOrEqual(1_024);
});

it('reads every type of value on the wire, and no other', () => {
  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
  expect([
    decode(typedValue, hex('00000001 ffffffff')),
    decode(typedValue, hex('00000002 ffffffff')),
    decode(typedValue, hex('00000003 ffffffffffffffff')),
    decode(typedValue, hex('00000004 ffffffffffffffff')),
    decode(typedValue, hex('00000005 3ff8000000000000')),
    decode(typedValue, hex('00000007 00000003 76646100')),
  ]).toEqual([-1, 4_294_967_295, -1n, 18_446_744_073_709_551_615n, 1.5, 'vda']);
  expect(() => decode(typedValue, hex('00000009 00000000'))).toThrow('unknown type 9');
});
