/** The Compute API over HTTP on a socket in a directory, in front of a cloud in memory; tokens and images are tables. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { systemClock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { hashToken } from '../../../http/kit/auth.ts';
import type { Caller, TokenChecker } from '../../../http/kit/auth.ts';
import type { CatalogImage, ImageCatalog } from '../../../http/kit/image-catalog.ts';
import type { ProjectCatalog } from '../../../http/kit/keystone-projects.ts';
import { COMPUTE_DEFAULTS } from '../../../http/compute/parts.ts';
import type { ComputeSettings } from '../../../http/compute/parts.ts';
import { computeApi } from '../../../http/compute/router.ts';
import { MemoryCloud } from './memory-cloud.ts';

export const PROJECT = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';
export const OTHER_PROJECT = 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb';
export const IMAGE_ID = '70a599e0-31e7-49b7-b260-868f441e862b';

export type Answer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  readonly text: string;
  /** A member of the body by its path, `server.links.0.href`; undefined when there is none. */
  at(...path: (string | number)[]): unknown;
};

export type AskOptions = {
  readonly token?: string | null;
  readonly version?: string;
  readonly headers?: { [name: string]: string };
  readonly body?: unknown;
  readonly raw?: string | Buffer;
};

const FAR_MS = Date.parse('2099-01-01T00:00:00Z');

export class TokenTable implements TokenChecker {
  readonly callers = new Map<string, Caller>();
  isDown = false;

  add(token: string, some: Partial<Caller>): this {
    const roles = some.roles ?? ['member', 'reader'];
    this.callers.set(token, {
      tokenHash: hashToken(token),
      userId: `user-${token}`,
      userName: token,
      userDomainId: 'default',
      projectId: PROJECT,
      projectName: 'one',
      projectDomainId: 'default',
      roles,
      isAdmin: roles.includes('admin'),
      expiresAtMs: FAR_MS,
      ...some,
    });
    return this;
  }

  async check(token: string): Promise<Caller | null> {
    if (this.isDown) throw new Fault('unavailable', 'service.identity', 'The identity service is unavailable at this time.');
    return this.callers.get(token) ?? null;
  }
}

export class ImageTable implements ImageCatalog {
  readonly images = new Map<string, CatalogImage>();

  add(some: Partial<CatalogImage> & { id: string }): this {
    this.images.set(some.id, {
      name: 'cirros',
      diskFormat: 'qcow2',
      containerFormat: 'bare',
      sizeBytes: 1_000_000,
      hash: null,
      minDiskGiB: 0,
      minMemoryMiB: 0,
      properties: {},
      status: 'active',
      visibility: 'public',
      owner: OTHER_PROJECT,
      isProtected: false,
      createdAt: '2026-11-01T00:00:00Z',
      updatedAt: '2026-11-01T00:00:00Z',
      ...some,
    });
    return this;
  }

  async show(id: string): Promise<CatalogImage | null> {
    return this.images.get(id) ?? null;
  }

  async list(): Promise<readonly CatalogImage[]> {
    return [...this.images.values()];
  }

  async remove(id: string): Promise<void> {
    this.images.delete(id);
  }

  async change(id: string, { set, drop }: { set: { readonly [key: string]: string }; drop: readonly string[] }): Promise<CatalogImage> {
    const image = this.images.get(id);
    if (image === undefined) throw new Fault('notFound', 'image', 'Image not found.');
    const properties = Object.fromEntries(Object.entries({ ...image.properties, ...set }).filter(([key]) => !drop.includes(key)));
    this.add({ ...image, properties });
    return { ...image, properties };
  }
}

export type Rig = {
  readonly cloud: MemoryCloud;
  readonly tokens: TokenTable;
  readonly images: ImageTable;
  readonly url: string;
  /** Where it listens, for bytes that no client would send. */
  readonly socketPath: string;
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>;
  /** Creates a server of the member and returns its id; it is active unless said otherwise. */
  server(some?: object, options?: { readonly building?: boolean; readonly token?: string }): Promise<string>;
  close(): Promise<void>;
};

export async function openRig(settings: Partial<ComputeSettings> = {}, projects?: ProjectCatalog): Promise<Rig> {
  const cloud = new MemoryCloud();
  const tokens = new TokenTable()
    .add('member', {})
    .add('reader', { roles: ['reader'] })
    .add('admin', { roles: ['admin', 'member', 'reader'] })
    .add('other', { projectId: OTHER_PROJECT })
    .add('unscoped', { projectId: null, roles: [] })
    .add('expired', { expiresAtMs: Date.parse('2020-01-01T00:00:00Z') });
  const images = new ImageTable().add({ id: IMAGE_ID });
  const door = computeApi({
    actors: cloud,
    tokens,
    images,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    settings: { ...COMPUTE_DEFAULTS, ...settings },
    ...(projects && { projects }),
  });
  const directory = mkdtempSync(join(tmpdir(), 'door-'));
  const socketPath = join(directory, 'socket');
  const server = createServer({ maxHeaderSize: 32_768 }, (incoming, response) => void door(incoming, response));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const dispatcher = new Agent({ connect: { socketPath } });
  const url = 'http://compute.test:8774';

  async function ask(method: string, path: string, options: AskOptions = {}): Promise<Answer> {
    const { token = 'member', version, body, raw } = options;
    const headers: { [name: string]: string } = {
      ...(body === undefined && raw === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    };
    if (token !== null) headers['x-auth-token'] = token;
    if (version !== undefined) headers['openstack-api-version'] = `compute ${version}`;
    const answer = await request(`${url}${path}`, {
      dispatcher,
      method: method as 'GET',
      headers,
      body: raw ?? (body === undefined ? null : JSON.stringify(body)),
    });
    const text = await answer.body.text();
    const parsed: unknown = text === '' ? undefined : JSON.parse(text);
    return { status: answer.statusCode, headers: answer.headers, text, body: parsed, at: (...path) => path.reduce(memberOf, parsed) };
  }

  return {
    cloud,
    tokens,
    images,
    url,
    socketPath,
    ask,
    async server(some = {}, { building = false, token = 'member' } = {}) {
      const made = await ask('POST', '/v2.1/servers', { token, body: { server: { name: 'test', imageRef: IMAGE_ID, flavorRef: '1', ...some } } });
      if (made.status !== 202) throw new Error(`create: ${made.status} ${made.text}`);
      const id = String(made.at('server', 'id'));
      if (!building) cloud.activate(id);
      return id;
    },
    async close() {
      await dispatcher.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(directory, { recursive: true });
    },
  };
}

/** For `reduce` over a path. */
export function memberOf(value: unknown, name: string | number): unknown {
  return value !== null && typeof value === 'object' ? Reflect.get(value, name) : undefined;
}
