/** States of a server for tests of its decisions. */
import { INSTANCE_DEFAULTS, type InstanceSettings } from '../../../actors/instance/settings.ts';
import { NO_PARTS, NO_SOFT, type InstanceState, type Living, type Soft, type Working } from '../../../actors/instance/state.ts';
import type { Caller, Verb } from '../../../actors/instance/messages.ts';
import type { Nic } from '../../../actors/model/addressing.ts';
import type { ImageDraft, ImageRef } from '../../../actors/model/image.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import type { Operation, OperationName } from '../../../actors/model/operation.ts';
import type { Bid, Explanation } from '../../../actors/model/placement.ts';
import type { Effect, Outcome } from '../../../runtime/actor/effect.ts';
import { Fault, type FaultCode } from '../../../runtime/base/fault.ts';
import { instanceRecord } from '../conductor/rows.ts';
import { NOW_MS } from '../facts.ts';

export const SETTINGS: InstanceSettings = INSTANCE_DEFAULTS;
export const CALLER: Caller = { userId: 'ann', projectId: 'blue', isAdmin: false, requestId: 'req-new' };
export const ADMIN: Caller = { ...CALLER, isAdmin: true };
export const DRAFT: ImageDraft = {
  id: '00000000-0000-4000-8000-0000000000aa',
  name: 'copy',
  owner: 'blue',
  minDiskGiB: 1,
  minMemoryMiB: 0,
  properties: { image_type: 'snapshot' },
};
export const IMAGE: ImageRef = { ...instanceRecord(1).image, id: DRAFT.id, name: 'copy', diskFormat: 'raw' };
export const REBUILD: Verb = { name: 'rebuild', image: IMAGE, kernel: null, ramdisk: null, changes: { name: 'new' }, preserveEphemeral: false };
export const VERBS: readonly Verb[] = [
  { name: 'start' },
  { name: 'stop' },
  { name: 'reboot', kind: 'soft' },
  { name: 'reboot', kind: 'hard' },
  { name: 'delete' },
  { name: 'createImage', image: DRAFT },
  { name: 'createBackup', image: DRAFT, backupType: 'daily', rotation: 2 },
  REBUILD,
  { name: 'shelve', image: DRAFT },
  { name: 'shelveOffload' },
  { name: 'unshelve', host: null },
  { name: 'forceDelete' },
  { name: 'pause' },
  { name: 'unpause' },
  { name: 'suspend' },
  { name: 'resume' },
  { name: 'rescue', boot: null },
  { name: 'unrescue' },
  { name: 'restore' },
  { name: 'changePassword', password: 'secret' },
  { name: 'crashDump' },
];
export const NIC: Nic = { networkId: 'net', label: 'private', address: '10.20.0.5', prefix: 24, gateway: '10.20.0.1', mac: 'fa:16:0a:14:00:05' };

export function operation(name: OperationName, step: string, more: Partial<Operation> = {}): Operation {
  return {
    name,
    id: 'op',
    step,
    args: {},
    requestId: 'req-old',
    startedAt: '2026-01-01T11:59:00.000Z',
    stepDueMs: NOW_MS + 10_000,
    attempt: 0,
    excludedHosts: [],
    ...more,
  };
}

/** An active server on host h1, at rest. */
export function living(more: Partial<InstanceRecord> = {}, soft: Partial<Soft> = {}): Living {
  return { id: instanceRecord(1).id, record: instanceRecord(1, { nics: [NIC], ...more }), soft: { ...NO_SOFT, ...soft }, parts: NO_PARTS };
}

export function working(running: Operation, more: Partial<InstanceRecord> = {}, soft: Partial<Soft> = {}): Working {
  return living({ ...more, operation: running }, soft) as Working;
}

/** A new server whose placement is under way: bids and addresses asked in round 1. */
export function placing(soft: Partial<Soft> = {}, more: Partial<Operation> = {}): Working {
  const record = {
    vmState: 'building',
    taskState: 'scheduling',
    powerState: 'pending',
    host: null,
    zone: null,
    generation: 0,
    launchedAt: null,
    nics: [],
  } as const;
  return working(
    operation('create', 'place', more),
    { ...record, wantedNetworks: [{ networkId: 'net', address: null }] },
    { round: 1, slicesLeft: 1, nicsLeft: 1, ...soft },
  );
}

/** A server that is being made on h1. */
export function spawning(more: Partial<Operation> = {}, step: 'spawn' | 'unspawn' = 'spawn'): Working {
  return working(
    operation('create', step, { ...(step === 'unspawn' && { args: { fault: fault('internal') } }), ...more }),
    { vmState: 'building', taskState: 'spawning', powerState: 'pending', launchedAt: null },
    { round: 2 },
  );
}

export function tag(state: Working): string {
  const { operation: running } = state.record;
  return `${running.id}/${running.step}/${state.soft.round}`;
}

export const ok = <T>(value: T): Outcome<T> => ({ ok: true, value });
export const fault = (code: FaultCode) => new Fault(code, `test.${code}`, `It is ${code}.`).toRecord();
export const failed = (code: FaultCode): Outcome<never> => ({ ok: false, fault: fault(code) });

export function bid(host: string, score = 1): Bid {
  return { host, zone: 'nova', score, seen: 1 };
}
export function explanation(considered: number, removed: { [filter: string]: number } = {}): Explanation {
  return { considered, removed, bids: [] };
}

export function asks(effects: readonly Effect[]): Extract<Effect, { do: 'ask' }>[] {
  return effects.filter((effect) => effect.do === 'ask');
}
/** What is told or asked, as `address type`. */
export function said(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => (effect.do === 'tell' || effect.do === 'ask' ? [`${effect.to} ${effect.message.type}`] : []));
}
export function refusalOf(effects: readonly Effect[]): string | undefined {
  const refused = effects.find((effect) => effect.do === 'refuse');
  return refused?.do === 'refuse' ? refused.fault.reason : undefined;
}
/** The verb that a host is asked to run. */
export function verbOf(effects: readonly Effect[]): unknown {
  const [run] = asks(effects).filter(({ message }) => message.type === 'run');
  return (run?.message as { verb?: { name?: string } } | undefined)?.verb?.name;
}
export function mustLive(state: InstanceState): InstanceRecord {
  if (!state.record) throw new Error('there is no record');
  return state.record;
}
