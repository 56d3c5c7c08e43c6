import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { choiceOf } from '../../../actors/scheduler/kind.ts';
import { decide } from '../../../actors/scheduler/decide.ts';
import { NO_HOSTS, type SchedulerState } from '../../../actors/scheduler/state.ts';
import type { Bid, Explanation, HostReport, PlacementRequest } from '../../../actors/model/placement.ts';
import type { GroupPlaces } from '../../../actors/model/server-group.ts';
import { factsAt, NOW_MS } from '../facts.ts';

const CHOICE = choiceOf({ withoutFilters: [], weights: {} });
const NEED = { vcpus: 1, memoryMiB: 512, diskGiB: 1 };

function report(host: string, more: Partial<HostReport> = {}): HostReport {
  return {
    host,
    epoch: 1,
    seen: 1,
    zone: 'nova',
    capacity: { vcpus: 4, memoryMiB: 4_096, diskGiB: 100 },
    used: { vcpus: 0, memoryMiB: 0, diskGiB: 0 },
    instances: 0,
    ioOps: 0,
    enabled: true,
    up: true,
    hypervisorType: 'QEMU',
    hypervisorVersion: 1,
    arch: 'x86_64',
    aggregates: [],
    failures: 0,
    ...more,
  };
}
function request(instanceId: string, more: Partial<PlacementRequest> = {}): PlacementRequest {
  return {
    instanceId,
    projectId: 'blue',
    count: 1,
    need: NEED,
    zone: null,
    onlyHost: null,
    skipFilters: false,
    excludedHosts: [],
    extraSpecs: {},
    imageProperties: {},
    hints: {},
    ...more,
  };
}
const knowing = (...reports: HostReport[]): SchedulerState => reports.reduce((state, one) => told(state, one), NO_HOSTS);
const told = (state: SchedulerState, one: HostReport, granted: string | null = null) =>
  decide(state, { type: 'report', report: one, granted }, factsAt(), CHOICE).state;
function place(
  state: SchedulerState,
  wanted: PlacementRequest,
  more: { nowMs?: number; chance?: number } = {},
): { state: SchedulerState; bids: Bid[]; explanation: Explanation } {
  const next = decide(state, { type: 'place', request: wanted, wanted: 3 }, factsAt(more.nowMs ?? NOW_MS, { chance: () => more.chance ?? 0 }), CHOICE);
  const [reply] = next.effects;
  if (reply?.do !== 'reply') throw new Error('a placement is answered');
  return { state: next.state, ...(reply.value as { bids: Bid[]; explanation: Explanation }) };
}
const hostsOf = ({ bids }: { bids: Bid[] }) => bids.map(({ host }) => host);

describe('a slice', () => {
  it('bids the emptiest hosts first, at most so many', () => {
    const used = (memoryMiB: number) => ({ vcpus: memoryMiB / 1_024, memoryMiB, diskGiB: 0 });
    const state = knowing(report('a', { used: used(2_048) }), report('b'), report('c', { used: used(1_024) }), report('d', { used: used(3_072) }));
    expect(hostsOf(place(state, request('i')))).toEqual(['b', 'c', 'a']);
  });

  it('lets chance choose among hosts that are as good', () => {
    const state = knowing(report('a'), report('b'), report('c'));
    expect(new Set([0, 0.4, 0.9].map((chance) => hostsOf(place(state, request('i'), { chance }))[0]))).toEqual(new Set(['a', 'b', 'c']));
  });

  it('leaves a host that failed lately to the last', () => {
    expect(hostsOf(place(knowing(report('a', { failures: 1 }), report('b', { used: { vcpus: 3, memoryMiB: 3_000, diskGiB: 90 } })), request('i')))).toEqual([
      'b',
      'a',
    ]);
  });

  const cases: [string, Partial<HostReport>, Partial<PlacementRequest>][] = [
    ['RequestedHostFilter', {}, { onlyHost: 'other' }],
    ['RetryFilter', {}, { excludedHosts: ['h'] }],
    ['ComputeFilter', { up: false }, {}],
    ['ComputeFilter', { enabled: false }, {}],
    ['AvailabilityZoneFilter', {}, { zone: 'east' }],
    ['CoreFilter', { used: { vcpus: 4, memoryMiB: 0, diskGiB: 0 } }, {}],
    ['RamFilter', { used: { vcpus: 0, memoryMiB: 3_585, diskGiB: 0 } }, {}],
    ['DiskFilter', { used: { vcpus: 0, memoryMiB: 0, diskGiB: 100 } }, {}],
    ['ImagePropertiesFilter', {}, { imageProperties: { hw_architecture: 'aarch64' } }],
    ['IoOpsFilter', { ioOps: 64 }, {}],
  ];
  it.each(cases)('counts what %s removes, when %j is asked for %j', (filter, host, asked) => {
    const { bids, explanation } = place(knowing(report('h', host)), request('i', asked));
    expect([bids, explanation]).toEqual([[], { considered: 1, removed: { [filter]: 1 }, bids: [] }]);
  });

  it('asks a forced host nothing but whether it is the one', () => {
    const state = knowing(report('a', { up: false, used: { vcpus: 9, memoryMiB: 9_999, diskGiB: 999 } }), report('b'));
    expect(hostsOf(place(state, request('i', { onlyHost: 'a', skipFilters: true })))).toEqual(['a']);
  });
});

describe('an open bid', () => {
  const small = () => knowing(report('h', { capacity: { vcpus: 1, memoryMiB: 4_096, diskGiB: 100 } }));

  it('counts as used, so that a host is not bid twice for its last place', () => {
    const first = place(small(), request('i'));
    expect(hostsOf(first)).toEqual(['h']);
    expect(place(first.state, request('j'))).toMatchObject({ bids: [], explanation: { removed: { CoreFilter: 1 } } });
  });

  it('does not stand in the way of the one that it was made for', () => {
    expect(hostsOf(place(place(small(), request('i')).state, request('i')))).toEqual(['h']);
  });

  it('is over when it is taken back, when a report shows it, or after two seconds', () => {
    const bidden = place(small(), request('i')).state;
    const back = decide(bidden, { type: 'unclaimed', host: 'h', instanceId: 'i' }, factsAt(), CHOICE).state;
    expect(hostsOf(place(back, request('j')))).toEqual(['h']);
    expect(hostsOf(place(told(bidden, report('h', { seen: 2 }), 'i'), request('j')))).toEqual(['h']);
    expect(hostsOf(place(bidden, request('j'), { nowMs: NOW_MS + 1_999 }))).toEqual([]);
    expect(hostsOf(place(bidden, request('j'), { nowMs: NOW_MS + 2_000 }))).toEqual(['h']);
  });

  it('never lets more be bid than there is, whatever comes in whatever order', () => {
    const step = fc.record({ id: fc.integer({ min: 1, max: 12 }), is: fc.constantFrom('place', 'place', 'unclaimed') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let state = knowing(
          report('a', { capacity: { vcpus: 2, memoryMiB: 9_999, diskGiB: 99 } }),
          report('b', { capacity: { vcpus: 1, memoryMiB: 9_999, diskGiB: 99 } }),
        );
        for (const { id, is } of steps) {
          state =
            is === 'place'
              ? place(state, request(`i${id}`)).state
              : decide(state, { type: 'unclaimed', host: 'a', instanceId: `i${id}` }, factsAt(), CHOICE).state;
          for (const [host, vcpus] of [
            ['a', 2],
            ['b', 1],
          ] as const)
            expect([...state.open.values()].filter((bid) => bid.host === host).length).toBeLessThanOrEqual(vcpus);
        }
      }),
    );
  });
});

describe('a report', () => {
  it('of a former life or an earlier moment is dropped', () => {
    const state = knowing(report('h', { epoch: 2, seen: 5 }));
    expect(told(state, report('h', { epoch: 1, seen: 9 }))).toEqual(state);
    expect(told(state, report('h', { epoch: 2, seen: 4 }))).toEqual(state);
    expect(told(state, report('h', { epoch: 3, seen: 1 })).hosts.get('h')).toMatchObject({ epoch: 3 });
  });
});

describe('a slice that has only begun', () => {
  it('says so until every host has had the time to report', () => {
    const told = [NO_HOSTS];
    for (let round = 0; round < 2; round++) told.push(decide(told.at(-1) ?? NO_HOSTS, { type: 'tick' }, factsAt(), CHOICE).state);
    const replies = told.map((state) => decide(state, { type: 'place', request: request('i1'), wanted: 1 }, factsAt(), CHOICE).effects[0]);
    expect(replies).toMatchObject([true, true, false].map((isLearning) => ({ do: 'reply', value: { bids: [], isLearning } })));
  });
});

describe('a host that stops to report', () => {
  const say = (state: SchedulerState, message: Parameters<typeof decide>[1]): SchedulerState => decide(state, message, factsAt(), CHOICE).state;
  const told = (state: SchedulerState, host: string): SchedulerState => say(state, { type: 'report', report: report(host), granted: null });
  const bids = (state: SchedulerState): string[] => {
    const [reply] = decide(state, { type: 'place', request: request('i1'), wanted: 5 }, factsAt(), CHOICE).effects;
    return reply?.do === 'reply' ? (reply.value as { bids: Bid[] }).bids.map(({ host }) => host).sort() : [];
  };

  it('is bid no more after some missed reports, whatever the clock on the wall says, and again with its next one', () => {
    let state = told(told(NO_HOSTS, 'h1'), 'h2');
    for (let round = 0; round < 3; round++) state = told(say(state, { type: 'tick' }), 'h1');
    expect(bids(state)).toEqual(['h1', 'h2']);
    state = told(say(state, { type: 'tick' }), 'h1');
    expect(bids(state)).toEqual(['h1']);
    expect(bids(told(state, 'h2'))).toEqual(['h1', 'h2']);
  });
});

describe('a server of a group', () => {
  const hosts = knowing(report('h1'), report('h2', { used: { vcpus: 1, memoryMiB: 512, diskGiB: 1 } }), report('h3'));
  const grouped = (policy: GroupPlaces['policy'], on: { [host: string]: number }, more: Partial<PlacementRequest> = {}, perHost = 1) =>
    place(hosts, request('a', { group: { policy, perHost: policy === 'anti-affinity' ? perHost : 0, hosts: on }, ...more }));
  const hostsOf = ({ bids }: { bids: readonly Bid[] }) => bids.map(({ host }) => host).sort();

  it('goes where the others are, or where they are not', () => {
    expect(hostsOf(grouped('affinity', {}))).toEqual(['h1', 'h2', 'h3']);
    expect(hostsOf(grouped('affinity', { h2: 2 }))).toEqual(['h2']);
    expect(hostsOf(grouped('anti-affinity', { h2: 1 }))).toEqual(['h1', 'h3']);
    expect(hostsOf(grouped('anti-affinity', { h1: 2, h2: 1 }, {}, 2))).toEqual(['h2', 'h3']);
    const none = grouped('anti-affinity', { h1: 1, h2: 1, h3: 1 });
    expect([none.bids, none.explanation.removed]).toEqual([[], { ServerGroupAntiAffinityFilter: 3 }]);
  });

  it('is preferred where a soft policy wants it, before what is free', () => {
    expect(grouped('soft-affinity', { h2: 1 }).bids[0]?.host).toBe('h2');
    expect(grouped('soft-anti-affinity', { h1: 1, h3: 1 }).bids[0]?.host).toBe('h2');
    expect(hostsOf(grouped('soft-anti-affinity', { h1: 1, h2: 1, h3: 1 }))).toEqual(['h1', 'h2', 'h3']);
  });

  it('is not forced by an administrator against the policy', () => {
    expect(hostsOf(grouped('anti-affinity', { h2: 1 }, { onlyHost: 'h2', skipFilters: true }))).toEqual([]);
    expect(hostsOf(grouped('anti-affinity', { h2: 1 }, { onlyHost: 'h1', skipFilters: true }))).toEqual(['h1']);
  });
});
