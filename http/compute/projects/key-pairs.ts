/** `/os-keypairs`: public keys of users. A generated private key is in the creating answer and nowhere else. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { KeyPair } from '../../../actors/model/key-pair.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, invalid, notFound } from '../../kit/errors.ts';
import { isFull, markerUnknown, pageOf } from '../../kit/paging.ts';
import type { QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { members, text } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import type { Rule } from '../rules.ts';
import { microTime } from '../servers/view.ts';
import { newSshKey, PUBLIC_KEY_MAX, sshFingerprint } from './ssh-key.ts';
import type { KeyMaterial } from './ssh-key.ts';
import { newX509Key, x509Fingerprint } from './x509-key.ts';

const PATH = '/os-keypairs';
const ONE = '/os-keypairs/:id';

const USER_QUERY: QueryTable = { strictFrom: SINCE.strictQueries, parameters: { user_id: { kind: 'text', from: SINCE.keyPairOwner } } };
const LIST_QUERY: QueryTable = {
  strictFrom: SINCE.strictQueries,
  parameters: {
    ...USER_QUERY.parameters,
    limit: { kind: 'count', from: SINCE.keyPairPages },
    marker: { kind: 'text', from: SINCE.keyPairPages },
  },
};

const CREATE: BodySchema = {
  breaks: [1, SINCE.keyPairTypes, SINCE.keyPairOwner, SINCE.importOnlyKeyPairs],
  at: (version) => {
    const signs = version >= SINCE.importOnlyKeyPairs ? '_\\-@. a-zA-Z0-9' : '_\\- a-zA-Z0-9';
    return members(
      {
        keypair: members(
          {
            name: { type: 'string', minLength: 1, maxLength: 255, pattern: `^[${signs}]+$`, format: 'trimmed' },
            public_key: text(0, PUBLIC_KEY_MAX),
            ...(version >= SINCE.keyPairTypes ? { type: { type: 'string', enum: ['ssh', 'x509'] } } : {}),
            ...(version >= SINCE.keyPairOwner ? { user_id: text(1, 255) } : {}),
          },
          version >= SINCE.importOnlyKeyPairs ? ['name', 'public_key'] : ['name'],
        ),
      },
      ['keypair'],
    );
  },
};

export const KEY_PAIR_ROUTES = [
  route({ method: 'GET', path: PATH, policy: 'os-keypairs:index', query: LIST_QUERY, ok: 200, serve: serveList }),
  route({
    method: 'POST',
    path: PATH,
    policy: 'os-keypairs:create',
    body: CREATE,
    ok: (version) => (version >= SINCE.keyPairTypes ? 201 : 200),
    serve: serveCreate,
  }),
  route({
    method: 'GET',
    path: ONE,
    policy: 'os-keypairs:show',
    query: USER_QUERY,
    ok: 200,
    find: findKeyPair,
    serve: (call, _parts, pair) => ({ body: { keypair: showView(pair, call) } }),
  }),
  route({
    method: 'DELETE',
    path: ONE,
    policy: 'os-keypairs:delete',
    query: USER_QUERY,
    ok: (version) => (version >= SINCE.keyPairTypes ? 204 : 202),
    find: findKeyPair,
    serve: serveDelete,
  }),
];

/** The user whose keys are meant: the caller, or for administrators whoever they name. */
function ownerOf(call: Call, parts: ComputeParts, asked: string | undefined, rule: Rule): string {
  if (asked === undefined || call.version < SINCE.keyPairOwner || asked === call.caller.userId) return call.caller.userId;
  parts.policy.enforce(rule, call.caller, { userId: asked });
  return asked;
}

async function findKeyPair(call: Call, parts: ComputeParts): Promise<KeyPair> {
  const name = call.param('id');
  const userId = ownerOf(call, parts, call.query.one('user_id'), call.method === 'DELETE' ? 'os-keypairs:delete' : 'os-keypairs:show');
  const pair = await parts.actors.ask(CONDUCTOR, { type: 'showKeyPair', userId, name });
  if (pair === null) throw notFound(`Keypair ${name.slice(0, 255)} not found for user ${userId}`);
  return pair;
}

/** Lists never name the owner; single views do. */
function listView(pair: KeyPair, call: Call): object {
  return { name: pair.name, public_key: pair.publicKey, fingerprint: pair.fingerprint, ...(call.version >= SINCE.keyPairTypes ? { type: pair.type } : {}) };
}

function showView(pair: KeyPair, call: Call): object {
  const dates = { created_at: microTime(pair.createdAt), updated_at: null, deleted_at: null, deleted: false };
  return { ...listView(pair, call), user_id: pair.userId, id: pair.id, ...dates };
}

async function serveList(call: Call, parts: ComputeParts): Promise<Reply> {
  const userId = ownerOf(call, parts, call.query.one('user_id'), 'os-keypairs:index');
  const paged = call.version >= SINCE.keyPairPages;
  const page = paged ? pageOf(call.query, parts.settings.pageMax) : { limit: Infinity, marker: null };
  if (page.limit === 0) return { body: { keypairs: [] } };
  if (page.marker !== null && (await parts.actors.ask(CONDUCTOR, { type: 'showKeyPair', userId, name: page.marker })) === null)
    throw markerUnknown(page.marker);
  const pairs = await parts.actors.ask(CONDUCTOR, { type: 'listKeyPairs', userId, marker: page.marker, limit: paged ? page.limit : null });
  const last = pairs.at(-1);
  const links = paged && last !== undefined && isFull(pairs.length, page) ? { keypairs_links: call.links.next(call.path, call.query, last.name) } : {};
  return { body: { keypairs: pairs.map((pair) => ({ keypair: listView(pair, call) })), ...links } };
}

type Asked = { readonly name: string; readonly publicKey: string | null; readonly type: 'ssh' | 'x509'; readonly userId: string };

function readCreate(call: Call, parts: ComputeParts): Asked {
  const body = call.body !== null && typeof call.body === 'object' && 'keypair' in call.body ? call.body.keypair : {};
  const given: { [name: string]: unknown } = Object.fromEntries(Object.entries(body ?? {}));
  const name = String(given['name']).trim();
  if (name === '') throw invalid('Keypair data is invalid: Keypair name must be string and between 1 and 255 characters long');
  const asked = given['user_id'];
  return {
    name,
    publicKey: typeof given['public_key'] === 'string' ? given['public_key'] : null,
    type: call.version >= SINCE.keyPairTypes && given['type'] === 'x509' ? 'x509' : 'ssh',
    userId: ownerOf(call, parts, typeof asked === 'string' ? asked : undefined, 'os-keypairs:create'),
  };
}

async function serveCreate(call: Call, parts: ComputeParts): Promise<Reply> {
  const asked = readCreate(call, parts);
  const made = await keyOf(asked, parts);
  const pair = await store(call, parts, { ...asked, publicKey: made.publicKey, fingerprint: made.fingerprint });
  const privateKey = 'privateKey' in made ? { private_key: made.privateKey } : {};
  return { body: { keypair: { ...listView(pair, call), user_id: pair.userId, ...privateKey } } };
}

async function keyOf(
  { publicKey, type, userId }: Asked,
  parts: ComputeParts,
): Promise<KeyMaterial | { readonly publicKey: string; readonly fingerprint: string }> {
  if (publicKey !== null) return { publicKey, fingerprint: type === 'ssh' ? sshFingerprint(publicKey) : x509Fingerprint(publicKey) };
  return type === 'ssh' ? newSshKey(parts.settings.keyPairAlgorithm, parts.random) : newX509Key(userId, parts.clock.wallMs(), parts.random);
}

async function store(call: Call, parts: ComputeParts, keyPair: Omit<KeyPair, 'id' | 'createdAt'>): Promise<KeyPair> {
  try {
    return await parts.actors.ask(CONDUCTOR, { type: 'createKeyPair', keyPair, projectId: call.caller.projectId }, { commandId: call.requestId });
  } catch (thrown) {
    if (Fault.is(thrown, 'conflict')) throw conflict(`Key pair '${keyPair.name}' already exists.`);
    if (Fault.is(thrown, 'overQuota')) throw new Fault('overQuota', 'quota.key_pairs', 'Quota exceeded, too many key pairs.');
    throw thrown;
  }
}

async function serveDelete(_call: Call, parts: ComputeParts, { userId, name }: KeyPair): Promise<Reply> {
  await parts.actors.ask(CONDUCTOR, { type: 'deleteKeyPair', userId, name });
  return {};
}
