/**
 * The README's section “A cluster”, command by command as it stands there: three control nodes and a compute node on
 * one PostgreSQL; then the rolling restart that it promises, under calls that may be made once more at another node.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CHECKOUT, lacks, LAUNCHER } from '../doubles/cloud.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../doubles/postgres.ts';

type Started = { readonly name: string; readonly line: string; child: ChildProcess; said: string };
type Account = { readonly username: string; readonly password: string; readonly project_name: string };

const START_MS = 60_000;
const CALL_MS = 10_000;
const CALLERS = 4;
const PAUSE_MS = 20;
/** Below the range from which the kernel gives ports to clients; the embedded database's port, unused here, would leave it. */
const OFFSET = 10_000 + 20 * randomInt(600);
const ADDRESSES = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
const run = promisify(execFile);

const section = /^## A cluster\n([^]*?)^## /m.exec(readFileSync(join(CHECKOUT, 'README.md'), 'utf8'))?.[1] ?? '';
const blocks = [...section.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(([, language = '', text = '']) => ({ language, text: text.trim() }));
const commands = blocks.filter(({ language }) => language === 'sh').flatMap(({ text }) => text.split('\n'));

let folder = '';
let postgres: TestPostgres | undefined;
let token: string;
const exported: string[] = [];
const nodes: Started[] = [];
const agent = new Agent({ connect: { timeout: 2_000 } });

beforeAll(async () => {
  if (mayLackPostgres()) return;
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'novact-readme-')));
  postgres = await startTestPostgres();
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => ended(node, 'SIGKILL')));
  await agent.destroy();
  await postgres?.close();
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(mayLackPostgres())('the README’s cluster (needs PostgreSQL)', () => {
  it('gets its database', async () => {
    const [sql] = blocks.filter(({ language }) => language === 'sql');
    for (const statement of sql?.text.split(';').filter((one) => one.trim() !== '') ?? []) await postgres?.run(statement);
  });

  it('starts with the commands as they stand', async () => {
    const upTo = commands.findIndex((line) => line.includes('node list'));
    const lines = commands.slice(0, upTo);
    const atOnce = lines.filter((line) => line.includes('start --name')); // in terminals of their own
    await follow(lines[0] ?? '');
    await Promise.all(atOnce.map(follow));
    for (const line of lines.slice(1 + atOnce.length)) await follow(line);
    expect(nodes.map(({ name }) => name)).toEqual(['n1', 'n2', 'n3', 'c1']);
  });

  it('is listed as it says', async () => {
    const shown = await follow(commands.find((line) => line.includes('node list')) ?? '');
    const promised = blocks.find(({ text }) => text.startsWith('NAME'))?.text ?? '';
    expect(words(shown.replaceAll(`:${7770 + OFFSET}`, ':7770'))).toEqual(words(promised));
  });

  it('runs servers, which all nodes know', async (context) => {
    token = await login();
    await until('the hosts are up', async () => (await call<{ hypervisors: unknown[] }>(0, 'GET', '/os-hypervisors')).hypervisors.length === 2);
    try {
      await run('openstack', ['--version']);
    } catch {
      return lacks(context.skip, 'openstack');
    }
    let shown = '';
    for (const line of commands.filter((one) => one.includes('clouds.yaml') || one.startsWith('openstack'))) shown = await follow(line);
    const promised = blocks.find(({ text }) => text.includes('far-1'))?.text ?? '';
    expect(words(shown).toSorted()).toEqual(words(promised).toSorted());
  });

  it('is restarted node by node without a failed call, and its servers stay', async () => {
    const before = await servers();
    const load = new Load(before.map(({ id }) => id));
    for (const node of nodes.filter(({ name }) => name.startsWith('n'))) {
      expect(await ended(node, 'SIGTERM')).toBe(0);
      await start(node);
      const status = commands.find((line) => line.includes('novact.js status')) ?? '';
      expect(await follow(status.replace('--data n1', `--data ${node.name}`))).toMatch(/health +well/);
    }
    const { calls, failed, retried } = await load.end();
    expect(failed).toEqual([]);
    expect(calls).toBeGreaterThan(20);
    console.log(`rolling restart: ${calls} calls, ${retried} made again elsewhere, the slowest took ${Math.round(load.slowestMs)} ms`);
    expect(await servers()).toEqual(before);
    // Those that stop give up what they have: nobody waits for a lease to end.
    for (const name of ['n1', 'n2', 'n3']) expect(readFileSync(join(folder, name, 'novact.log'), 'utf8')).not.toContain('of a lapsed node');
  });

  it('lets a stopped control node go, and a compute node by its key', async () => {
    const [, , third] = nodes;
    if (third) await ended(third, 'SIGTERM');
    const line = commands.find((one) => one.includes('node list')) ?? '';
    expect(await follow(line)).not.toMatch(/^n3 /m);
    const removal = /`(node novact\.js node remove c1)`/.exec(section)?.[1] ?? '';
    await follow(removal);
    expect(await follow(line)).not.toMatch(/^c1 /m);
  });
});

/** Calls that may be made twice, at all control nodes in turn, and once more at the next one when the first fails. */
class Load {
  calls = 0;
  retried = 0;
  slowestMs = 0;
  readonly failed: string[] = [];
  readonly #ids: readonly string[];
  #isOver = false;
  readonly #callers: Promise<void[]>;

  constructor(ids: readonly string[]) {
    this.#ids = ids;
    this.#callers = Promise.all(Array.from({ length: CALLERS }, (_, index) => this.#caller(index)));
  }

  async end(): Promise<this> {
    this.#isOver = true;
    await this.#callers;
    return this;
  }

  async #caller(index: number): Promise<void> {
    for (let turn = index; !this.#isOver; turn++) {
      const id = this.#ids[turn % this.#ids.length] ?? '';
      const beforeMs = performance.now();
      if (turn % 3 === 0) await this.#call(turn, 'PUT', `/servers/${id}/metadata/turn`, { meta: { turn: String(turn) } });
      else await this.#call(turn, 'GET', turn % 3 === 1 ? '/servers/detail' : `/servers/${id}`);
      this.slowestMs = Math.max(this.slowestMs, performance.now() - beforeMs);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async #call(turn: number, method: string, path: string, body?: unknown): Promise<void> {
    this.calls++;
    try {
      await call(turn, method, path, body);
    } catch {
      this.retried++;
      await call(turn + 1, method, path, body).catch((error: unknown) => this.failed.push(`${method} ${path}: ${String(error)}`));
    }
  }
}

/** Does what a line says; one that starts a node is done when the node is up. Says what it printed. */
async function follow(line: string): Promise<string> {
  if (line.startsWith('export ')) {
    exported.push(here(line));
    return '';
  }
  const name = /novact\.js start .*?(?:--name |--key-file )(\w+)/.exec(line)?.[1];
  if (name === undefined) return (await run('sh', ['-c', script(line)], { cwd: folder, env: surroundings() })).stdout;
  const node = { name, line, child: undefined as unknown as ChildProcess, said: '' };
  nodes.push(node);
  await start(node);
  return node.said;
}

async function start(node: Started): Promise<void> {
  node.said = '';
  const child = spawn('sh', ['-c', script(`exec ${node.line}`)], { cwd: folder, env: surroundings(), stdio: ['ignore', 'pipe', 'pipe'] });
  node.child = child;
  const up = Promise.withResolvers<void>();
  const hear = (chunk: Buffer): void => {
    node.said += chunk.toString();
    if (node.said.includes(` is up: node ${node.name}`)) up.resolve();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  child.once('close', () => up.reject(new Error(`${node.line}\n${node.said}`)));
  const late = setTimeout(() => up.reject(new Error(`not up in ${START_MS} ms: ${node.line}\n${node.said}`)), START_MS);
  await up.promise.finally(() => clearTimeout(late));
}

async function ended({ child }: Started, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
  return child.exitCode;
}

function script(line: string): string {
  return [...exported, here(line)].join('\n');
}

/** The words of the README on this machine: where the program is, and where the database listens. */
function here(line: string): string {
  return line.replaceAll('node novact.js', `node ${LAUNCHER}`).replace('127.0.0.1:5432', new URL(postgres?.url ?? '').host);
}

function surroundings(): NodeJS.ProcessEnv {
  const { HOME, TMPDIR } = process.env;
  return {
    HOME,
    TMPDIR,
    PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    NOVACT_PORT_OFFSET: String(OFFSET),
    NOVACT_SET_PORTS__DATABASE: '3009',
  };
}

async function servers(): Promise<readonly { readonly id: string; readonly status: string }[]> {
  const { servers: found } = await call<{ servers: { id: string; status: string }[] }>(0, 'GET', '/servers/detail');
  return found.map(({ id, status }) => ({ id, status }));
}

/** `turn` chooses the node. Rejects when it does not answer, or does not do it. */
async function call<Body>(turn: number, method: string, path: string, body?: unknown): Promise<Body> {
  const url = `http://${ADDRESSES[turn % ADDRESSES.length] ?? ''}:${8774 + OFFSET}/v2.1${path}`;
  const headers = { 'x-auth-token': token, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  const answer = await request(url, {
    method: method as 'GET',
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    dispatcher: agent,
    signal: AbortSignal.timeout(CALL_MS),
  });
  const text = await answer.body.text();
  if (answer.statusCode >= 400) throw new Error(`${answer.statusCode} ${text}`);
  return JSON.parse(text) as Body;
}

/** As the administrator in the project of the demo account: the one sees hosts, the other has the servers. */
async function login(): Promise<string> {
  const file = parse(readFileSync(join(folder, 'n1/clouds.yaml'), 'utf8')) as { clouds: { [name: string]: { auth: Account } } };
  const admin = file.clouds['novact-admin']?.auth;
  const demo = file.clouds['novact']?.auth;
  const domain = { id: 'default' };
  const user = { name: admin?.username, password: admin?.password, domain };
  const auth = { identity: { methods: ['password'], password: { user } }, scope: { project: { name: demo?.project_name, domain } } };
  const url = `http://${ADDRESSES[0] ?? ''}:${5000 + OFFSET}/v3/auth/tokens`;
  const { statusCode, headers, body } = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth }),
    dispatcher: agent,
  });
  const given = headers['x-subject-token'];
  if (typeof given !== 'string') throw new Error(`no token: ${statusCode} ${await body.text()}`);
  await body.dump();
  return given;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + START_MS;
  while (!(await isSo().catch(() => false))) {
    if (Date.now() > endMs) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
