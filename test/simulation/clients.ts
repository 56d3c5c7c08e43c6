/**
 * The users of the simulated cell: they order servers, act on them, look at them, and try again, with the same key or
 * command id, when no answer comes. What was answered is remembered: it must not be lost (P6).
 */
import { CONDUCTOR } from '../../actors/conductor/messages.ts';
import type { CreateOrder } from '../../actors/conductor/messages/write.ts';
import { instanceRef, type Verb } from '../../actors/instance/messages.ts';
import type { ImageDraft } from '../../actors/model/image.ts';
import type { VmState } from '../../actors/model/server-state.ts';
import { toLoaded } from '../doubles/memory-store.ts';
import { quotaNeed } from '../../actors/model/quota.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { pick, seededRandom, type Random } from '../../runtime/base/random.ts';
import { INSTANCE_SETTINGS } from './settings.ts';
import { newInstance } from './records.ts';
import type { World } from './world.ts';

const ANSWER_MS = 8_000;
const TRIES = 8;

/** `image`: of a verb that makes one; `rotation`: how many of its kind are to be left. */
export type Ack = { readonly id: string; readonly requestId: string; readonly verb: Verb['name']; readonly image?: string; readonly rotation?: number };
/** What was answered to clients. */
export class Acks {
  readonly created: { readonly key: string; readonly ids: readonly string[]; readonly least: number }[] = [];
  readonly done: Ack[] = [];
  /** States that were shown, by instance and revision. */
  readonly shown: { readonly id: string; readonly version: number; readonly revision: number }[] = [];
}

/** What is done to a server where it is, and the states that it is for; none: any. */
const IN_PLACE = {
  pause: { verb: { name: 'pause' }, states: ['active'] },
  unpause: { verb: { name: 'unpause' }, states: ['paused'] },
  suspend: { verb: { name: 'suspend' }, states: ['active'] },
  resume: { verb: { name: 'resume' }, states: ['suspended'] },
  rescue: { verb: { name: 'rescue', boot: null }, states: ['active', 'stopped'] },
  unrescue: { verb: { name: 'unrescue' }, states: ['rescued'] },
  restore: { verb: { name: 'restore' }, states: ['soft-delete'] },
  password: { verb: { name: 'changePassword', password: 'secret' }, states: ['active'] },
  hardAny: { verb: { name: 'reboot', kind: 'hard' }, states: ['paused', 'suspended'] },
  forceDelete: { verb: { name: 'forceDelete' }, states: [] },
  lock: { verb: { name: 'lock', reason: null }, states: [] },
  unlock: { verb: { name: 'unlock', override: false }, states: [] },
} as const satisfies { readonly [action: string]: { readonly verb: Verb; readonly states: readonly VmState[] } };
type InPlace = keyof typeof IN_PLACE;

export const IN_PLACE_ACTIONS = Object.keys(IN_PLACE) as readonly InPlace[];

export type Action =
  | 'create'
  | 'multi'
  | 'burst'
  | 'start'
  | 'stop'
  | 'soft'
  | 'hard'
  | 'delete'
  | 'get'
  | 'evacuate'
  | 'image'
  | 'backup'
  | 'rebuild'
  | 'shelve'
  | 'offload'
  | 'unshelve'
  | Moving
  | InPlace;
export type Moving = 'resize' | 'migrate' | 'live' | 'confirm' | 'revert' | 'keep' | 'abort' | 'force';

export class Client {
  readonly #world: World;
  readonly #random: Random;
  readonly #name: string;
  readonly #user: string;
  /** What servers are asked into; null: anywhere. */
  readonly #zones: readonly (string | null)[];
  #requests = 0;

  constructor(world: World, name: string, user = 'ann', zones: readonly (string | null)[] = []) {
    this.#zones = zones;
    this.#world = world;
    this.#name = name;
    this.#user = user;
    this.#random = seededRandom(Math.floor(world.random.next() * 2 ** 31));
  }

  /** Some actions with pauses between them. */
  async live(actions: readonly Action[], pauseMs: number): Promise<void> {
    for (const action of actions) {
      await this.pause(this.#random.next() ** 2 * pauseMs);
      await this.do(action);
    }
  }

  pause(ms: number): Promise<void> {
    return this.#world.time.clock.sleep(ms);
  }

  async do(action: Action): Promise<void> {
    switch (action) {
      case 'create':
        return void (await this.create(1, 1));
      case 'multi':
        return void (await this.create(3, 1 + Math.floor(this.#random.next() * 3)));
      case 'burst':
        return void (await Promise.all([1, 2, 3, 4].map(() => this.create(1, 1))));
      case 'get':
        return this.#onSome((id) => this.#look(id));
      case 'evacuate':
        return this.#onSome(
          (id) => this.evacuate(id),
          ['active', 'stopped', 'error'],
          (host) => this.#world.isDown(host),
        );
      case 'resize':
      case 'migrate':
        return this.#onSome((id) => this.move(id, action), ['active', 'stopped']);
      case 'live':
        return this.#onSome((id) => this.move(id, action), ['active', 'paused']);
      case 'confirm':
        return this.#onSome((id) => this.act(id, { name: 'confirmResize' }), ['resized']);
      case 'revert':
        return this.#onSome((id) => this.act(id, { name: 'revertResize' }), ['resized', 'error']);
      case 'keep':
        return this.#onSome((id) => this.act(id, { name: 'resetState', to: 'active' }, true), ['resized']);
      case 'abort':
      case 'force':
        return this.#onSome(
          (id) => this.interfere(id, action),
          ['active'],
          (_host, task) => task === 'migrating',
        );
      case 'soft':
      case 'hard':
        return this.#onSome((id) => this.act(id, { name: 'reboot', kind: action }), ['active']);
      case 'start':
        return this.#onSome((id) => this.act(id, { name: action }), ['stopped']);
      case 'stop':
        return this.#onSome((id) => this.act(id, { name: action }), ['active']);
      case 'image':
        this.#spoil();
        return this.#onSome((id) => this.act(id, { name: 'createImage', image: this.#draft(id, {}) }), ['active', 'stopped']);
      case 'backup':
        return this.#onSome(
          (id) =>
            this.act(id, {
              name: 'createBackup',
              image: this.#draft(id, { backup_type: 'daily' }),
              backupType: 'daily',
              rotation: Math.floor(this.#random.next() * 3),
            }),
          ['active', 'stopped'],
        );
      case 'rebuild':
        return this.#onSome(
          (id) => this.act(id, { name: 'rebuild', image: REBUILT, kernel: null, ramdisk: null, changes: {}, preserveEphemeral: false }),
          ['active', 'stopped', 'error'],
        );
      case 'shelve':
        this.#spoil();
        return this.#onSome((id) => this.act(id, { name: 'shelve', image: this.#draft(id, {}) }), ['active', 'stopped']);
      case 'offload':
        return this.#onSome((id) => this.act(id, { name: 'shelveOffload' }, true), ['shelved']);
      case 'unshelve':
        return this.#onSome((id) => this.act(id, { name: 'unshelve', host: null }), ['shelved', 'shelved_offloaded']);
      case 'delete':
        return this.#onSome((id) => this.act(id, { name: action }));
      default: {
        const { verb, states } = IN_PLACE[action];
        return this.#onSome((id) => this.act(id, verb), states);
      }
    }
  }

  /** Now and then a hypervisor fails at what only these actions need. */
  #spoil(): void {
    const { isQuiet, plan } = this.#world.faults;
    if (isQuiet || plan.hypervisor === 0 || this.#random.next() > 0.25) return;
    const verb = pick(this.#random, ['snapshot', 'openSnapshot', 'dropSnapshot'] as const);
    const fault = pick(this.#random, [
      new Fault('internal', 'sim.copy', 'broken'),
      new Fault('unavailable', 'sim.away', 'away'),
      new Fault('notFound', 'snapshot.gone', 'lost'),
    ]);
    pick(this.#random, this.#world.hosts).script.fail(verb, fault, { at: this.#random.next() < 0.5 ? 'before' : 'after' });
    this.#world.meet(`struck: ${verb}`);
  }

  #draft(id: string, properties: { readonly [key: string]: string }): ImageDraft {
    return { id: this.#random.uuid(), name: 'copy', owner: 'blue', minDiskGiB: 1, minMemoryMiB: 0, properties: { ...properties, instance_uuid: id } };
  }

  /** Orders servers; answers with their ids, or none when it was refused. */
  async create(count: number, least: number): Promise<readonly string[]> {
    const key = this.#newRequest();
    const { wallMs } = this.#world.time.clock;
    const zone = this.#zones.length === 0 ? null : pick(this.#random, this.#zones);
    const make = { zone, requestId: key, userId: this.#user, nowMs: wallMs(), stepDueMs: wallMs() + INSTANCE_SETTINGS.placeLimitMs };
    // A retry of a real client carries the same body, and the door makes new records of it.
    const { group } = this.#requests % 2 === 0 ? {} : this.#world.options;
    const member = group ? { group: { id: group.id } } : {};
    const order = (): CreateOrder => {
      const instances = Array.from({ length: count }, (_, i) => ({ ...newInstance(this.#random.uuid(), { ...make, name: `${key}-${i}` }), ...member }));
      return {
        projectId: 'blue',
        userId: this.#user,
        instances,
        minCount: least,
        needEach: quotaNeed(1, instances[0]!.flavor),
        idempotency: { key, bodyHash: `${count}/${least}` },
      };
    };
    const answer = await this.#try(`create ${key}`, (actors) => actors.ask(CONDUCTOR, { type: 'accept', order: order() }, { timeoutMs: 5_000 }));
    if (!answer) return [];
    const ids = answer.instances.map(({ record }) => record.id);
    this.#world.acks.created.push({ key, ids, least });
    for (const id of ids) this.#world.faults.note(`${this.#name}: accepted ${id} of ${key}`);
    // As the door does, but for the others, whose hint is as good as lost.
    this.#world.node?.actors.tell(instanceRef(ids[0] ?? ''), { type: 'wake' });
    return ids;
  }

  /** As the door does it: refused when nothing proves the host dead. Some get past it, as who asks in the last moment does. */
  async evacuate(id: string): Promise<void> {
    const host = this.#hostOf(id);
    if (host === null) return;
    const standing = await this.#try(`standing of ${host}`, (actors) => actors.ask(CONDUCTOR, { type: 'hostStanding', host }, { timeoutMs: 5_000 }));
    const isProved = standing?.proof !== null && standing !== undefined;
    this.#world.meet(`evacuate: ${isProved ? 'proved' : 'not proved'}`);
    if (!isProved && this.#random.next() < 0.5) return;
    const others = this.#world.hosts.map(({ name }) => name).filter((name) => name !== host);
    const target = this.#random.next() < 0.2 && others.length > 0 ? pick(this.#random, others) : null;
    const [force, stopped] = [target !== null && this.#random.next() < 0.5, this.#random.next() < 0.3];
    await this.act(id, { name: 'evacuate', target, force, stopped }, true);
  }

  /** To a larger or a smaller size, or to another host; sometimes to one that is named. */
  async move(id: string, how: 'resize' | 'migrate' | 'live'): Promise<void> {
    const row = this.#world.tables.instances.get(id);
    if (!row) return;
    const { flavor, host } = toLoaded(row).record;
    if (how === 'resize') {
      const vcpus = flavor.vcpus === 1 ? 2 : 1;
      const size = { vcpus, memoryMiB: 512 * vcpus, rootGiB: Math.max(flavor.rootGiB, vcpus) };
      return this.act(id, { name: 'resize', flavor: { ...flavor, ...size, flavorId: String(vcpus), name: `size ${vcpus}` }, diskConfig: null });
    }
    const others = this.#world.hosts.map(({ name }) => name).filter((name) => name !== host);
    const target = this.#random.next() < 0.2 && others.length > 0 ? pick(this.#random, others) : null;
    await this.act(id, how === 'migrate' ? { name: 'migrate', target } : { name: 'live-migration', target, force: false }, true);
  }

  async interfere(id: string, how: 'abort' | 'force'): Promise<void> {
    const row = this.#world.tables.instances.get(id);
    const migrationId = row && toLoaded(row).record.move?.migrationId;
    if (migrationId !== undefined) await this.act(id, { name: how === 'abort' ? 'abortMigration' : 'forceMigration', migrationId }, true);
  }

  async act(id: string, verb: Verb, isAdmin = false): Promise<void> {
    const requestId = this.#newRequest();
    const caller = { userId: this.#user, projectId: 'blue', isAdmin, requestId };
    const commandId = this.#random.uuid();
    const answer = await this.#try(`${verb.name} ${id}`, (actors) =>
      actors.ask(instanceRef(id), { type: 'act', verb, caller }, { timeoutMs: 5_000, commandId }),
    );
    if (!answer) return;
    const image = verb.name === 'createImage' || verb.name === 'createBackup' ? { image: verb.image.id } : {};
    this.#world.acks.done.push({ id, requestId, verb: verb.name, ...image, ...(verb.name === 'createBackup' && { rotation: verb.rotation }) });
    this.#world.faults.note(`${this.#name}: accepted ${verb.name} of ${id} as ${requestId}`);
  }

  async #look(id: string): Promise<void> {
    const shown = await this.#try(`get ${id}`, (actors) => actors.ask(instanceRef(id), { type: 'get' }, { timeoutMs: 5_000 }));
    if (shown) this.#world.acks.shown.push({ id, version: shown.version, revision: shown.revision });
  }

  /** On one of the servers, most times on one in such a state when there is one. */
  async #onSome(
    run: (id: string) => Promise<void>,
    states: readonly VmState[] = [],
    fits: (host: string | null, task: string | null) => boolean = () => true,
  ): Promise<void> {
    const ids = this.#world.acks.created.flatMap((ack) => ack.ids);
    const inState = ids.filter((id) => states.some((state) => state === this.#world.tables.instances.get(id)?.row.vm_state));
    const fitting = inState.filter((id) => fits(this.#hostOf(id), this.#world.tables.instances.get(id)?.row.task_state ?? null));
    const from = fitting.length > 0 && this.#random.next() < 0.8 ? fitting : ids;
    if (from.length > 0) await run(pick(this.#random, from));
  }

  #hostOf(id: string): string | null {
    const row = this.#world.tables.instances.get(id);
    return row ? toLoaded(row).record.host : null;
  }

  #newRequest(): string {
    this.#requests += 1;
    return `req-${this.#name}-${this.#requests}`;
  }

  /** Asks the node that is there, again while there is no answer. undefined: refused, or given up. */
  async #try<T>(what: string, ask: (actors: NonNullable<World['node']>['actors']) => Promise<T>): Promise<T | undefined> {
    for (let i = 0; i < TRIES; i++) {
      const node = this.#world.node;
      if (!node) {
        await this.pause(500);
        continue;
      }
      try {
        const answer = await Promise.race([ask(node.actors), this.pause(ANSWER_MS).then(() => NO_ANSWER)]);
        if (answer !== NO_ANSWER) return answer as T;
      } catch (error) {
        const fault = Fault.from(error);
        this.#world.faults.note(`${this.#name}: ${what} refused: ${fault.reason}`);
        if (!fault.retryable) return undefined;
      }
      await this.pause(200);
    }
    return undefined;
  }
}

const NO_ANSWER = Symbol('no answer');
const { image } = newInstance('00000000-0000-4000-8000-000000000000', { requestId: '', userId: '', name: '', nowMs: 0, stepDueMs: 0 });
const REBUILT = { ...image, id: 'other', name: 'other' };
