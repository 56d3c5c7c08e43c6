/**
 * A store that survives a machine: etcd and three PostgreSQLs under Patroni on loopback, with one synchronous standby,
 * in a folder of its own. To look at it by hand:
 *
 *   node test/failover/patroni.ts --folder DIR     prints the URL for novact; Ctrl-C ends and removes it
 *
 * The programs are the machine's (Debian: apt install patroni etcd-server postgresql); PostgreSQL refuses to be root,
 * so all of it runs as `postgres` then. A keeper shell ends every process by its number when this process has ended,
 * however it ended.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { request } from 'undici';
import { systemClock } from '../../runtime/base/clock.ts';

export type Replica = { readonly name: string; readonly port: number; readonly restPort: number; readonly role: string; readonly isSync: boolean };
export type Failover = {
  /** All servers of it, as `database.url` takes them. */
  readonly url: string;
  /** Who is what now, as Patroni says. */
  members(): Promise<readonly Replica[]>;
  /** The URL of one server alone. */
  urlOf(port: number): string;
  /** Ends a server's Patroni and all of its PostgreSQL as a lost machine would. `only`: leaves the other alone. */
  kill9(name: string, only?: 'patroni' | 'postgres'): void;
  start(name: string): void;
  /** Waits for a primary with a synchronous standby. */
  whole(besides?: string): Promise<void>;
  close(): Promise<void>;
};

/** What Patroni permits at the least is 20, 1 and 3; ttl must be loop_wait + 2 * retry_timeout or more. */
const TIMES = { ttl: 20, loop_wait: 1, retry_timeout: 3 };
const NAMES = ['one', 'two', 'three'] as const;
const WHOLE_MS = 90_000;
const LOOK_MS = 200;
const PASSWORD = 'failover-test';
const HOST = '127.0.0.1';

/** Reads numbers of processes until its pipe closes; ends those whose words or folder still name $1. */
const KEEPER = `
dir=$1; trap '' INT TERM HUP; pids=
while read -r pid; do pids="$pids $pid"; done
for i in 1 2 3; do
  for file in "$dir"/*/data/postmaster.pid; do pids="$pids $(head -n 1 "$file" 2>/dev/null)"; done
  for pid in $pids; do tr '\\0' '\\n' < /proc/$pid/cmdline 2>/dev/null | grep -qF -- "$dir" && kill -KILL $pid 2>/dev/null; done
  sleep 0.3
done
rm -rf "$dir"
`;

export function hasPatroni(): boolean {
  return programs() !== undefined && ['patroni', 'etcd'].every((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0);
}

export async function startFailover(given?: string): Promise<Failover> {
  const bin = programs();
  if (bin === undefined) throw new Error('no PostgreSQL programs of the machine');
  const folder = given ?? mkdtempSync(join(tmpdir(), 'novact-failover-'));
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  const keeper = spawn('sh', ['-c', KEEPER, 'keeper', folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  keeper.stdin.on('error', () => undefined);
  keeper.unref();
  const account = accountOf('postgres');
  const [etcdPort = 0, peerPort = 0, ...ports] = await freePorts(2 + 2 * NAMES.length);
  const places = NAMES.map((name, i) => ({ name, port: ports[2 * i] ?? 0, restPort: ports[2 * i + 1] ?? 0, dir: join(folder, name) }));
  const pids = new Map<string, number>();

  const run = (name: string, program: string, args: readonly string[]): void => {
    const log = join(folder, `${name}.log`);
    const child = spawn('sh', ['-c', 'exec "$0" "$@" >>"$LOG" 2>&1', program, ...args], {
      cwd: folder,
      stdio: 'ignore',
      detached: true,
      env: { PATH: process.env['PATH'], LANG: 'C.UTF-8', LOG: log },
      ...account,
    });
    child.on('error', () => undefined);
    child.unref();
    if (child.pid === undefined) return;
    pids.set(name, child.pid);
    keeper.stdin.write(`${child.pid}\n`);
  };
  const own = (path: string): void => {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if (account) chownSync(path, account.uid, account.gid);
  };
  if (account) chownSync(folder, account.uid, account.gid);
  own(join(folder, 'etcd'));
  const client = `http://${HOST}:${etcdPort}`;
  const peer = `http://${HOST}:${peerPort}`;
  const etcd = ['--name', 'e', '--data-dir', join(folder, 'etcd'), '--listen-client-urls', client, '--advertise-client-urls', client];
  run('etcd', 'etcd', [...etcd, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `e=${peer}`, '--unsafe-no-fsync']);
  for (const place of places) {
    own(place.dir);
    const file = join(folder, `${place.name}.yml`);
    writeFileSync(file, JSON.stringify(settingsOf(place, { bin, etcdPort, folder }), null, 1), { mode: 0o600 });
    if (account) chownSync(file, account.uid, account.gid);
  }

  const urlOf = (port: number): string => `postgresql://postgres:${PASSWORD}@${HOST}:${port}/novact`;
  const failover: Failover = {
    url: `postgresql://postgres:${PASSWORD}@${places.map(({ port }) => `${HOST}:${port}`).join(',')}/novact?target_session_attrs=read-write`,
    urlOf,
    members: () => membersOf(places),
    start: (name) => run(name, 'patroni', [join(folder, `${name}.yml`)]),
    kill9(name, only) {
      const dir = join(folder, name, 'data');
      const all = [...(only === 'postgres' ? [] : [pids.get(name) ?? 0]), ...(only === 'patroni' ? [] : serversIn(dir))];
      for (const pid of all) if (pid > 0 && isOurs(pid, folder)) process.kill(pid, 'SIGKILL');
    },
    async whole(besides) {
      const endMs = systemClock.monotonicMs() + WHOLE_MS;
      for (;;) {
        const members = await membersOf(places);
        if (members.some(({ role, name }) => role === 'master' && name !== besides) && members.some(({ isSync }) => isSync)) return;
        if (systemClock.monotonicMs() > endMs) throw new Error(`no primary with a standby:\n${JSON.stringify(members)}\n${logsIn(folder)}`);
        await systemClock.sleep(LOOK_MS);
      }
    },
    async close() {
      if (keeper.exitCode !== null || keeper.signalCode !== null) return;
      const gone = new Promise((resolve) => keeper.once('exit', resolve));
      keeper.ref();
      keeper.stdin.end();
      await gone;
    },
  };
  try {
    failover.start('one');
    await until('the first server is up', async () => (await membersOf(places)).some(({ role }) => role === 'master'), folder);
    for (const { name } of places.slice(1)) failover.start(name);
    await failover.whole();
    const { default: pg } = await import('pg');
    const first = new pg.Client({ connectionString: urlOf(places[0]?.port ?? 0).replace(/novact$/, 'postgres') });
    await first.connect();
    await first.query('create database novact');
    await first.end();
    return failover;
  } catch (error) {
    await failover.close();
    throw error;
  }
}

type Place = { readonly name: string; readonly port: number; readonly restPort: number; readonly dir: string };

function settingsOf({ name, port, restPort, dir }: Place, { bin, etcdPort, folder }: { bin: string; etcdPort: number; folder: string }): object {
  const account = (username: string) => ({ username, password: PASSWORD });
  return {
    scope: 'novact',
    name,
    restapi: { listen: `${HOST}:${restPort}`, connect_address: `${HOST}:${restPort}` },
    etcd3: { host: `${HOST}:${etcdPort}` },
    bootstrap: {
      dcs: {
        ...TIMES,
        maximum_lag_on_failover: 1_048_576,
        synchronous_mode: true,
        // Strict: without a standby nothing is acknowledged, since what one machine alone has, its loss takes.
        synchronous_mode_strict: true,
        postgresql: {
          use_pg_rewind: true,
          use_slots: true,
          // Processes are killed here and no machine loses its power: what was written stays with the kernel.
          parameters: {
            fsync: 'off',
            wal_log_hints: 'on',
            max_connections: 60,
            max_wal_senders: 8,
            shared_buffers: '32MB',
            wal_keep_size: '64MB',
            hot_standby: 'on',
          },
        },
      },
      initdb: [{ encoding: 'UTF8' }, { locale: 'C.UTF-8' }, 'data-checksums'],
      pg_hba: [`host all all ${HOST}/32 scram-sha-256`, `host replication all ${HOST}/32 scram-sha-256`],
    },
    postgresql: {
      listen: `${HOST}:${port}`,
      connect_address: `${HOST}:${port}`,
      data_dir: join(dir, 'data'),
      bin_dir: bin,
      pgpass: join(folder, `${name}.pgpass`),
      parameters: { unix_socket_directories: dir },
      authentication: { superuser: account('postgres'), replication: account('replicator'), rewind: account('rewinder') },
    },
  };
}

async function membersOf(places: readonly Place[]): Promise<readonly Replica[]> {
  const found = await Promise.all(
    places.map(async ({ name, port, restPort }) => {
      try {
        const { body } = await request(`http://${HOST}:${restPort}/patroni`, { headersTimeout: 2_000, bodyTimeout: 2_000 });
        const { state, role, sync_standby } = (await body.json()) as { state: string; role: string; sync_standby?: boolean };
        return state === 'running' ? [{ name, port, restPort, role, isSync: sync_standby === true }] : [];
      } catch {
        return []; // not up
      }
    }),
  );
  return found.flat();
}

/** Every process that works in this store. */
function serversIn(dir: string): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    try {
      return /^\d+$/.test(entry) && readlinkSync(`/proc/${entry}/cwd`) === dir ? [Number(entry)] : [];
    } catch {
      return []; // it has ended
    }
  });
}

/** A number may have been given to somebody else by now. */
function isOurs(pid: number, folder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder) || readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
  } catch {
    return false;
  }
}

function programs(): string | undefined {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).map(Number).filter(Number.isFinite) : [];
  const found = versions.sort((a, b) => b - a).map((version) => join(root, String(version), 'bin'));
  return found.find((bin) => existsSync(join(bin, 'postgres')) && existsSync(join(bin, 'pg_rewind')));
}

function accountOf(name: string): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [, , uid, gid] = (
    readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((line) => line.startsWith(`${name}:`)) ?? ''
  ).split(':');
  if (uid === undefined) throw new Error(`the machine has no account ${name}`);
  return { uid: Number(uid), gid: Number(gid) };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, HOST, () => resolve(server));
        }),
    ),
  );
  return servers.map((server) => {
    const address = server.address();
    server.close();
    return address !== null && typeof address === 'object' ? address.port : 0;
  });
}

async function until(what: string, isTrue: () => Promise<boolean>, folder: string): Promise<void> {
  const endMs = systemClock.monotonicMs() + WHOLE_MS;
  while (!(await isTrue())) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`not in ${WHOLE_MS} ms: ${what}\n${logsIn(folder)}`);
    await systemClock.sleep(LOOK_MS);
  }
}

function logsIn(folder: string): string {
  const files = readdirSync(folder).filter((file) => file.endsWith('.log'));
  return files.map((file) => `${file}:\n${readFileSync(join(folder, file), 'utf8').split('\n').slice(-12).join('\n')}`).join('\n');
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { folder: { type: 'string' } } });
  if (values.folder !== undefined && existsSync(values.folder)) throw new Error(`${values.folder} is there already; it would be removed at the end`);
  const failover = await startFailover(values.folder);
  process.stdout.write(`${failover.url}\n${JSON.stringify(await failover.members(), null, 1)}\n`);
  const stay = setInterval(() => undefined, 60_000);
  process.once('SIGINT', () => void failover.close().then(() => clearInterval(stay)));
}
