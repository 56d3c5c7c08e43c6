/** Every route of the reference at the edges of its versions: served, refused with its code, or marked as not there yet. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MICROVERSIONS } from '../../../http/compute/microversions.ts';
import { NOT_YET } from './not-yet.ts';
import { nameOf, REFERENCE_ROUTES, type ReferenceRoute } from './reference-routes.ts';
import { IMAGE_ID, openRig, PROJECT } from './rig.ts';
import type { Answer, Rig } from './rig.ts';

/** A file of facts about the reference's routes, which is no part of the project. */
const FACTS = process.env['NOVACT_API_ROUTES'] ?? join(import.meta.dirname, '../../../../shared/spec/data/routes.json');

let rig: Rig;
let serverId = '';
beforeAll(async () => {
  rig = await openRig();
  rig.cloud.limits.set(`${PROJECT}/`, { instances: -1, cores: -1, ram: -1 });
  serverId = await rig.server();
});
afterAll(() => rig.close());

/** Something that there is, where a route only reads or changes it; nothing that there is, where it takes it away. */
function filled({ path, method }: ReferenceRoute): string {
  const [, collection = ''] = path.split('/');
  const known: { readonly [collection: string]: string } = {
    servers: serverId,
    flavors: '1',
    images: IMAGE_ID,
    'os-hosts': 'host1',
    versions: 'v2.1',
    extensions: 'os-agents',
  };
  const first = method === 'DELETE' ? 'gone' : (known[collection] ?? '1');
  let isFirst = true;
  return path.replaceAll(/:\w+/g, () => {
    const value = isFirst ? first : '1';
    isFirst = false;
    return value;
  });
}

async function ask(route: ReferenceRoute, minor: number): Promise<Answer> {
  const hasBody = route.method === 'POST' || route.method === 'PUT';
  const body = route.action === null ? {} : { [route.action]: null };
  return rig.ask(route.method, `/v2.1${filled(route)}`, { token: 'admin', version: `2.${minor}`, ...(hasBody ? { body } : {}) });
}

/** Nothing is at this place in this version. */
function isNowhere({ status, text }: Answer): boolean {
  return (
    status === 405 || (status === 404 && text.includes('The resource could not be found.')) || (status === 400 && text.includes('There is no such action'))
  );
}

/** What is wrong with an answer within the route's versions; undefined when nothing is. */
function wrongWithin(route: ReferenceRoute, answer: Answer): string | undefined {
  if (isNowhere(answer)) return 'is not there';
  // Any route may find its body or the object of its path wrong first.
  const fits = route.codes.includes(410) ? answer.status === 410 : [...route.codes, 400, 404].includes(answer.status);
  return fits ? undefined : `answers ${answer.status} ${answer.text.slice(0, 120)}`;
}

async function complaints(route: ReferenceRoute): Promise<string[]> {
  const found: string[] = [];
  for (const minor of new Set([route.from, route.to])) {
    const wrong = wrongWithin(route, await ask(route, minor));
    if (wrong !== undefined) found.push(`${nameOf(route)} at 2.${minor} ${wrong}`);
  }
  for (const minor of [route.from - 1, route.to + 1]) {
    if (minor < MICROVERSIONS.min || minor > MICROVERSIONS.max) continue;
    if (REFERENCE_ROUTES.some((other) => other !== route && nameOf(other) === nameOf(route) && minor >= other.from && minor <= other.to)) continue;
    const answer = await ask(route, minor);
    if (answer.status !== 404 || !isNowhere(answer)) found.push(`${nameOf(route)} at 2.${minor} is there still: ${answer.status}`);
  }
  return found;
}

describe('the routes of the reference', () => {
  it('are served or refused as it does, at the first and the last version of each, and nowhere beyond', async () => {
    const wrong: string[] = [];
    for (const route of REFERENCE_ROUTES) if (!NOT_YET.has(nameOf(route))) wrong.push(...(await complaints(route)));
    expect(wrong).toEqual([]);
  }, 60_000);

  it('that are marked as not there yet are not: whoever brings one takes its mark away', async () => {
    const names = new Set(REFERENCE_ROUTES.map(nameOf));
    expect([...NOT_YET].filter((name) => !names.has(name))).toEqual([]);
    const answered: string[] = [];
    for (const route of REFERENCE_ROUTES) if (NOT_YET.has(nameOf(route)) && !isNowhere(await ask(route, route.from))) answered.push(nameOf(route));
    expect(answered).toEqual([]);
  }, 60_000);

  it('are all in our table', (context) => {
    if (!existsSync(FACTS)) return context.skip('needs the facts about the reference');
    const facts = JSON.parse(readFileSync(FACTS, 'utf8')) as { method: string; path: string; action?: string; versions?: string; removed?: string }[];
    const shape = (name: string): string => name.replaceAll(/:\w+|\{\w+\}/g, ':');
    const ours = new Set(REFERENCE_ROUTES.map((route) => `${shape(nameOf(route))} ${route.from}-${route.to} ${route.codes.includes(410)}`));
    const theirs = facts.map(({ method, path, action, versions = '', removed }) => {
      const [, from = '1', to = '104'] = /^(?:2\.(\d+))?(?:\.\.2\.(\d+))?\+?$/.exec(versions) ?? [];
      return `${shape(`${method} ${path}${action === undefined ? '' : `#${action}`}`)} ${from}-${to} ${removed !== undefined}`;
    });
    expect([...ours].toSorted()).toEqual([...new Set(theirs)].toSorted());
    return undefined;
  });
});
