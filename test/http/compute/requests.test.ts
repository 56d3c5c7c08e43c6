/** What holds for every request: what is said about versions, types, ids and errors, whatever route it is for. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BODY_MAX } from '../../../http/kit/body.ts';
import { MICROVERSIONS } from '../../../http/compute/microversions.ts';
import { examplesOf } from '../../../http/compute/openapi/document.ts';
import type { ComputeRoute } from '../../../http/compute/parts.ts';
import { ROUTES } from '../../../http/compute/routes.ts';
import { compileBody } from '../../../http/kit/schema.ts';
import { openRig, PROJECT } from './rig.ts';
import type { Answer, AskOptions, Rig } from './rig.ts';

const UNKNOWN = '99999999-9999-4999-8999-999999999999';
const MEMBERS: { readonly [status: number]: string } = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  406: 'computeFault',
  409: 'conflictingRequest',
  410: 'computeFault',
  413: 'overLimit',
  415: 'badMediaType',
  501: 'notImplemented',
};

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
});
afterAll(() => rig.close());

function nameOf({ method, path, action }: ComputeRoute): string {
  return `${method} ${path} ${action ?? ''}`;
}

/** The path with ids that nothing has: what is said before any look-up is what counts here. */
function pathOf(route: ComputeRoute): string {
  return route.path.replaceAll(/:[A-Za-z_]+/g, UNKNOWN);
}

function versionOf(route: ComputeRoute): number {
  return Math.min(route.versions?.[1] ?? MICROVERSIONS.max, MICROVERSIONS.max);
}

function ask(route: ComputeRoute, options: AskOptions = {}, base = '/v2.1'): Promise<Answer> {
  const example = examplesOf(route).at(-1)?.example ?? (route.action === undefined ? undefined : { [route.action]: null });
  const body = example === undefined || options.raw !== undefined ? {} : { body: example };
  return rig.ask(route.method, `${base}${pathOf(route)}`, { token: 'admin', version: `2.${versionOf(route)}`, ...body, ...options });
}

function expectRefusal(answer: Answer, status: number, name: string): void {
  expect([answer.status, answer.body], name).toEqual([status, { [MEMBERS[status] ?? '']: { code: status, message: expect.stringMatching(/./) } }]);
}

/** Whether its schema takes no body at all. */
function takesNothing(route: ComputeRoute): boolean {
  try {
    if (route.body !== undefined) compileBody(route.body)(null, versionOf(route), false);
    return true;
  } catch {
    return false;
  }
}

const WITH_BODY = ROUTES.filter(({ method }) => method === 'POST' || method === 'PUT');

describe('every answer', () => {
  it('names the request, the version and what it depends on, whether it went well or not', async () => {
    for (const route of ROUTES) {
      const version = `2.${versionOf(route)}`;
      for (const options of [{}, { token: null }, { token: 'reader' }, { raw: route.method === 'GET' ? undefined : '{' }] as AskOptions[]) {
        const { raw, ...others } = options;
        const answer = await ask(route, raw === undefined ? others : options);
        const id = answer.headers['x-openstack-request-id'];
        expect(id, nameOf(route)).toMatch(/^req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
        expect(answer.headers['x-compute-request-id']).toBe(id);
        if (answer.status !== 401)
          expect([answer.headers['openstack-api-version'], answer.headers['x-openstack-nova-api-version']], nameOf(route)).toEqual([
            `compute ${version}`,
            version,
          ]);
        expect(answer.headers.vary).toBe('OpenStack-API-Version, X-OpenStack-Nova-API-Version');
        expect(answer.headers['content-type']).toBe(answer.status === 204 ? undefined : 'application/json');
        if (answer.status >= 400) expect(Object.keys(answer.body ?? {}), `${nameOf(route)} ${answer.text}`).toEqual([MEMBERS[answer.status] ?? 'computeFault']);
      }
    }
  });

  it('has an id of its own, also when the client gave one', async () => {
    const given = 'req-11111111-1111-4111-8111-111111111111';
    const ids = await Promise.all(
      ['x', given, 'req-nonsense', '"><script>'].map(
        async (id) => (await rig.ask('GET', '/v2.1/flavors', { headers: { 'x-openstack-request-id': id } })).headers['x-openstack-request-id'],
      ),
    );
    expect(new Set(ids).size).toBe(4);
    expect(ids).not.toContain(given);
  });

  it('is JSON, whatever was said to be acceptable', async () => {
    for (const accept of ['application/xml', 'text/html', 'application/json;version=9', '*/*;q=0', 'application/vnd.openstack.compute+json', '', 'nonsense']) {
      const answer = await rig.ask('GET', '/v2.1/flavors', { headers: { accept } });
      expect([answer.status, answer.headers['content-type']], accept).toEqual([200, 'application/json']);
    }
  });
});

describe('the order of refusals', () => {
  it('is token, version, route, its versions, JSON, project, schema', async () => {
    const wrong = { raw: '{', version: '2.999', token: null };
    expectRefusal(await rig.ask('POST', '/v2.1/nothing/servers', wrong), 401, 'token');
    expectRefusal(await rig.ask('POST', '/v2.1/nothing/servers', { ...wrong, token: 'member' }), 406, 'version');
    expectRefusal(await rig.ask('PUT', '/v2.1/servers', { raw: '{' }), 405, 'method');
    expectRefusal(await rig.ask('PUT', '/v2.1/os-services/x/y/z', { raw: '{' }), 404, 'route');
    expectRefusal(await rig.ask('PUT', '/v2.1/flavors/1', { raw: '{', version: '2.54' }), 404, 'versions of the route');
    expect((await rig.ask('POST', `/v2.1/${'f'.repeat(32)}/servers`, { raw: '{' })).at('badRequest', 'message')).toBe('Malformed request body');
    expect((await rig.ask('POST', `/v2.1/${'f'.repeat(32)}/servers`, { body: {} })).at('badRequest', 'message')).toMatch(
      /^Malformed request URL: URL's project_id 'f+' doesn't match Context's project_id 'a+'$/,
    );
    expect((await rig.ask('POST', `/v2.1/${PROJECT}/servers`, { body: {} })).at('badRequest', 'message')).toBe("'server' is a required property");
  });

  it('puts the schema before the object, and the object before the rule', async () => {
    expectRefusal(await rig.ask('PUT', `/v2.1/servers/${UNKNOWN}`, { body: { server: { nonsense: 1 } } }), 400, 'schema');
    expectRefusal(await rig.ask('PUT', `/v2.1/servers/${UNKNOWN}`, { token: 'reader', body: { server: { name: 'a' } } }), 404, 'object');
    const id = await rig.server();
    expectRefusal(await rig.ask('PUT', `/v2.1/servers/${id}`, { token: 'reader', body: { server: { name: 'a' } } }), 403, 'rule');
  });

  it('says 404 to every route before and after its versions', async () => {
    for (const route of ROUTES) {
      const same = ROUTES.filter(({ method, path, action }) => method === route.method && path === route.path && action === route.action);
      const isServed = (minor: number): boolean => same.some(({ versions }) => versions === undefined || (minor >= versions[0] && minor <= versions[1]));
      const [from, to] = route.versions ?? [1, Infinity];
      for (const minor of [from - 1, to + 1].filter((one) => one >= MICROVERSIONS.min && one <= MICROVERSIONS.max && !isServed(one))) {
        expectRefusal(await ask(route, { version: `2.${minor}` }), 404, `${nameOf(route)} 2.${minor}`);
      }
    }
  });
});

describe('every body', () => {
  it('is JSON by type: as such, as text, or unsaid', async () => {
    for (const route of WITH_BODY) {
      const raw = JSON.stringify(examplesOf(route).at(-1)?.example ?? {});
      for (const type of ['application/xml', 'text/html', 'application/x-www-form-urlencoded']) {
        expectRefusal(await ask(route, { raw, headers: { 'content-type': type } }), 415, nameOf(route));
      }
      for (const type of ['application/json', 'APPLICATION/JSON; charset=UTF-8', 'application/vnd.openstack.compute+json', 'text/plain']) {
        expect((await ask(route, { raw, headers: { 'content-type': type } })).status, `${nameOf(route)} ${type}`).not.toBe(415);
      }
    }
  });

  it('is bounded', async () => {
    for (const route of WITH_BODY) {
      const answer = await ask(route, { raw: `{"a":"${'x'.repeat(BODY_MAX)}"}` });
      expect([answer.status, answer.at('overLimit', 'code')], nameOf(route)).toEqual([413, 413]);
    }
    expect((await rig.ask('POST', '/v2.1/servers', { raw: '{}'.padEnd(BODY_MAX) })).status).toBe(400);
  });

  it('must be there and an object where there is a schema', async () => {
    for (const route of WITH_BODY.filter(({ body }) => body !== undefined)) {
      const some = takesNothing(route) ? [] : ['', 'null'];
      for (const raw of [...some, '[]', '"text"', '5', '{', '{"a":}']) expectRefusal(await ask(route, { raw }), 400, `${nameOf(route)} ${raw}`);
    }
  });

  it('of a question is not looked at', async () => {
    const answer = await rig.ask('GET', '/v2.1/flavors', { raw: '{"not": json', headers: { 'content-type': 'application/xml' } });
    expect(answer.status).toBe(200);
  });
});

describe('the old form of the API', () => {
  const isStrictAbout = (answer: Answer): boolean => answer.status === 400 && /Additional properties/.test(answer.text);

  it('ignores members that it does not know, on every route, where the new one refuses them', async () => {
    let refused = 0;
    for (const route of WITH_BODY.filter(({ body, versions }) => body !== undefined && (versions?.[0] ?? 1) === 1)) {
      const example = examplesOf(route)[0]?.example;
      const [name, inner] = Object.entries(example ?? {})[0] ?? [];
      if (name === undefined || inner === null || typeof inner !== 'object' || Array.isArray(inner)) continue;
      const body = { [name]: { ...inner, 'of no meaning': 'x'.repeat(300) } };
      if (isStrictAbout(await ask(route, { body, version: '2.1' }))) refused++;
      expect(isStrictAbout(await ask(route, { body }, '/v2')), nameOf(route)).toBe(false);
    }
    expect(refused).toBeGreaterThan(5);
  });

  it('ignores unknown parameters and versions, and says nothing of versions', async () => {
    for (const base of ['/v2', `/v2/${PROJECT}`, '/v1.1']) {
      const answer = await rig.ask('GET', `${base}/servers?nonsense=1`, { version: '2.999' });
      expect(answer.status, answer.text).toBe(200);
      for (const header of ['openstack-api-version', 'x-openstack-nova-api-version', 'vary']) expect(answer.headers).not.toHaveProperty(header);
      expect(answer.headers['x-compute-request-id']).toMatch(/^req-/);
    }
    const refused = await rig.ask('GET', `/v2/servers/${UNKNOWN}`);
    expectRefusal(refused, 404, 'unknown');
    expect(refused.headers).not.toHaveProperty('vary');
  });

  it('has the routes of 2.1 and none that came later', async () => {
    for (const route of ROUTES.filter(({ versions, action }) => versions !== undefined && versions[0] > 1 && action === undefined)) {
      const twin = ROUTES.some(({ method, path, versions }) => method === route.method && path === route.path && (versions?.[0] ?? 1) === 1);
      if (!twin) expectRefusal(await ask(route, {}, '/v2'), 404, nameOf(route));
    }
  });
});

describe('discovery', () => {
  it('offers every version for a path without one, whatever is done there', async () => {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
      for (const path of ['/servers', '/v3/servers', '/v2.10/flavors', '/favicon.ico', '/v2.1x']) {
        const answer = await rig.ask(method, path, { token: null, ...(method === 'GET' || method === 'DELETE' ? {} : { body: {} }) });
        expect([answer.status, answer.at('choices', 0, 'id'), answer.at('choices', 1, 'links', 0, 'href')], path).toEqual([
          300,
          'v2.0',
          `${rig.url}/v2.1${path}`,
        ]);
        expect(answer.at('choices', 1, 'media-types', 0, 'type')).toBe('application/vnd.openstack.compute+json;version=2.1');
        expect(answer.headers).not.toHaveProperty('openstack-api-version');
      }
    }
  });

  it('describes each version at its own address, with and without a slash', async () => {
    for (const [path, id, version] of [
      ['/v2.1', 'v2.1', `2.${MICROVERSIONS.max}`],
      ['/v2.1/', 'v2.1', `2.${MICROVERSIONS.max}`],
      ['/v2', 'v2.0', ''],
      ['/v2/', 'v2.0', ''],
    ]) {
      const answer = await rig.ask('GET', String(path), { token: null });
      expect([answer.status, answer.at('version', 'id'), answer.at('version', 'version'), answer.at('version', 'links', 1, 'rel')]).toEqual([
        200,
        id,
        version,
        'describedby',
      ]);
    }
  });
});

describe('lists', () => {
  const lists = ROUTES.filter(({ method, query, path }) => method === 'GET' && query?.parameters['limit'] !== undefined && !path.includes(':'));

  it('take a limit that is a number from nothing on', async () => {
    expect(lists.length).toBeGreaterThan(5);
    for (const route of lists) {
      const list = (query: string) => rig.ask('GET', `/v2.1${route.path}?${query}`, { token: 'admin', version: `2.${versionOf(route)}` });
      for (const limit of ['-1', 'ten', '1.5', '%20', '']) expectRefusal(await list(`limit=${limit}`), 400, `${nameOf(route)} limit=${limit}`);
      for (const limit of ['1', '1000', '100000']) expect((await list(`limit=${limit}`)).status, `${nameOf(route)} limit=${limit}`).toBe(200);
    }
  });
});
