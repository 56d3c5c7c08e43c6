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
import { computeApi } from './http/compute/router.ts';
import { COMPUTE_DEFAULTS } from './http/compute/parts.ts';
import { identityApi, IDENTITY_SETTINGS } from './http/embedded/identity/api.ts';
import { seedIdentity } from './http/embedded/identity/seed.ts';
import { imageApi, IMAGE_SETTINGS } from './http/embedded/image/api.ts';
import { seedImage, TINY_NAME } from './http/embedded/image/seed.ts';
import { healthDoor, openMetrics, type HealthCheck } from './http/health.ts';
import { openGlanceImages } from './http/kit/glance-images.ts';
import type { TokenChecker } from './http/kit/auth.ts';
import { openKeystoneTokens } from './http/kit/keystone-tokens.ts';
import { openServiceToken } from './http/kit/service-token.ts';
import { openListener, type ListenerOptions } from './http/server.ts';
import { STREAM_DEFAULTS } from './http/stream/limits.ts';
import { openStatusStream } from './http/stream/stream.ts';
import type { Actors } from './runtime/actor/ask.ts';
import type { ActorKind } from './runtime/actor/kind.ts';
import type { Locate } from './runtime/actor/locate.ts';
import { NodeRoom } from './runtime/actor/room.ts';
import { ActorSystem } from './runtime/actor/system.ts';
import { openTurns } from './runtime/actor/turn.ts';
import type { Clock } from './runtime/base/clock.ts';
import { failpointFrom } from './runtime/base/failpoint.ts';
import { Fault } from './runtime/base/fault.ts';
import type { BootId, NodeName } from './runtime/base/ids.ts';
import type { Log } from './runtime/base/log.ts';
import type { Random } from './runtime/base/random.ts';
import { openEmbeddedPostgres } from './runtime/database/embedded.ts';
import { nodeTable } from './runtime/database/node-table.ts';
import { openPool, Session } from './runtime/database/open.ts';
import { checkDatabaseUrl, placeOf } from './runtime/database/server-check.ts';
import { shardTable } from './runtime/database/shard-table.ts';
import type { NodeRow } from './runtime/database/node-table.ts';
import type { Mesh } from './runtime/mesh/mesh.ts';
import { loadKeyPair } from './runtime/mesh/curve.ts';
import { openZeromqMesh } from './runtime/mesh/zeromq.ts';
import { MembershipView } from './runtime/membership/view.ts';
import { lockDataFolder, type DataFolder } from './runtime/node/data-folder.ts';
import type { Lifecycle, Stage, Undo } from './runtime/node/lifecycle.ts';
import { claimPorts } from './runtime/node/ports.ts';
import { Remote } from './runtime/node/remote.ts';
import { loadOrCreateSecrets } from './runtime/node/secrets.ts';
import { Directory, rendezvous } from './runtime/shard/directory.ts';
import { Leases } from './runtime/shard/leases.ts';
import { Shards } from './runtime/shard/shards.ts';
import { Takeover } from './runtime/shard/takeover.ts';

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

/** Starts a node as configured. When it resolves, the node accepts and does work. Faults say what to do. */
export async function startNode(config: ClusterConfig, parts: NodeParts): Promise<NodeView> {
  const node = new Node(config, parts);
  await parts.lifecycle.start(node.stages());
  return node.view();
}

class Node {
  readonly #config: ClusterConfig;
  readonly #parts: NodeParts;
  readonly #boot: BootId;
  readonly #system: ActorSystem;
  readonly #actors: Actors;
  readonly #room: NodeRoom;
  readonly #failpoint;
  readonly #metrics = openMetrics({ processMetrics: true });
  readonly #checks: { [part: string]: HealthCheck } = {};
  readonly #services: { name: string; url: string }[] = [];
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
  #leases: Leases | undefined;
  #takeover: Takeover | undefined;
  #mesh: Mesh | undefined;
  #view: MembershipView | undefined;
  #directory: Directory | undefined;
  #store: CellStore | undefined;
  #hostNodes = new Map<string, string>();
  #schedulers: ActorKind | undefined;
  #adminProjectId = '';

  constructor(config: ClusterConfig, parts: NodeParts) {
    this.#config = config;
    this.#parts = parts;
    this.#boot = parts.random.uuid() as BootId;
    this.#failpoint = failpointFrom({ words: process.env['NOVACT_FAILPOINT'], file: process.env['NOVACT_FAILPOINT_FILE'] }, () => process.kill(process.pid, 'SIGKILL'));
    this.#system = new ActorSystem({ ...parts, node: config.name });
    this.#actors = this.#system;
    this.#turns = openTurns(config.name);
    this.#room = new NodeRoom(this.#actorParts());
  }

  stages(): Stage[] {
    const stage = (name: string, start: (signal: AbortSignal) => Promise<Undo | undefined>, startLimitMs = STAGE_MS): Stage => ({ name, startLimitMs, stopLimitMs: STAGE_MS, start });
    const { roles } = this.#config;
    const doors = this.#doors();
    return [
      stage('data folder', () => this.#openFolder()),
      stage('database', (signal) => this.#openDatabase(signal), 10 * STAGE_MS),
      stage('mesh', () => this.#openMesh()),
      stage('actors', () => this.#openActors()),
      ...(doors.includes('identity') ? [stage('identity', () => this.#openIdentity())] : []),
      ...(doors.includes('image') ? [stage('image', () => this.#openImage())] : []),
      ...(roles.includes('compute') ? [stage('hosts', (signal) => this.#openHosts(signal))] : []),
      stage('shards', () => this.#openShards()),
      ...(doors.includes('compute') ? [stage('compute', () => this.#openCompute())] : []),
      stage('health', () => this.#openHealth()),
      stage('ready', () => this.#ready()),
    ];
  }

  view(): NodeView {
    const { config, folder } = { config: this.#config, folder: this.#folder };
    const isWhole = config.identity === 'embedded' && config.image === 'embedded';
    return {
      node: config.name,
      services: this.#services,
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
  #doors(): ('identity' | 'image' | 'compute')[] {
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
        ...(this.#doors().map((name) => ({ name, port: ports[name], host }))),
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
      log, clock, random, signal,
      ...(progress ? { progress } : {}),
    });
    this.#databaseUrl = embedded.url;
    this.#databaseText = `embedded PostgreSQL ${embedded.version}${embedded.how === 'adopted' ? ', taken over from a former process' : ''}`;
    return () => embedded.close();
  }

  async #openMesh(): Promise<Undo> {
    const { clock, log } = this.#parts;
    const { name, roles, bind, ports, publicAddress } = this.#config;
    const keys = await loadKeyPair(this.#path('mesh-key.json'));
    const mesh = await openZeromqMesh({
      self: name as NodeName,
      boot: this.#boot,
      roles,
      bind: `tcp://${bind}:${ports.mesh}`,
      advertisedHost: publicAddress,
      cluster: 'novact',
      keys,
      // Membership makes nodes known: whoever may write its row is one of us.
      isAllowed: (publicKey) => this.#peers().find((peer) => peer.publicKey === publicKey),
      clock,
      log,
    });
    this.#mesh = mesh;
    const locate: Locate = { nodeOf: (address) => this.#directory?.nodeOf(address), hint: () => this.#directory?.hint() };
    const remote = new Remote({ mesh, locate, system: this.#system, clock });
    this.#system.plug({ room: this.#room, remote });
    this.#checks['mesh'] = () => ({ well: true, peers: mesh.peers().length });
    return () => mesh.close();
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
    const others = (): string[] => this.#aliveNodes().filter((name) => name !== this.#config.name);
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
    this.#shards = new Shards({ ...this.#actorParts(), store }, (shard) => this.#leases?.epochOf(shard));
    this.#system.plug({ shards: this.#shards });
    this.#takeover = new Takeover({ store, actors: this.#actors, clock, log });
    this.#checks['database'] = async () => ({ well: (await pool.query('select 1')).rowCount === 1 });
    return async () => {
      this.#takeover?.close();
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
      await this.#hostsUp(hosts.map(({ name }) => name).filter((name) => !away.has(name)), signal);
    } catch (error) {
      await Promise.all(opened.map((driver) => driver.close()));
      throw error;
    }
    return async () => {
      for (const { name } of hosts) this.#room.stop(hostRef(name));
      await Promise.all(opened.map((driver) => driver.close()));
    };
  }

  /** Peers of the mesh are the nodes of the table; slices of the schedulers are shared among those that are alive. */
  #membersChanged(alive: readonly NodeRow[]): void {
    this.#mesh?.setPeers(this.#peers());
    this.#startSlices();
    this.#parts.log.info('members', { alive: alive.map((row) => row.name) });
  }

  #peers(): { node: NodeName; endpoint: string; publicKey: string; roles: readonly string[] }[] {
    const others = (this.#view?.all() ?? []).filter((row) => row.name !== this.#config.name);
    return others.map(({ name, endpoint, publicKey, roles }) => ({ node: name as NodeName, endpoint, publicKey, roles }));
  }

  #aliveNodes(): string[] {
    const names = (this.#view?.alive() ?? []).filter((row) => row.roles.includes('control')).map((row) => row.name);
    return names.includes(this.#config.name) ? names : [...names, this.#config.name];
  }

  #startSlices(): void {
    const kind = this.#schedulers;
    if (!kind) return;
    for (let slice = 0; slice < this.#config.scheduler.slices; slice++) {
      const address = schedulerRef(slice);
      const isOurs = rendezvous(address, this.#aliveNodes()) === this.#config.name;
      if (isOurs && !this.#room.has(address)) this.#room.start(kind, address);
      if (!isOurs && this.#room.has(address)) this.#room.stop(address);
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

  async #openIdentity(): Promise<Undo> {
    const { clock, random, log } = this.#parts;
    const { ports, publicAddress, region } = this.#config;
    const base = `http://${bracketed(publicAddress)}`;
    const secrets = this.#needSecrets();
    const seeded = await seedIdentity(this.#actors, {
      adminPassword: secrets.admin,
      demoPassword: secrets.demo,
      servicePassword: secrets.service,
      region,
      random,
      endpoints: [
        { type: 'identity', name: 'keystone', url: `${base}:${ports.identity}/v3` },
        { type: 'compute', name: 'nova', url: `${base}:${ports.compute}/v2.1` },
        { type: 'image', name: 'glance', url: `${base}:${ports.image}` },
      ],
    });
    this.#adminProjectId = seeded.adminProjectId;
    const app = identityApi({ actors: this.#actors, clock, random, log, settings: IDENTITY_SETTINGS });
    return this.#listen('Identity', '/v3', { name: 'identity', port: ports.identity, app });
  }

  async #openImage(): Promise<Undo> {
    const { clock, random, log } = this.#parts;
    const { ports, limits } = this.#config;
    const blobs = this.#path('images');
    if (this.#adminProjectId !== '') await seedImage(this.#actors, { blobs, owner: this.#adminProjectId, clock, random });
    const tokens = this.#tokens();
    const app = await imageApi({
      actors: this.#actors, blobs, clock, random, log,
      tokens: (token, signal) => tokens.check(token, signal),
      settings: { ...IMAGE_SETTINGS, sizeMaxBytes: limits.imageBytes },
    });
    return this.#listen('Image', '', { name: 'image', port: ports.image, app, limits: { requestMs: 0 } });
  }

  async #openShards(): Promise<Undo> {
    const { clock, log } = this.#parts;
    const { name, roles, leases: times, bind, ports, session: timeouts } = this.#config;
    // A connection of its own: a beat never waits behind a commit.
    const session = new Session({ url: this.#databaseUrl, name: 'beats', clock, log, timeouts });
    const nodes = nodeTable(session);
    const shards = shardTable(session);
    const keys = await loadKeyPair(this.#path('mesh-key.json'));
    await nodes.enter({ name, boot: this.#boot, endpoint: this.#mesh?.self.endpoint ?? `tcp://${bind}:${ports.mesh}`, publicKey: keys.publicKey, roles });
    const lease = { leaseMs: times.controlMs, beatMs: times.beatMs, marginMs: times.marginMs };
    const view = new MembershipView({ self: name, nodes, clock, settings: lease });
    const leases = new Leases({
      node: name,
      boot: this.#boot,
      nodes,
      shards,
      view,
      role: 'control',
      clock,
      log,
      settings: lease,
      onTaken: (owned, taken) => this.#takeover?.taken(owned, taken),
      onLost: (lost, left) => {
        this.#takeover?.lost(left);
        this.#shards?.drop(lost);
      },
    });
    this.#view = view;
    const directory = new Directory({
      owners: () => shards.owners(),
      nodeKinds: {
        host: (host) => this.#hostNodes.get(host),
        scheduler: (slice) => rendezvous(schedulerRef(Number(slice)), this.#aliveNodes()),
        feed: (node) => node,
      },
      refresh: () => this.#readHostNodes(),
      clock,
      log,
    });
    this.#directory = directory;
    view.onChange((alive) => this.#membersChanged(alive));
    this.#leases = leases;
    await leases.open();
    await directory.open();
    this.#checks['shards'] = () => ({ well: leases.leftMs > 0, owned: leases.ownedCount, active: this.#shards?.size ?? 0 });
    return async () => {
      directory.close();
      await leases.close();
      await session.close();
    };
  }

  async #openCompute(): Promise<Undo> {
    const { clock, random, log } = this.#parts;
    const { ports, identity, quotas, limits, operations } = this.#config;
    const tokens = this.#tokens();
    const settings = {
      ...COMPUTE_DEFAULTS,
      identityUrl: this.#identityUrl(),
      imageUrl: `http://${bracketed(this.#config.publicAddress)}:${ports.image}`,
      quotas,
      pageMax: limits.pageMax,
      bodyMaxBytes: limits.bodyBytes,
      placeLimitMs: operations.placeLimitMs,
    };
    const images = openGlanceImages({ url: identity === 'embedded' ? settings.imageUrl : () => this.#imageUrl() });
    const door = computeApi({ actors: this.#actors, tokens, images, clock, random, log, settings, meter: this.#metrics });
    const feed = this.#feed;
    if (!feed) throw new Error('the store comes before its streams');
    const stream = openStatusStream({ actors: this.#actors, feed, tokens, clock, random, log, settings: STREAM_DEFAULTS });
    const undo = await this.#listen('Compute', '/v2.1', {
      name: 'compute',
      port: ports.compute,
      app: async (request, response) => {
        if (!stream.handleRequest(request, response)) await door(request, response);
      },
      upgrade: (request, socket, head) => {
        if (!stream.handleUpgrade(request, socket, head)) socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
      },
    });
    return async (signal) => {
      await stream.close();
      await undo(signal);
    };
  }

  #openHealth(): Promise<Undo> {
    const { clock } = this.#parts;
    const app = healthDoor({ checks: this.#checks, registry: this.#metrics.registry, clock });
    return this.#listen('Health', '/health', { name: 'health', port: this.#config.ports.health, app });
  }

  async #ready(): Promise<Undo> {
    const { identity, region } = this.#config;
    if (identity === 'embedded' && this.#folder) {
      const secrets = this.#needSecrets();
      const account = (cloud: string, username: string, password: string, project: string) => ({ cloud, username, password, project, userDomain: 'Default', projectDomain: 'Default' });
      this.#client = writeClientFiles(this.#folder.path, {
        authUrl: this.#identityUrl(),
        region,
        accounts: [account('novact', 'demo', secrets.demo, 'demo'), account('novact-admin', 'admin', secrets.admin, 'admin')],
      });
    }
    this.#describe('running');
    return async () => this.#describe('stopping');
  }

  async #listen(shown: string, path: string, options: Pick<ListenerOptions, 'name' | 'port' | 'app' | 'upgrade' | 'limits'>): Promise<Undo> {
    const { clock, log } = this.#parts;
    const listener = await openListener({ ...options, host: this.#config.bind, clock, log });
    this.#services.push({ name: shown, url: `http://${bracketed(this.#config.publicAddress)}:${listener.port}${path}` });
    return () => listener.close();
  }

  #tokens(): TokenChecker {
    const { clock, log } = this.#parts;
    const url = this.#identityUrl();
    const { username, ...account } = this.#serviceAccount();
    const serviceToken = openServiceToken({ url, account: { ...account, userName: username }, clock });
    return openKeystoneTokens({ url, clock, log, serviceToken });
  }

  #imageSource(): ImageSource {
    const { image, ports, publicAddress } = this.#config;
    const url = image === 'embedded' ? `http://${bracketed(publicAddress)}:${ports.image}` : image.url;
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
    return { url: this.#identityUrl(), username: 'nova', password: this.#needSecrets().service, project: 'service', userDomain: 'Default', projectDomain: 'Default' };
  }

  #identityUrl(): string {
    const { identity, publicAddress, ports } = this.#config;
    return identity === 'embedded' ? `http://${bracketed(publicAddress)}:${ports.identity}/v3` : identity.url;
  }

  #needSecrets(): { readonly admin: string; readonly demo: string; readonly service: string } {
    if (!this.#secrets) throw new Error('the data folder comes first');
    return this.#secrets;
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

function sliceOf(host: string, slices: number): number {
  let sum = 0;
  for (const char of host) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return sum % slices;
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
