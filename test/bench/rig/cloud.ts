/**
 * The cloud that is measured: one of our own in a temporary folder, started as a user would start it, or, when OS_*
 * variables name one, any that speaks the Compute API. Ours is another process than this one, ends with it whatever
 * happens, and leaves nothing behind.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

/** How to log in. */
export type Account = {
  readonly authUrl: string;
  readonly username: string;
  readonly password: string;
  readonly project: string;
  readonly userDomain: string;
  readonly projectDomain: string;
  readonly region: string | undefined;
};

export type Started = { readonly account: Account; readonly computeUrl: string };

const PROGRAM = join(import.meta.dirname, '../../../novact.js');
/** Room for tens of thousands of the smallest servers, so that no run measures a full cloud. */
const SETTINGS = {
  hosts: [{ name: 'host-{n}', count: 8, driver: { kind: 'simulated', capacity: { vcpus: 8_192, memoryMiB: 16_777_216, diskGiB: 1_048_576 } } }],
};
/** Simulated guests lie in memory where there is such a place: what a hypervisor writes is not the cloud's work. */
const MEMORY_DIR = '/dev/shm';
const OFFSET_MAX = 11_000;
const TRIES = 5;
const START_MS = 60_000;
const STOP_MS = 30_000;

const CLOUDS = z.object({
  clouds: z.record(
    z.string(),
    z.object({
      auth: z.object({
        auth_url: z.string(),
        username: z.string(),
        password: z.string(),
        project_name: z.string(),
        user_domain_name: z.string(),
        project_domain_name: z.string(),
      }),
      region_name: z.string(),
    }),
  ),
});
const NODE = z.object({ address: z.string(), ports: z.record(z.string(), z.number()) });

/** The cloud that OS_* variables name, or undefined when they name none. */
export function foreignAccount(env: NodeJS.ProcessEnv): Account | undefined {
  const { OS_AUTH_URL: authUrl, OS_USERNAME: username, OS_PASSWORD: password, OS_PROJECT_NAME: project } = env;
  if (!authUrl || !username || !password || !project) return undefined;
  return {
    authUrl: `${authUrl.replace(/\/+$/, '').replace(/\/v3$/, '')}/v3`,
    username,
    password,
    project,
    userDomain: env['OS_USER_DOMAIN_NAME'] ?? 'Default',
    projectDomain: env['OS_PROJECT_DOMAIN_NAME'] ?? 'Default',
    region: env['OS_REGION_NAME'],
  };
}

const running = new Set<OwnCloud>();

/** Ends what runs and removes its folders: for who is interrupted. */
export async function closeClouds(): Promise<void> {
  await Promise.all([...running].map((cloud) => cloud.close()));
}

/** A cloud of our own. `BENCH_NODE_OPTIONS` are options of its Node, such as --cpu-prof. */
export class OwnCloud {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'novact-bench-'));
  readonly #hostsDir = existsSync(MEMORY_DIR) ? mkdtempSync(join(MEMORY_DIR, 'novact-bench-')) : undefined;
  #child: ChildProcess | undefined;
  #offset = freshOffset();

  constructor() {
    running.add(this);
    if (this.#hostsDir !== undefined) symlinkSync(this.#hostsDir, join(this.dataDir, 'hosts'));
  }

  /** All processes are this one's descendants. None when it does not run. */
  get pids(): readonly number[] {
    return this.#child?.pid === undefined ? [] : [this.#child.pid];
  }

  /** Starts the program on the folder, with other ports while they are taken; resolves when it says that it is up. */
  async start(): Promise<Started> {
    for (let attempt = 1; ; attempt++) {
      const said = await this.#run();
      if (said.isUp) break;
      if (attempt === TRIES || !said.text.includes('--port-offset')) throw new Error(`the cloud did not start:\n${said.text}`);
      this.#offset = freshOffset();
    }
    return this.#read();
  }

  /** Starts the program and waits for nothing. The ports are those of the start before. */
  launch(): void {
    const config = join(this.dataDir, 'bench.config.json');
    writeFileSync(config, JSON.stringify(SETTINGS));
    const { OS_CLOUD: _cloud, NODE_OPTIONS: _own, BENCH_NODE_OPTIONS: options, ...env } = process.env;
    // The open pipe to its fourth descriptor ends it in order when this process is killed.
    this.#child = spawn(process.execPath, [PROGRAM, 'start', '--config', config, '--data', this.dataDir, '--port-offset', String(this.#offset)], {
      cwd: this.dataDir,
      env: { ...env, NOVACT_LAUNCHER_FD: '3', ...(options === undefined ? {} : { NODE_OPTIONS: options }) },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
  }

  /** Ends it in order. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const limit = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(limit);
  }

  async close(): Promise<void> {
    running.delete(this);
    await this.stop();
    for (const dir of [this.dataDir, this.#hostsDir]) if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
  }

  #run(): Promise<{ isUp: boolean; text: string }> {
    this.launch();
    const child = this.#child as ChildProcess;
    return new Promise((resolve) => {
      let text = '';
      const limit = setTimeout(() => child.kill('SIGKILL'), START_MS);
      const end = (isUp: boolean): void => {
        clearTimeout(limit);
        resolve({ isUp, text });
      };
      const hear = (chunk: Buffer): void => {
        text += chunk.toString();
        if (/ is up: /.test(text)) end(true);
      };
      child.stdout?.on('data', hear);
      child.stderr?.on('data', hear);
      child.once('exit', () => end(false));
    });
  }

  #read(): Started {
    const { clouds } = CLOUDS.parse(parse(readFileSync(join(this.dataDir, 'clouds.yaml'), 'utf8')));
    const { address, ports } = NODE.parse(JSON.parse(readFileSync(join(this.dataDir, 'node.json'), 'utf8')));
    const admin = clouds['novact-admin'];
    if (admin === undefined) throw new Error('the cloud names no administrator');
    const { auth_url: authUrl, username, password, project_name: project, user_domain_name: userDomain, project_domain_name: projectDomain } = admin.auth;
    const account = { authUrl, username, password, project, userDomain, projectDomain, region: admin.region_name };
    return { account, computeUrl: `http://${address}:${ports['compute']}/v2.1` };
  }
}

function freshOffset(): number {
  return 100 + Math.floor(Math.random() * (OFFSET_MAX - 100));
}
