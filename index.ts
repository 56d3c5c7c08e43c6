/**
 * The library: joins all rooms into one running node. The only place that knows runtime, actors, drivers and http;
 * rooms declare ports, and they are plugged here.
 *
 * Stages come up in order, each depending only on those before it: data folder, database, mesh, actors, hosts,
 * identity, image, shards (from here on work is done), compute (from here on work is accepted), client files.
 * They go down in reverse: nothing is accepted any more, then nothing is done any more, then the store closes.
 */
import { join } from 'node:path';
import type { MikroORM } from '@mikro-orm/postgresql';
import { conductorKind } from './actors/conductor/kind.ts';
import { Duties } from './actors/conductor/duties.ts';
import { openFeed } from './actors/conductor/feed.ts';
import { migrate } from './actors/conductor/migrations/migrate.ts';
import { openOrm } from './actors/conductor/migrations/orm.ts';
import { readServe } from './actors/conductor/reads/serve.ts';
import { identityServe } from './actors/conductor/records/identity.ts';
import { imageServe } from './actors/conductor/records/image.ts';
import { seedRecords } from './actors/conductor/records/seed.ts';
import { recordServe } from './actors/conductor/records/serve.ts';
import { openPgStore, type CellStore } from './actors/conductor/store.ts';
import { hostKind } from './actors/host/kind.ts';
import { hostRef } from './actors/host/messages.ts';
import { HOST_DEFAULTS, type HostSettings } from './actors/host/settings.ts';
import { instanceKind } from './actors/instance/kind.ts';
import { networkKind } from './actors/network/kind.ts';
import { schedulerKind } from './actors/scheduler/kind.ts';
import { schedulerRef } from './actors/scheduler/messages.ts';
import { hostsOf, instanceSettingsOf, type ClusterConfig } from './actors/settings.ts';
import type { EventFeed } from './actors/model/event.ts';
import type { DriverStatus, HypervisorDriver, ImageSource } from './drivers/driver.ts';
import { openDriver } from './drivers/open.ts';
import { glanceImages } from './drivers/services/glance.ts';
import { ServiceSession, type ServiceAccount } from './drivers/services/keystone.ts';
import { writeClientFiles, type ClientFiles } from './http/client/commands/client-files.ts';
import { baseUrl, Doors } from './http/doors.ts';
import { TINY_NAME } from './http/embedded/image/seed.ts';
import type { HealthCheck } from './http/health.ts';
import type { Actors } from './runtime/actor/ask.ts';
import type { ActorKind } from './runtime/actor/kind.ts';
import { NodeRoom } from './runtime/actor/room.ts';
import { ActorSystem } from './runtime/actor/system.ts';
import { openTurns } from './runtime/actor/turn.ts';
import { must } from './runtime/base/check.ts';
import type { Clock } from './runtime/base/clock.ts';
import { failpointFrom } from './runtime/base/failpoint.ts';
import { Fault } from './runtime/base/fault.ts';
import type { BootId } from './runtime/base/ids.ts';
import type { Log } from './runtime/base/log.ts';
import type { Random } from './runtime/base/random.ts';
import { openEmbeddedPostgres } from './runtime/database/embedded.ts';
import { openPool, Session } from './runtime/database/open.ts';
import { checkDatabaseUrl, placeOf } from './runtime/database/server-check.ts';
import { lockDataFolder, type DataFolder } from './runtime/node/data-folder.ts';
import type { Lifecycle, Stage, Undo } from './runtime/node/lifecycle.ts';
import { Member } from './runtime/node/member.ts';
import { claimPorts } from './runtime/node/ports.ts';
import { loadOrCreateSecrets } from './runtime/node/secrets.ts';
import { rendezvous } from './runtime/shard/directory.ts';
import { Shards } from './runtime/shard/shards.ts';

export { loadConfig, type ClusterConfig, type ClusterSettings } from './actors/settings.ts';
export { Lifecycle } from './runtime/node/lifecycle.ts';
export { Fault } from './runtime/base/fault.ts';
export { systemClock, type Clock } from './runtime/base/clock.ts';
export { systemRandom, type Random } from './runtime/base/random.ts';
export { openLog, silentLog, type Log } from './runtime/base/log.ts';

export type NodeParts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Brings the stages up and down; stopping the node is stopping it. */
  readonly lifecycle: Lifecycle;
  /** One sentence for people when something takes long. */
  readonly progress?: (line: string) => void;
  readonly version?: string;
};

/** What runs, for people: no secrets. */
export type NodeView = {
  readonly node: string;
  readonly services: readonly { readonly name: string; readonly url: string }[];
  readonly hosts: readonly { readonly kind: string; readonly count: number; readonly status?: DriverStatus }[];
  /** What the operator may want to do, as sentences. */
  readonly hints: readonly string[];
  readonly database: string;
  readonly dataDir: string;
  /** Absent with an identity service of one's own. */
  readonly client: ClientFiles | undefined;
  readonly example: { readonly flavor: string; readonly image: string } | undefined;
};

/** How long a start waits for a host to have looked around; one that is slower joins later. */
const HOST_START_MS = 15_000;
const HOST_LOOK_MS = 100;
const STAGE_MS = 60_000;
const HOSTS_AT_ONCE = 32;
const HOST_REPORT_MS = 2_000;

/** Starts a node as configured. When it resolves, the node accepts and does work. Faults say what to do. */
export async function startNode(config: ClusterConfig, parts: NodeParts): Promise<NodeView> {
  const node = new Node(config, parts);
  await parts.lifecycle.start(node.stages());
  return node.view();
}

class Node {
  readonly #config: ClusterConfig;
  readonly #parts: NodeParts;
  readonly #system: ActorSystem;
  readonly #actors: Actors;
  readonly #room: NodeRoom;
  readonly #failpoint;
  readonly #checks: { [part: string]: HealthCheck } = {};
  readonly #member: Member;
  readonly #turns;
  /** With the place of their group in the configuration. */
  #drivers: { readonly kind: string; readonly group: number; readonly driver: HypervisorDriver }[] = [];
  #folder: DataFolder | undefined;
  #databaseUrl = '';
  #databaseText = '';
  #client: ClientFiles | undefined;
  #secrets: { readonly [name in 'admin' | 'demo' | 'service']: string } | undefined;
  #feed: EventFeed | undefined;
  #shards: Shards | undefined;
  #opened: Doors | undefined;
  #store: CellStore | undefined;
  #hostNodes = new Map<string, string>();
  #schedulers: ActorKind | undefined;

  constructor(config: ClusterConfig, parts: NodeParts) {
    this.#config = config;
    this.#parts = parts;
    this.#failpoint = failpointFrom({ words: process.env['NOVACT_FAILPOINT'], file: process.env['NOVACT_FAILPOINT_FILE'] }, () =>
      process.kill(process.pid, 'SIGKILL'),
    );
    this.#system = new ActorSystem({ ...parts, node: config.name });
    this.#actors = this.#system;
    this.#turns = openTurns(config.name);
    this.#room = new NodeRoom(this.#actorParts());
    this.#system.plug({ room: this.#room });
    const { name, roles, bind, ports, publicAddress } = config;
    const { clock, log } = parts;
    this.#member = new Member({
      name,
      roles,
      bind,
      clock,
      log,
      boot: parts.random.uuid() as BootId,
      sharingRole: 'control',
      port: ports.mesh,
      advertisedHost: publicAddress,
      keyFile: join(config.dataDir, 'mesh-key.json'),
      system: this.#system,
    });
  }

  stages(): Stage[] {
    const stage = (name: string, start: (signal: AbortSignal) => Promise<Undo | undefined>, startLimitMs = STAGE_MS): Stage => ({
      name,
      startLimitMs,
      stopLimitMs: STAGE_MS,
      start,
    });
    const { roles } = this.#config;
    const doors = this.#ownDoors();
    return [
      stage('data folder', () => this.#openFolder()),
      stage('database', (signal) => this.#openDatabase(signal), 10 * STAGE_MS),
      stage('mesh', () => this.#member.openMesh()),
      stage('actors', () => this.#openActors()),
      ...(doors.includes('identity') ? [stage('identity', () => this.#doors().openIdentity(this.#needSecrets()))] : []),
      ...(doors.includes('image') ? [stage('image', () => this.#doors().openImage(this.#path('images')))] : []),
      ...(roles.includes('compute') ? [stage('hosts', (signal) => this.#openHosts(signal))] : []),
      stage('shards', () => this.#join()),
      ...(doors.includes('compute') ? [stage('compute', () => this.#doors().openCompute(must(this.#feed, 'the store comes before its streams')))] : []),
      stage('health', () => this.#doors().openHealth(this.#checks)),
      stage('ready', () => this.#ready()),
    ];
  }

  view(): NodeView {
    const { config, folder } = { config: this.#config, folder: this.#folder };
    const isWhole = config.identity === 'embedded' && config.image === 'embedded';
    return {
      node: config.name,
      services: this.#doors().services,
      hosts: this.#hostGroups(),
      hints: this.#hints(),
      database: this.#databaseText,
      dataDir: folder?.path ?? config.dataDir,
      client: this.#client,
      example: isWhole ? { flavor: 'm1.tiny', image: TINY_NAME } : undefined,
    };
  }

  /** Hosts of one kind are told together, unless their driver has something to say. */
  #hostGroups(): NodeView['hosts'] {
    const groups: { kind: string; count: number; status?: DriverStatus }[] = [];
    for (const { kind, driver } of this.#drivers) {
      const status = driver.status?.();
      const alike = groups.find((group) => group.kind === kind && group.status === undefined);
      if (status !== undefined) groups.push({ kind, count: 1, status });
      else if (alike !== undefined) alike.count++;
      else groups.push({ kind, count: 1 });
    }
    return groups;
  }

  #hints(): string[] {
    return this.#drivers.flatMap(({ group, driver }) => {
      const hint = driver.status?.().hint;
      if (hint === undefined) return [];
      return [hint.setting === undefined ? hint.text : `${hint.text}: --set hosts.${group}.driver.${hint.setting}`];
    });
  }

  /** The services that this node answers, by its roles. */
  #ownDoors(): ('identity' | 'image' | 'compute')[] {
    const { roles, identity, image } = this.#config;
    if (!roles.includes('api')) return [];
    return [...(identity === 'embedded' ? ['identity' as const] : []), ...(image === 'embedded' ? ['image' as const] : []), 'compute'];
  }

  #actorParts() {
    const { clock, random, log } = this.#parts;
    return { clock, random, log, turns: this.#turns, actors: this.#actors, failpoint: this.#failpoint };
  }

  async #openFolder(): Promise<Undo> {
    const { config, folder } = { config: this.#config, folder: lockDataFolder(this.#config.dataDir, this.#parts.clock) };
    this.#folder = folder;
    try {
      this.#describe('starting');
      const { ports, bind: host } = config;
      const wanted = [
        ...this.#ownDoors().map((name) => ({ name, port: ports[name], host })),
        { name: 'health', port: ports.health, host },
        { name: 'mesh', port: ports.mesh, host },
      ];
      await claimPorts(wanted, config.portOffset);
      this.#secrets = loadOrCreateSecrets(folder.path, ['admin', 'demo', 'service'], this.#parts.random);
    } catch (error) {
      folder.release();
      throw error;
    }
    return async () => folder.release();
  }

  async #openDatabase(signal: AbortSignal): Promise<Undo> {
    const { clock, log, random, progress } = this.#parts;
    const { database, ports } = this.#config;
    if (database.url !== undefined) {
      const { version } = await checkDatabaseUrl({ url: database.url, clock, signal, waitMs: STAGE_MS / 2 });
      this.#databaseUrl = database.url;
      this.#databaseText = `PostgreSQL ${version} at ${placeOf(database.url)}`;
      return async () => undefined;
    }
    const folder = this.#path('.');
    const embedded = await openEmbeddedPostgres({
      dataDir: this.#path('postgres'),
      within: folder,
      port: ports.database,
      ...(database.embeddedListen === undefined ? {} : { listen: database.embeddedListen }),
      log,
      clock,
      random,
      signal,
      ...(progress ? { progress } : {}),
    });
    this.#databaseUrl = embedded.url;
    this.#databaseText = `embedded PostgreSQL ${embedded.version}${embedded.how === 'adopted' ? ', taken over from a former process' : ''}`;
    return () => embedded.close();
  }

  async #openActors(): Promise<Undo> {
    const { clock, log, random } = this.#parts;
    const { quotas, session: timeouts, database, zone, scheduler, network } = this.#config;
    const url = this.#databaseUrl;
    await migrate({ url, log });
    const orm: MikroORM = await openOrm(url, log);
    await seedRecords({ orm, network, newId: () => random.uuid() });
    const pool = openPool({ url, max: database.poolMax, log, timeouts });
    const writer = new Session({ url, name: 'writer', clock, log, timeouts });
    const store = openPgStore({ pool, writer, clock, log, quotas, failpoint: this.#failpoint });
    this.#store = store;
    const others = (): string[] => this.#member.sharers().filter((name) => name !== this.#config.name);
    const feed = openFeed({ store, actors: this.#actors, others });
    this.#feed = feed;
    this.#system.register(feed.kind);
    const duties = new Duties({ pool, clock, log });
    await duties.open();
    const settings = { quotas, serviceDownMs: SERVICE_DOWN_MS, defaultZone: zone };
    const records = {
      ...readServe({ pool, clock, settings }),
      ...recordServe({ pool, orm, clock, settings }),
      ...identityServe({ orm }),
      ...imageServe({ orm }),
    };
    this.#system.register(conductorKind(store, records));
    this.#system.register(instanceKind(instanceSettingsOf(this.#config)));
    this.#system.register(networkKind());
    const schedulers = schedulerKind(scheduler);
    this.#system.register(schedulers);
    this.#schedulers = schedulers;
    this.#startSlices();
    this.#shards = new Shards({ ...this.#actorParts(), store }, (shard) => this.#member.epochOf(shard));
    this.#system.plug({ shards: this.#shards });
    this.#checks['database'] = async () => ({ well: (await pool.query('select 1')).rowCount === 1 });
    return async () => {
      this.#shards?.close();
      this.#room.close();
      this.#system.close();
      await duties.close();
      await store.close();
      await Promise.all([writer.close(), pool.end(), orm.close()]);
      this.#turns.close();
    };
  }

  async #openHosts(signal: AbortSignal): Promise<Undo> {
    const { clock, random, log } = this.#parts;
    const { name: node, ratios, reserved, zone, scheduler } = this.#config;
    const images = this.#imageSource();
    const opened: HypervisorDriver[] = [];
    const hosts = hostsOf(this.#config, (host) => this.#path('hosts', host));
    try {
      for (const { name, group, driver: settings } of hosts) {
        const driver = await openDriver(settings, { host: name, clock, random, log, images, within: this.#path('.') });
        opened.push(driver);
        this.#drivers.push({ kind: settings.kind, group, driver });
        const hostSettings: HostSettings = {
          ...HOST_DEFAULTS,
          node,
          driver: settings.kind,
          zone,
          ratios: { vcpus: ratios.cpu, memoryMiB: ratios.ram, diskGiB: ratios.disk },
          reserved,
          slicesOf: (host) => [sliceOf(host, scheduler.slices)],
        };
        const kind = hostKind({ driver, actors: this.#actors, log, failpoint: this.#failpoint }, hostSettings);
        if (opened.length === 1) this.#system.register(kind);
        const address = hostRef(name);
        this.#room.start(kind, address);
        driver.watch((event) => this.#actors.tell(address, { type: 'guestChanged', event }));
        this.#actors.tell(address, { type: 'tick' });
      }
      const away = new Set(opened.flatMap((driver, index) => (driver.status?.().isUp === false ? [hosts[index]?.name] : [])));
      await this.#hostsUp(
        hosts.map(({ name }) => name).filter((name) => !away.has(name)),
        signal,
      );
    } catch (error) {
      await Promise.all(opened.map((driver) => driver.close()));
      throw error;
    }
    return async () => {
      for (const { name } of hosts) this.#room.stop(hostRef(name));
      await Promise.all(opened.map((driver) => driver.close()));
    };
  }

  /** Slices of the schedulers are shared among the living nodes. */
  #startSlices(): void {
    const kind = this.#schedulers;
    if (!kind) return;
    for (let slice = 0; slice < this.#config.scheduler.slices; slice++) {
      const address = schedulerRef(slice);
      const isOurs = rendezvous(address, this.#member.sharers()) === this.#config.name;
      if (isOurs && !this.#room.has(address)) {
        this.#room.start(kind, address);
        void this.#introduceHosts(slice);
      }
      if (!isOurs && this.#room.has(address)) this.#room.stop(address);
    }
  }

  /** A slice that begins here knows no host: it is told of all of them at once, and not only by their next report. */
  async #introduceHosts(slice: number): Promise<void> {
    const { log } = this.#parts;
    try {
      await this.#readHostNodes();
      const hosts = [...this.#hostNodes.keys()].filter((host) => sliceOf(host, this.#config.scheduler.slices) === slice);
      await eachOf(hosts, HOSTS_AT_ONCE, async (host) => {
        const report = await this.#actors.ask(hostRef(host), { type: 'report' }, { timeoutMs: HOST_REPORT_MS });
        this.#actors.tell(schedulerRef(slice), { type: 'report', report, granted: null });
      });
    } catch (error) {
      log.info('a slice waits for reports of its hosts', { slice, error });
    }
  }

  async #readHostNodes(): Promise<void> {
    const rows = (await this.#store?.hostNodes()) ?? [];
    this.#hostNodes = new Map(rows.map(({ host, node }) => [host, node]));
  }

  /** Placement can begin when the hosts have told what they have. */
  async #hostsUp(names: readonly string[], signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    const endMs = clock.monotonicMs() + HOST_START_MS;
    const missing = new Set(names);
    while (missing.size > 0) {
      for (const name of missing) {
        const report = await this.#actors.ask(hostRef(name), { type: 'report' }, { signal });
        if (report.up) missing.delete(name);
      }
      if (missing.size === 0) return;
      if (clock.monotonicMs() > endMs) return log.warn('hosts are not up yet', { hosts: [...missing] });
      await clock.sleep(HOST_LOOK_MS, signal);
    }
  }

  async #join(): Promise<Undo> {
    const { leases, session: timeouts } = this.#config;
    const store = must(this.#store, 'the store comes before the shards');
    const shards = must(this.#shards, 'the actors come before the shards');
    const undo = await this.#member.join({
      url: this.#databaseUrl,
      timeouts,
      lease: { leaseMs: leases.controlMs, beatMs: leases.beatMs, marginMs: leases.marginMs },
      store,
      shards,
      actors: this.#actors,
      nodeKinds: {
        host: (host) => this.#hostNodes.get(host),
        scheduler: (slice) => rendezvous(schedulerRef(Number(slice)), this.#member.sharers()),
        feed: (node) => node,
      },
      refresh: () => this.#readHostNodes(),
      onMembers: () => this.#startSlices(),
    });
    this.#checks['shards'] = () => ({ ...this.#member.health(), active: shards.size });
    return undo;
  }

  #doors(): Doors {
    const { clock, random, log } = this.#parts;
    const { bind, publicAddress, region, ports, image, quotas, limits, operations, stream } = this.#config;
    const { username, ...account } = this.#serviceAccount();
    this.#opened ??= new Doors({
      actors: this.#actors,
      clock,
      random,
      log,
      settings: {
        bind,
        publicAddress,
        region,
        ports,
        quotas,
        identityUrl: this.#identityUrl(),
        account: { ...account, userName: username },
        imageUrl: image === 'embedded' ? baseUrl(publicAddress, ports.image) : () => this.#imageUrl(),
        pageMax: limits.pageMax,
        bodyMaxBytes: limits.bodyBytes,
        imageMaxBytes: limits.imageBytes,
        placeLimitMs: operations.placeLimitMs,
        streamOrigins: stream.origins,
      },
    });
    return this.#opened;
  }

  async #ready(): Promise<Undo> {
    const { identity, region } = this.#config;
    if (identity === 'embedded' && this.#folder) {
      const secrets = this.#needSecrets();
      const account = (cloud: string, username: string, password: string, project: string) => ({
        cloud,
        username,
        password,
        project,
        userDomain: 'Default',
        projectDomain: 'Default',
      });
      this.#client = writeClientFiles(this.#folder.path, {
        authUrl: this.#identityUrl(),
        region,
        accounts: [account('novact', 'demo', secrets.demo, 'demo'), account('novact-admin', 'admin', secrets.admin, 'admin')],
      });
    }
    this.#describe('running');
    return async () => this.#describe('stopping');
  }

  #imageSource(): ImageSource {
    const { image, ports, publicAddress } = this.#config;
    const url = image === 'embedded' ? baseUrl(publicAddress, ports.image) : image.url;
    return glanceImages(this.#session(), url === undefined ? {} : { url });
  }

  async #imageUrl(): Promise<string> {
    const { image } = this.#config;
    if (image !== 'embedded' && image.url !== undefined) return image.url;
    const url = (await this.#session().token()).endpoint('image');
    if (url === undefined) throw new Fault('unavailable', 'image.noEndpoint', 'The catalog names no image service.');
    return url;
  }

  #serviceSession: ServiceSession | undefined;
  #session(): ServiceSession {
    this.#serviceSession ??= new ServiceSession(this.#serviceAccount(), this.#parts.clock);
    return this.#serviceSession;
  }

  #serviceAccount(): ServiceAccount {
    const { identity } = this.#config;
    if (identity !== 'embedded') return identity;
    return {
      url: this.#identityUrl(),
      username: 'nova',
      password: this.#needSecrets().service,
      project: 'service',
      userDomain: 'Default',
      projectDomain: 'Default',
    };
  }

  #identityUrl(): string {
    const { identity, publicAddress, ports } = this.#config;
    return identity === 'embedded' ? `${baseUrl(publicAddress, ports.identity)}/v3` : identity.url;
  }

  #needSecrets(): { readonly admin: string; readonly demo: string; readonly service: string } {
    return must(this.#secrets, 'the data folder comes first');
  }

  #describe(state: 'starting' | 'running' | 'stopping'): void {
    const { name, bind, ports } = this.#config;
    this.#folder?.describe({ name, version: this.#parts.version ?? '', address: bind, ports, state });
  }

  #path(...names: string[]): string {
    return join(this.#folder?.path ?? this.#config.dataDir, ...names);
  }
}

/** A service is shown as down when its last beat is older. */
const SERVICE_DOWN_MS = 60_000;

/** At most so many at a time; one that fails leaves the others alone. */
async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item).catch(() => undefined);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}

function sliceOf(host: string, slices: number): number {
  let sum = 0;
  for (const char of host) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return sum % slices;
}
