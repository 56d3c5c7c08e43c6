/**
 * P2: accepted work has ended after the quiet time, none of it took longer than its steps may, and of what is deleted
 * nothing is left anywhere.
 */
import { statusOf } from '../../../actors/model/server-state.ts';
import { toLoaded } from '../../doubles/memory-store.ts';
import { INSTANCE_SETTINGS } from '../settings.ts';
import type { World } from '../world.ts';
import type { Checker } from './checker.ts';

const { placeLimitMs, spawnLimitMs, destroyLimitMs, stopGraceMs, rebootGraceMs, powerLimitMs, attemptsMax, moveLimitMs } = INSTANCE_SETTINGS;
const { snapshotLimitMs, uploadLimitMs } = INSTANCE_SETTINGS;
/** With what a copy that was lost takes again, and its taking back. */
const COPY_MS = 3 * powerLimitMs + attemptsMax * (snapshotLimitMs + uploadLimitMs + powerLimitMs + 60_000);
/** A node that starts again, and a store that is slow or away, come on top of the limits of the steps. */
const SLACK_MS = 20_000;
const LONGEST_MS: { readonly [action: string]: number } = {
  create: attemptsMax * (placeLimitMs + spawnLimitMs + destroyLimitMs),
  evacuate: attemptsMax * (placeLimitMs + spawnLimitMs + destroyLimitMs) + powerLimitMs,
  delete: destroyLimitMs,
  resize: placeLimitMs + stopGraceMs + 2 * powerLimitMs + moveLimitMs + destroyLimitMs + powerLimitMs + spawnLimitMs,
  migrate: placeLimitMs + stopGraceMs + 2 * powerLimitMs + moveLimitMs + destroyLimitMs + powerLimitMs + spawnLimitMs,
  'live-migration': placeLimitMs + 3 * moveLimitMs + powerLimitMs + 2 * destroyLimitMs + powerLimitMs + spawnLimitMs,
  confirmResize: destroyLimitMs,
  revertResize: 2 * powerLimitMs + destroyLimitMs + spawnLimitMs,
  start: powerLimitMs,
  stop: stopGraceMs + powerLimitMs,
  reboot: rebootGraceMs + powerLimitMs,
  createImage: COPY_MS,
  createBackup: COPY_MS,
  rebuild: destroyLimitMs + spawnLimitMs + stopGraceMs + powerLimitMs,
  shelve: COPY_MS + stopGraceMs + 2 * powerLimitMs + destroyLimitMs,
  shelveOffload: destroyLimitMs,
  unshelve: attemptsMax * (placeLimitMs + spawnLimitMs + destroyLimitMs),
  pause: powerLimitMs,
  unpause: powerLimitMs,
  suspend: spawnLimitMs,
  resume: spawnLimitMs,
  rescue: spawnLimitMs,
  unrescue: spawnLimitMs,
  restore: powerLimitMs,
  changePassword: powerLimitMs,
};

/** Of records of migrations. */
const ENDED: ReadonlySet<string> = new Set(['confirmed', 'reverted', 'error', 'cancelled', 'completed', 'done']);

export const WORK_ENDS: Checker = {
  promise: 'P2',
  atEnd(world) {
    const { instances, claims, fixedIps } = world.tables;
    const problems: string[] = [];
    for (const { uuid, status, instanceId } of world.tables.migrations.values()) {
      const row = instances.get(instanceId);
      const waits = row && !row.row.deleted && toLoaded(row).record.move?.migrationId === uuid;
      if (!waits && !ENDED.has(status)) problems.push(`migration ${uuid} of ${instanceId} stays ${status}`);
    }
    for (const row of instances.values()) {
      const { record } = toLoaded(row);
      const { operation, taskState, vmState, deleted, fault, actions } = record;
      // On a host that is lost for good it stays, and is asked away again and again.
      if (record.shelved && record.host !== null && world.isLost(record.host)) continue;
      // What can be restored is deleted for good in its time; a clock that jumped may take it far away.
      const waits = (record.reclaimAtMs ?? null) !== null && world.faults.plan.jump > 0;
      if (operation || row.open || ((row.dueAtMs ?? record.reclaimAtMs ?? null) !== null && vmState !== 'resized' && !waits))
        problems.push(`${row.id}: ${operation?.name}/${operation?.step} is still open`);
      if (taskState !== null || vmState === 'building') problems.push(`${row.id} stays in ${statusOf(record)} (${vmState}, ${taskState})`);
      if (vmState === 'error' && fault === null) problems.push(`${row.id} is in error without a fault`);
      if (actions.some((action) => action.events.some((event) => event.finishedAt === null))) problems.push(`${row.id} has an action without an end`);
      for (const { action, startedAt, updatedAt } of actions) {
        const tookMs = Date.parse(updatedAt) - Date.parse(startedAt);
        const limitMs = (LONGEST_MS[action] ?? 0) + SLACK_MS + outagesMs(world, Date.parse(startedAt), Date.parse(updatedAt));
        // A clock that jumped measures nothing.
        if (tookMs > limitMs && world.faults.plan.jump === 0) problems.push(`${row.id}: ${action} took ${tookMs} ms`);
      }
      if (!deleted) continue;
      const left = [...claims.values()].filter((claim) => claim.instanceId === row.id && !(claim.role === 'doomed' && world.isLost(claim.host)));
      if (left.length > 0) problems.push(`${row.id} is deleted and has a claim`);
      const isDoomed = [...claims.values()].some((claim) => claim.instanceId === row.id && claim.role === 'doomed');
      if (!isDoomed && [...fixedIps.values()].some((fixed) => fixed.instanceId === row.id)) problems.push(`${row.id} is deleted and has an address`);
      if ([...world.guests.values()].some((guest) => guest.instanceId === row.id && !world.isLost(guest.host)))
        problems.push(`${row.id} is deleted and has a guest`);
    }
    return problems;
  },
};

/** What was out of reach in this time, all of it added up: while one thing is away another may fail. */
function outagesMs(world: World, fromWallMs: number, toWallMs: number): number {
  const zeroMs = world.time.clock.wallMs() - world.time.nowMs;
  const [fromMs, toMs] = [fromWallMs - zeroMs, toWallMs - zeroMs];
  return world.outages.reduce((sum, outage) => sum + Math.max(0, Math.min(outage.toMs, toMs) - Math.max(outage.fromMs, fromMs)), 0);
}
