import { describe, expect, it } from 'vitest';
import { decide, recover, refused } from '../../../actors/instance/decide.ts';
import type { InstanceProtocol, Verb } from '../../../actors/instance/messages.ts';
import type { InstanceState, Working } from '../../../actors/instance/state.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import { quotaHeld } from '../../../actors/model/between.ts';
import type { Effect, Outcome } from '../../../runtime/actor/effect.ts';
import type { MessageOf } from '../../../runtime/actor/protocol.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import { ADMIN, asks, bid, explanation, failed, fault, living, mustLive, ok, refusalOf, SETTINGS, tag } from './states.ts';

const ALL = { ...SETTINGS, resizeConfirmMs: 60_000 };
const done = (power: string | null, more: object = {}) => ok({ is: 'done', power, ...more });
const broke = ok({ is: 'failed', fault: fault('internal') });
const WAY = { urls: ['http://h1:9/disks/1'], token: 'word' };

/** A server that lives through messages, as its actor would: each state is committed before the next message comes. */
class Life {
  state: InstanceState;
  effects: readonly Effect[] = [];
  nowMs = NOW_MS;
  constructor(more: Partial<InstanceRecord> = {}) {
    this.state = living(more);
  }
  get record(): InstanceRecord {
    return mustLive(this.state);
  }
  get step(): string {
    return `${this.record.operation?.step ?? '-'} ${this.record.vmState} ${this.record.taskState ?? '-'}`;
  }
  get parts() {
    const { claims, quota, migration } = this.state.parts;
    return { claims: claims.map((claim) => `${claim.op} ${claim.generation}`), ...(quota && { cores: quota.cores }), status: migration?.status ?? null };
  }
  /** The verb that is asked for, and of which place. */
  get asked(): string {
    const { to, message } = asks(this.effects).at(-1) ?? {};
    const { verb, generation } = (message ?? {}) as { verb?: { name: string }; generation?: number };
    return verb ? `${to} ${verb.name} ${generation}` : `${to} ${message?.type}`;
  }
  say(message: MessageOf<InstanceProtocol>): this {
    const { state, effects } = decide(this.state, message, factsAt(this.nowMs), ALL);
    this.state = state;
    this.effects = effects;
    return this;
  }
  act(verb: Verb): this {
    return this.say({ type: 'act', verb, caller: ADMIN });
  }
  hear(type: 'placed' | 'grouped' | 'claimed' | 'ran', outcome: Outcome): this {
    return this.say({ type, tag: tag(this.state as Working), outcome });
  }
  retry(): this {
    return this.say({ type: 'retry', tag: tag(this.state as Working) });
  }
  /** Placed on h2, its first verb asked for. */
  placed(verb: Verb): this {
    this.act(verb).hear('placed', ok({ bids: [bid('h2')], explanation: explanation(2), isLearning: false }));
    return this.hear('claimed', ok({ granted: true, hostEpoch: 7 }));
  }
}

const size = (vcpus: number) => ({ ...living().record.flavor, flavorId: String(vcpus), vcpus, memoryMiB: 512 * vcpus });
const RESIZE: Verb = { name: 'resize', flavor: size(4), diskConfig: null };
const LIVE: Verb = { name: 'live-migration', target: null, force: false };
const resizing = () => new Life().placed(RESIZE).retry();
const received = () =>
  resizing()
    .hear('ran', done('shutdown'))
    .hear('ran', done(null, { way: WAY }));
const resized = () => received().hear('ran', done('shutdown')).hear('ran', done('running'));

describe('a resize', () => {
  it('takes the quota of the larger size when it is accepted, and writes its record', () => {
    const life = new Life().act(RESIZE);
    expect([life.step, life.parts]).toEqual(['place active resize_prep', { claims: [], cores: 3, status: 'pre-migrating' }]);
    expect(quotaHeld(life.record).cores).toBe(4);
    expect(asks(life.effects)[0]?.message).toMatchObject({ request: { need: { vcpus: 4 }, excludedHosts: [] } });
    const smaller = new Life({ flavor: size(8) }).act(RESIZE);
    expect([smaller.state.parts.quota, quotaHeld(smaller.record).cores]).toEqual([null, 8]);
  });

  it('puts a second claim beside the first, and neither host nor size change before the other guest lies there', () => {
    const life = new Life().placed(RESIZE);
    expect([life.step, life.parts]).toEqual(['park active resize_migrating', { claims: ['add 2'], status: 'migrating' }]);
    expect(life.state.parts.claims[0]).toMatchObject({ host: 'h2', hostEpoch: 7, standby: true, need: { vcpus: 4 } });
    expect(life.retry().asked).toBe('host/h1 park 1');
    expect(life.hear('ran', done('shutdown')).asked).toBe('host/h1 offer 1');
    expect(life.hear('ran', done(null, { way: WAY })).asked).toBe('host/h2 receive 2');
    expect(life.record).toMatchObject({ host: 'h1', generation: 1, flavor: { vcpus: 1 }, move: { hasSwapped: false, standby: { host: 'h2', generation: 2 } } });
  });

  it('swaps both claims in the commit that comes before the new guest is started', () => {
    const life = received().hear('ran', done('shutdown'));
    expect([life.step, life.parts, life.asked]).toEqual([
      'finish active resize_finish',
      { claims: ['activate 2'], status: 'post-migrating' },
      'host/h2 start 2',
    ]);
    expect(life.record).toMatchObject({ host: 'h2', generation: 2, flavor: { vcpus: 4 }, move: { hasSwapped: true, standby: { host: 'h1', generation: 1 } } });
    life.hear('ran', done('running'));
    expect([life.step, life.parts]).toEqual(['- resized -', { claims: [], status: 'finished' }]);
  });

  it('of a server that is off starts nothing: the swap is a commit of its own', () => {
    const life = new Life({ vmState: 'stopped', powerState: 'shutdown' }).placed(RESIZE).retry();
    life
      .hear('ran', done('shutdown'))
      .hear('ran', done(null, { way: WAY }))
      .hear('ran', done('shutdown'));
    expect([life.step, life.parts.claims, asks(life.effects)]).toEqual(['finish stopped resize_finish', ['activate 2'], []]);
    expect(life.retry().record).toMatchObject({ vmState: 'resized', powerState: 'shutdown', operation: null });
  });

  it('asks the source anew where its disk is given, when the destination could not fetch it', () => {
    const life = received().hear('ran', ok({ is: 'failed', fault: fault('unavailable') }));
    expect(life.retry().asked).toBe('host/h1 offer 1');
  });

  it('that nobody takes leaves the server as it was, and gives the quota back', () => {
    const life = new Life().act(RESIZE).hear('placed', ok({ bids: [], explanation: explanation(2, { RamFilter: 2 }), isLearning: false }));
    expect([life.step, life.parts]).toEqual(['- active -', { claims: [], cores: -3, status: 'error' }]);
    expect(life.record).toMatchObject({ host: 'h1', move: null, fault: { reason: 'placement.noValidHost' } });
  });

  it('that fails before the swap is taken back: the destination is cleared, then the source wakes', () => {
    const life = received().hear('ran', broke);
    expect([life.step, life.asked]).toEqual(['clear active resize_migrated', 'host/h2 destroy 2']);
    life.hear('ran', done(null));
    expect([life.parts.claims, life.asked]).toEqual([['drop 2'], 'host/h1 unpark 1']);
    life.hear('ran', done('running'));
    expect([life.step, life.parts]).toEqual(['- active -', { claims: [], cores: -3, status: 'error' }]);
    expect(life.record).toMatchObject({ host: 'h1', generation: 1, generationTop: 2, move: null, flavor: { vcpus: 1 } });
    expect(asks(life.placed(RESIZE).effects)).toEqual([]);
    expect(life.state.parts.claims[0]).toMatchObject({ generation: 3 });
  });

  it('that fails after the swap goes back only when nothing is left at the destination', () => {
    const life = received().hear('ran', done('shutdown')).hear('ran', broke);
    expect([life.record.host, life.asked]).toEqual(['h2', 'host/h2 destroy 2']);
    life.hear('ran', done(null));
    expect([life.parts.claims, life.record.host, life.record.flavor.vcpus, life.asked]).toEqual([['drop 2', 'activate 1'], 'h1', 1, 'host/h1 unpark 1']);
  });

  it('whose destination is silent after the swap goes back with proof, and without it keeps both claims, in error', () => {
    const life = received().hear('ran', done('shutdown')).hear('ran', broke);
    life.nowMs = NOW_MS + 3_600_000;
    const before = life.state;
    expect(life.say({ type: 'wake' }).parts.claims).toEqual(['evacuate 2', 'activate 1']);
    const { state } = refused(before, 'hostNotProved', factsAt(life.nowMs), ALL);
    expect(mustLive(state)).toMatchObject({ vmState: 'error', host: 'h2', operation: null, move: { hasSwapped: true, standby: { host: 'h1' } } });
    life.state = state;
    expect(refusalOf(life.act({ name: 'stop' }).effects)).toBe('server.state');
    expect(life.act({ name: 'revertResize' }).step).toBe('check error resize_reverting');
  });

  it('is not moved by a word too early that its destination is dead', () => {
    const life = received().hear('ran', done('shutdown'));
    expect(life.say({ type: 'hostLost', host: 'h1' }).effects).toEqual([]);
    const waiting = life.state;
    expect(life.say({ type: 'hostLost', host: 'h2' }).parts.claims).toEqual(['evacuate 2', 'activate 1']);
    expect(refused(waiting, 'hostNotProved', factsAt(), ALL)).toEqual({ state: waiting, effects: [] });
  });

  it('that the store refuses for the quota changes nothing', () => {
    const { state, effects } = refused(living(), 'quota', factsAt(), ALL);
    expect([refusalOf(effects), mustLive(state).move]).toEqual(['quota.exceeded', undefined]);
  });

  it('goes to another host when it may not stay', () => {
    const { effects } = decide(living(), { type: 'act', verb: RESIZE, caller: ADMIN }, factsAt(), { ...ALL, resizeToSameHost: false });
    expect(asks(effects)[0]?.message).toMatchObject({ request: { excludedHosts: ['h1'] } });
  });
});

describe('a resized server', () => {
  it('is confirmed: what the source kept is destroyed, its claim goes, the quota is that of the new size', () => {
    const life = resized().act({ name: 'confirmResize' });
    expect([life.parts.status, life.asked]).toEqual(['confirming', 'host/h1 destroy 1']);
    life.hear('ran', done(null));
    expect([life.step, life.parts]).toEqual(['- active -', { claims: ['drop 1'], status: 'confirmed' }]);
    expect(life.record).toMatchObject({ host: 'h2', generation: 2, move: null });
  });

  it('is confirmed although the source is away: its claim is doomed until it comes back', () => {
    const life = resized().act({ name: 'confirmResize' });
    life.nowMs += 3_600_000;
    expect(life.say({ type: 'wake' }).parts).toEqual({ claims: ['doom 1'], status: 'confirmed' });
  });

  it('is confirmed by itself when its time has come, also by an owner who has only just loaded it', () => {
    const life = resized();
    expect(life.say({ type: 'wake' }).record.operation).toBeNull();
    life.nowMs += 60_000;
    const { state } = recover(life.state, factsAt(life.nowMs), ALL);
    expect(mustLive(state).operation).toMatchObject({ name: 'confirmResize' });
    expect(life.say({ type: 'wake' }).asked).toBe('host/h1 destroy 1');
  });

  it('is reverted: the source answers first, the destination is cleared, and only then the source wakes', () => {
    const life = resized().act({ name: 'revertResize' });
    expect([life.parts.status, life.asked]).toEqual(['reverting', 'host/h1 park 1']);
    expect(life.hear('ran', done('shutdown')).asked).toBe('host/h2 destroy 2');
    life.hear('ran', done(null));
    expect([life.parts.claims, life.record.host, life.asked]).toEqual([['drop 2', 'activate 1'], 'h1', 'host/h1 unpark 1']);
    life.hear('ran', done('running'));
    expect([life.step, life.parts]).toEqual(['- active -', { claims: [], cores: -3, status: 'reverted' }]);
  });

  it('waits as before when the source of a revert does not answer: nothing was done', () => {
    const life = resized().act({ name: 'revertResize' }).hear('ran', broke);
    expect([life.step, life.parts]).toEqual(['- resized -', { claims: [], status: 'finished' }]);
  });

  it('is neither confirmed nor reverted twice at once, nor anything else while it waits', () => {
    expect(refusalOf(resized().act({ name: 'confirmResize' }).act({ name: 'revertResize' }).effects)).toBe('server.state');
    for (const verb of [{ name: 'start' }, { name: 'stop' }, RESIZE, LIVE, { name: 'migrate', target: null }] as const)
      expect(refusalOf(resized().act(verb).effects)).toBe('server.state');
    expect(refusalOf(new Life().act({ name: 'confirmResize' }).effects)).toBe('server.state');
  });

  it('that is deleted, at whatever step, has its other claim doomed in the commit that accepts it', () => {
    for (const life of [resizing(), received(), resized(), received().hear('ran', broke)]) {
      const { standby } = life.record.move!;
      life.act({ name: 'delete' });
      expect(life.parts.claims).toEqual([`doom ${standby?.generation}`]);
      expect(life.record).toMatchObject({ move: null, operation: { name: 'delete' } });
      expect(life.effects.some((effect) => effect.do === 'tell' && effect.to === `host/${standby?.host}`)).toBe(true);
    }
  });
});

describe('what else is said of a server that moves', () => {
  const after = (life: Life, verb: Verb, settings = ALL) => decide(life.state, { type: 'act', verb, caller: ADMIN }, factsAt(life.nowMs), settings);

  it('ends with its state set: active keeps it where it is, in error it may still go back', () => {
    const kept = resized().act({ name: 'resetState', to: 'active' });
    expect([kept.step, kept.parts]).toEqual(['- active -', { claims: ['doom 1'], status: 'confirmed' }]);
    expect([kept.record.move, kept.record.host, quotaHeld(kept.record).cores]).toEqual([null, 'h2', 4]);
    const wrong = resized().act({ name: 'resetState', to: 'error' });
    expect([wrong.step, wrong.parts, wrong.record.move?.standby?.host]).toEqual(['- error -', { claims: [], status: 'error' }, 'h1']);
    expect(wrong.act({ name: 'revertResize' }).asked).toBe('host/h1 park 1');
  });

  it('is no word about the state while its guest is asleep in between', () => {
    for (const life of [new Life().act(RESIZE), resizing(), received(), new Life().placed(LIVE), resized().act({ name: 'revertResize' })]) {
      const { state, effects } = after(life, { name: 'resetState', to: 'active' });
      expect([refusalOf(effects), state.record]).toEqual(['server.moves', life.record]);
    }
  });

  it('is no delete that can be undone, neither at work nor waiting, and the quota that goes is that of its size', () => {
    const undone = { ...ALL, reclaimAfterMs: 60_000 };
    for (const life of [resizing(), received(), resized(), resized().act({ name: 'resetState', to: 'error' })]) {
      for (const verb of [{ name: 'delete' }, { name: 'forceDelete' }] as const) {
        const { state } = after(life, verb, undone);
        expect([mustLive(state).operation?.name, mustLive(state).move, state.parts.claims.map(({ op }) => op)]).toEqual(['delete', null, ['doom']]);
      }
    }
    const gone = resized().act({ name: 'forceDelete' }).hear('ran', done(null));
    expect(gone.state.parts).toMatchObject({ claims: [{ op: 'drop', generation: 2 }], quota: { instances: -1, cores: -4 } });
  });

  it('may be a lock, and a crash dump of what runs, while it waits', () => {
    expect(resized().act({ name: 'lock', reason: null }).record).toMatchObject({ locked: true, vmState: 'resized', move: { hasSwapped: true } });
    const dumping = resized().act({ name: 'crashDump' });
    expect(dumping.asked).toBe('host/h2 crashDump 2');
    expect(dumping.hear('ran', done(null)).record).toMatchObject({ vmState: 'resized', operation: null, move: { hasSwapped: true } });
  });

  it('asks where the others of its group are, and is placed anew when the commit says no', () => {
    const life = new Life({ group: { id: 'g1' } }).act(RESIZE);
    expect(life.asked).toBe('conductor/any groupPlaces');
    life.hear('grouped', ok({ policy: 'anti-affinity', perHost: 1, hosts: { h3: 1 } }));
    expect(asks(life.effects)[0]?.message).toMatchObject({ request: { need: { vcpus: 4 }, group: { hosts: { h3: 1 } } } });
    const asked = life.hear('placed', ok({ bids: [bid('h2')], explanation: explanation(2), isLearning: false })).state;
    const { state, effects } = refused(asked, 'groupPolicy', factsAt(), ALL);
    expect([mustLive(state).operation?.step, mustLive(state).move?.standby, effects[0]]).toMatchObject([
      'place',
      null,
      { message: { type: 'release', generation: 2 } },
    ]);
  });
});

describe('a live migration', () => {
  const sending = () => new Life().placed(LIVE).retry().hear('ran', done('pending'));

  it('prepares, sends, receives, swaps, lands, and only then the source is cleared', () => {
    const life = new Life().placed(LIVE);
    expect([life.step, life.parts]).toEqual(['prepare active migrating', { claims: ['add 2'], status: 'preparing' }]);
    expect(life.retry().asked).toBe('host/h2 prepare 2');
    expect(life.hear('ran', done('pending')).asked).toBe('host/h1 send 1');
    expect(life.hear('ran', done('paused')).asked).toBe('host/h1 offer 1');
    expect(life.hear('ran', done(null, { way: WAY })).asked).toBe('host/h2 receive 2');
    life.hear('ran', done('paused'));
    expect([life.parts.claims, life.record.host, life.asked]).toEqual([['activate 2'], 'h2', 'host/h2 land 2']);
    expect(life.hear('ran', done('running')).asked).toBe('host/h1 destroy 1');
    life.hear('ran', done(null));
    expect([life.step, life.parts]).toEqual(['- active -', { claims: ['drop 1'], status: 'completed' }]);
  });

  it('tells how far it is while it sends, and goes on asking', () => {
    const progress = { memoryTotal: 4, memoryDone: 1, diskTotal: 0, diskDone: 0 };
    const life = sending().hear('ran', ok({ is: 'running', progress }));
    expect([life.state.parts.migration?.progress, life.asked]).toEqual([progress, 'host/h1 send 1']);
  });

  it('is hurried: who takes it up later hurries, too', () => {
    const life = sending();
    life.act({ name: 'forceMigration', migrationId: life.record.move!.migrationId });
    expect(life.effects).toContainEqual({ do: 'tell', to: 'host/h1', message: { type: 'hurry', instanceId: life.record.id, generation: 1 } });
    const taken = recover(life.state, factsAt(), ALL);
    expect(asks(taken.effects)[0]?.message).toMatchObject({ verb: { name: 'send', force: true } });
  });

  it('is called off before the swap: the source stays awake, and nothing is wrong with the server', () => {
    const life = sending();
    life.act({ name: 'abortMigration', migrationId: life.record.move!.migrationId });
    expect([life.step, life.asked]).toEqual(['clear active migrating', 'host/h2 destroy 2']);
    expect(life.hear('ran', done(null)).asked).toBe('host/h1 stay 1');
    life.hear('ran', done('running'));
    expect([life.step, life.parts.status, life.record.fault]).toEqual(['- active -', 'cancelled', null]);
  });

  it('is not called off after the swap, nor by the name of another', () => {
    const life = sending();
    expect(refusalOf(life.act({ name: 'abortMigration', migrationId: 'another' }).effects)).toBe('migration.state');
    const { migrationId } = life.record.move!;
    life
      .hear('ran', done('paused'))
      .hear('ran', done(null, { way: WAY }))
      .hear('ran', done('paused'));
    expect(refusalOf(life.act({ name: 'abortMigration', migrationId }).effects)).toBe('migration.state');
  });

  it('whose host cannot do it fails and leaves the server where it runs', () => {
    const life = new Life()
      .placed(LIVE)
      .retry()
      .hear('ran', ok({ is: 'failed', fault: fault('invalid') }));
    life.hear('ran', done(null)).hear('ran', done('running'));
    expect([life.step, life.parts.status, life.record.host]).toEqual(['- active -', 'error', 'h1']);
  });

  it('that does not answer is asked again, under the same operation', () => {
    const life = sending();
    const [first] = asks(life.effects);
    const again = life.hear('ran', failed('timeout')).retry();
    expect(asks(again.effects)[0]?.message).toMatchObject({ operation: (first?.message as unknown as { operation: string }).operation });
  });
});
