import { MikroORM } from '@mikro-orm/postgresql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ImageRecord } from '../../../actors/conductor/messages/image.ts';
import { identityServe } from '../../../actors/conductor/records/identity.ts';
import { TOKENS_PER_USER_MAX } from '../../../actors/conductor/records/identity-token.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import type { Rig } from '../../http/embedded/rig.ts';
import { openRig, ORM_OPTIONS } from '../../http/embedded/rig.ts';

describe('records of the embedded services', () => {
  let rig: Rig;
  let userId: string;
  let projectId: string;
  let roleId: string;
  beforeAll(async () => {
    rig = await openRig();
    const ask: typeof rig.actors.ask = (to, message) => rig.actors.ask(to, message);
    [userId, projectId, roleId] = [systemRandom.uuid(), systemRandom.uuid(), systemRandom.uuid()];
    await ask(CONDUCTOR, { type: 'identityCreateDomain', record: { id: 'default', name: 'Default', description: '', enabled: true } });
    await ask(CONDUCTOR, { type: 'identityCreateProject', record: { id: projectId, name: 'p', domainId: 'default', description: '', enabled: true } });
    await ask(CONDUCTOR, { type: 'identityCreateRole', record: { id: roleId, name: 'member', description: null } });
    const record = { id: userId, name: 'u', domainId: 'default', enabled: true, defaultProjectId: null, email: null, description: null };
    await ask(CONDUCTOR, { type: 'identityCreateUser', record, passwordHash: 'first' });
    await ask(CONDUCTOR, { type: 'identityGrant', userId, roleId, target: { kind: 'project', id: projectId } });
  }, 60_000);
  afterAll(async () => {
    await rig?.close();
  });

  const hash = (n: number): string => n.toString(16).padStart(64, '0');
  const issue = (n: number, proof: { passwordHash: string } | { tokenHash: string }, times = { issuedAtMs: 1_000, expiresAtMs: 2_000 }) =>
    rig.actors.ask(CONDUCTOR, {
      type: 'identityIssueToken',
      hash: hash(n),
      userId,
      proof,
      scope: { kind: 'project', project: { id: projectId } },
      methods: ['password'],
      auditIds: ['a', 'b'],
      ...times,
    });
  const load = (n: number, nowMs: number) => rig.actors.ask(CONDUCTOR, { type: 'identityLoadToken', hash: hash(n), nowMs });
  const stored = async (): Promise<number> =>
    ((await rig.orm.em.fork().execute('select count(*)::int as n from identity_token')) as { n: number }[])[0]?.n ?? -1;

  it('a token lives until its last millisecond, and is purged after', async () => {
    expect(await issue(1, { passwordHash: 'first' })).toMatchObject({
      userName: 'u',
      scope: { kind: 'project', name: 'p' },
      auditIds: ['a', 'b'],
      issuedAtMs: 1_000,
      expiresAtMs: 2_000,
    });
    expect((await load(1, 1_999))?.expiresAtMs).toBe(2_000);
    expect(await load(1, 2_000)).toBeNull();
    expect(await rig.actors.ask(CONDUCTOR, { type: 'identityPurgeTokens', nowMs: 1_999 })).toBe(0);
    expect(await rig.actors.ask(CONDUCTOR, { type: 'identityPurgeTokens', nowMs: 2_000 })).toBe(1);
  });

  it('a login that a change of the password overtook gives no token', async () => {
    await rig.actors.ask(CONDUCTOR, { type: 'identitySetPassword', userId, passwordHash: 'second' });
    expect(await issue(2, { passwordHash: 'first' })).toBeNull();
    expect(await issue(2, { passwordHash: 'second' })).not.toBeNull();
  });

  it('a revoked parent gives no child, and nothing is stored of a refused one', async () => {
    expect(await issue(3, { tokenHash: hash(2) })).not.toBeNull();
    await rig.actors.ask(CONDUCTOR, { type: 'identityRevokeToken', hash: hash(2) });
    const before = await stored();
    expect(await issue(4, { tokenHash: hash(2) })).toBeNull();
    const wrong = await rig.actors.ask(CONDUCTOR, {
      type: 'identityIssueToken',
      hash: hash(5),
      userId,
      proof: { passwordHash: 'second' },
      scope: { kind: 'system' },
      methods: [],
      auditIds: [],
      issuedAtMs: 0,
      expiresAtMs: 9,
    });
    expect(wrong).toBeNull();
    expect(await stored()).toBe(before);
  });

  it('every change that may take a right away moves the revision; issuing does not', async () => {
    const revision = () => rig.actors.ask(CONDUCTOR, { type: 'identityRevision' });
    const before = await revision();
    await issue(6, { passwordHash: 'second' });
    expect(await revision()).toBe(before);
    await rig.actors.ask(CONDUCTOR, { type: 'identityRevokeToken', hash: hash(6) });
    await rig.actors.ask(CONDUCTOR, { type: 'identityUpdateUser', id: userId, change: { enabled: false } });
    expect(await revision()).toBe(before + 2);
    await rig.actors.ask(CONDUCTOR, { type: 'identityUpdateUser', id: userId, change: { enabled: true } });
  });

  it('says what a user may on a project without a token', async () => {
    const view = await rig.actors.ask(CONDUCTOR, { type: 'identityAuthorize', userId, projectId });
    expect(view).toMatchObject({ userName: 'u', scope: { kind: 'project', id: projectId }, roles: [{ name: 'member' }] });
    expect(await rig.actors.ask(CONDUCTOR, { type: 'identityAuthorize', userId, projectId: 'none' })).toBeNull();
    expect(await rig.actors.ask(CONDUCTOR, { type: 'identityAuthorize', userId: 'none', projectId })).toBeNull();
  });

  it('past the limit of live tokens the oldest go', async () => {
    await rig.orm.em.fork().execute(
      `insert into identity_token (hash, user_id, scope, methods, audit_ids, issued_at, expires_at)
       select lpad(to_hex(n + 1000), 64, '0'), ?, 'unscoped', '{}', '{}', to_timestamp(n), to_timestamp(n + 1e6) from generate_series(1, ${TOKENS_PER_USER_MAX}) n`,
      [userId],
    );
    const nowMs = 1e9;
    expect(await issue(7, { passwordHash: 'second' }, { issuedAtMs: nowMs, expiresAtMs: nowMs + 1_000 })).not.toBeNull();
    const [row] = (await rig.orm.em.fork().execute('select count(*)::int as n from identity_token where user_id = ?', [userId])) as { n: number }[];
    expect(row?.n).toBe(TOKENS_PER_USER_MAX);
    expect(await load(7, nowMs)).not.toBeNull();
  });

  it('refuses what refers to nothing, and what is in use', async () => {
    const code = async (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => 'done',
        (error: unknown) => (error instanceof Fault ? `${error.code} ${error.reason}` : String(error)),
      );
    const ask: typeof rig.actors.ask = (to, message) => rig.actors.ask(to, message);
    expect(await code(ask(CONDUCTOR, { type: 'identityGrant', userId, roleId: 'none', target: { kind: 'project', id: projectId } }))).toBe(
      'conflict identity.grant.reference',
    );
    expect(await code(ask(CONDUCTOR, { type: 'identityDeleteDomain', id: 'default' }))).toBe('conflict identity.domain.reference');
    expect(
      await code(
        ask(CONDUCTOR, { type: 'identityCreateProject', record: { id: systemRandom.uuid(), name: 'p', domainId: 'default', description: '', enabled: true } }),
      ),
    ).toBe('conflict identity.project');
    expect(await code(ask(CONDUCTOR, { type: 'identityDeleteUser', id: 'none' }))).toBe('notFound identity.user');
    expect(await code(ask(CONDUCTOR, { type: 'identityUpdateProject', id: 'none', change: {} }))).toBe('notFound identity.project');
  });

  it('an upload that is no longer the one can neither end nor take back', async () => {
    const ask: typeof rig.actors.ask = (to, message) => rig.actors.ask(to, message);
    const id = systemRandom.uuid();
    const record: ImageRecord = {
      id,
      name: null,
      status: 'queued',
      visibility: 'private',
      owner: projectId,
      protected: false,
      hidden: false,
      diskFormat: 'raw',
      containerFormat: 'bare',
      minDiskGiB: 0,
      minMemoryMiB: 0,
      sizeBytes: null,
      virtualSizeBytes: null,
      checksum: null,
      hash: null,
      tags: [],
      properties: {},
      createdAtMs: 1,
      updatedAtMs: 1,
      version: 1,
    };
    await ask(CONDUCTOR, { type: 'imageCreate', record });
    await ask(CONDUCTOR, { type: 'imageBeginUpload', id, uploadId: 'one', node: 'a', nowMs: 2 });
    await ask(CONDUCTOR, { type: 'imageDoorSeen', node: 'a', url: 'http://a' });
    expect(await ask(CONDUCTOR, { type: 'imageResetUploads', node: 'b', running: [], nowMs: 3 })).toBe(0);
    expect(await ask(CONDUCTOR, { type: 'imageResetUploads', node: 'a', running: ['one'], nowMs: 3 })).toBe(0);
    expect(await ask(CONDUCTOR, { type: 'imageResetUploads', node: 'a', running: ['other'], nowMs: 3 })).toBe(1);
    await ask(CONDUCTOR, { type: 'imageBeginUpload', id, uploadId: 'two', node: 'b', nowMs: 4 });
    await ask(CONDUCTOR, { type: 'imageAbortUpload', id, uploadId: 'one', nowMs: 5 });
    const end = (uploadId: string) => ask(CONDUCTOR, { type: 'imageEndUpload', id, uploadId, node: 'b', sizeBytes: 1, checksum: 'c', hash: 'h', nowMs: 6 });
    await expect(end('one')).rejects.toMatchObject({ code: 'conflict', reason: 'image.upload' });
    expect(await end('two')).toMatchObject({ status: 'active', sizeBytes: 1, updatedAtMs: 6 });
    expect(await ask(CONDUCTOR, { type: 'imageWithBytes', hashes: ['h', 'another'] })).toEqual(['h']);
  });

  it('knows which node holds which bytes, and where they are lacking', async () => {
    const ask: typeof rig.actors.ask = (to, message) => rig.actors.ask(to, message);
    const hashOf = (n: number): string => String(n).repeat(128);
    const open = (node: string, ...numbers: number[]) =>
      ask(CONDUCTOR, { type: 'imageDoorOpen', node, url: `http://${node}`, hashes: numbers.map(hashOf), after: '', upTo: null });
    const doors = async (n: number, except: string | null = null): Promise<string[]> =>
      (await ask(CONDUCTOR, { type: 'imageDoors', hash: hashOf(n), except })).map(({ node, holds }) => `${node} ${holds}`).sort();
    const lacking = async (node: string, copies = 3): Promise<string[]> =>
      (await ask(CONDUCTOR, { type: 'imageLacking', node, copies, limit: 10 })).map(({ hash }) => hash[0] ?? '').sort();
    const em = rig.orm.em.fork();
    await em.execute('delete from image_door');
    for (const n of [1, 2, 3]) {
      const insert = `insert into image (id, status, visibility, owner, size_bytes, checksum, hash, created_at, updated_at)
        values (?, 'active', 'private', ?, 7, 'c', ?, clock_timestamp(), clock_timestamp())`;
      await em.execute(insert, [systemRandom.uuid(), projectId, hashOf(n)]);
    }
    await open('x', 1, 2, 9);
    await open('y', 2);
    expect([await doors(1), await doors(2, 'x'), await doors(9)]).toEqual([['x true', 'y false'], ['y true'], ['x false', 'y false']]);
    expect([await lacking('y'), await lacking('x'), await lacking('z'), await lacking('z', 2)]).toEqual([['1'], [], ['1', '2'], ['1']]);
    expect(await ask(CONDUCTOR, { type: 'imageCopied', node: 'y', hash: hashOf(1) })).toBe(true);
    expect(await ask(CONDUCTOR, { type: 'imageCopied', node: 'y', hash: hashOf(8) })).toBe(false);
    expect(await ask(CONDUCTOR, { type: 'imageDropCopy', node: 'y', hash: hashOf(1) })).toBe('used');
    expect(await doors(1, 'x')).toEqual(['y true']);
    // In parts: what lies outside of the part is not spoken of.
    await ask(CONDUCTOR, { type: 'imageDoorOpen', node: 'y', url: 'http://y', hashes: [], after: '', upTo: hashOf(1) });
    expect([await doors(1, 'x'), await doors(2, 'x')]).toEqual([['y false'], ['y true']]);
    await em.execute(`update image_door set seen_at = seen_at - interval '1 hour' where node = 'x'`);
    expect([await doors(1), await doors(3), await lacking('y'), await lacking('z')]).toEqual([['x true', 'y false'], ['y false'], [], ['2']]);
    await em.execute('delete from image where hash = ?', [hashOf(2)]);
    const drop = () => ask(CONDUCTOR, { type: 'imageDropCopy', node: 'y', hash: hashOf(2) });
    expect([await drop(), await doors(2, 'x'), await drop()]).toEqual(['recorded', ['y false'], 'unknown']);
  });

  it('says unavailable while the database is away, and answers again when it is back', async () => {
    const { orm } = rig;
    const backend = await MikroORM.init({
      ...ORM_OPTIONS,
      clientUrl: 'postgresql://postgres@localhost/postgres',
      driverOptions: { host: '/nonexistent', port: 5432 },
    });
    const { identityLoadToken, identityRevokeToken } = identityServe({ orm: backend });
    await expect(identityLoadToken({ type: 'identityLoadToken', hash: hash(1), nowMs: 0 })).rejects.toMatchObject({ code: 'unavailable' });
    await expect(identityRevokeToken({ type: 'identityRevokeToken', hash: hash(1) })).rejects.toMatchObject({ code: 'unavailable' });
    await backend.close(true);
    const victims = await orm.em
      .fork()
      .execute('select count(pg_terminate_backend(pid))::int as n from pg_stat_activity where pid <> pg_backend_pid() and datname is not null');
    expect(victims).toHaveLength(1);
    const look = async (): Promise<boolean> =>
      rig.actors.ask(CONDUCTOR, { type: 'identityRevision' }).then(
        () => true,
        (error: unknown) => (Fault.is(error, 'unavailable') ? false : Promise.reject(error)),
      );
    while (!(await look()));
  });
});
