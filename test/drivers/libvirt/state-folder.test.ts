import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, readlinkSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { reachableFolder } from '../../../drivers/libvirt/state-folder.ts';
import { Fault } from '../../../runtime/base/fault.ts';

const QEMU = { uid: 4_242, gid: 4_243 };
const OTHER_GID = 4_244;

let root: string;
let within: string;
let stateDir: string;
let elsewhere: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'novact-place-')));
  chmodSync(root, 0o711);
  within = join(root, 'data');
  mkdirSync(within, { mode: 0o700 });
  stateDir = join(within, 'hosts', 'h1');
  elsewhere = join(root, 'lib');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const place = (more: object = {}): Promise<string> => reachableFolder({ stateDir, within, qemu: QEMU, elsewhere, ...more });
const faultOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no fault',
    (error: unknown) => (Fault.is(error) ? `${error.reason}: ${error.message}` : String(error)),
  );
function rights(path: string): string {
  const { mode, gid } = statSync(path);
  return `${(mode & 0o777).toString(8)} ${gid}`;
}
function needRoot(ctx: TestContext): void {
  if (process.getuid?.() !== 0 && process.env['CI'] === undefined) ctx.skip('needs root');
}

describe('the folder of guests’ files', () => {
  it('is the one that is wanted when QEMU runs as we do, and nothing is opened for it', async () => {
    expect(await place({ qemu: undefined })).toBe(stateDir);
    for (const folder of [within, dirname(stateDir), stateDir]) expect(rights(folder)).toBe(`700 ${process.getgid?.()}`);
  });

  it('is reached by QEMU’s group, which may search our folders and no more', async (ctx) => {
    needRoot(ctx);
    expect(await place()).toBe(stateDir);
    for (const folder of [within, dirname(stateDir)]) expect(rights(folder)).toBe(`710 ${QEMU.gid}`);
    expect(await place()).toBe(stateDir);
  });

  it('leaves a group that was let in before, and closes what was open', async (ctx) => {
    needRoot(ctx);
    chownSync(within, 0, OTHER_GID);
    chmodSync(within, 0o710);
    mkdirSync(dirname(stateDir), { mode: 0o755 });
    expect(await place()).toBe(stateDir);
    expect(rights(within)).toBe(`711 ${OTHER_GID}`);
    expect(rights(dirname(stateDir))).toBe('711 0');
  });

  it('is elsewhere below a closed folder, which stays closed; a link says where, to the next start too', async (ctx) => {
    needRoot(ctx);
    chmodSync(root, 0o700);
    elsewhere = mkdtempSync(join(tmpdir(), 'novact-else-'));
    try {
      chmodSync(elsewhere, 0o711);
      const found = await place();
      expect(found).toMatch(new RegExp(`^${elsewhere}/[0-9a-f]{12}-h1$`));
      expect(readlinkSync(stateDir)).toBe(found);
      expect([rights(root), rights(within), rights(dirname(stateDir))]).toEqual(['700 0', '700 0', '700 0']); // nothing was opened in vain
      expect(await place()).toBe(found);
      chmodSync(root, 0o711); // opened later, the files are still where they are
      expect(await place()).toBe(found);
      rmSync(found, { recursive: true });
      expect(await faultOf(place())).toContain(`${stateDir} leads nowhere`);
    } finally {
      rmSync(elsewhere, { recursive: true, force: true });
    }
  });

  it('is refused, by the name of the folder that is closed, when there are files that would not be reached', async (ctx) => {
    needRoot(ctx);
    mkdirSync(stateDir, { recursive: true });
    chmodSync(root, 0o700);
    expect(await faultOf(place())).toBe(
      `libvirt.stateDir: The user of the guests (4242) cannot pass through ${root}, so it would not reach their disks. Let it search that folder (chmod o+x ${root}), or choose another data folder with --data.`,
    );
    expect(await faultOf(place({ within: undefined }))).toContain(`cannot pass through ${root}`);
    expect(lstatSync(stateDir).isSymbolicLink()).toBe(false);
  });

  it('is refused where a link leads below a closed folder', async (ctx) => {
    needRoot(ctx);
    const closed = join(root, 'closed');
    mkdirSync(join(closed, 'inner'), { recursive: true });
    chmodSync(closed, 0o700);
    mkdirSync(dirname(stateDir));
    symlinkSync(join(closed, 'inner'), stateDir);
    expect(await faultOf(place())).toContain(`cannot pass through ${closed},`);
  });
});
