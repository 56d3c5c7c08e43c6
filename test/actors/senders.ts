/** What instances and hosts really say to others: their own decisions and jobs are run, and what they send is kept. */
import { CONDUCTOR } from '../../actors/conductor/messages.ts';
import { decide as decideInstance, recover } from '../../actors/instance/decide.ts';
import type { InstanceProtocol, Verb } from '../../actors/instance/messages.ts';
import { INSTANCE_DEFAULTS } from '../../actors/instance/settings.ts';
import { NO_PARTS, NO_SOFT, type InstanceState } from '../../actors/instance/state.ts';
import { decide as decideHost } from '../../actors/host/decide.ts';
import type { HostProtocol } from '../../actors/host/messages.ts';
import { HostLease } from '../../actors/host/lease.ts';
import { hostJobs } from '../../actors/host/perform.ts';
import { HOST_DEFAULTS, type HostSettings } from '../../actors/host/settings.ts';
import { newHost, type HostState } from '../../actors/host/state.ts';
import type { InstanceRecord } from '../../actors/model/instance.ts';
import type { Bid } from '../../actors/model/placement.ts';
import type { PowerState } from '../../actors/model/server-state.ts';
import { memoryDisk } from '../../drivers/simulated/disk.ts';
import { openSimulatedDriver } from '../../drivers/simulated/driver.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import type { Effect, Outcome } from '../../runtime/actor/effect.ts';
import type { Facts } from '../../runtime/actor/kind.ts';
import type { MessageOf } from '../../runtime/actor/protocol.ts';
import { systemClock } from '../../runtime/base/clock.ts';
import { noFailpoint } from '../../runtime/base/failpoint.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { seededRandom } from '../../runtime/base/random.ts';
import { NETWORK, newInstance } from '../simulation/records.ts';
import type { Sent } from './crossing.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const LATER_MS = NOW_MS + 3_600_000;
const INSTANCE_ID = '0b6b2a6e-3c0e-4a35-9c3e-2f1e0b2d9a11';
const IMAGE_ID = '70a599e0-31e7-49b7-b260-868f441e862b';
const SETTINGS = { ...INSTANCE_DEFAULTS, schedulerSlices: 2 };
const HOST = 'host-1';
const HOST_SETTINGS: HostSettings = { ...HOST_DEFAULTS, node: 'n1', driver: 'simulated', slicesOf: () => [0] };
const NEED = { vcpus: 1, memoryMiB: 512, diskGiB: 1 };

function factsAt(nowMs: number): Facts {
  const random = seededRandom(7);
  let handle = 0;
  return { nowMs, upMs: nowMs, newId: () => random.uuid(), chance: () => random.next(), senderEpoch: 3, holdReply: () => ++handle, commandId: undefined };
}

/** With everything that a record may have, so that what is made of it has it too. */
export function richInstance(): InstanceRecord {
  const plain = newInstance(INSTANCE_ID, { requestId: 'req-1', userId: 'ann', name: 'wéb 🖥', nowMs: NOW_MS, stepDueMs: LATER_MS });
  const image = {
    ...plain.image,
    id: IMAGE_ID,
    hash: { algorithm: 'sha512', hex: 'a1'.repeat(64) },
    properties: { hw_disk_bus: 'virtio', 'a b': '' },
  } as const;
  return {
    ...plain,
    number: 42,
    image,
    kernel: image,
    ramdisk: { ...image, hash: null },
    userData: 'QUJD'.repeat(16_000),
    metadata: { 'a.b:c': 'd', toString: 'x' },
    tags: ['x'],
    flavor: { ...plain.flavor, ephemeralGiB: 1, swapMiB: 512, extraSpecs: { 'hw:numa_nodes': '1' } },
    schedulerHints: { different_host: [IMAGE_ID], query: { and: [['>=', '$free_ram_mb', 1024], true, null] } },
    requestedZone: 'nova',
    requestedHost: HOST,
  };
}

/** Each leaves the server in a state that the next one is for. */
const IN_PLACE: readonly (readonly [Verb, PowerState | null])[] = [
  [{ name: 'pause' }, 'paused'],
  [{ name: 'unpause' }, 'running'],
  [{ name: 'suspend' }, 'suspended'],
  [{ name: 'resume' }, 'running'],
  [{ name: 'rescue', boot: null }, 'running'],
  [{ name: 'unrescue' }, 'running'],
  [{ name: 'changePassword', password: 'secret' }, null],
  [{ name: 'crashDump' }, null],
];

/** A server's life from its order to its end, as often as needed: hosts that refuse, that fail, that do not answer. */
export function saidByInstance(): Sent[] {
  return [failingLife(), fullLife(), deletedEarly(), copiedLife(), ...movingLives(), groupedLife()].flat();
}

function failingLife(): Sent[] {
  const life = new InstanceLife();
  life.placed();
  life.answer('claimed', { ok: true, value: { granted: false, why: 'full', report: null } });
  life.answer('claimed', { ok: true, value: { granted: true, hostEpoch: 2 } });
  life.answer('ran', { ok: true, value: { is: 'failed', fault: new Fault('invalid', 'guest.spec', 'It cannot be run here.').toRecord() } });
  life.answer('ran', { ok: true, value: { is: 'done', power: null } });
  return life.sent;
}

function fullLife(): Sent[] {
  const life = new InstanceLife();
  life.placed();
  life.answer('claimed', { ok: true, value: { granted: true, hostEpoch: 2 } });
  life.answer('ran', { ok: true, value: { is: 'done', power: 'running' } });
  for (const verb of [{ name: 'stop' }, { name: 'start' }, { name: 'reboot', kind: 'soft' }, { name: 'reboot', kind: 'hard' }] as const) {
    life.act(verb);
    life.answer('ran', { ok: true, value: { is: 'done', power: verb.name === 'stop' ? 'shutdown' : 'running' } });
  }
  for (const [verb, power] of IN_PLACE) {
    life.act(verb);
    life.answer('ran', { ok: true, value: { is: 'done', power } });
  }
  life.act({ name: 'delete' });
  // The host fails for good: the claim is doomed, and the host is told to look.
  life.answer('ran', { ok: true, value: { is: 'failed', fault: new Fault('conflict', 'host.stale', 'Stale.').toRecord() } });
  return life.sent;
}

/** Images are made of it, it is rebuilt, shelved, and comes back. */
function copiedLife(): Sent[] {
  const life = new InstanceLife();
  life.placed();
  life.answer('claimed', { ok: true, value: { granted: true, hostEpoch: 2 } });
  life.answer('ran', { ok: true, value: { is: 'done', power: 'running' } });
  const image = { id: IMAGE_ID, name: 'copy', owner: 'blue', minDiskGiB: 1, minMemoryMiB: 0, properties: { image_type: 'backup', 'a b': '' } };
  const done = (power: 'running' | 'shutdown' | null = null): void => life.answer('ran', { ok: true, value: { is: 'done', power } });
  const copied = (): void => {
    life.answer('ran', { ok: true, value: { is: 'done', power: null, disk: { diskFormat: 'qcow2', sizeBytes: 7, virtualBytes: 9 } } });
    life.answer('imaged', { ok: true, value: undefined });
    done();
    life.answer('imaged', { ok: true, value: richInstance().image });
  };
  life.act({ name: 'createBackup', image, backupType: 'daily', rotation: 1 });
  life.answer('imaged', { ok: true, value: undefined });
  copied();
  life.act({ name: 'createImage', image });
  life.answer('imaged', { ok: true, value: undefined });
  life.answer('ran', { ok: true, value: { is: 'failed', fault: new Fault('unsupported', 'test', 'It cannot be copied.').toRecord() } });
  done();
  life.act({ name: 'rebuild', image: richInstance().image, kernel: null, ramdisk: null, changes: {}, preserveEphemeral: false });
  done();
  done('running');
  life.act({ name: 'shelve', image });
  life.answer('imaged', { ok: true, value: undefined });
  done('shutdown');
  copied();
  done();
  life.act({ name: 'unshelve', host: null });
  return life.sent;
}

/** To another size and back, to another host while it runs, and off while that is under way. */
function movingLives(): Sent[][] {
  const done = (power: string | null, more: object = {}): Outcome => ({ ok: true, value: { is: 'done', power, ...more } });
  const way = { urls: ['http://host-1:9/disks/1'], token: 'word' };
  const active = (): InstanceLife => {
    const life = new InstanceLife();
    life.placed();
    life.answer('claimed', { ok: true, value: { granted: true, hostEpoch: 2 } });
    life.answer('ran', done('running'));
    return life;
  };
  const moving = (verb: Verb, ...steps: readonly Outcome[]): InstanceLife => {
    const life = active();
    life.act(verb);
    life.bids();
    life.answer('claimed', { ok: true, value: { granted: true, hostEpoch: 3 } });
    for (const step of steps) life.answer('ran', step);
    return life;
  };
  const { flavor } = richInstance();
  const resize: Verb = { name: 'resize', flavor: { ...flavor, flavorId: '2', vcpus: 2 }, diskConfig: 'AUTO' };
  const resized = moving(resize, done('shutdown'), done(null, { way }), done('shutdown'), done('running'));
  resized.act({ name: 'revertResize' });
  for (const power of ['shutdown', null, 'running']) resized.answer('ran', done(power));
  const live = moving({ name: 'live-migration', target: 'host-2', force: false }, done('pending'));
  const migrationId = live.record?.move?.migrationId ?? '';
  live.act({ name: 'forceMigration', migrationId });
  for (const step of [done('paused'), done(null, { way }), done('paused'), done('running'), done(null)]) live.answer('ran', step);
  const aborted = moving({ name: 'live-migration', target: null, force: false }, done('pending'));
  aborted.act({ name: 'abortMigration', migrationId: aborted.record?.move?.migrationId ?? '' });
  for (const power of [null, 'running']) aborted.answer('ran', done(power));
  aborted.act({ name: 'migrate', target: null });
  aborted.act({ name: 'delete' });
  return [resized.sent, live.sent, aborted.sent];
}

function deletedEarly(): Sent[] {
  const life = new InstanceLife();
  life.placed();
  life.act({ name: 'delete' });
  return life.sent;
}

function groupedLife(): Sent[] {
  const life = new InstanceLife({ group: { id: IMAGE_ID } });
  life.answer('grouped', { ok: true, value: { policy: 'anti-affinity', perHost: 2, hosts: { [HOST]: 1 } } });
  return life.sent;
}

class InstanceLife {
  readonly sent: Sent[] = [];
  readonly #asked = new Map<string, string>();
  #requests = 1;
  #state: InstanceState;

  constructor(more: Partial<InstanceRecord> = {}) {
    this.#state = { id: INSTANCE_ID, record: { ...richInstance(), ...more }, soft: NO_SOFT, parts: NO_PARTS };
    const { state, effects } = recover(this.#state, factsAt(NOW_MS), SETTINGS);
    this.#take(state, effects);
  }

  placed(): void {
    const bids: Bid[] = [
      { host: HOST, zone: 'nova', score: 1, seen: 4 },
      { host: 'host-2', zone: 'nova', score: 0.5, seen: 1 },
    ];
    for (let slice = 0; slice < SETTINGS.schedulerSlices; slice++)
      this.answer('placed', { ok: true, value: { bids, explanation: { considered: 2, removed: {}, bids } } });
    const nic = { networkId: NETWORK.id, label: NETWORK.label, address: '10.20.0.5', prefix: 26, gateway: '10.20.0.1', mac: 'fa:16:0a:14:00:05' };
    this.answer('addressed', { ok: true, value: nic });
  }

  get record(): InstanceRecord | undefined {
    return this.#state.record;
  }

  /** Of hosts, for one that has its addresses. */
  bids(): void {
    const bids: Bid[] = [{ host: 'host-2', zone: 'nova', score: 1, seen: 4 }];
    for (let slice = 0; slice < SETTINGS.schedulerSlices; slice++)
      this.answer('placed', { ok: true, value: { bids, explanation: { considered: 2, removed: {}, bids } } });
  }

  answer(as: 'placed' | 'grouped' | 'addressed' | 'claimed' | 'ran' | 'imaged', outcome: Outcome): void {
    this.#say({ type: as, tag: this.#asked.get(as) ?? '', outcome });
  }

  act(verb: Verb): void {
    this.#say({ type: 'act', verb, caller: { userId: 'ann', projectId: 'blue', isAdmin: false, requestId: `req-${++this.#requests}` } });
  }

  #say(message: MessageOf<InstanceProtocol>): void {
    const { state, effects } = decideInstance(this.#state, message, factsAt(NOW_MS), SETTINGS);
    this.#take(state, effects);
  }

  #take(state: InstanceState, effects: readonly Effect[]): void {
    this.#state = state;
    for (const effect of effects) if (effect.do === 'ask') this.#asked.set(effect.as, effect.tag);
    this.sent.push(...sentBy(effects));
    for (const effect of effects) if (effect.do === 'wake' && effect.inMs === 0) this.#say(effect.message as MessageOf<InstanceProtocol>);
  }
}

/** A host's life: begun, claimed, asked for what it does not know, changed by itself and by administrators. */
export async function saidByHost(): Promise<Sent[]> {
  const sent: Sent[] = [];
  let state: HostState = newHost(HOST);
  const say = (message: MessageOf<HostProtocol>, nowMs = NOW_MS): void => {
    const next = decideHost(state, message, factsAt(nowMs), HOST_SETTINGS);
    state = next.state;
    sent.push(...sentBy(next.effects));
  };
  const driver = await openSimulatedDriver({ host: HOST, directory: '', clock: systemClock, random: seededRandom(1), disk: memoryDisk() });
  try {
    const jobs = hostJobs({ driver, actors: answering(sent), log: silentLog, failpoint: noFailpoint }, HOST_SETTINGS);
    const { signal } = new AbortController();
    say({ type: 'tick' });
    const begun = await jobs['begin']?.({ host: HOST } as never, signal);
    say({ type: 'started', tag: 'begin', outcome: { ok: true, value: begun } });
    const guest = { instanceId: INSTANCE_ID, generation: 1 };
    say({ type: 'claim', ...guest, generation: 2, need: NEED });
    say({ type: 'run', ...guest, generation: 3, operation: 'op', verb: { name: 'start' }, waitMs: 1_000 });
    say({ type: 'rowChanged' });
    say({ type: 'guestChanged', event: { ...guest, power: 'crashed' } });
    say({ type: 'release', ...guest });
    say({ type: 'tick' }, LATER_MS);
    await jobs['beat']?.({ host: HOST, epoch: 3 } as never, signal);
    await new HostLease({ host: HOST, leaseMs: 15_000, clock: systemClock, actors: answering(sent) }).leave();
    await jobs['look']?.({ host: HOST } as never, signal);
    await jobs['fetchImages']?.({ host: HOST } as never, signal);
    await jobs['clear']?.({ host: HOST, doomed: [guest], strays: [{ ...guest, generation: 0 }] } as never, signal);
    // Its driver's way to images, as the node plugs it.
    const ticket = { type: 'hostImageTicket', host: HOST, imageId: INSTANCE_ID, again: false };
    sent.push({ to: CONDUCTOR, message: ticket });
    const upload = { type: 'hostUploadTicket', host: HOST, instanceId: INSTANCE_ID, imageId: IMAGE_ID, again: false };
    sent.push({ to: CONDUCTOR, message: upload });
  } finally {
    await driver.close();
  }
  return sent;
}

/** A conductor that keeps what it is asked. */
function answering(sent: Sent[]): Actors {
  const held = { instanceId: INSTANCE_ID, generation: 1, host: HOST, role: 'active', need: NEED };
  const answers: { readonly [type: string]: unknown } = {
    hostStart: { epoch: 3, enabled: true, zone: 'nova', aggregates: [{ id: 1, metadata: { ssd: 'true' } }], claims: [held] },
    hostClaims: [held],
    hostStrays: [{ instanceId: INSTANCE_ID, generation: 0, recordedGone: false }],
  };
  const wanted = [{ id: IMAGE_ID, diskFormat: 'qcow2', sizeBytes: 1, hash: null, properties: {} }];
  return {
    tell: (to, message) => void sent.push({ to, message }),
    ask: async (to, message) => {
      sent.push({ to, message });
      return (message.type === 'hostWantedImages' ? wanted.splice(0) : answers[message.type]) as never;
    },
  };
}

function sentBy(effects: readonly Effect[]): Sent[] {
  return effects.flatMap((effect) => (effect.do === 'ask' || effect.do === 'tell' ? [{ to: effect.to, message: effect.message }] : []));
}
