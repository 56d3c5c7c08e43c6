/** Bugs in how one actor runs, and in who may run it. */
import type { PlantedBug } from '../bug.ts';

const ACTIVATION = 'runtime/actor/activation.ts';
const SYSTEM = 'runtime/actor/system.ts';
const TAKEOVER = 'runtime/shard/takeover.ts';
const BATCH = 'runtime/database/batch.ts';

export const RUNTIME_BUGS: readonly PlantedBug[] = [
  {
    name: 'effects-before-commit',
    promise: 'P6',
    file: ACTIVATION,
    find: '    const answer = await this.#commit(before, after, state);',
    replace:
      '    this.#state = state; this.#run(next.effects, delivery); next = { ...next, effects: [] };\n    const answer = await this.#commit(before, after, state);',
    why: 'replies are given and verbs asked for before the commit that makes them true',
  },
  {
    name: 'reply-before-commit',
    promise: 'P6',
    file: ACTIVATION,
    find: '    const answer = await this.#commit(before, after, state);',
    replace:
      "    this.#run(next.effects.filter((effect) => effect.do.startsWith('reply')), delivery);\n    const answer = await this.#commit(before, after, state);",
    why: 'a command is acknowledged before it is stored',
  },
  {
    name: 'unknown-outcome-is-done',
    promise: 'P6',
    file: ACTIVATION,
    find: "      case 'unknown':\n        return this.#reset(delivery);",
    replace: "      case 'unknown':\n        this.#version++;\n        this.#state = state;\n        return this.#run(next.effects, delivery);",
    why: 'a commit whose outcome nobody knows is taken for done',
  },
  {
    name: 'unknown-outcome-is-not-done',
    promise: 'P2',
    file: ACTIVATION,
    find: "      case 'unknown':\n        return this.#reset(delivery);",
    replace: "      case 'unknown':\n        if (delivery) this.#dismiss(delivery, ROUTE_LOST);\n        return;",
    why: 'a commit whose outcome nobody knows is taken for failed, and nothing is loaded',
    suite: 'goals',
  },
  {
    name: 'recover-not-run',
    promise: 'P2',
    file: ACTIVATION,
    find: '    if (this.kind.recover) await this.#apply(this.kind.recover(this.#state, this.#facts()), undefined, true);',
    replace: "    if (this.kind.recover && this.kind.home === 'node') await this.#apply(this.kind.recover(this.#state, this.#facts()), undefined, true);",
    why: 'an actor that is loaded does not take up what is open in its row',
    suite: 'goals',
  },
  {
    name: 'command-memory-not-asked',
    promise: 'P6',
    file: ACTIVATION,
    find: '    return record?.commands?.some((command) => command.id === commandId) ?? false;',
    replace: '    return record?.commands?.some((command) => command.id === `${commandId}?`) ?? false;',
    why: 'a command that comes again is done again',
  },
  {
    name: 'command-memory-not-stored',
    promise: 'P6',
    file: ACTIVATION,
    find: '      after = kind.withCommands(after as never, this.#remember(after, delivery.commandId)) as unknown;\n      state = kind.withRecord?.(state as never, after as never) ?? state;',
    replace:
      '      const known = kind.withCommands(after as never, this.#remember(after, delivery.commandId)) as unknown;\n      state = kind.withRecord?.(state as never, known as never) ?? state;',
    why: 'a command is remembered in memory, and not in the commit that did it',
  },
  {
    name: 'retry-is-a-new-command',
    promise: 'P6',
    file: SYSTEM,
    find: '      commandId: this.#commandId,',
    replace: '      commandId: this.#commandId && this.#parts.random.uuid(),',
    why: 'each try of an ask has a command id of its own',
  },
  {
    name: 'open-not-scanned',
    promise: 'P2',
    file: TAKEOVER,
    find: '    void this.#wakeOpen(taken);',
    replace: '    void taken;',
    why: 'a node that takes shards does not ask what is open there',
    suite: 'goals',
  },
  {
    name: 'batch-answers-mixed-up',
    promise: 'P6',
    file: BATCH,
    find: 'waiting.resolve(answers[i] as Answer)',
    replace: 'waiting.resolve(answers[answers.length - 1 - i] as Answer)',
    why: 'changes that share a transaction get the answers of each other',
  },
];
