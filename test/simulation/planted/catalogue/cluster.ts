/** Bugs in what nodes agree on: leases, who is alive, who owns what, and what they say to each other. */
import type { PlantedBug } from '../bug.ts';

const LEASES = 'runtime/shard/leases.ts';
const VIEW = 'runtime/membership/view.ts';
const REMOTE = 'runtime/node/remote.ts';
const DIRECTORY = 'runtime/shard/directory.ts';

export const CLUSTER_BUGS: readonly PlantedBug[] = [
  {
    name: 'lease-without-margin',
    promise: 'P1',
    file: LEASES,
    find: '    this.#endsMs = beforeMs + leaseMs - marginMs;',
    replace: '    this.#endsMs = beforeMs + leaseMs + 3 * marginMs;',
    why: 'a node believes in its lease for longer than the others do',
  },
  {
    name: 'lease-end-not-looked-at',
    promise: 'P1',
    file: LEASES,
    find: '    return this.#parts.clock.monotonicMs() < this.#endsMs ? this.#epochs.get(shard) : undefined;',
    replace: '    return this.#held ? this.#epochs.get(shard) : undefined;',
    why: 'the end of the lease is left to a timer, which a pause holds up',
  },
  {
    name: 'lease-never-lost',
    promise: 'P1',
    file: LEASES,
    find: "      if (this.leftMs <= 0) this.#lose('no beat was answered in time');",
    replace: '      if (this.leftMs <= 0) this.#endsMs += leaseMs;',
    why: 'a lease that ran out is prolonged without an answer',
  },
  {
    name: 'given-up-before-stopped',
    promise: 'P1',
    file: LEASES,
    find: '    for (const shard of surplus) this.#epochs.delete(shard);\n    this.#parts.onLost(new Set(surplus)',
    replace:
      '    await shards.giveUp(node, boot, surplus);\n    for (const shard of surplus) this.#epochs.delete(shard);\n    this.#parts.onLost(new Set(surplus)',
    why: 'a shard is free for others before it is stopped here',
  },
  {
    name: 'clean-stop-keeps-running',
    promise: 'P1',
    file: LEASES,
    find: "    this.#lose('the node is stopping');\n    await this.#parts.shards.giveUp(this.#parts.node, this.#parts.boot);",
    replace: "    await this.#parts.shards.giveUp(this.#parts.node, this.#parts.boot);\n    this.#lose('the node is stopping');",
    why: 'a node that stops gives its shards up before it has stopped them',
  },
  {
    name: 'lost-lease-back-under-old-epochs',
    promise: 'P1',
    file: LEASES,
    find: '    if (!this.#held) {\n      this.#epochs.clear();\n      this.#extend(beforeMs);\n      this.#held = true;\n    }',
    replace:
      '    if (!this.#held) {\n      this.#extend(beforeMs);\n      this.#held = true;\n      this.#parts.onTaken([...this.#epochs.keys()], [...this.#epochs.keys()]);\n      return;\n    }',
    why: 'a node that gets its lease back runs what it had, and not what the table says',
  },
  {
    name: 'taken-shards-not-taken-up',
    promise: 'P2',
    file: LEASES,
    find: '      this.#gain(taken);\n    }',
    replace: '      for (const { shard, epoch } of taken) this.#epochs.set(shard, epoch);\n    }',
    why: 'shards of a lapsed node are owned, and what is open there is not taken up',
  },
  {
    name: 'lapsed-too-early',
    promise: 'P1',
    file: VIEW,
    find: '< settings.leaseMs + settings.marginMs;',
    replace: '< settings.leaseMs / 2;',
    why: 'a node is given up before its lease is over',
  },
  {
    name: 'moved-beat-still-lapsed',
    promise: 'P1',
    file: VIEW,
    find: 'movedMs: unmoved ? before.movedMs : nowMs });',
    replace: 'movedMs: before ? before.movedMs : nowMs });',
    why: 'a beat that moves is not seen',
  },
  {
    name: 'command-id-lost-between-nodes',
    promise: 'P6',
    file: REMOTE,
    find: "      const commandId = frame.kind === 'ask' ? frame.command : undefined;",
    replace: '      const commandId = undefined;',
    why: 'a command that crosses nodes twice is done twice',
  },
  {
    name: 'answer-to-another-question',
    promise: 'P6',
    file: REMOTE,
    find: '    const id = this.#nextId++;',
    replace: '    const id = this.#nextId++ % 2;',
    why: 'two questions under way share a number',
  },
  {
    name: 'wrong-owner-is-the-answer',
    promise: 'P2',
    file: REMOTE,
    find: "      if (taken !== 'taken') reply?.({ ok: false, fault: taken === 'full' ? FULL : MOVED });",
    replace: "      if (taken !== 'taken') reply?.({ ok: true, value: null });",
    why: 'a node that does not own a shard answers for it',
  },
  {
    name: 'owner-table-read-once',
    promise: 'P2',
    file: DIRECTORY,
    find: '      this.#owners = (await this.#parts.owners(this.#owners?.version ?? null)) ?? this.#owners;',
    replace: '      this.#owners ??= await this.#parts.owners(null);',
    why: 'who owns a shard is read once and believed for ever',
  },
];
