/** `/os-aggregates`: groups of hosts, their zone and their words for schedulers, and images that they fetch ahead of time. */
import type { MessageOf } from '../../../runtime/actor/protocol.ts';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { AggregateProtocol } from '../../../actors/conductor/messages/aggregate.ts';
import { hostRef } from '../../../actors/host/messages.ts';
import { ZONE_KEY, type Aggregate } from '../../../actors/model/aggregate.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, invalid, notFound } from '../../kit/errors.ts';
import { LATEST } from '../../kit/route.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema, JsonSchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { HOST_NAME, INTEGER_MAX, KEY_PATTERN, list, members, NAME, UUID, ZONE_NAME } from '../parameter-types.ts';
import { imageOf, route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { microTime } from '../servers/view.ts';

const ALL = '/os-aggregates';
const ONE = '/os-aggregates/:id';
const ACTION = '/os-aggregates/:id/action';
/** A colon would part zone and host where a server asks for both. */
const ZONE: JsonSchema = { anyOf: [{ ...ZONE_NAME, pattern: '^[^:]*$' }, { type: 'null' }] };
const LOOSE_NAME: JsonSchema = { type: 'string', minLength: 1, maxLength: 255, format: 'printable', pattern: '\\S' };
const WORDS: JsonSchema = { type: 'object', patternProperties: { [KEY_PATTERN]: { type: ['string', 'null'], maxLength: 255 } }, additionalProperties: false };

const always = (schema: JsonSchema): BodySchema => ({ breaks: [1], at: () => schema });
const CREATE = always(members({ aggregate: members({ name: NAME, availability_zone: ZONE }, ['name']) }, ['aggregate']));
const UPDATE = always(members({ aggregate: { ...members({ name: LOOSE_NAME, availability_zone: ZONE }), minProperties: 1 } }, ['aggregate']));
const hostBody = (action: string): BodySchema => always(members({ [action]: members({ host: HOST_NAME }, ['host']) }, [action]));
const SET_WORDS = always(members({ set_metadata: members({ metadata: WORDS }, ['metadata']) }, ['set_metadata']));
const CACHE = always(members({ cache: list(members({ id: UUID }, ['id']), { minItems: 1 }) }, ['cache']));

export const AGGREGATE_ROUTES = [
  route({ method: 'GET', path: ALL, policy: 'os-aggregates:index', ok: 200, serve: serveList }),
  route({ method: 'POST', path: ALL, policy: 'os-aggregates:create', body: CREATE, ok: 200, serve: serveCreate }),
  route({
    method: 'GET',
    path: ONE,
    policy: 'os-aggregates:show',
    ok: 200,
    find: findAggregate,
    serve: (call, _parts, aggregate) => ({ body: { aggregate: fullView(aggregate, call) } }),
  }),
  route({ method: 'PUT', path: ONE, policy: 'os-aggregates:update', body: UPDATE, ok: 200, find: findAggregate, serve: serveUpdate }),
  route({ method: 'DELETE', path: ONE, policy: 'os-aggregates:delete', ok: 200, find: findAggregate, serve: serveDelete }),
  route({
    method: 'POST',
    path: ACTION,
    action: 'add_host',
    policy: 'os-aggregates:add_host',
    body: hostBody('add_host'),
    ok: 200,
    find: findAggregate,
    serve: (call, parts, { id }) => change(call, parts, { type: 'addAggregateHost', id, host: hostOf(call) }, [hostOf(call)]),
  }),
  route({
    method: 'POST',
    path: ACTION,
    action: 'remove_host',
    policy: 'os-aggregates:remove_host',
    body: hostBody('remove_host'),
    ok: 200,
    find: findAggregate,
    serve: (call, parts, { id }) => change(call, parts, { type: 'removeAggregateHost', id, host: hostOf(call) }, [hostOf(call)]),
  }),
  route({
    method: 'POST',
    path: ACTION,
    action: 'set_metadata',
    policy: 'os-aggregates:set_metadata',
    body: SET_WORDS,
    ok: 200,
    find: findAggregate,
    serve: serveSetWords,
  }),
  route({
    method: 'POST',
    path: '/os-aggregates/:id/images',
    versions: [SINCE.cachedImages, LATEST],
    policy: 'compute:aggregates:images',
    body: CACHE,
    ok: 202,
    find: findAggregate,
    serve: serveCache,
  }),
];

type Change = MessageOf<Pick<AggregateProtocol, 'updateAggregate' | 'addAggregateHost' | 'removeAggregateHost' | 'setAggregateWords'>>;

async function findAggregate(call: Call, parts: ComputeParts): Promise<Aggregate> {
  const text = call.param('id');
  if (!/^-?\d{1,18}$/.test(text)) throw invalid(`Invalid input received: id must be an integer: ${text.slice(0, 64)}`);
  const id = Number(text);
  const aggregate = id > INTEGER_MAX || id < 0 ? null : await parts.actors.ask(CONDUCTOR, { type: 'showAggregate', id });
  if (aggregate === null) throw notFound(`Aggregate ${text} could not be found.`);
  return aggregate;
}

function briefView({ id, uuid, name, metadata, createdAt, updatedAt }: Aggregate, call: Call): object {
  return {
    id,
    ...(call.version >= SINCE.aggregateUuids ? { uuid } : {}),
    name,
    availability_zone: metadata[ZONE_KEY] ?? null,
    created_at: microTime(createdAt),
    updated_at: microTime(updatedAt),
    deleted: false,
    deleted_at: null,
  };
}

function fullView(aggregate: Aggregate, call: Call): object {
  return { ...briefView(aggregate, call), hosts: aggregate.hosts, metadata: aggregate.metadata };
}

async function serveList(call: Call, parts: ComputeParts): Promise<Reply> {
  const aggregates = await parts.actors.ask(CONDUCTOR, { type: 'listAggregates' });
  return { body: { aggregates: aggregates.map((aggregate) => fullView(aggregate, call)) } };
}

type Given = { readonly [name: string]: unknown };

/** What is in the one member of the body. */
function argumentOf(call: Call): Given {
  const given: unknown = call.body !== null && typeof call.body === 'object' ? Object.values(call.body)[0] : undefined;
  return given !== null && typeof given === 'object' ? Object.fromEntries(Object.entries(given)) : {};
}

function hostOf(call: Call): string {
  return String(argumentOf(call)['host']);
}

function zoneOf({ availability_zone: zone }: Given): string | null {
  return typeof zone === 'string' ? zone.trim() : null;
}

async function serveCreate(call: Call, parts: ComputeParts): Promise<Reply> {
  const given = argumentOf(call);
  const order = { type: 'createAggregate', name: String(given['name']).trim(), zone: zoneOf(given) } as const;
  const made = await parts.actors.ask(CONDUCTOR, order, { commandId: call.requestId });
  return { body: { aggregate: briefView(made, call) } };
}

function serveUpdate(call: Call, parts: ComputeParts, { id }: Aggregate): Promise<Reply> {
  const given = argumentOf(call);
  const wanted = {
    ...(given['name'] === undefined ? {} : { name: String(given['name']).trim() }),
    ...(given['availability_zone'] === undefined ? {} : { zone: zoneOf(given) }),
  };
  return change(call, parts, { type: 'updateAggregate', id, change: wanted });
}

async function serveDelete(_call: Call, parts: ComputeParts, { id }: Aggregate): Promise<Reply> {
  await parts.actors.ask(CONDUCTOR, { type: 'deleteAggregate', id });
  return {};
}

async function serveSetWords(call: Call, parts: ComputeParts, { id }: Aggregate): Promise<Reply> {
  const { metadata } = argumentOf(call);
  const words = Object.entries(metadata !== null && typeof metadata === 'object' ? metadata : {});
  if (words.some(([key, word]) => key === ZONE_KEY && word === '')) throw invalid(`Invalid zone name: the ${ZONE_KEY} of an aggregate cannot be empty.`);
  const set = Object.fromEntries(words.flatMap(([key, word]) => (typeof word === 'string' ? [[key, word] as const] : [])));
  const drop = words.flatMap(([key, word]) => (word === null ? [key] : []));
  return change(call, parts, { type: 'setAggregateWords', id, set, drop });
}

/** Hosts look by themselves too, but later. */
async function change(call: Call, parts: ComputeParts, order: Change, further: readonly string[] = []): Promise<Reply> {
  const aggregate: Aggregate = await parts.actors.ask(CONDUCTOR, order);
  tellHosts(parts, new Set([...aggregate.hosts, ...further]));
  return { body: { aggregate: fullView(aggregate, call) } };
}

function tellHosts(parts: ComputeParts, hosts: Iterable<string>): void {
  for (const host of hosts) parts.actors.tell(hostRef(host), { type: 'rowChanged' });
  parts.caches.hosts.clear();
  parts.caches.zones.clear();
}

/** An image that is not there is nothing to fetch: the answer has gone before anybody would have looked. */
async function serveCache(call: Call, parts: ComputeParts, { id }: Aggregate): Promise<Reply> {
  const { cache } = Object.fromEntries(Object.entries(call.body ?? {}));
  const ids: string[] = Array.isArray(cache) ? cache.map((item: { id: unknown }) => String(item.id)) : [];
  if (new Set(ids).size < ids.length) throw invalid('Duplicate images in request');
  if (ids.length > CACHED_MAX) throw conflict(`At most ${CACHED_MAX} images are taken at once.`);
  const found = await Promise.all(ids.map((imageId) => imageOf(parts, call, imageId)));
  const images = found.flatMap((image) => {
    if (image === null || image.status !== 'active') return [];
    const { diskFormat, sizeBytes, hash, properties } = image;
    return [{ id: image.id, diskFormat, sizeBytes, hash, properties }];
  });
  if (images.length > 0) tellHosts(parts, (await parts.actors.ask(CONDUCTOR, { type: 'wantImages', id, images })).hosts);
  return {};
}

/** Images of one request. */
const CACHED_MAX = 100;
