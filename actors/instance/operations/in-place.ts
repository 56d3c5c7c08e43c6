/**
 * What is done to a guest where it is: pause, suspend, rescue and their ways back. One verb at the host, one commit at
 * each end. A failure leaves the server as it was, but for those that leave nothing to go on with.
 */
import type { Json } from '../../../runtime/base/fault.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import type { GuestVerb } from '../../host/messages.ts';
import type { PowerState, VmState } from '../../model/server-state.ts';
import { toGuestSpec, toRescue } from '../guest-spec.ts';
import type { RescueBoot } from '../messages.ts';
import type { InstanceSettings } from '../settings.ts';
import { change, type Working } from '../state.ts';
import { broken, ended, hostOf, unchanged } from './power.ts';
import { runVerb, type OperationRules } from './rules.ts';

export const PAUSE = inPlace(() => ({ name: 'pause' }), 'paused', 'paused');
export const UNPAUSE = inPlace(() => ({ name: 'unpause' }), 'active', 'running');
export const SUSPEND = inPlace(() => ({ name: 'suspend' }), 'suspended', 'suspended');
/** What was saved may be half read: whether the guest is what the user left is not known. */
export const RESUME: OperationRules = { ...inPlace(() => ({ name: 'resume' }), 'active', 'running'), failed: broken };
export const UNRESCUE = inPlace((state) => ({ name: 'unrescue', spec: toGuestSpec(state.record) }), 'active', 'running');

/** The guest was turned off for it, and does not run what it should. */
export const RESCUE: OperationRules = {
  resume: (state, _facts, settings) => runVerb(state, hostOf(state), rescueOf(state, settings), settings),
  verbDone: (state, power, facts) => ended(change(state, { launchedAt: toIso(facts.nowMs) }, facts) as Working, 'rescued', power ?? 'running', facts),
  failed: broken,
};

/** Kept with the operation, so that whoever takes it over boots the same. */
export function rescueArgs(boot: RescueBoot | null): { readonly [key: string]: Json } {
  return boot === null ? {} : { image: boot.image, kernel: boot.kernel, ramdisk: boot.ramdisk };
}

function rescueOf({ record }: Working, settings: InstanceSettings): GuestVerb {
  const args = record.operation.args as Partial<RescueBoot>; // our own, see rescueArgs
  const boot: RescueBoot = args.image ? { image: args.image, kernel: args.kernel ?? null, ramdisk: args.ramdisk ?? null } : record;
  return { name: 'rescue', spec: toGuestSpec(record), boot: toRescue(boot), graceMs: settings.stopGraceMs };
}

function inPlace(verbOf: (state: Working) => GuestVerb, vmState: VmState, power: PowerState): OperationRules {
  return {
    resume: (state, _facts, settings) => runVerb(state, hostOf(state), verbOf(state), settings),
    verbDone: (state, seen, facts) => ended(state, vmState, seen ?? power, facts),
    failed: unchanged,
  };
}
