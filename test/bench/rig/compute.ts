/**
 * A user of the Compute API, made of public calls only: logs in, knows the smallest flavor and an image, makes, reads,
 * lists and deletes servers. Works with any Compute endpoint of the catalog.
 */
import { z } from 'zod';
import type { Account } from './cloud.ts';
import { HttpLoad, sleep, type Answer } from './http-load.ts';

/** From 2.37 on a create says what it wants of networks. */
const VERSION = process.env['OS_COMPUTE_API_VERSION'] ?? '2.37';
const PAGE = 1_000;
/** Changes are asked for from so long before the last question: the API counts them in whole seconds. */
const OVERLAP_MS = 2_000;

const ENDPOINT = z.object({ interface: z.string(), url: z.string(), region: z.string().optional(), region_id: z.string().optional() });
const TOKEN = z.object({
  token: z.object({ project: z.object({ id: z.string() }), catalog: z.array(z.object({ type: z.string(), endpoints: z.array(ENDPOINT) })) }),
});
const FLAVORS = z.object({ flavors: z.array(z.object({ id: z.string(), ram: z.number(), disk: z.number() })).min(1) });
const IMAGES = z.object({ images: z.array(z.object({ id: z.string() })).min(1) });
const SERVERS = z.object({ servers: z.array(z.object({ id: z.string() })) });
const MADE = z.object({ server: z.object({ id: z.string() }) });
const SERVER = z.object({ server: z.object({ status: z.string() }) });

export class Compute {
  readonly computeUrl: string;
  readonly token: string;
  readonly #projectId: string;
  readonly #load: HttpLoad;
  /** What polls has a connection of its own, so that it does not wait behind the load. */
  readonly #side: HttpLoad;
  readonly #headers: { readonly [name: string]: string };
  #flavorId = '';
  #imageId = '';
  readonly #networks: unknown;

  constructor(login: Login, connections: number, networks: string) {
    this.computeUrl = login.computeUrl;
    this.token = login.token;
    this.#projectId = login.projectId;
    this.#load = new HttpLoad(login.computeUrl, connections);
    this.#side = new HttpLoad(login.computeUrl, 1);
    this.#headers = {
      'X-Auth-Token': login.token,
      Accept: 'application/json',
      'OpenStack-API-Version': `compute ${VERSION}`,
      'X-OpenStack-Nova-API-Version': VERSION,
    };
    this.#networks = networks === 'auto' || networks === 'none' ? networks : [{ uuid: networks }];
  }

  /** Finds what servers are made of. */
  async prepare(imageUrl: string | undefined): Promise<void> {
    const { BENCH_FLAVOR, BENCH_IMAGE } = process.env;
    const { flavors } = FLAVORS.parse(bodyOf(await this.get('/flavors/detail')));
    flavors.sort((a, b) => a.ram - b.ram || a.disk - b.disk);
    this.#flavorId = BENCH_FLAVOR ?? flavors[0]?.id ?? '';
    this.#imageId = BENCH_IMAGE ?? (await this.#firstImage(imageUrl));
  }

  async #firstImage(imageUrl: string | undefined): Promise<string> {
    if (imageUrl === undefined) return IMAGES.parse(bodyOf(await this.get('/images'))).images[0]?.id ?? '';
    const images = new HttpLoad(imageUrl, 1);
    const answer = await images.send({ method: 'GET', path: '/v2/images?status=active', headers: { 'X-Auth-Token': this.token } });
    await images.close();
    return IMAGES.parse(bodyOf(answer)).images[0]?.id ?? '';
  }

  get(path: string): Promise<Answer> {
    return this.#load.send({ method: 'GET', path, headers: this.#headers });
  }

  write(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Answer> {
    if (body === undefined) return this.#load.send({ method, path, headers: this.#headers });
    return this.#load.send({ method, path, headers: { ...this.#headers, 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  }

  create(name: string, count = 1): Promise<Answer> {
    const several = count === 1 ? {} : { min_count: count, max_count: count };
    return this.write('POST', '/servers', { server: { name, imageRef: this.#imageId, flavorRef: this.#flavorId, networks: this.#networks, ...several } });
  }

  /** −1 is unlimited. Throws when refused: then no figure of a create means anything. */
  async setQuota(instances: number, others: number): Promise<void> {
    const answer = await this.write('PUT', `/os-quota-sets/${this.#projectId}`, { quota_set: { instances, cores: others, ram: others, force: true } });
    if (answer.status !== 200) throw new Error(`the quota cannot be set: ${answer.status} ${answer.bytes.toString().slice(0, 200)}`);
  }

  async statusOf(id: string): Promise<string> {
    const answer = await this.#side.send({ method: 'GET', path: `/servers/${id}`, headers: this.#headers });
    return answer.status === 200 ? SERVER.parse(bodyOf(answer)).server.status : String(answer.status);
  }

  /** Ids that the brief list shows, all pages, on the poller's own connection. */
  async listed(query = ''): Promise<string[]> {
    const ids: string[] = [];
    for (let marker = ''; ;) {
      const answer = await this.#side.send({ method: 'GET', path: `/servers?limit=${PAGE}${query}${marker}`, headers: this.#headers });
      if (answer.status !== 200) return ids;
      const page = idsIn(answer.bytes);
      ids.push(...page);
      if (page.length < PAGE) return ids;
      marker = `&marker=${page.at(-1)}`;
    }
  }

  /** Ids of a status that changed since (wall time) a moment, give or take the API's grain. */
  changed(status: string, sinceMs: number): Promise<string[]> {
    return this.listed(`&status=${status}&changes-since=${new Date(sinceMs - OVERLAP_MS).toISOString().replace(/\.\d+Z$/, 'Z')}`);
  }

  /** Waits until all of these are gone from the list. */
  async untilGone(ids: ReadonlySet<string>, limitMs: number): Promise<boolean> {
    const endMs = performance.now() + limitMs;
    while (performance.now() < endMs) {
      const left = (await this.listed()).filter((id) => ids.has(id));
      if (left.length === 0) return true;
      await sleep(100);
    }
    return false;
  }

  async close(): Promise<void> {
    await Promise.all([this.#load.close(), this.#side.close()]);
  }
}

export type Login = { readonly token: string; readonly projectId: string; readonly computeUrl: string; readonly imageUrl: string | undefined };

/** By password at the Identity service; endpoints from its catalog. Throws when it is refused. */
export async function logIn(account: Account): Promise<Login> {
  const identity = new HttpLoad(account.authUrl, 1);
  const user = { name: account.username, domain: { name: account.userDomain }, password: account.password };
  const project = { name: account.project, domain: { name: account.projectDomain } };
  const body = JSON.stringify({ auth: { identity: { methods: ['password'], password: { user } }, scope: { project } } });
  const answer = await identity.send({ method: 'POST', path: '/auth/tokens', headers: { 'Content-Type': 'application/json' }, body });
  await identity.close();
  const token = answer.headers['x-subject-token'];
  if (answer.status !== 201 || typeof token !== 'string') throw new Error(`login refused: ${answer.status} ${answer.bytes.toString().slice(0, 200)}`);
  const { token: granted } = TOKEN.parse(bodyOf(answer));
  const urlOf = (type: string): string | undefined =>
    granted.catalog
      .find((service) => service.type === type)
      ?.endpoints.find(
        (endpoint) => endpoint.interface === 'public' && (account.region === undefined || (endpoint.region_id ?? endpoint.region) === account.region),
      )?.url;
  const computeUrl = urlOf('compute');
  if (computeUrl === undefined) throw new Error('the catalog names no compute service');
  return { token, projectId: granted.project.id, computeUrl, imageUrl: urlOf('image')?.replace(/\/v2\/?$/, '') };
}

/** What an accepted create made; undefined when it was refused. */
export function madeId(answer: Answer): string | undefined {
  return answer.status === 202 ? MADE.parse(bodyOf(answer)).server.id : undefined;
}

export function bodyOf(answer: Answer): unknown {
  return JSON.parse(answer.bytes.toString());
}

function idsIn(bytes: Buffer): string[] {
  return SERVERS.parse(JSON.parse(bytes.toString())).servers.map(({ id }) => id);
}
