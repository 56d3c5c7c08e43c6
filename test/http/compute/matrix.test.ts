/**
 * Every route against everybody: what is expected comes from tables of this test alone (reference-rules.ts), so that a
 * wrong default, a wrong rule or a missing one fails. A new route is met without any change here, when it is one that
 * the API knows; `OWN_ROUTES` names those that it does not.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashToken } from '../../../http/kit/auth.ts';
import type { Caller } from '../../../http/kit/auth.ts';
import { fullName, openPolicy } from '../../../http/kit/policy.ts';
import { fullRuleName, KNOWN_RULES, POLICY_OPTIONS } from '../../../http/compute/further-rules.ts';
import { MICROVERSIONS } from '../../../http/compute/microversions.ts';
import { examplesOf } from '../../../http/compute/openapi/document.ts';
import type { ComputeRoute } from '../../../http/compute/parts.ts';
import { ROUTES } from '../../../http/compute/routes.ts';
import { HOST_ID, NETWORK_ID } from './memory-cloud.ts';
import { knownRoute, LEAST_OF_RULE, passing } from './reference-rules.ts';
import type { Least } from './reference-rules.ts';
import { IMAGE_ID, openRig, OTHER_PROJECT, PROJECT } from './rig.ts';
import type { Answer, Rig } from './rig.ts';

const ROLES = ['none', 'service', 'reader', 'member', 'manager', 'admin'] as const;
/** Routes of this project's own, by `METHOD path`. */
const OWN_ROUTES: { readonly [route: string]: Least } = {};
/** Without any rule: everybody with a token. */
const WITHOUT_RULE = /^(GET \/(flavors(\/detail|\/:[a-z]+)?|versions\/:id)|\w+ \/images(\/.*)?|(POST|DELETE) \/os-baremetal-nodes(\/.*)?)$/;
/** Objects that exist in the rig, by what stands before them in the path; others are unknown there. */
const OBJECTS: { readonly [before: string]: string } = {
  '/flavors': '1',
  '/images': IMAGE_ID,
  '/os-networks': NETWORK_ID,
  '/os-tenant-networks': NETWORK_ID,
  '/os-quota-sets': PROJECT,
  '/os-quota-class-sets': 'default',
  '/os-simple-tenant-usage': PROJECT,
  '/os-hypervisors': HOST_ID,
  '/os-services': HOST_ID,
  '/os-keypairs': 'key',
  '/extensions': 'os-keypairs',
  '/versions': 'v2.1',
};
/** Tried in turn: some ids are numbers. */
const UNKNOWN = ['99999999-9999-4999-8999-999999999999', '1'] as const;

function nameOf(route: ComputeRoute): string {
  return `${route.method} ${route.path}${route.action === undefined ? '' : ` ${route.action}`}`;
}

/** Answers 410 to everybody, where the API allows that. */
function isGone(route: ComputeRoute): boolean {
  return route.ok === 410 && knownRoute(route.method, route.path, route.action)?.isDropped === true;
}

/** The least role of a route, from the tables of the tests. */
function leastOf(route: ComputeRoute): Least | undefined {
  if (isGone(route)) return 'any';
  return OWN_ROUTES[nameOf(route)] ?? knownRoute(route.method, route.path, route.action)?.least;
}

function callerWith(role: string, some: Partial<Caller> = {}): Caller {
  const scope = { projectId: PROJECT, projectName: 'one', projectDomainId: 'default' };
  const user = { userId: 'user-member', userName: 'm', userDomainId: 'default' };
  return { tokenHash: hashToken(role), ...user, ...scope, roles: [role], isAdmin: role === 'admin', expiresAtMs: Infinity, ...some };
}

describe('every rule', () => {
  const policy = openPolicy<string>(KNOWN_RULES, {}, POLICY_OPTIONS);

  it('of the API is known here, and none that the API does not know', () => {
    expect(Object.keys(KNOWN_RULES).sort()).toEqual([...LEAST_OF_RULE.keys()].sort());
  });

  it.each([...LEAST_OF_RULE])('%s: %s', (rule, least) => {
    const callers = ROLES.map((role) => [role, policy.asJudged(callerWith(role))] as const);
    expect(callers.filter(([, caller]) => policy.allows(rule, caller)).map(([role]) => role)).toEqual(passing(least));
    const strangers = { projectId: OTHER_PROJECT, userId: 'somebody' };
    const wanted = least === 'any' || least === 'is_admin:False' || least === 'service' ? passing(least) : passing(least).filter((role) => role === 'admin');
    expect(callers.filter(([, caller]) => policy.allows(rule, caller, strangers)).map(([role]) => role)).toEqual(wanted);
  });
});

describe('every route', () => {
  it('is one that the API knows', () => {
    expect(ROUTES.filter((route) => leastOf(route) === undefined).map(nameOf)).toEqual([]);
  });

  it('is there in the versions in which the API has it', () => {
    const wrong = new Map<string, string>();
    for (const route of ROUTES) {
      const known = knownRoute(route.method, route.path, route.action);
      if (known === undefined) continue;
      const same = ROUTES.filter((one) => one.method === route.method && one.path === route.path && one.action === route.action);
      const from = Math.min(...same.map(({ versions }) => versions?.[0] ?? 1));
      const to = Math.max(...same.map(({ versions }) => versions?.[1] ?? Infinity));
      const last = (version: number): number => Math.min(version, MICROVERSIONS.max);
      if (from !== known.from || last(to) !== last(known.to))
        wrong.set(nameOf(route), `2.${from} to 2.${last(to)}, not 2.${known.from} to 2.${last(known.to)}`);
    }
    expect([...wrong]).toEqual([]);
  });

  it('asks a rule with the least role that the route has, or is one that has none', () => {
    const wrong = ROUTES.flatMap((route) => {
      const least = leastOf(route);
      if (isGone(route)) return [];
      if (route.policy === null) return WITHOUT_RULE.test(`${route.method} ${route.path}`) && least === 'any' ? [] : [`${nameOf(route)}: without a rule`];
      const given = LEAST_OF_RULE.get(route.policy);
      return given === least ? [] : [`${nameOf(route)}: ${route.policy} is for ${given}, not ${least}`];
    });
    expect(wrong).toEqual([]);
  });
});

describe('everybody at every door', () => {
  let rig: Rig;
  let serverId: string;

  beforeAll(async () => {
    rig = await openRig();
    for (const role of ROLES) rig.tokens.add(`as-${role}`, { roles: [role], userId: 'user-member' });
    rig.tokens.add('other-admin', { roles: ['admin', 'member', 'reader'], projectId: OTHER_PROJECT });
    serverId = await rig.server();
  });
  afterAll(() => rig.close());

  /** The path with objects that are there where the rig has them. */
  function probe(route: ComputeRoute, unknown: string): string {
    let before = '';
    for (const segment of route.path.split('/').slice(1)) {
      if (!segment.startsWith(':')) before += `/${segment}`;
      else if (before === '/servers' || before === '/os-volumes_boot') before += `/${serverId}`;
      else before += `/${OBJECTS[before] ?? unknown}`;
    }
    return before;
  }

  async function ask(route: ComputeRoute, token: string | null, unknown: string = UNKNOWN[0]): Promise<Answer> {
    // What the last one did is undone, so that everybody meets the same server.
    const [first] = rig.cloud.servers.values();
    if (first === undefined || first.record.deleted || first.record.vmState !== 'active' || first.record.taskState !== null) {
      rig.cloud.servers.clear();
      serverId = await rig.server();
    }
    if (!rig.cloud.flavors.has('1')) rig.cloud.addFlavor({ flavorId: '1', name: 'm1.tiny' });
    rig.images.add({ id: IMAGE_ID, owner: PROJECT });
    const version = Math.min(route.versions?.[1] ?? MICROVERSIONS.max, MICROVERSIONS.max);
    const example = examplesOf(route).at(-1)?.example ?? (route.action === undefined ? undefined : { [route.action]: null });
    return rig.ask(route.method, `/v2.1${probe(route, unknown)}`, { token, version: `2.${version}`, ...(example === undefined ? {} : { body: example }) });
  }

  /** A refusal must name a rule that the role does not pass, whichever it was. */
  function expectTrueRefusal(answer: Answer, role: string): void {
    const rule = /^Policy doesn't allow (\S+) to be performed\.$/.exec(String(answer.at('forbidden', 'message')))?.[1] ?? answer.text;
    const known = [...LEAST_OF_RULE].find(([name]) => fullName(name, POLICY_OPTIONS.prefix) === rule);
    expect(known, `${rule} is no rule`).toBeDefined();
    expect(passing(known?.[1] ?? ''), `${role} passes ${rule}`).not.toContain(role);
  }

  for (const [index, route] of ROUTES.entries()) {
    it(`${nameOf(route)} ${route.versions === undefined ? '' : `(2.${route.versions[0]}+) `}#${index}`, async () => {
      for (const token of [null, 'no-such-token', 'expired']) {
        const answer = await ask(route, token);
        expect([answer.status, answer.at('unauthorized', 'code')], String(token)).toEqual([401, 401]);
      }
      const may = passing(leastOf(route) ?? 'nobody');
      const [first, second] = UNKNOWN;
      const wantsNumber = route.path.includes(':') && (await ask(route, 'as-admin', first)).status === 400;
      const unknown = wantsNumber ? second : first;
      const asAdmin = await ask(route, 'as-admin', unknown);
      // An object that the rig may lack, or lose on the way, is looked for before the rule is asked.
      const mayLack = route.find !== undefined && probe(route, '?').includes('?') ? [400, 404] : [];
      for (const role of ROLES) {
        const answer = role === 'admin' ? asAdmin : await ask(route, `as-${role}`, unknown);
        expect([401, 405, 406, 415, 500], `${role}: ${answer.text}`).not.toContain(answer.status);
        expect(answer.status === 410, `${role}: ${answer.text}`).toBe(isGone(route));
        if (may.includes(role)) {
          if (answer.status === 403) expectTrueRefusal(answer, role);
        } else {
          expect([403, ...mayLack], `${role}: ${answer.text}`).toContain(answer.status);
          if (answer.status === 403) expectTrueRefusal(answer, role);
          if (answer.status === 403 && route.policy !== null) expect(answer.text).toContain(fullRuleName(route.policy));
        }
      }
    });
  }

  it('hides the servers of a project from all others, whatever is asked of them', async () => {
    const own = ROUTES.filter((route) => route.path.startsWith('/servers/:') && !isGone(route));
    expect(own.length).toBeGreaterThan(20);
    for (const route of own) {
      const answer = await ask(route, 'other');
      expect([answer.status, answer.at('itemNotFound', 'message')], nameOf(route)).toEqual([404, `Instance ${serverId} could not be found.`]);
    }
    expect((await rig.ask('GET', `/v2.1/servers/${serverId}`, { token: 'other-admin' })).status).toBe(200);
  });

  it('asks rules about the project in the path, where there is one', async () => {
    const quota = (token: string, part = '') => rig.ask('GET', `/v2.1/os-quota-sets/${PROJECT}${part}`, { token });
    expect([(await quota('as-reader')).status, (await quota('other')).status, (await quota('other-admin')).status]).toEqual([200, 403, 200]);
    expect([(await quota('other', '/detail')).status, (await quota('other', '/defaults')).status]).toEqual([403, 200]);
  });
});
