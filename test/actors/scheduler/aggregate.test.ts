import { describe, expect, it } from 'vitest';
import { bidFor } from '../../../actors/scheduler/bid.ts';
import { fitsSpec } from '../../../actors/scheduler/filters/spec-operator.ts';
import { choiceOf } from '../../../actors/scheduler/kind.ts';
import { NO_HOSTS } from '../../../actors/scheduler/state.ts';
import type { HostReport, PlacementRequest } from '../../../actors/model/placement.ts';

const CHOICE = choiceOf({ withoutFilters: [], furtherFilters: ['AggregateInstanceExtraSpecsFilter'], weights: {} });
const ROOM = { vcpus: 4, memoryMiB: 4_096, diskGiB: 100 };

type Words = { readonly [key: string]: string };

function report(host: string, aggregates: readonly Words[], zone = 'nova'): HostReport {
  return {
    host,
    epoch: 1,
    seen: 1,
    zone,
    capacity: ROOM,
    used: { vcpus: 0, memoryMiB: 0, diskGiB: 0 },
    instances: 0,
    ioOps: 0,
    enabled: true,
    up: true,
    hypervisorType: 'QEMU',
    hypervisorVersion: 1,
    arch: 'x86_64',
    aggregates: aggregates.map((metadata, id) => ({ id, metadata })),
    failures: 0,
  };
}

const REQUEST: PlacementRequest = {
  instanceId: 'i',
  projectId: 'blue',
  count: 1,
  need: { vcpus: 1, memoryMiB: 1, diskGiB: 1 },
  zone: null,
  onlyHost: null,
  skipFilters: false,
  excludedHosts: [],
  extraSpecs: {},
  imageProperties: {},
  hints: {},
};

/** Which of these hosts pass, and what removed the others. */
function placed(hosts: readonly HostReport[], wanted: Partial<PlacementRequest>, choice = CHOICE) {
  const state = { ...NO_HOSTS, hosts: new Map(hosts.map((one) => [one.host, one])) };
  const { bids, explanation } = bidFor(state, { ...REQUEST, ...wanted }, 10, () => 0, choice);
  return { hosts: bids.map(({ host }) => host).toSorted(), removed: explanation.removed };
}

describe('a request', () => {
  it('for a zone is placed in it', () => {
    const hosts = [report('a', [], 'east'), report('b', [])];
    expect(placed(hosts, { zone: 'east' })).toEqual({ hosts: ['a'], removed: { AvailabilityZoneFilter: 1 } });
  });

  it('whose flavor names words goes where an aggregate has them', () => {
    const hosts = [report('a', [{ ssd: 'true' }]), report('b', [{ ssd: 'false' }, { ssd: 'true, maybe' }]), report('c', [])];
    const removed = { AggregateInstanceExtraSpecsFilter: 1 };
    expect(placed(hosts, { extraSpecs: { ssd: 'true' } })).toEqual({ hosts: ['a', 'b'], removed });
    expect(placed(hosts, { extraSpecs: { 'aggregate_instance_extra_specs:ssd': 'true' } }).hosts).toEqual(['a', 'b']);
    expect(placed(hosts, { extraSpecs: { 'hw:numa_nodes': '1' } }).hosts).toEqual(['a', 'b', 'c']);
    expect(placed(hosts, { extraSpecs: { ssd: 'true' } }, choiceOf({ withoutFilters: [], weights: {} })).hosts).toEqual(['a', 'b', 'c']);
  });

  it('whose image has a property that an aggregate names goes there with that word only', () => {
    const hosts = [report('win', [{ os_distro: 'windows' }]), report('any', [{ ssd: 'true' }])];
    expect(placed(hosts, { imageProperties: { os_distro: 'debian' } })).toEqual({ hosts: ['any'], removed: { AggregateImagePropertiesIsolation: 1 } });
    expect(placed(hosts, { imageProperties: { os_distro: 'windows' } }).hosts).toEqual(['any', 'win']);
    expect(placed(hosts, {}).hosts).toEqual(['any', 'win']);
  });

  it('of a project stays off the hosts that are for others', () => {
    const hosts = [report('blue', [{ filter_tenant_id: 'red,blue' }]), report('red', [{ filter_tenant_id2: 'red' }]), report('all', [])];
    expect(placed(hosts, {})).toEqual({ hosts: ['all', 'blue'], removed: { AggregateMultiTenancyIsolation: 1 } });
  });
});

describe('the words of a flavor', () => {
  it.each([
    ['true', 'true', true],
    ['true', 'false', false],
    ['8', '= 4', true],
    ['8', '== 4', false],
    ['8', '!= 4', true],
    ['8', '>= 9', false],
    ['8', '<= 9', true],
    ['many', '>= 1', false],
    ['b', 's== b', true],
    ['b', 's!= b', false],
    ['b', 's> a', true],
    ['b', 's<= a', false],
    ['12311321', '<in> 11', true],
    ['aes mmx', '<all-in> aes mmx', true],
    ['aes mmx', '<all-in> aes txt', false],
    ['12', '<or> 11 <or> 12', true],
    ['13', '<or> 11 <or> 12', false],
    ['yes', '<is> true', true],
    ['a b', 'a b', true],
  ])('%s against %s: %s', (word, spec, fits) => {
    expect(fitsSpec(word, spec)).toBe(fits);
  });
});
