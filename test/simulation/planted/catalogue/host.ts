/** Bugs in what a host promises, runs and clears, in who is asked for a place, and in the addresses that are proposed. */
import type { PlantedBug } from '../bug.ts';

const CLAIMS = 'actors/host/claims.ts';
const LANES = 'actors/host/lanes.ts';
const PERFORM = 'actors/host/perform.ts';
const RECOVERY = 'actors/recovery/decide.ts';

export const HOST_BUGS: readonly PlantedBug[] = [
  {
    name: 'silent-too-early',
    promise: 'P3',
    file: RECOVERY,
    find: 'return silentMs >= leaseMs + marginMs + hostMs / 4;',
    replace: 'return silentMs >= leaseMs / 4;',
    why: 'a host is taken for dead before its guard had to stop its guests',
  },
  {
    name: 'promise-never-expires',
    promise: 'P4',
    file: CLAIMS,
    find: 'held.untilMs !== null && held.untilMs <= upMs);',
    replace: 'held.untilMs !== null && held.untilMs <= upMs && held.isDoomed);',
    why: 'a promise that nobody used is kept for ever',
  },
  {
    name: 'claims-not-counted',
    promise: 'P4',
    file: CLAIMS,
    find: 'used: plus(state.used, body.need), seen: state.seen + 1 };',
    replace: 'used: state.used, seen: state.seen + 1 };',
    why: 'a promise takes nothing from what is free',
    suite: 'contention',
  },
  {
    name: 'verbs-side-by-side',
    promise: 'P3',
    file: LANES,
    find: '  if (lane?.running) return follow(state, body, lane, handle, epoch, facts);',
    replace: '',
    why: 'two verbs of one guest run at once',
  },
  {
    name: 'any-operation-is-the-same',
    promise: 'P3',
    file: LANES,
    find: '  const isSame = lane?.operation === body.operation;',
    replace: '  const isSame = lane !== undefined;',
    why: 'an operation gets the answer of the one before it',
  },
  {
    name: 'passing-failure-remembered',
    promise: 'P2',
    file: LANES,
    find: '  const keep = outcome.ok || !Fault.fromRecord(outcome.fault).retryable;',
    replace: '  const keep = true;',
    why: 'a failure that has passed is the answer for ever',
    suite: 'goals',
  },
  {
    name: 'doomed-never-destroyed',
    promise: 'P3',
    file: 'actors/host/reconcile.ts',
    find: "    if (role === 'doomed') doomed.push({ instanceId, generation });\n    else seen.push",
    replace: "    if (role !== 'doomed') seen.push",
    why: 'a guest that is recorded as doomed stays where it is',
  },
  {
    name: 'confirmed-before-destroyed',
    promise: 'P3',
    file: PERFORM,
    find: "      await driver.destroy(guest, signal);\n      await actors.ask(CONDUCTOR, { type: 'hostConfirmGone', host, ...guest }, { signal });",
    replace: "      await actors.ask(CONDUCTOR, { type: 'hostConfirmGone', host, ...guest }, { signal });\n      await driver.destroy(guest, signal);",
    why: 'the end of a guest is confirmed before it has come',
  },
  {
    name: 'doomed-not-confirmed',
    promise: 'P4',
    file: PERFORM,
    find: "      await actors.ask(CONDUCTOR, { type: 'hostConfirmGone', host, ...guest }, { signal });",
    replace: '',
    why: 'a guest that is gone keeps its claim',
  },
  {
    name: 'address-out-of-the-network',
    promise: 'P4',
    file: 'actors/network/address-pool.ts',
    find: '    this.#last = start + size - 2; // neither',
    replace: '    this.#last = start + size - 1; // neither',
    why: 'the broadcast address is given to a server',
  },
];
