/**
 * A raw disk of 1 MiB that really boots on a PC's BIOS: its boot sector greets on the first serial port (0x3f8, 115200
 * baud) and on the screen, then sleeps and echoes what is typed on either. It proves that a guest runs and that its
 * consoles work, without an operating system.
 */
const SIZE_BYTES = 1_048_576;
const SECTOR_BYTES = 512;
const LOADED_AT = 0x7c00;
const PARTITION_AT = 446;

export const TINY_GREETING = 'novact tiny image: it boots.';

/** A byte, a label, a short jump to a label, or the greeting's address as a word. */
type Item = number | `${string}:` | { readonly jump: number; readonly to: string } | 'greeting';

const ZERO = 0x74;
const ALWAYS = 0xeb;

/** 16-bit code that the BIOS loads at 0x7c00. */
const CODE: readonly Item[] = [
  0xfa, //                           cli
  0x31,
  0xc0, //                     xor ax, ax
  0x8e,
  0xd8, //                     mov ds, ax
  0x8e,
  0xd0, //                     mov ss, ax
  0xbc,
  0x00,
  0x7c, //               mov sp, 0x7c00
  0xfb, //                           sti
  0xfc, //                           cld
  ...out(0x3fb, 0x80), //            the divisor's registers
  ...out(0x3f8, 0x01), //            115200 baud
  ...out(0x3f9, 0x00),
  ...out(0x3fb, 0x03), //            8 bits, no parity, one stop bit; back to the data registers
  ...out(0x3f9, 0x00), //            no interrupts
  ...out(0x3fa, 0xc7), //            queues on and empty
  // The line goes out whole, first to one, then to the other: some firmware copies the screen to the serial port.
  0xbe,
  'greeting', //               mov si, greeting
  'send:',
  0xac, //                           lodsb
  0x84,
  0xc0, //                     test al, al
  { jump: ZERO, to: 'screen' },
  0x88,
  0xc4, //                     mov ah, al
  0xba,
  0xfd,
  0x03, //               mov dx, 0x3fd
  'full:',
  0xec, //                           in al, dx
  0xa8,
  0x20, //                     test al, 0x20         (room to send? a port that is not there says yes)
  { jump: ZERO, to: 'full' },
  0x88,
  0xe0, //                     mov al, ah
  0xba,
  0xf8,
  0x03, //               mov dx, 0x3f8
  0xee, //                           out dx, al
  { jump: ALWAYS, to: 'send' },
  'screen:',
  0xbe,
  'greeting', //               mov si, greeting
  'draw:',
  0xac, //                           lodsb
  0x84,
  0xc0, //                     test al, al
  { jump: ZERO, to: 'idle' },
  0xb4,
  0x0e, //                     mov ah, 0x0e
  0xbb,
  0x07,
  0x00, //               mov bx, 7
  0xcd,
  0x10, //                     int 0x10              (print on the screen)
  { jump: ALWAYS, to: 'draw' },
  'idle:',
  0xf4, //                           hlt                   (the clock wakes us 18 times a second)
  'keys:',
  0xb4,
  0x01, //                     mov ah, 1
  0xcd,
  0x16, //                     int 0x16              (a key?)
  { jump: ZERO, to: 'serial' },
  0x30,
  0xe4, //                     xor ah, ah
  0xcd,
  0x16, //                     int 0x16              (take it)
  0xb4,
  0x0e, //                     mov ah, 0x0e
  0xbb,
  0x07,
  0x00, //               mov bx, 7
  0xcd,
  0x10, //                     int 0x10
  { jump: ALWAYS, to: 'keys' },
  'serial:',
  0xba,
  0xfd,
  0x03, //               mov dx, 0x3fd
  0xec, //                           in al, dx
  0x3c,
  0xff, //                     cmp al, 0xff          (no port there at all)
  { jump: ZERO, to: 'idle' },
  0xa8,
  0x01, //                     test al, 1            (something came in?)
  { jump: ZERO, to: 'idle' },
  0xba,
  0xf8,
  0x03, //               mov dx, 0x3f8
  0xec, //                           in al, dx
  0xee, //                           out dx, al
  { jump: ALWAYS, to: 'serial' },
];

export function tinyImage(): Buffer {
  const disk = Buffer.alloc(SIZE_BYTES);
  assemble(CODE, `${TINY_GREETING}\r\n\0`).copy(disk, 0);
  // One active partition behind the boot sector: some firmware boots no disk without.
  disk.set([0x80, 0, 2, 0, 0x83, 0, 63, 0], PARTITION_AT);
  disk.writeUInt32LE(1, PARTITION_AT + 8);
  disk.writeUInt32LE(SIZE_BYTES / SECTOR_BYTES - 1, PARTITION_AT + 12);
  disk.writeUInt16LE(0xaa55, SECTOR_BYTES - 2);
  return disk;
}

/** The code with the text behind it. */
function assemble(code: readonly Item[], text: string): Buffer {
  const places = new Map<string, number>();
  let length = 0;
  for (const item of code) {
    if (typeof item === 'string' && item !== 'greeting') places.set(item.slice(0, -1), length);
    else length += typeof item === 'number' ? 1 : 2;
  }
  const bytes: number[] = [];
  for (const item of code) {
    if (typeof item === 'number') bytes.push(item);
    else if (item === 'greeting') bytes.push((LOADED_AT + length) & 0xff, (LOADED_AT + length) >> 8);
    else if (typeof item !== 'string') bytes.push(item.jump, ((places.get(item.to) ?? 0) - bytes.length - 2) & 0xff);
  }
  return Buffer.concat([Buffer.from(bytes), Buffer.from(text, 'latin1')]);
}

/** mov dx, port; mov al, value; out dx, al */
function out(port: number, value: number): number[] {
  return [0xba, port & 0xff, port >> 8, 0xb0, value, 0xee];
}
