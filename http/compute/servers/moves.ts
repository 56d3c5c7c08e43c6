/**
 * `POST /servers/{id}/action` with `resize`, `confirmResize`, `revertResize`, `migrate` and `os-migrateLive`: a server
 * gets another size or host. What is refused here early is refused by its actor and by the store all the same.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { HostView } from '../../../actors/conductor/messages/read.ts';
import { instanceRef } from '../../../actors/instance/messages.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import type { Flavor } from '../../../actors/model/flavor.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, invalid } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema, JsonSchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { ANYTHING, BOOLEAN, DISK_CONFIG, HOST_NAME, members, toBoolean } from '../parameter-types.ts';
import { flavorOf, hostsNow, route } from '../parts.ts';
import type { ComputeParts, ComputeRoute } from '../parts.ts';
import type { Rule } from '../rules.ts';
import { actorCaller, findServer, refuseIllegal } from './find.ts';
import type { FoundServer } from './find.ts';

const HOST_OR_NONE: JsonSchema = { anyOf: [HOST_NAME, { type: 'null' }] };
const FLAVOR_REF: JsonSchema = { type: ['string', 'integer'], minLength: 1 };
const BLOCK_OR_AUTO: JsonSchema = { anyOf: [BOOLEAN, { type: 'string', enum: ['auto'] }] };

const RESIZE: BodySchema = {
  breaks: [1],
  at: () => members({ resize: members({ flavorRef: FLAVOR_REF, 'OS-DCF:diskConfig': DISK_CONFIG }, ['flavorRef']) }, ['resize']),
};
const MIGRATE: BodySchema = {
  breaks: [1, SINCE.migrationHost],
  at: (version) => members({ migrate: version < SINCE.migrationHost ? ANYTHING : { anyOf: [{ type: 'null' }, members({ host: HOST_OR_NONE })] } }, ['migrate']),
};
const LIVE: BodySchema = {
  breaks: [1, SINCE.autoBlockMigration, SINCE.forcedLiveMigration, SINCE.noForce],
  at(version) {
    const isOld = version < SINCE.autoBlockMigration;
    const hasForce = version >= SINCE.forcedLiveMigration && version < SINCE.noForce;
    const block = isOld ? BOOLEAN : BLOCK_OR_AUTO;
    const argument = members(
      { host: HOST_OR_NONE, block_migration: block, ...(isOld ? { disk_over_commit: BOOLEAN } : {}), ...(hasForce ? { force: BOOLEAN } : {}) },
      ['host', 'block_migration', ...(isOld ? ['disk_over_commit'] : [])],
    );
    return members({ 'os-migrateLive': argument }, ['os-migrateLive']);
  },
};

export const MOVE_ROUTES = [
  moveRoute('resize', 'servers:resize', RESIZE, 202, serveResize),
  moveRoute('confirmResize', 'servers:confirm_resize', nothing('confirmResize'), 204, (call, parts, found) => settle(call, parts, found, 'confirmResize')),
  moveRoute('revertResize', 'servers:revert_resize', nothing('revertResize'), 202, (call, parts, found) => settle(call, parts, found, 'revertResize')),
  moveRoute('migrate', 'os-migrate-server:migrate', MIGRATE, 202, serveMigrate),
  moveRoute('os-migrateLive', 'os-migrate-server:migrate_live', LIVE, 202, serveLive),
];

type Serve = (call: Call, parts: ComputeParts, found: FoundServer) => Promise<Reply>;

function moveRoute(action: string, policy: Rule, body: BodySchema, ok: number, serve: Serve): ComputeRoute {
  return route({ method: 'POST', path: '/servers/:id/action', action, policy, body, ok, find: findServer, serve });
}

function nothing(action: string): BodySchema {
  return { breaks: [1], at: () => members({ [action]: ANYTHING }, [action]) };
}

async function act(call: Call, parts: ComputeParts, { record }: FoundServer, verb: Verb): Promise<Reply> {
  await parts.actors.ask(instanceRef(record.id), { type: 'act', verb, caller: actorCaller(call) }, { commandId: call.requestId });
  return {};
}

async function serveResize(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  const { record } = found;
  const given = argumentOf(call, 'resize');
  refuseIllegal('resize', 'resize', record, call);
  await refuseAway(parts, record);
  const flavorId = String(given['flavorRef']);
  const flavor = await flavorOf(parts, call, flavorId);
  if (flavor === null || flavor.disabled) throw invalid(`Flavor ${flavorId.slice(0, 255)} could not be found.`);
  if (flavor.flavorId === record.flavor.flavorId) throw invalid('When resizing, instances must change flavor!');
  refuseSmaller(record, flavor);
  await refuseOverQuota(parts, record, flavor);
  const asked = given['OS-DCF:diskConfig'];
  const diskConfig = asked === 'AUTO' || asked === 'MANUAL' ? asked : null;
  return act(call, parts, found, { name: 'resize', flavor, diskConfig });
}

function refuseSmaller({ flavor: before }: InstanceRecord, { rootGiB }: Flavor): void {
  if (rootGiB >= before.rootGiB) return;
  const why = rootGiB === 0 ? 'Resize to zero disk flavor is not allowed.' : 'Resize to a smaller disk is not allowed.';
  throw invalid(`Server disk was unable to be resized because: ${why}`);
}

/** Only for its figures: the store has the last word. */
async function refuseOverQuota(parts: ComputeParts, { projectId, userId, flavor: before }: InstanceRecord, after: Flavor): Promise<void> {
  const more = { cores: after.vcpus - before.vcpus, ram: after.memoryMiB - before.memoryMiB };
  if (more.cores <= 0 && more.ram <= 0) return;
  const views = await Promise.all([null, userId].map((who) => parts.actors.ask(CONDUCTOR, { type: 'showQuota', projectId, userId: who })));
  for (const { limits, used } of views) {
    const over = (['cores', 'ram'] as const).filter((name) => more[name] > 0 && limits[name] >= 0 && used[name] + more[name] > limits[name]);
    if (over.length === 0) continue;
    const figures = (of: (name: 'cores' | 'ram') => number): string => over.map(of).join(', ');
    const names = over.join(', ');
    const text = `Quota exceeded for ${names}: Requested ${figures((name) => more[name])}, but already used ${figures((name) => used[name])} of ${figures((name) => limits[name])} ${names}`;
    throw new Fault('overQuota', `quota.${over[0]}`, text);
  }
}

async function settle(call: Call, parts: ComputeParts, found: FoundServer, name: 'confirmResize' | 'revertResize'): Promise<Reply> {
  const { record } = found;
  refuseIllegal(name, name, record, call);
  if (!record.move?.hasSwapped) throw invalid('Instance has not been resized.');
  return act(call, parts, found, { name });
}

async function serveMigrate(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  const { record } = found;
  const host = call.version >= SINCE.migrationHost ? argumentOf(call, 'migrate')['host'] : undefined;
  const target = typeof host === 'string' ? host : null;
  if (target !== null) parts.policy.enforce('os-migrate-server:migrate:host', call.caller);
  refuseIllegal('migrate', 'migrate', record, call);
  await refuseAway(parts, record);
  if (target !== null) {
    await hostNamed(parts, target);
    if (target === record.host) throw invalid('Cannot migrate to the host where the server exists.');
  }
  return act(call, parts, found, { name: 'migrate', target });
}

async function serveLive(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  const { record } = found;
  const given = argumentOf(call, 'os-migrateLive');
  const target = typeof given['host'] === 'string' ? given['host'] : null;
  const force = toBoolean(given['force'] ?? false);
  if (target !== null) parts.policy.enforce('os-migrate-server:migrate_live:host', call.caller);
  if (force && target === null) throw invalid("Can't force to a non-provided destination");
  refuseIllegal('live-migration', 'os-migrateLive', record, call);
  const source = await refuseAway(parts, record);
  const destination = target === null ? null : await hostNamed(parts, target);
  if (target !== null && target === record.host) throw invalid(`Migration pre-check error: Unable to migrate ${record.id} to current host (${target}).`);
  // Later versions check what hosts can do in the background: the migration fails.
  if (call.version < SINCE.backgroundChecks) for (const host of [source, destination]) if (host) refuseUnable(host);
  return act(call, parts, found, { name: 'live-migration', target, force });
}

function refuseUnable({ host, abilities }: HostView): void {
  if (!abilities?.includes('live')) throw invalid(`Migration pre-check error: The hypervisor of host ${host} cannot take running servers to another host.`);
}

async function refuseAway(parts: ComputeParts, { host }: InstanceRecord): Promise<HostView | undefined> {
  const found = (await hostsNow(parts)).find((one) => one.host === host);
  if (found && !found.up) throw conflict('Service is unavailable at this time.', 'hostDown');
  return found;
}

async function hostNamed(parts: ComputeParts, name: string): Promise<HostView> {
  const found = (await hostsNow(parts)).find((one) => one.host === name);
  if (found === undefined) throw invalid(`Compute host ${name} could not be found.`);
  return found;
}

function argumentOf(call: Call, action: string): { readonly [name: string]: unknown } {
  const { body } = call;
  const argument = body !== null && typeof body === 'object' ? Object.entries(body).find(([name]) => name === action)?.[1] : undefined;
  return argument !== null && typeof argument === 'object' ? Object.fromEntries(Object.entries(argument)) : {};
}
