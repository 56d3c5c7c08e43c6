/** Key pairs of users: public halves only. The limit holds whatever the concurrency, since changes of a cell are serial. */
import type { MikroORM } from '@mikro-orm/postgresql';
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { KeyPair } from '../../model/key-pair.ts';
import type { QuotaLimits } from '../../model/quota.ts';
import type { RecordProtocol } from '../messages/record.ts';
import { openValues, type Query } from '../reads/query.ts';
import { KeyPairRow } from './entities.ts';
import { inCell } from './in-cell.ts';
import { limitInForce, UNLIMITED } from './quota-limit.ts';

/** Key pairs in one answer; users have a hundred by default. */
const PAGE_MAX = 1_001;

type KeyPairServe = Pick<ServiceKind<RecordProtocol>['serve'], 'listKeyPairs' | 'showKeyPair' | 'createKeyPair' | 'deleteKeyPair'>;
type KeyPairRead = Omit<KeyPair, 'createdAt'> & { createdAt: Date };

const COLUMNS = `id, user_id as "userId", name, type, public_key as "publicKey", fingerprint, created_at as "createdAt"`;

export function keyPairServe(orm: MikroORM, query: Query, quotas: QuotaLimits): KeyPairServe {
  return {
    listKeyPairs: ({ userId, marker, limit }) => list(query, userId, marker, limit),
    showKeyPair: ({ userId, name }) => show(query, userId, name),
    createKeyPair: ({ keyPair, projectId }) => create(orm, keyPair, projectId, quotas),
    async deleteKeyPair({ userId, name }) {
      await inCell(orm, async (em) => {
        if ((await em.nativeDelete(KeyPairRow, { userId, name })) === 0) throw unknownKeyPair(userId, name);
      });
      return undefined;
    },
  };
}

async function list(query: Query, userId: string, marker: string | null, limit: number | null): Promise<KeyPair[]> {
  const { values, put } = openValues();
  const conditions = [`user_id = ${put(userId)}`];
  if (marker !== null) {
    if ((await show(query, userId, marker)) === null) throw new Fault('invalid', 'marker', `marker [${marker}] not found`);
    conditions.push(`name > ${put(marker)}`);
  }
  const text = `select ${COLUMNS} from key_pair where ${conditions.join(' and ')} order by name
    limit ${put(Math.max(0, Math.min(limit ?? PAGE_MAX, PAGE_MAX)))}`;
  return (await query<KeyPairRead>({ text, values })).map(toKeyPair);
}

async function show(query: Query, userId: string, name: string): Promise<KeyPair | null> {
  const text = `select ${COLUMNS} from key_pair where user_id = $1 and name = $2`;
  const [row] = await query<KeyPairRead>({ text, values: [userId, name] });
  return row ? toKeyPair(row) : null;
}

async function create(orm: MikroORM, keyPair: Omit<KeyPair, 'id' | 'createdAt'>, projectId: string, quotas: QuotaLimits): Promise<KeyPair> {
  const { userId, name, type, publicKey, fingerprint } = keyPair;
  return inCell(orm, async (em) => {
    const max = await limitInForce(em, { projectId, userId, name: 'key_pairs' }, quotas);
    const used = await em.count(KeyPairRow, { userId });
    if (max !== UNLIMITED && used >= max) {
      throw new Fault('overQuota', 'quota.key_pairs', 'Quota exceeded, too many key pairs.', { detail: { used, limit: max } });
    }
    if (await em.findOne(KeyPairRow, { userId, name })) {
      throw new Fault('conflict', 'keyPair.name', `Key pair '${name}' already exists.`);
    }
    const row = em.create(KeyPairRow, { userId, name, type, publicKey, fingerprint });
    await em.persist(row).flush();
    return toKeyPair(row);
  });
}

function toKeyPair({ id, userId, name, type, publicKey, fingerprint, createdAt }: KeyPairRead): KeyPair {
  return { id, userId, name, type, publicKey, fingerprint, createdAt: createdAt.toISOString() };
}

function unknownKeyPair(userId: string, name: string): Fault {
  return new Fault('notFound', 'keyPair', `Keypair ${name} not found for user ${userId}`);
}
