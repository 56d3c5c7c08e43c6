/** Extra specs of a flavor: what schedulers and drivers are told about servers of this size. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { Flavor } from '../../../actors/model/flavor.ts';
import type { Call } from '../../kit/call.ts';
import { invalid, notFound } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { members, SPECS } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { findFlavor } from './flavors.ts';
import { refuseWrongSpec } from './known-specs.ts';

const ALL = '/flavors/:id/os-extra_specs';
const ONE = '/flavors/:id/os-extra_specs/:key';
const MANY_BODY: BodySchema = { breaks: [1], at: () => members({ extra_specs: SPECS }, ['extra_specs']) };
const ONE_BODY: BodySchema = { breaks: [1], at: () => ({ ...SPECS, minProperties: 1, maxProperties: 1 }) };

export const EXTRA_SPEC_ROUTES = [
  route({
    method: 'GET',
    path: ALL,
    policy: 'os-flavor-extra-specs:index',
    ok: 200,
    find: findFlavor,
    serve: (_call, _parts, flavor) => ({ body: { extra_specs: flavor.extraSpecs } }),
  }),
  route({ method: 'POST', path: ALL, policy: 'os-flavor-extra-specs:create', body: MANY_BODY, ok: 200, find: findFlavor, serve: serveCreate }),
  route({ method: 'GET', path: ONE, policy: 'os-flavor-extra-specs:show', ok: 200, find: findFlavor, serve: serveOne }),
  route({ method: 'PUT', path: ONE, policy: 'os-flavor-extra-specs:update', body: ONE_BODY, ok: 200, find: findFlavor, serve: serveSet }),
  route({ method: 'DELETE', path: ONE, policy: 'os-flavor-extra-specs:delete', ok: 200, find: findFlavor, serve: serveDrop }),
];

async function store(call: Call, parts: ComputeParts, flavorId: string, value: unknown): Promise<{ [key: string]: string }> {
  const specs = Object.fromEntries(Object.entries(value ?? {}).map(([key, item]) => [key, String(item)]));
  if (call.version >= SINCE.validatedSpecs) for (const [key, item] of Object.entries(specs)) refuseWrongSpec(key, item);
  await parts.actors.ask(CONDUCTOR, { type: 'setFlavorSpecs', flavorId, specs });
  parts.caches.flavors.clear();
  return specs;
}

async function serveCreate(call: Call, parts: ComputeParts, { flavorId }: Flavor): Promise<Reply> {
  const given = call.body !== null && typeof call.body === 'object' && 'extra_specs' in call.body ? call.body.extra_specs : {};
  return { body: { extra_specs: await store(call, parts, flavorId, given) } };
}

function mustHave(call: Call, flavor: Flavor): string {
  const key = call.param('key');
  const value = Object.hasOwn(flavor.extraSpecs, key) ? flavor.extraSpecs[key] : undefined;
  if (value === undefined) throw notFound(`Flavor ${flavor.flavorId} has no extra specs with key ${key.slice(0, 100)}.`);
  return value;
}

function serveOne(call: Call, _parts: ComputeParts, flavor: Flavor): Reply {
  return { body: { [call.param('key')]: mustHave(call, flavor) } };
}

async function serveSet(call: Call, parts: ComputeParts, { flavorId }: Flavor): Promise<Reply> {
  const given = call.body !== null && typeof call.body === 'object' ? Object.keys(call.body) : [];
  if (given[0] !== call.param('key')) throw invalid('Request body and URI mismatch');
  return { body: await store(call, parts, flavorId, call.body) };
}

async function serveDrop(call: Call, parts: ComputeParts, flavor: Flavor): Promise<Reply> {
  mustHave(call, flavor);
  await parts.actors.ask(CONDUCTOR, { type: 'deleteFlavorSpec', flavorId: flavor.flavorId, key: call.param('key') });
  parts.caches.flavors.clear();
  return {};
}
