/**
 * A whole cluster on one machine: control and API nodes, compute nodes and a PostgreSQL server, each in a network
 * namespace and on a disk (in memory) of its own, so that every one can be killed, paused, cut off and filled up alone.
 *
 *   const cluster = await startCluster({ controls: 3, computes: 4 });     // some 10 s
 *   const { status, body } = await cluster.call(cluster.controls[0], 'GET', '/servers');
 *   await cluster.close();                                                // nothing stays behind
 *
 * Compute nodes hold no credentials of the database: each has a key, by which the cluster lets it in.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, realpathSync } from 'node:fs';
import { chmod, cp, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import { query } from './checkers.ts';
import { hasPostgres, ClusterPostgres } from './rig/postgres.ts';
import { ClusterNode } from './rig/node.ts';
import { lacksNetwork, Network, type Member } from './rig/network.ts';
import { LAUNCHER, type Answer } from '../doubles/cloud.ts';

export type ClusterOptions = {
  /** Nodes with roles `api` and `control`. */
  readonly controls: number;
  readonly computes: number;
  /** Simulated hosts of each compute node. */
  readonly hostsEach?: number;
  /** Further settings for every node. */
  readonly settings?: { readonly [key: string]: string };
};

/** Of each node: room for logs and guests, and quick to fill. */
const DISK_MIB = 64;
const ANSWER_LIMIT_MS = 20_000;
const CONNECT_LIMIT_MS = 2_000;
const LOGIN_LIMIT_MS = 5_000;
/** Where files live in memory, when the machine has such a place. */
const MEMORY = '/dev/shm';

/** What a machine lacks for a cluster, in words; undefined when nothing. */
export function lacksCluster(): string | undefined {
  return hasPostgres() ? lacksNetwork() : 'the programs of PostgreSQL';
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const folder = realpathSync(mkdtempSync(join(process.platform === 'linux' ? MEMORY : tmpdir(), 'novact-chaos-')));
  await chmod(folder, 0o711);
  const network = await Network.open(folder);
  const cluster = new Cluster(folder, network);
  try {
    await cluster.begin(options);
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

export class Cluster {
  readonly folder: string;
  readonly network: Network;
  /** Nodes with an API. */
  readonly controls: ClusterNode[] = [];
  readonly computes: ClusterNode[] = [];
  /** Secret keys of nodes that were let in by one. */
  readonly keys: string[] = [];
  readonly #agent = new Agent({ connections: 128, connect: { timeout: CONNECT_LIMIT_MS }, pipelining: 1 });
  #postgres: ClusterPostgres | undefined;
  #token: Promise<string> | undefined;
  #secrets: { readonly [name: string]: string } | undefined;

  constructor(folder: string, network: Network) {
    this.folder = folder;
    this.network = network;
  }

  get postgres(): ClusterPostgres {
    if (this.#postgres === undefined) throw new Error('the cluster has not begun');
    return this.#postgres;
  }

  get nodes(): readonly ClusterNode[] {
    return [...this.controls, ...this.computes];
  }

  get databaseUrl(): string {
    return this.postgres.url;
  }

  /** Where the simulated hosts keep their guests. */
  get dataDirs(): readonly string[] {
    return this.computes.map(({ dataDir }) => dataDir);
  }

  async begin({ controls, computes, hostsEach = 1, settings = {} }: ClusterOptions): Promise<void> {
    const { network, folder } = this;
    this.#postgres = await ClusterPostgres.open(network, await network.add('db'), join(folder, 'db'));
    for (let number = 1; number <= controls; number++) {
      this.controls.push(this.#node(await network.add(`control-${number}`), ['api', 'control'], { 'database.url': this.databaseUrl, ...settings }));
    }
    await this.#upAll(this.controls);
    for (let number = 1; number <= computes; number++) {
      const member = await network.add(`compute-${number}`);
      const hosts = { 'hosts.0.name': `${member.name}-{n}`, 'hosts.0.count': String(hostsEach) };
      this.computes.push(await this.#computeNode(member, { ...settings, ...hosts }));
    }
    await this.#upAll(this.computes);
  }

  /** Calls the Compute API of a node. Rejects when there is no answer. */
  async call<Body = unknown>(
    node: ClusterNode,
    method: string,
    path: string,
    body?: unknown,
    options: { readonly headers?: { readonly [name: string]: string }; readonly signal?: AbortSignal } = {},
  ): Promise<Answer<Body>> {
    const answer = await request(`${node.url('compute')}/v2.1${path}`, {
      method: method as 'GET',
      dispatcher: this.#agent,
      signal: options.signal ?? AbortSignal.timeout(ANSWER_LIMIT_MS),
      headers: {
        accept: 'application/json',
        'x-auth-token': await this.token(),
        'openstack-api-version': 'compute 2.90',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await answer.body.text();
    if (answer.statusCode === 401) this.#token = undefined; // it may have run out
    return { status: answer.statusCode, headers: answer.headers, body: parse(text) as Body };
  }

  /** Of the administrator. */
  token(): Promise<string> {
    this.#token ??= this.#login();
    this.#token.catch(() => (this.#token = undefined));
    return this.#token;
  }

  async imageId(): Promise<string> {
    const [node] = this.controls;
    const { body } = await request(`${node?.url('image')}/v2/images?name=tiny`, { headers: { 'x-auth-token': await this.token() } });
    const { images } = (await body.json()) as { images: { id: string }[] };
    return images[0]?.id ?? '';
  }

  /** What the cloud keeps to itself, by name. */
  async secrets(): Promise<{ readonly [name: string]: string }> {
    const rows = this.#secrets === undefined ? await query<{ name: string; value: string }>(this, 'select name, value from cell_secret') : [];
    this.#secrets ??= Object.fromEntries(rows.map(({ name, value }) => [name, value]));
    return this.#secrets;
  }

  /** Copies logs and guests to where they outlive the cluster. */
  async keep(target: string): Promise<void> {
    for (const node of this.nodes) {
      const to = join(target, node.name);
      await mkdir(to, { recursive: true });
      for (const name of ['novact.log', 'hosts']) await cp(join(node.dataDir, name), join(to, name), { recursive: true }).catch(() => undefined);
    }
    await cp(this.postgres.logFile, join(target, 'postgres.log')).catch(() => undefined);
  }

  /** Ends everything. Harmless twice. */
  async close(): Promise<void> {
    try {
      await Promise.all([...this.controls, ...this.computes].map((node) => node.close()));
      await Promise.all([this.#agent.destroy(), this.#postgres?.close()]);
    } finally {
      await this.network.close();
    }
  }

  #node(member: Member, roles: readonly string[], settings: { readonly [key: string]: string }, words: readonly string[] = []): ClusterNode {
    const own = { name: member.name, bind: member.address, publicAddress: member.address, ...settings };
    const args = ['--driver', 'simulated', ...words, ...Object.entries(own).flatMap(([key, value]) => ['--set', `${key}=${value}`])];
    return new ClusterNode({ member, folder: this.folder, roles, diskMiB: DISK_MIB, args });
  }

  /** Without a database: it has a key, by which the cluster lets it in. */
  async #computeNode(member: Member, settings: { readonly [key: string]: string }): Promise<ClusterNode> {
    const keyFile = join(this.folder, `${member.name}.key`);
    const words = [LAUNCHER, 'node', 'add', member.name, '--roles', 'compute', '--set', `database.url=${this.databaseUrl}`];
    const { PATH, HOME } = process.env;
    const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: '/', env: { PATH, HOME } });
    await writeFile(keyFile, stdout, { mode: 0o600 });
    this.keys.push((JSON.parse(stdout) as { secretKey: string }).secretKey);
    return this.#node(member, ['compute'], settings, ['--key-file', keyFile]);
  }

  async #upAll(nodes: readonly ClusterNode[]): Promise<void> {
    for (const node of nodes) node.start();
    await Promise.all(nodes.map((node) => node.up()));
  }

  /** At whichever node answers. */
  async #login(): Promise<string> {
    const why: string[] = [];
    for (const node of this.controls) {
      try {
        return await this.#loginAt(node);
      } catch (error) {
        why.push(`${node.name}: ${String(error)}`);
      }
    }
    throw new Error(`nobody can log in: ${why.join('; ')}`);
  }

  async #loginAt(node: ClusterNode): Promise<string> {
    const { admin: password } = await this.secrets();
    const user = { name: 'admin', password, domain: { id: 'default' } };
    const scope = { project: { name: 'admin', domain: { id: 'default' } } };
    const answer = await request(`${node.url('identity')}/v3/auth/tokens`, {
      method: 'POST',
      dispatcher: this.#agent,
      signal: AbortSignal.timeout(LOGIN_LIMIT_MS),
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ auth: { identity: { methods: ['password'], password: { user } }, scope } }),
    });
    const token = answer.headers['x-subject-token'];
    const text = await answer.body.text();
    if (answer.statusCode !== 201 || typeof token !== 'string') throw new Error(`${answer.statusCode} ${text}`);
    return token;
  }
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}
