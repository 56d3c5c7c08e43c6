import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embeddedDesk } from '../../../../http/embedded/image/desk.ts';
import { openTickets } from '../../../../http/embedded/image/ticket.ts';
import { systemClock } from '../../../../runtime/base/clock.ts';
import { systemRandom } from '../../../../runtime/base/random.ts';
import { openRig, type Rig } from '../rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
}, 60_000);
afterAll(() => rig?.close());

const tickets = openTickets('key', systemClock);
const desk = () => embeddedDesk(rig.actors, tickets, systemClock);
const draft = (id: string, properties: { [key: string]: string } = {}) => ({ id, name: 'copy', owner: 'blue', minDiskGiB: 1, minMemoryMiB: 2, properties });
const COPY = { diskFormat: 'qcow2', sizeBytes: 7, virtualBytes: 9 };

async function filled(id: string, properties: { [key: string]: string } = {}): Promise<void> {
  const [uploadId, nowMs] = [systemRandom.uuid(), systemClock.wallMs()];
  await desk().make(draft(id, properties));
  await desk().describe(id, COPY);
  await rig.actors.ask('conductor/any' as never, { type: 'imageBeginUpload', id, uploadId, node: 'n1', nowMs } as never);
  await rig.actors.ask('conductor/any' as never, { type: 'imageEndUpload', id, uploadId, node: 'n1', sizeBytes: 7, checksum: 'c', hash: 'h', nowMs } as never);
}

describe('images of servers at the embedded service', () => {
  it('are made once, whoever asks how often, and have no bytes', async () => {
    const id = systemRandom.uuid();
    await Promise.all([desk().make(draft(id)), desk().make(draft(id))]);
    expect(await desk().show(id)).toMatchObject({ hasBytes: false, image: { id, name: 'copy', minDiskGiB: 1, minMemoryMiB: 2 } });
  });

  it('get the format of the copy, also when two say it at once', async () => {
    const id = systemRandom.uuid();
    await desk().make(draft(id));
    await Promise.all([desk().describe(id, COPY), desk().describe(id, COPY)]);
    expect(await desk().show(id)).toMatchObject({ image: { diskFormat: 'qcow2', containerFormat: 'bare' } });
    await expect(desk().describe(systemRandom.uuid(), COPY)).rejects.toMatchObject({ code: 'notFound' });
  });

  it('are written by a ticket at the nodes that are up', async () => {
    const id = systemRandom.uuid();
    await rig.actors.ask('conductor/any' as never, { type: 'imageDoorOpen', node: 'n1', url: 'http://n1', hashes: [], after: '', upTo: null } as never);
    const { urls, token } = await desk().write(id);
    expect([urls, tickets.check(token, id)]).toEqual([[`http://n1/v2/images/${id}/file`], 'write']);
  });

  it('that are backups are listed by server and type, the newest first, and only whole ones', async () => {
    const server = systemRandom.uuid();
    const of = (type: string) => ({ instance_uuid: server, image_type: 'backup', backup_type: type });
    const [first, second, other, empty] = [systemRandom.uuid(), systemRandom.uuid(), systemRandom.uuid(), systemRandom.uuid()];
    await filled(first, of('daily'));
    await filled(second, of('daily'));
    await filled(other, of('weekly'));
    await desk().make(draft(empty, of('daily')));
    expect(await desk().backups(server, 'daily')).toEqual([second, first]);
    expect(await desk().show(first)).toMatchObject({ hasBytes: true, image: { sizeBytes: 7, hash: { algorithm: 'sha512', hex: 'h' } } });
  });

  it('are no error when they are gone', async () => {
    const id = systemRandom.uuid();
    await desk().make(draft(id));
    await desk().drop(id);
    await desk().drop(id);
    expect(await desk().show(id)).toBeNull();
  });
});
