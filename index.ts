/**
 * The library: joins all rooms into one running node. The only place that knows runtime, actors, drivers and http;
 * rooms declare ports, and they are plugged here.
 *
 * Stages come up in order, each depending only on those before it: data folder, database, mesh, actors, identity,
 * image, hosts, shards (from here on work is done), compute (from here on work is accepted), client files. A node
 * without a database joins the others first, since all that it needs is asked of them; its hosts come after that.
 * They go down in reverse: nothing is accepted any more, then nothing is done any more, then the store closes.
 */
import { join } from 'node:path';
import { openFeed, type Feed } from './actors/conductor/feed.ts';
import { KnownHosts, placesOf } from './actors/conductor/host-places.ts';
import { conductorElsewhere } from './actors/conductor/kind.ts';
import { clusterClient, type ClusterClient } from './actors/conductor/node-client.ts';
import { MEMORY_FILE } from './actors/conductor/incarnation.ts';
import { openCell, openConductor, type Conductor } from './actors/conductor/open.ts';
import { doorOf, URGENT } from './actors/doors.ts';
import { GuardKeeper } from './actors/host/guard-keeper.ts';
import { hostKind } from './actors/host/kind.ts';
import type { GuestDisks } from './actors/host/parts.ts';
import { HostLease } from './actors/host/lease.ts';
import { hostRef } from './actors/host/messages.ts';
import { HOST_DEFAULTS, type HostSettings } from './actors/host/settings.ts';
import { instanceKind } from './actors/instance/kind.ts';
import { networkKind } from './actors/network/kind.ts';
import { recoveryKind } from './actors/recovery/kind.ts';
import { RECOVERY } from './actors/recovery/messages.ts';
import { schedulerKind } from './actors/scheduler/kind.ts';
import { schedulerRef } from './actors/scheduler/messages.ts';
import { furtherProcesses, hostsOf, instanceSettingsOf, PROCESS_FOLDERS, recoverySettingsOf, type ClusterConfig, type OwnProcess } from './actors/settings.ts';
import type { ImageWays } from './actors/conductor/image-ticket.ts';
import type { ImageDesk } from './actors/conductor/snapshot-images.ts';
import { CONDUCTOR } from './actors/conductor/messages.ts';
import type { DriverStatus, HypervisorDriver, ImageSink, ImageSource } from './drivers/driver.ts';
import { openDriver } from './drivers/open.ts';
import { glanceDesk } from './drivers/services/glance-desk.ts';
import { glanceWay, imageServiceUrl } from './drivers/services/glance.ts';
import { ServiceSession, type ServiceAccount } from './drivers/services/keystone.ts';
import { openGuestDisk } from './drivers/services/guest-disks.ts';
import { ticketImages } from './drivers/services/ticket-images.ts';
import { ticketUpload } from './drivers/services/ticket-upload.ts';
import { writeClientFiles, type ClientFiles } from './http/client/commands/client-files.ts';
import { openDiskOffers, type DiskOffers } from './http/disks.ts';
import { baseUrl, Doors } from './http/doors.ts';
import { openListener } from './http/server.ts';
import { openPasswords } from './http/embedded/identity/password.ts';
import { TINY_NAME } from './http/embedded/image/seed.ts';
import { embeddedDesk } from './http/embedded/image/desk.ts';
import { openTickets, ticketWay } from './http/embedded/image/ticket.ts';
import type { HealthCheck } from './http/health.ts';
import type { Actors } from './runtime/actor/ask.ts';
import type { ActorKind } from './runtime/actor/kind.ts';
import { NodeRoom } from './runtime/actor/room.ts';
import { ActorSystem } from './runtime/actor/system.ts';
import { openTurns } from './runtime/actor/turn.ts';
import { must } from './runtime/base/check.ts';
import type { Clock } from './runtime/base/clock.ts';
import { failpointFrom } from './runtime/base/failpoint.ts';
import type { BootId } from './runtime/base/ids.ts';
import type { Log } from './runtime/base/log.ts';
import type { Random } from './runtime/base/random.ts';
import { openEmbeddedPostgres } from './runtime/database/embedded.ts';
import { loadKeyPair } from './runtime/mesh/curve.ts';
import { openZeromqMesh } from './runtime/mesh/zeromq.ts';
import { checkDatabaseUrl, placeOf } from './runtime/database/server-check.ts';
import { lockDataFolder, type DataFolder } from './runtime/node/data-folder.ts';
import type { Lifecycle, Stage, Undo } from './runtime/node/lifecycle.ts';
import { readKeyFile, type NodeKeyFile } from './runtime/node/key-file.ts';
import { Member, type JoinParts } from './runtime/node/member.ts';
import { claimPorts } from './runtime/node/ports.ts';
import { awaitFormer, Processes, type ProgramWords } from './runtime/node/processes.ts';
import { keptSecrets, madeSecret } from './runtime/node/secrets.ts';
import { ownersOf, rendezvous } from './runtime/shard/directory.ts';
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
  /** Starts the program anew, for further processes; without it there are none. */
  readonly program?: ProgramWords;
};

/** What runs, for people: no secrets. */
export type NodeView = {
  readonly node: string;
  readonly services: readonly { readonly name: string; readonly url: string }[];
  readonly hosts: readonly { readonly kind: string; readonly count: number; readonly status?: DriverStatus }[];
  /** What the operator may want to do, as sentences. */
  readonly hints: readonly string[];
  readonly database: string;
  /** Names of the further processes. */
  readonly processes: readonly string[];
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
/** Of all further processes together; less than the whole stop gets (runtime/node/signals.ts). */
const PROCESSES_STOP_MS = 40_000;
const HOST_REPORT_MS = 2_000;
const RECOVERY_ASK_MS = 1_000;

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
  #secrets: CloudSecrets | undefined;
  #feed: Feed | undefined;
  #shards: Shards | undefined;
  #opened: Doors | undefined;
  /** On nodes of role `control`. */
  #conductor: Conductor | undefined;
  /** On all others. */
  #others: ClusterClient | undefined;
  #keyFile: NodeKeyFile | undefined;
  #cluster = '';
  readonly #hosts = new KnownHosts((known) => this.#readHosts(known));
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
    const { name, roles, bind, ports, nodeAddress } = config;
    const { clock, log } = parts;
    this.#member = new Member({
      name,
      roles,
      bind,
      clock,
      log,
      boot: parts.random.uuid() as BootId,
      sharingRole: 'control',
      // Nodes that only drive hosts have nothing to say to each other.
      reaches: (others) => !isHostsOnly(roles) || !isHostsOnly(others),
      // How its hosts stand is told by their node's row.
      leaves: !roles.includes('compute'),
      port: ports.mesh,
      advertisedHost: nodeAddress,
      system: this.#system,
      mayTell: doorOf((host) => this.#hosts.nodeOf(host)),
      urgent: URGENT,
      openMesh: openZeromqMesh,
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
    const hosts = roles.includes('compute') ? [stage('hosts', (signal) => this.#openHosts(signal))] : [];
    const services = [
      ...(doors.includes('identity') ? [stage('identity', () => this.#doors().openIdentity(this.#needSecrets()))] : []),
      ...(doors.includes('image') ? [stage('image', () => this.#doors().openImage(this.#path('images'), this.#needSecrets().imageTickets))] : []),
    ];
    const within = this.#isControl
      ? [...services, ...hosts, stage('shards', (signal) => this.#join(signal))]
      : [stage('cluster', (signal) => this.#join(signal), 10 * STAGE_MS), ...services, ...hosts];
    return [
      stage('data folder', () => this.#openFolder()),
      ...(this.#isControl ? [stage('database', (signal) => this.#openDatabase(signal), 10 * STAGE_MS)] : []),
      stage('mesh', () => this.#openMesh()),
      stage('actors', () => (this.#isControl ? this.#openActors() : this.#openOutside())),
      ...within,
      ...(doors.includes('compute') ? [stage('compute', () => this.#doors().openCompute(must(this.#feed, 'the store comes before its streams')))] : []),
      ...(this.#further().length > 0 ? [{ ...stage('processes', (signal) => this.#openProcesses(signal), 2 * STAGE_MS), stopLimitMs: PROCESSES_STOP_MS }] : []),
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
      processes: this.#further().map(({ name }) => name),
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

  /** Whether this node reaches the store by itself and shares the shards. */
  get #isControl(): boolean {
    return this.#config.roles.includes('control');
  }

  /** The services that this node answers, by its roles. */
  #ownDoors(): ('identity' | 'image' | 'compute')[] {
    const { roles, identity, image, processes } = this.#config;
    if (!roles.includes('api')) return [];
    // Files of images belong to one process: the first of this machine, without which the others do not live either.
    const hasImages = image === 'embedded' && processes.number === 1;
    return [...(identity === 'embedded' ? ['identity' as const] : []), ...(hasImages ? ['image' as const] : []), 'compute'];
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
      const { ports, bind: host, processes } = config;
      await awaitFormer(this.#path(PROCESS_FOLDERS), this.#parts.clock, this.#parts.log);
      // What is shared is the first process's to claim, as are the ports of the further ones.
      const shared = processes.number === 1 ? this.#ownDoors().map((name) => ({ name, port: ports[name] })) : [];
      const further = this.#further().flatMap(({ name, ports: own }) => [
        { name: `health of ${name}`, port: own.health },
        { name: `mesh of ${name}`, port: own.mesh },
      ]);
      const wanted = [...shared, { name: 'health', port: ports.health }, { name: 'mesh', port: ports.mesh }, ...further].map((one) => ({ ...one, host }));
      await claimPorts(wanted, config.portOffset);
      if (!this.#isControl) this.#keyFile = await readKeyFile(must(config.keyFile, 'a node without a database has a key file'), config);
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
      this.#cluster = (await openCell(database.url, log)).cluster;
      return async () => undefined;
    }
    const folder = this.#path('.');
    const embedded = await openEmbeddedPostgres({
      dataDir: this.#path('postgres'),
      within: folder,
      port: ports.database,
      nodes: this.#config.processes.count,
      ...(database.embeddedListen === undefined ? {} : { listen: database.embeddedListen }),
      log,
      clock,
      random,
      signal,
      ...(progress ? { progress } : {}),
    });
    this.#databaseUrl = embedded.url;
    this.#databaseText = `embedded PostgreSQL ${embedded.version}${embedded.how === 'adopted' ? ', taken over from a former process' : ''}`;
    try {
      this.#cluster = (await openCell(embedded.url, log)).cluster;
    } catch (error) {
      await embedded.close();
      throw error;
    }
    return () => embedded.close();
  }

  async #openMesh(): Promise<Undo> {
    const file = this.#keyFile;
    if (file) return this.#member.openMesh({ cluster: file.cluster, keys: file.keys, seeds: file.seeds });
    return this.#member.openMesh({ cluster: this.#cluster, keys: await loadKeyPair(this.#path('mesh-key.json')), seeds: [] });
  }

  async #openActors(): Promise<Undo> {
    const { clock, log, random } = this.#parts;
    const { quotas, session: timeouts, database, zone, scheduler, network } = this.#config;
    const conductor = await openConductor({
      url: this.#databaseUrl,
      poolMax: database.poolMax,
      timeouts,
      clock,
      random,
      log,
      failpoint: this.#failpoint,
      quotas,
      zone,
      network,
      serviceDownMs: serviceDownMs(this.#config),
      memoryFile: this.#path(MEMORY_FILE),
    });
    this.#conductor = conductor;
    const { store } = conductor;
    this.#secrets = await this.#readSecrets(conductor);
    const listeners = (): string[] => this.#member.alive((row) => row.name !== this.#config.name && row.roles.some((role) => LISTENING.includes(role)));
    const feed = openFeed({ store, actors: this.#actors, others: listeners });
    this.#feed = feed;
    this.#system.register(feed.kind);
    this.#system.register(conductor.kind(this.#clusterView(), this.#imageWays()));
    this.#system.register(instanceKind(instanceSettingsOf(this.#config)));
    this.#system.register(networkKind());
    this.#system.register(recoveryKind({ actors: this.#actors, clock, log }, recoverySettingsOf(this.#config)));
    const schedulers = schedulerKind({ ...scheduler, tickMs: hostTickMs(this.#config.leases.hostMs) });
    this.#system.register(schedulers);
    this.#schedulers = schedulers;
    this.#startSlices();
    this.#shards = new Shards({ ...this.#actorParts(), store }, (shard) => this.#member.epochOf(shard));
    this.#system.plug({ shards: this.#shards });
    this.#checks['database'] = async () => {
      await conductor.check();
      return { well: true };
    };
    return async () => {
      this.#shards?.close();
      this.#room.close();
      this.#system.close();
      await conductor.close();
      this.#turns.close();
    };
  }

  /** Without a database: the kinds are known, others answer for them. */
  async #openOutside(): Promise<Undo> {
    const { leases, scheduler, roles } = this.#config;
    this.#system.register(conductorElsewhere(), false);
    this.#system.register(instanceKind(instanceSettingsOf(this.#config)), false);
    this.#system.register(networkKind(), false);
    this.#system.register(schedulerKind(scheduler), false);
    const feed = openFeed({ store: undefined, actors: this.#actors, others: () => [] });
    this.#feed = feed;
    this.#system.register(feed.kind);
    this.#others = clusterClient(this.#actors, isHostsOnly(roles) ? NOT_HOSTS_ONLY : null, leases.controlMs);
    return async () => {
      this.#room.close();
      this.#system.close();
      this.#turns.close();
    };
  }

  /** What this node tells those that have no database. */
  #clusterView(): Parameters<Conductor['kind']>[0] {
    return {
      look: () => this.#member.look(),
      rows: () => this.#member.rows(),
      alive: () => this.#member.alive(() => true),
      owners: (known) => this.#member.owners(known),
      hostPlaces: (known) => this.#hosts.list(known),
      hostBegan: (host, node) => this.#hosts.began(host, node),
      secrets: () => this.#needSecrets(),
    };
  }

  async #openHosts(signal: AbortSignal): Promise<Undo> {
    const { clock, random, log } = this.#parts;
    const { name: node, ratios, reserved, zone, scheduler } = this.#config;
    const opened: HypervisorDriver[] = [];
    const offers = openDiskOffers({ clock, log });
    // Between hosts only: any free port does, an offer names it.
    const road = await openListener({ name: 'disks', host: this.#config.bind, port: 0, app: offers.door, clock, log, limits: { requestMs: 0 } });
    const disks = this.#disksOf(offers, road.port);
    const hosts = hostsOf(this.#config, (host) => this.#path('hosts', host));
    const { hostMs: leaseMs, marginMs } = this.#config.leases;
    const leases = new Map<string, HostLease>();
    const guarded = hosts.filter(({ selfFence }) => selfFence);
    const keeper = new GuardKeeper({ folder: this.#path('guard'), hosts: guarded, leaseMs, marginMs, clock, log });
    if (guarded.length > 0) keeper.open();
    try {
      for (const { name, group, driver: settings, selfFence } of hosts) {
        const images = this.#imagesOf(name);
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
          tickMs: hostTickMs(leaseMs),
          slicesOf: (host) => [sliceOf(host, scheduler.slices)],
        };
        const guard = selfFence ? { guard: keeper.guardOf(name) } : {};
        const lease = new HostLease({ host: name, leaseMs, clock, actors: this.#actors, ...guard });
        leases.set(name, lease);
        const kind = hostKind({ driver, actors: this.#actors, images: this.#sinkOf(name), log, failpoint: this.#failpoint, lease, disks }, hostSettings);
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
      keeper.close();
      await road.close();
      await Promise.all(opened.map((driver) => driver.close()));
      throw error;
    }
    return async () => {
      for (const { name } of hosts) this.#room.stop(hostRef(name));
      await eachOf(guarded, HOSTS_AT_ONCE, async ({ name }) => {
        await leases.get(name)?.leave();
        keeper.goodbye(name);
      });
      keeper.close();
      await road.close();
      await Promise.all(opened.map((driver) => driver.close()));
    };
  }

  /** Disks of guests go from host to host beside the mesh. */
  #disksOf(offers: DiskOffers, port: number): GuestDisks {
    const base = baseUrl(this.#config.nodeAddress, port);
    return {
      offer(_guest, read) {
        const { path, token } = offers.offer(read);
        return { urls: [`${base}${path}`], token };
      },
      open: openGuestDisk,
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
        void this.#introduce(this.#hosts.names().filter((host) => sliceOf(host, this.#config.scheduler.slices) === slice));
      }
      if (!isOurs && this.#room.has(address)) this.#room.stop(address);
    }
  }

  /** A slice is told at once of hosts that are new to it, and not only by their next report. */
  async #introduce(hosts: readonly string[]): Promise<void> {
    const { log } = this.#parts;
    await eachOf(hosts, HOSTS_AT_ONCE, async (host) => {
      const address = schedulerRef(sliceOf(host, this.#config.scheduler.slices));
      if (!this.#room.has(address)) return;
      const report = await this.#actors.ask(hostRef(host), { type: 'report' }, { timeoutMs: HOST_REPORT_MS });
      this.#actors.tell(address, { type: 'report', report, granted: null });
    });
    if (hosts.length > 0) log.debug('hosts introduced', { hosts: hosts.length });
  }

  async #readHosts(known: string | null): ReturnType<ClusterClient['hostPlaces']> {
    if (this.#conductor) return placesOf(await this.#conductor.store.hostNodes(), known);
    // Who only drives hosts needs to find none.
    return isHostsOnly(this.#config.roles) ? null : ((await this.#others?.hostPlaces(known)) ?? null);
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

  #further(): OwnProcess[] {
    return this.#parts.program === undefined ? [] : furtherProcesses(this.#config, this.#databaseUrl);
  }

  async #openProcesses(signal: AbortSignal): Promise<Undo> {
    const { program, clock, log } = this.#parts;
    const processes = new Processes({ command: must(program, 'further processes are of a program'), wanted: this.#further(), clock, log });
    await processes.open(signal);
    this.#checks['processes'] = () => processes.figures();
    return (limit) => processes.close(limit);
  }

  async #join(signal: AbortSignal): Promise<Undo> {
    const undo = await this.#member.join({ ...this.#tables(), ...this.#joinParts(signal) });
    // A node with doors and no database gets them from those that have one.
    if (!this.#secrets && this.#ownDoors().length > 0) this.#secrets = (await this.#actors.ask(CONDUCTOR, { type: 'secrets' }, { signal })) as CloudSecrets;
    if (this.#isControl) this.#checks['recovery'] = () => this.#recoveryHealth();
    this.#checks[this.#isControl ? 'shards' : 'cluster'] = () => ({ ...this.#member.health(), active: this.#shards?.size ?? 0 });
    return undo;
  }

  /** For people: hosts that wait, and whether all waits for them. A node is well however many hosts are lost. */
  async #recoveryHealth(): Promise<Awaited<ReturnType<HealthCheck>>> {
    const state = await this.#actors.ask(RECOVERY, { type: 'state' }, { timeoutMs: RECOVERY_ASK_MS }).catch(() => undefined);
    if (!state) return { well: true, known: false };
    const { auto, paused, hosts } = state;
    return { well: true, auto, paused: paused !== null, silent: hosts.length, waitForProof: hosts.filter(({ waitsFor }) => waitsFor === 'proof').length };
  }

  /** The tables of the cluster: of the store where it is reached, else asked of others. */
  #tables(): Pick<JoinParts, 'nodes' | 'keys' | 'owners' | 'sharing'> {
    const { conductor, others } = { conductor: this.#conductor, others: this.#others };
    if (!conductor) return { ...must(others, 'the actors come before the cluster'), keys: async () => [] };
    const { nodes, shards: table, store } = conductor;
    return {
      nodes,
      keys: () => nodes.keys(),
      owners: async (known) => {
        const owners = ownersOf(await table.owners());
        return owners.version === known ? null : owners;
      },
      sharing: { table, store, shards: must(this.#shards, 'the actors come before the shards'), actors: this.#actors, standing: [RECOVERY] },
    };
  }

  #joinParts(signal: AbortSignal): Pick<JoinParts, 'lease' | 'nodeKinds' | 'refresh' | 'onMembers' | 'signal'> {
    const { leases } = this.#config;
    return {
      signal,
      lease: { leaseMs: leases.controlMs, beatMs: leases.beatMs, marginMs: leases.marginMs },
      nodeKinds: {
        host: (host) => this.#hosts.nodeOf(host),
        scheduler: (slice) => rendezvous(schedulerRef(Number(slice)), this.#member.sharers()),
        feed: (node) => node,
        conductor: (id, attempt) => {
          if (id !== 'any') return id;
          const sharers = this.#member.sharersToAsk();
          return sharers[attempt % Math.max(1, sharers.length)];
        },
      },
      refresh: async () => {
        const fresh = await this.#hosts.refresh();
        void this.#introduce(fresh);
      },
      onMembers: () => this.#startSlices(),
    };
  }

  #doors(): Doors {
    const { clock, random, log } = this.#parts;
    const { bind, nodeAddress, publicAddress, region, ports, image, quotas, rateLimits, limits, operations, stream, policy } = this.#config;
    const session = (): ServiceSession => this.#session();
    this.#opened ??= new Doors({
      node: this.#config.name,
      actors: this.#actors,
      clock,
      random,
      log,
      settings: {
        bind,
        nodeAddress,
        publicAddress,
        region,
        ports,
        quotas,
        rateLimits,
        identityUrl: this.#identityUrl(),
        serviceToken: { get: async () => (await session().token()).token, forget: () => session().forget() },
        shownImageUrl: image === 'embedded' ? baseUrl(publicAddress, ports.image) : image.url,
        imageUrl: image === 'embedded' ? baseUrl(nodeAddress, ports.image) : (image.url ?? (() => imageServiceUrl(session(), undefined))),
        pageMax: limits.pageMax,
        bodyMaxBytes: limits.bodyBytes,
        imageMaxBytes: limits.imageBytes,
        placeLimitMs: operations.placeLimitMs,
        hostDownMs: serviceDownMs(this.#config),
        auditPeriod: this.#config.audit.period,
        sharePorts: this.#config.processes.count > 1,
        streamOrigins: stream.origins,
        policyFile: policy.file,
      },
    });
    return this.#opened;
  }

  async #ready(): Promise<Undo> {
    const { identity, region, processes } = this.#config;
    if (identity === 'embedded' && this.#folder && processes.number === 1 && this.#ownDoors().includes('identity')) {
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
        authUrl: this.#identityUrl(this.#config.publicAddress),
        region,
        accounts: [account('novact', 'demo', secrets.demo, 'demo'), account('novact-admin', 'admin', secrets.admin, 'admin')],
      });
    }
    this.#describe('running');
    return async () => this.#describe('stopping');
  }

  /** A host asks for tickets wherever it runs: its node may have no account. */
  #imagesOf(host: string): ImageSource {
    return ticketImages((imageId, again, signal) => this.#actors.ask(CONDUCTOR, { type: 'hostImageTicket', host, imageId, again }, { signal }));
  }

  #sinkOf(host: string): ImageSink {
    return ticketUpload(({ imageId, instanceId }, again, signal) =>
      this.#actors.ask(CONDUCTOR, { type: 'hostUploadTicket', host, instanceId, imageId, again }, { signal }),
    );
  }

  /** What a ticket leads to: the embedded image services of all nodes, or the one that is configured. */
  #imageWays(): ImageWays & ImageDesk {
    const { image } = this.#config;
    if (image !== 'embedded')
      return { ...glanceDesk(() => this.#session(), image.url), open: ({ id }, again) => glanceWay(this.#session(), id, { url: image.url, again }) };
    const tickets = openTickets(this.#needSecrets().imageTickets, this.#parts.clock);
    return { ...embeddedDesk(this.#actors, tickets, this.#parts.clock), open: (wanted) => ticketWay(this.#actors, tickets, wanted) };
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

  #identityUrl(address = this.#config.nodeAddress): string {
    const { identity, ports } = this.#config;
    return identity === 'embedded' ? `${baseUrl(address, ports.identity)}/v3` : identity.url;
  }

  /** Those of the embedded services, the same on all nodes that reach the store. */
  #readSecrets({ secrets }: Conductor): Promise<CloudSecrets> {
    const { random } = this.#parts;
    const passwords = openPasswords(random);
    return secrets({
      names: this.#config.identity === 'embedded' ? SECRETS : SECRETS.filter((name) => name === 'imageTickets'),
      kept: keptSecrets(this.#path('.')),
      isOurs: (password, hash) => passwords.matches(password, hash),
      make: () => madeSecret(random),
    });
  }

  #needSecrets(): CloudSecrets {
    return must(this.#secrets, 'the store comes first');
  }

  #describe(state: 'starting' | 'running' | 'stopping'): void {
    const { name, bind, ports } = this.#config;
    this.#folder?.describe({ name, version: this.#parts.version ?? '', address: bind, ports, state });
  }

  #path(...names: string[]): string {
    return join(this.#folder?.path ?? this.#config.dataDir, ...names);
  }
}

/** Passwords of the first accounts, and the key that image tickets are signed with. */
const SECRETS = ['admin', 'demo', 'service', 'imageTickets'] as const;
type CloudSecrets = { readonly [name in (typeof SECRETS)[number]]: string };

/** A service is shown as down when its last beat is older than any lease; that alone proves nothing. */
function serviceDownMs({ leases }: ClusterConfig): number {
  return Math.max(leases.hostMs, leases.controlMs) + leases.marginMs;
}

/** Several beats may be lost before a host's lease ends. */
function hostTickMs(leaseMs: number): number {
  return Math.min(HOST_DEFAULTS.tickMs, leaseMs / 4);
}
/** Roles whose nodes have doors at which changes are told. */
const LISTENING = ['api', 'control'];
const NOT_HOSTS_ONLY = ['control', 'api', 'metadata', 'console'];

/** Such nodes speak to those that share the shards and to doors, never to each other. */
function isHostsOnly(roles: readonly string[]): boolean {
  return !roles.some((role) => NOT_HOSTS_ONLY.includes(role));
}

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
