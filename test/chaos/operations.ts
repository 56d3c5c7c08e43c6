/**
 * What clients ask for in these tests, and what each must have come to when it was accepted. A client whose request got
 * no answer knows nothing: a create is repeated with its Idempotency-Key, anything else may have happened or not.
 */
import type { CallOptions, Cloud } from '../doubles/cloud.ts';
import { guestsOf, query } from './checkers.ts';

export const OPERATIONS = ['boot', 'stop', 'start', 'softReboot', 'hardReboot', 'delete', 'abandon'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** An order that was given. `status` is undefined when no answer came. */
export type Given = {
  readonly operation: Operation;
  /** Of a boot that was not answered it is not known. */
  readonly serverId: string | undefined;
  readonly status: number | undefined;
  /** Undefined for a repeated order: its history is the first one's. */
  readonly requestId: string | undefined;
  /** Of boot and abandon. */
  readonly key: string | undefined;
  readonly bootsBefore: number;
};

export type Row = { readonly id: string; readonly vm_state: string; readonly deleted: boolean; readonly record: RowRecord };
type RowRecord = {
  readonly fault: { readonly message: string } | null;
  readonly actions: readonly {
    readonly requestId: string;
    readonly action: string;
    readonly message: string | null;
    readonly events: readonly { readonly result: string | null }[];
  }[];
};

/** The state that a server must be in before the operation. */
export const NEEDS: { readonly [operation in Operation]: 'active' | 'stopped' | undefined } = {
  boot: undefined,
  stop: 'active',
  start: 'stopped',
  softReboot: 'active',
  hardReboot: 'active',
  delete: 'active',
  abandon: undefined,
};
/** The vm state after it, when it was accepted. */
const GOAL: { readonly [operation in Operation]: string } = {
  boot: 'active',
  stop: 'stopped',
  start: 'active',
  softReboot: 'active',
  hardReboot: 'active',
  delete: 'deleted',
  abandon: 'deleted',
};
const BODY = {
  stop: { 'os-stop': null },
  start: { 'os-start': null },
  softReboot: { reboot: { type: 'SOFT' } },
  hardReboot: { reboot: { type: 'HARD' } },
} as const;
const MICROVERSION = '2.90';

export class Client {
  readonly #cloud: Cloud;
  readonly #imageId: string;
  readonly #options: CallOptions;

  constructor(cloud: Cloud, imageId: string, options: CallOptions = {}) {
    this.#cloud = cloud;
    this.#imageId = imageId;
    this.#options = { microversion: MICROVERSION, ...options };
  }

  /** Gives the order. Never rejects: no answer is an answer here. */
  async give(operation: Operation, serverId: string | undefined, key: string): Promise<Given> {
    if (operation === 'boot') return this.boot(key);
    if (operation === 'abandon') return this.#abandon(key);
    const id = serverId ?? '';
    const bootsBefore = bootsOf(this.#cloud, id);
    const answer = operation === 'delete' ? await this.#call('DELETE', `/servers/${id}`) : await this.#call('POST', `/servers/${id}/action`, BODY[operation]);
    return { operation, serverId, status: answer?.status, requestId: answer?.requestId, key: undefined, bootsBefore };
  }

  async boot(key: string): Promise<Given> {
    const server = { name: key, flavorRef: '42', imageRef: this.#imageId, networks: 'auto' };
    const answer = await this.#call('POST', '/servers', { server }, { 'idempotency-key': key });
    return { operation: 'boot', serverId: answer?.id, status: answer?.status, requestId: answer?.requestId, key, bootsBefore: 0 };
  }

  /** What a client does that got no answer: a boot again under its key, anything else when it has not happened. */
  async repeat(order: Given): Promise<Given> {
    const { operation, key = '' } = order;
    if (operation === 'boot') return { ...(await this.boot(key)), requestId: undefined };
    const serverId = order.serverId ?? (await this.boot(key)).serverId;
    const [row] = await rowsOf(this.#cloud, serverId === undefined ? [] : [serverId]);
    if (row === undefined || row.vm_state === (NEEDS[operation] === GOAL[operation] ? undefined : GOAL[operation])) return { ...order, serverId };
    return this.give(operation === 'abandon' ? 'delete' : operation, serverId, key);
  }

  /** Deletes a server in the moment in which its boot was accepted. */
  async #abandon(key: string): Promise<Given> {
    const boot = await this.boot(key);
    if (boot.serverId === undefined) return { ...boot, operation: 'abandon', status: undefined };
    return { ...(await this.give('delete', boot.serverId, key)), operation: 'abandon', key };
  }

  async #call(
    method: string,
    path: string,
    body?: unknown,
    headers: { readonly [name: string]: string } = {},
  ): Promise<{ status: number; id: string | undefined; requestId: string } | undefined> {
    try {
      const answer = await this.#cloud.api<{ server?: { id?: string } } | undefined>(method, path, body, { ...this.#options, headers });
      return { status: answer.status, id: answer.body?.server?.id, requestId: String(answer.headers['x-openstack-request-id']) };
    } catch {
      return undefined;
    }
  }
}

export async function tinyImage(cloud: Cloud): Promise<string> {
  const { body } = await cloud.api<{ images: { id: string }[] }>('GET', `${cloud.urls.image}/v2/images?name=tiny`);
  return body.images[0]?.id ?? '';
}

export function wasAccepted({ status, operation }: Given): boolean {
  return status === (operation === 'delete' || operation === 'abandon' ? 204 : 202);
}

/** What became of accepted orders other than it must. */
export async function broken(cloud: Cloud, given: readonly Given[]): Promise<string[]> {
  const rows = new Map(
    (
      await rowsOf(
        cloud,
        given.flatMap(({ serverId }) => serverId ?? []),
      )
    ).map((row) => [row.id, row]),
  );
  return given.flatMap((order) => {
    const { operation, serverId, status, key } = order;
    const row = serverId === undefined ? undefined : rows.get(serverId);
    const what = `${operation} of ${serverId ?? key}`;
    if (status !== undefined && !wasAccepted(order)) return [`${what} was answered ${status}`];
    if (serverId !== undefined && row === undefined) return [`${what}: the server is nowhere`];
    if (row?.vm_state === 'error') return [`${what} ended in error: ${row.record.fault?.message}`];
    return row !== undefined && wasAccepted(order) ? wrongEnd(cloud, order, row, what) : [];
  });
}

export async function rowsOf(cloud: Cloud, ids: readonly string[]): Promise<Row[]> {
  return query<Row>(cloud, 'select id::text, vm_state, deleted, record from instance where id = any($1::uuid[])', [ids]);
}

/** Servers at rest, by vm state. */
export async function serversIn(cloud: Cloud, vmState: string): Promise<string[]> {
  const rows = await query<{ id: string }>(cloud, 'select id::text from instance where not deleted and not open and vm_state = $1 order by number', [vmState]);
  return rows.map(({ id }) => id);
}

function wrongEnd(cloud: Cloud, order: Given, { vm_state, record }: Row, what: string): string[] {
  const goal = GOAL[order.operation];
  if (vm_state !== goal) return [`${what} was accepted and ended as ${vm_state}, not ${goal}`];
  if (order.requestId === undefined) return [];
  const history = record.actions.filter(({ requestId }) => requestId === order.requestId);
  const results = history.flatMap(({ events }) => events.map(({ result }) => result));
  if (history.length !== 1 || results.some((result) => result !== 'Success')) return [`${what}: its history is ${JSON.stringify(history)}`];
  const isReboot = order.operation === 'softReboot' || order.operation === 'hardReboot';
  const boots = isReboot && order.serverId !== undefined ? bootsOf(cloud, order.serverId) : 0;
  return isReboot && boots <= order.bootsBefore ? [`${what} was accepted and the guest did not boot again`] : [];
}

function bootsOf(cloud: Cloud, serverId: string): number {
  const guest = guestsOf(cloud).find(({ instanceId }) => instanceId === serverId);
  return guest?.console.filter(({ what }) => what === 'boot').length ?? 0;
}
