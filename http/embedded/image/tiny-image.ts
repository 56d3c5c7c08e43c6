/**
 * A raw disk of 1 MiB that really boots on a PC's BIOS: its boot sector greets on the screen and on the first serial
 * port (0x3f8, 115200 baud), then sleeps and echoes what comes in on that port. It proves that a guest runs, without
 * an operating system.
 */
const SIZE_BYTES = 1_048_576;
const SECTOR_BYTES = 512;
const LOADED_AT = 0x7c00;
const PARTITION_AT = 446;

const GREETING = 'novact tiny image: it boots.\r\n';

/** 16-bit code, loaded by the BIOS at 0x7c00. Jumps are relative, so only the greeting's address must be known. */
const CODE: readonly number[] = [
  0xfa, //                   cli
  0x31, 0xc0, //             xor ax, ax
  0x8e, 0xd8, //             mov ds, ax
  0x8e, 0xd0, //             mov ss, ax
  0xbc, 0x00, 0x7c, //       mov sp, 0x7c00
  0xfb, //                   sti
  0xfc, //                   cld
  ...out(0x3fb, 0x80), //    the divisor's registers
  ...out(0x3f8, 0x01), //    115200 baud
  ...out(0x3f9, 0x00),
  ...out(0x3fb, 0x03), //    8 bits, no parity, one stop bit; back to the data registers
  ...out(0x3f9, 0x00), //    no interrupts
  ...out(0x3fa, 0xc7), //    queues on and empty
  0xbe, 0x00, 0x00, //       mov si, greeting        (filled in below)
  // next:
  0xac, //                   lodsb
  0x84, 0xc0, //             test al, al
  0x74, 0x18, //             jz idle
  0x50, //                   push ax
  0xb4, 0x0e, //             mov ah, 0x0e            (print on the screen)
  0xbb, 0x07, 0x00, //       mov bx, 7
  0xcd, 0x10, //             int 0x10
  0xba, 0xfd, 0x03, //       mov dx, 0x3fd
  // full:
  0xec, //                   in al, dx
  0xa8, 0x20, //             test al, 0x20           (room to send?)
  0x74, 0xfb, //             jz full
  0x58, //                   pop ax
  0xba, 0xf8, 0x03, //       mov dx, 0x3f8
  0xee, //                   out dx, al
  0xfc, //                   cld
  0xeb, 0xe3, //             jmp next
  // idle:
  0xf4, //                   hlt                     (18 times a second the clock wakes us)
  // more:
  0xba, 0xfd, 0x03, //       mov dx, 0x3fd
  0xec, //                   in al, dx
  0x3c, 0xff, //             cmp al, 0xff            (no port there at all)
  0x74, 0xf7, //             jz idle
  0xa8, 0x01, //             test al, 1              (something came in?)
  0x74, 0xf3, //             jz idle
  0xba, 0xf8, 0x03, //       mov dx, 0x3f8
  0xec, //                   in al, dx
  0xee, //                   out dx, al
  0xeb, 0xed, //             jmp more
];
const GREETING_OPERAND = 12 + 6 * 6 + 1;

export function tinyImage(): Buffer {
  const disk = Buffer.alloc(SIZE_BYTES);
  Buffer.from(CODE).copy(disk, 0);
  disk.writeUInt16LE(LOADED_AT + CODE.length, GREETING_OPERAND);
  disk.write(`${GREETING}\0`, CODE.length, 'latin1');
  // One active partition behind the boot sector: some firmware boots no disk without.
  disk.set([0x80, 0, 2, 0, 0x83, 0, 63, 0], PARTITION_AT);
  disk.writeUInt32LE(1, PARTITION_AT + 8);
  disk.writeUInt32LE(SIZE_BYTES / SECTOR_BYTES - 1, PARTITION_AT + 12);
  disk.writeUInt16LE(0xaa55, SECTOR_BYTES - 2);
  return disk;
}

/** mov dx, port; mov al, value; out dx, al */
function out(port: number, value: number): number[] {
  return [0xba, port & 0xff, port >> 8, 0xb0, value, 0xee];
}

export { GREETING as TINY_GREETING };
