import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TINY_GREETING, tinyImage } from '../../../../http/embedded/image/tiny-image.ts';

const QEMU = '/usr/bin/qemu-system-x86_64';

describe('tiny image', () => {
  it('is a megabyte with a boot signature and one active partition', () => {
    const disk = tinyImage();
    expect([disk.length, disk.readUInt16LE(510), disk[446]]).toEqual([1_048_576, 0xaa55, 0x80]);
  });

  it('boots under a BIOS, greets on the serial port and echoes', async (ctx) => {
    if (!existsSync(QEMU) && !process.env['CI']) ctx.skip('needs qemu-system-x86_64');
    const directory = await mkdtemp(join(tmpdir(), 'novact-tiny-'));
    const path = join(directory, 'disk.raw');
    await writeFile(path, tinyImage());
    const guest = spawn(
      QEMU,
      ['-nographic', '-accel', 'tcg', '-m', '64', '-nic', 'none', '-monitor', 'none', '-serial', 'stdio', '-drive', `file=${path},format=raw,if=virtio`],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    try {
      let said = '';
      guest.stdout.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')));
      const heard = async (text: string): Promise<void> => {
        while (!said.includes(text)) await once(guest.stdout, 'data');
      };
      await heard(TINY_GREETING);
      said = '';
      guest.stdin.write('hello');
      await heard('hello');
    } finally {
      guest.kill('SIGKILL');
      if (guest.exitCode === null && guest.signalCode === null) await once(guest, 'exit');
      await rm(directory, { recursive: true, force: true });
    }
  }, 60_000);
});
