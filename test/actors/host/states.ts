/** States of a host and its messages for tests of its decisions. */
import { decide } from '../../../actors/host/decide.ts';
import type { HostProtocol, VerbAnswer } from '../../../actors/host/messages.ts';
import { HOST_DEFAULTS, type HostSettings } from '../../../actors/host/settings.ts';
import { newHost, type HostState } from '../../../actors/host/state.ts';
import type { Claim } from '../../../actors/model/placement.ts';
import type { Resources } from '../../../actors/model/resources.ts';
import type { GuestPower, GuestSeen } from '../../../drivers/driver.ts';
import type { Effect } from '../../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import type { MessageOf } from '../../../runtime/actor/protocol.ts';
import { factsAt } from '../facts.ts';

export const SETTINGS: HostSettings = { ...HOST_DEFAULTS, node: 'n1', driver: 'simulated', slicesOf: () => [0] };
export const NEED: Resources = { vcpus: 1, memoryMiB: 512, diskGiB: 1 };
const INVENTORY = {
  vcpus: 4,
  memoryMiB: 4_096,
  diskGiB: 100,
  hypervisorType: 'simulated',
  hypervisorVersion: 1,
  hostIp: '127.0.0.1',
  cpu: { arch: 'x86_64', model: 'm', vendor: 'v', topology: { sockets: 1, cores: 4, threads: 1 }, features: [] },
};
export const CAPACITY: Resources = { vcpus: 4, memoryMiB: 4_096, diskGiB: 100 };

export type Said = { readonly state: HostState; readonly effects: readonly Effect[] };

export function say(state: HostState, message: MessageOf<HostProtocol>, facts: Facts = factsAt()): Next<HostState> {
  return decide(state, message, facts, SETTINGS);
}

/** The host after its first look. */
export function ready(
  claims: readonly Claim[] = [],
  guests: readonly GuestSeen[] = [],
  facts: Facts = factsAt(),
  capacity: Resources = CAPACITY,
): Next<HostState> {
  const start = { epoch: 3, enabled: true, zone: 'nova', aggregates: [], claims };
  return say(
    { ...newHost('h1'), phase: 'starting' },
    { type: 'started', tag: 'begin', outcome: { ok: true, value: { start, inventory: INVENTORY, capacity, guests } } },
    facts,
  );
}

export function recorded(instanceId: string, generation = 1, role: Claim['role'] = 'active'): Claim {
  return { instanceId, generation, host: 'h1', role, need: NEED };
}
export function seen(instanceId: string | null, power: GuestPower = 'running', generation = 1): GuestSeen {
  return { instanceId, generation, name: `guest-${instanceId}`, power };
}

export const claimOf = (instanceId: string, generation = 1, need: Resources = NEED) => ({ type: 'claim' as const, instanceId, generation, need });
export const releaseOf = (instanceId: string, generation = 1) => ({ type: 'release' as const, instanceId, generation });
export function runOf(instanceId: string, operation: string, name: 'start' | 'destroy' = 'start', more: { generation?: number; waitMs?: number } = {}) {
  return { type: 'run' as const, instanceId, generation: 1, operation, verb: { name }, waitMs: 1_000, ...more };
}
export function endedOf(instanceId: string, operation: string, outcome: unknown) {
  return { type: 'ended' as const, tag: `${instanceId} ${operation}`, outcome: outcome as never };
}

/** The value replied in this turn, whoever to. */
export function replies(effects: readonly Effect[]): unknown[] {
  return effects.flatMap((effect) => (effect.do === 'reply' ? [effect.value] : []));
}
export function answers(effects: readonly Effect[]): VerbAnswer[] {
  return replies(effects) as VerbAnswer[];
}
export function jobs(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => (effect.do === 'perform' ? [`${effect.job} ${effect.tag}`] : []));
}
export function tells(effects: readonly Effect[], type: string): Extract<Effect, { do: 'tell' }>[] {
  return effects.flatMap((effect) => (effect.do === 'tell' && effect.message.type === type ? [effect] : []));
}
