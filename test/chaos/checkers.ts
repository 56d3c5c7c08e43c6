/**
 * What must be true of a cloud whatever happened to it, read from its rows and from the guests of its simulated hosts.
 * `invariants` hold at every moment, also in the middle of work: they are what one transaction makes true. `settled`
 * adds what must become true in bounded time when nobody asks for anything any more.
 *
 *   P1 one writer       as many events as versions: no commit was done twice or beside another
 *   P2 work ends        no open operation, no task state without one
 *   P3 in one place     no guest of an instance on two hosts; claims are guests are instances
 *   P4 nothing twice    host counters, quota and addresses are the sums of what uses them
 *   P5 events           one per change, in order; the last says what the row says
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { systemClock } from '../../runtime/base/clock.ts';
import type { GuestRecord } from '../../drivers/simulated/record.ts';

/** A cloud by its store, and by the data folder or folders where its hosts keep their guests. */
export type Checked = { readonly databaseUrl: string } & ({ readonly dataDir: string } | { readonly dataDirs: readonly string[] });
export type Guest = Pick<GuestRecord, 'instanceId' | 'generation' | 'power' | 'console'> & { readonly host: string };

const LOOK_MS = 50;
const CONNECT_MS = 2_000;
const STATEMENT_MS = 30_000;
const SHOWN_MAX = 8;

/** Each query answers one row per violation: what is wrong, and of whom. */
const ALWAYS: { readonly [rule: string]: string } = {
  'P2 a row is open that has no operation, or the other way': `
    select id::text as who, vm_state || '/' || coalesce(task_state, '-') as what from instance
    where open <> (record->'operation' is not null and json_typeof(record->'operation') = 'object')`,
  'P2 a task state without an operation': `
    select id::text as who, vm_state || '/' || task_state as what from instance where task_state is not null and not open`,
  'P2 a server that is being built by nobody': `
    select id::text as who, name as what from instance where vm_state = 'building' and not open`,
  'P3 the active claim is not where the server is': `
    select coalesce(i.id, c.instance_id)::text as who, concat_ws(' ', 'server', i.vm_state, i.host, i.generation, 'claim', c.host, c.generation) as what
    from (select * from instance where host is not null and not deleted) i
    full join (select * from claim where role = 'active') c on c.instance_id = i.id and c.generation = i.generation and c.host = i.host
    where i.id is null or c.instance_id is null`,
  'P3 a claim is not of its server’s size': `
    select c.instance_id::text as who, concat_ws(' ', c.vcpus, c.memory_mib, c.disk_gib) as what from claim c join instance i on i.id = c.instance_id
    where c.vcpus <> (i.record->'flavor'->>'vcpus')::int or c.memory_mib <> (i.record->'flavor'->>'memoryMiB')::int`,
  'P4 a host’s counters are not the sum of its claims': `
    select h.name as who, concat_ws(' ', 'counted', h.claims, h.used_vcpus, h.used_memory_mib, h.used_disk_gib, 'summed', c.n, c.v, c.m, c.d) as what
    from host h cross join lateral (
      select count(*) as n, coalesce(sum(vcpus), 0) as v, coalesce(sum(memory_mib), 0) as m, coalesce(sum(disk_gib), 0) as d from claim where host = h.name) c
    where (h.claims, h.used_vcpus, h.used_memory_mib, h.used_disk_gib) is distinct from (c.n, c.v, c.m, c.d)`,
  'P4 a host has promised more than it has': `
    select name as who, concat_ws(' ', used_vcpus, vcpus, used_memory_mib, memory_mib) as what from host
    where used_vcpus > vcpus or used_memory_mib > memory_mib or used_disk_gib > disk_gib`,
  'P4 quota in use is not the sum of the servers': `
    with own as (
      select project_id, user_id, (record->'flavor'->>'vcpus')::int as cores, (record->'flavor'->>'memoryMiB')::int as ram from instance where not deleted and record->>'reclaimAtMs' is null),
    summed as (
      select project_id, u.user_id, count(*) as instances, sum(cores) as cores, sum(ram) as ram
      from own cross join lateral (values (''), (own.user_id)) as u(user_id) group by 1, 2)
    select coalesce(q.project_id, s.project_id) || '/' || coalesce(q.user_id, s.user_id) as who,
      concat_ws(' ', 'counted', q.instances, q.cores, q.ram, 'summed', s.instances, s.cores, s.ram) as what
    from quota_use q full join summed s on s.project_id = q.project_id and s.user_id = q.user_id
    where (coalesce(q.instances, 0), coalesce(q.cores, 0), coalesce(q.ram, 0)) is distinct from (coalesce(s.instances, 0), coalesce(s.cores, 0), coalesce(s.ram, 0))`,
  'P4 addresses in use are not those of the servers': `
    with nics as (
      select i.id, (n->>'networkId')::uuid as network_id, (n->>'address')::inet as address, n->>'mac' as mac
      from instance i cross join lateral json_array_elements(i.record->'nics') as n where not i.deleted)
    select coalesce(n.id, f.instance_id)::text as who, concat_ws(' ', 'nic', n.address, n.mac, 'row', f.address, f.mac) as what
    from nics n full join fixed_ip f on f.network_id = n.network_id and f.address = n.address and f.instance_id = n.id and f.mac = n.mac
    where f.instance_id is null
      or n.id is null and not exists (select from claim c where c.instance_id = f.instance_id and c.role = 'doomed')`,
  'P6 an idempotency key names servers that do not exist': `
    select k.key as who, s.id::text as what from idempotency k cross join lateral unnest(k.instances) as s(id)
    where not exists (select from instance i where i.id = s.id)`,
};

/** The same of all that ever happened: too much to read in the middle of work. */
const HISTORY: { readonly [rule: string]: string } = {
  'P5 an object changed twice in one revision': `
    select id::text as who, revision || ' ' || count(*) as what from event group by id, revision having count(*) > 1`,
  // Plain records (a key pair, a flavor) take a revision and tell no event: more revisions than events are right.
  'P5 an event is ahead of the cell': `
    select 'cell' as who, concat_ws(' ', 'revision', c.revision, 'events of', e.n, 'from', e.low, 'to', e.high) as what
    from cell c cross join (select count(distinct revision) as n, min(revision) as low, max(revision) as high from event) e
    where e.n > 0 and e.high > c.revision`,
  'P5 the order within a revision has a gap': `
    select revision::text as who, count(*) || ' ' || max(ord) as what from event group by revision having count(*) <> max(ord) or min(ord) <> 1`,
  'P1 a server has not one event for each version': `
    select i.id::text as who, concat_ws(' ', 'version', i.version, 'events', count(e.id)) as what
    from instance i left join event e on e.id = i.id group by i.id having count(e.id) <> i.version`,
  'P5 the last event says something else than the row': `
    select i.id::text as who, concat_ws(' ', i.vm_state, coalesce(i.task_state, '-'), i.revision, 'event', e.body->'record'->>'vmState', e.body->'record'->>'taskState', e.revision) as what
    from instance i join (select distinct on (id) * from event order by id, revision desc) e on e.id = i.id
    where i.revision <> e.revision or i.vm_state <> e.body->'record'->>'vmState' or i.task_state is distinct from e.body->'record'->>'taskState'`,
};

const AT_REST: { readonly [rule: string]: string } = {
  'P2 an operation is open': `select id::text as who, concat_ws(' ', vm_state, task_state, record->'operation'->>'name', record->'operation'->>'step') as what from instance where open`,
  'P3 a claim is doomed and not confirmed': `select instance_id::text as who, host as what from claim where role = 'doomed'`,
};

/** What is wrong now, whatever goes on; empty when nothing is. Rejects while the store cannot be asked. */
export async function invariants(cloud: Checked): Promise<string[]> {
  return [...(await storeInvariants(cloud)), ...inTwoPlaces(guestsOf(cloud))];
}

/** The same of the rows alone: guests of many hosts are not seen at one moment. */
export function storeInvariants(cloud: Checked): Promise<string[]> {
  return ask(cloud, ALWAYS);
}

/** Waits until everything is at rest and right. What is still wrong at the limit is the answer: empty is well. */
export async function settled(cloud: Checked, limitMs: number): Promise<string[]> {
  const endMs = systemClock.monotonicMs() + limitMs;
  for (;;) {
    const problems = await atRest(cloud).catch((error: unknown) => [`the store cannot be asked: ${String(error)}`]);
    if (problems.length === 0 || systemClock.monotonicMs() > endMs) return problems;
    await systemClock.sleep(LOOK_MS);
  }
}

/** All guests of the simulated hosts, as their files say. */
export function guestsOf(cloud: Checked): Guest[] {
  const folders = 'dataDirs' in cloud ? cloud.dataDirs : [cloud.dataDir];
  return folders.flatMap((folder) => {
    const hosts = join(folder, 'hosts');
    return list(hosts).flatMap((host) =>
      list(join(hosts, host, 'guests'))
        .filter((name) => name.endsWith('.json'))
        .flatMap((name) => {
          const text = read(join(hosts, host, 'guests', name));
          return text === undefined ? [] : [{ ...(JSON.parse(text) as GuestRecord), host }];
        }),
    );
  });
}

export async function query<Row extends pg.QueryResultRow>(cloud: Checked, text: string, values: unknown[] = []): Promise<Row[]> {
  return withClient(cloud, async (client) => (await client.query<Row>(text, values)).rows);
}

async function atRest(cloud: Checked): Promise<string[]> {
  const open = await ask(cloud, AT_REST);
  if (open.length > 0) return open;
  const rows = await ask(cloud, { ...ALWAYS, ...HISTORY, ...AT_REST });
  const live = await query<Live>(cloud, LIVE);
  const guests = guestsOf(cloud);
  return [...rows, ...inTwoPlaces(guests), ...guestProblems(live, guests)];
}

type Live = { id: string; host: string; generation: number; vm_state: string; power_state: string };
const LIVE = `select id::text, host, generation, vm_state, power_state from instance where not deleted and host is not null`;

/** Guests are exactly those of the live servers, and run when the server is active. */
function guestProblems(live: readonly Live[], guests: readonly Guest[]): string[] {
  const key = (host: string, id: string | null, generation: number): string => `${id} ${host} ${generation}`;
  const here = new Map(guests.map((guest) => [key(guest.host, guest.instanceId, guest.generation), guest]));
  const problems = live.flatMap(({ id, host, generation, vm_state, power_state }) => {
    const guest = here.get(key(host, id, generation));
    here.delete(key(host, id, generation));
    if (guest === undefined) return vm_state === 'error' ? [] : [`P3 a server has no guest: ${id} ${vm_state} on ${host}, generation ${generation}`];
    const wanted = { active: 'running', stopped: 'shutdown' }[vm_state];
    if (wanted !== undefined && guest.power !== wanted) return [`P2 a server is ${vm_state} and its guest ${guest.power}: ${id}`];
    return guest.power === power_state ? [] : [`P2 a server’s power state is ${power_state} and its guest ${guest.power}: ${id}`];
  });
  return [...problems, ...[...here.keys()].map((left) => `P3 a guest has no server: ${left}`)];
}

function inTwoPlaces(guests: readonly Guest[]): string[] {
  const running = new Map<string, string>();
  return guests.flatMap(({ instanceId, host, power }) => {
    if (instanceId === null || power !== 'running') return [];
    const other = running.get(instanceId);
    running.set(instanceId, host);
    return other === undefined || other === host ? [] : [`P3 a guest runs in two places: ${instanceId} on ${other} and ${host}`];
  });
}

/** All in one snapshot, so that they speak of the same moment. */
async function ask(cloud: Checked, rules: { readonly [rule: string]: string }): Promise<string[]> {
  return withClient(cloud, async (client) => {
    await client.query('begin isolation level repeatable read read only');
    const problems: string[] = [];
    for (const [rule, text] of Object.entries(rules)) {
      const { rows } = await client.query<{ who: string; what: string }>(text);
      problems.push(...rows.slice(0, SHOWN_MAX).map(({ who, what }) => `${rule}: ${who}: ${what}`));
      if (rows.length > SHOWN_MAX) problems.push(`${rule}: … ${rows.length} in all`);
    }
    await client.query('commit');
    return problems;
  });
}

async function withClient<T>(cloud: Checked, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: cloud.databaseUrl,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
    application_name: 'checker',
  });
  client.on('error', () => undefined); // a lost connection fails the query that runs
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // a host without guests has no folder yet
  }
}

/** Undefined when it went meanwhile. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
