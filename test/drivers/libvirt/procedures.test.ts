/** Our table against the published description of the protocol, where that is at hand. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { LIFECYCLE_MESSAGE, PROCEDURES, PROGRAM, PROGRAM_VERSION } from '../../../drivers/libvirt/procedures.ts';

const DESCRIPTION = process.env.NOVACT_LIBVIRT_PROTOCOL ?? '';

it('numbers every procedure as the published protocol does', (ctx) => {
  if (!existsSync(DESCRIPTION)) ctx.skip('needs the published protocol: NOVACT_LIBVIRT_PROTOCOL=<protocol.json>');
  const published: { program: number; version: number; procs: { [name: string]: { n: number } } } = JSON.parse(readFileSync(DESCRIPTION, 'utf8'));
  expect([PROGRAM, PROGRAM_VERSION]).toEqual([published.program, published.version]);
  for (const [name, { number }] of Object.entries(PROCEDURES)) {
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    expect([name, number]).toEqual([name, published.procs[snake]?.n]);
  }
  expect(LIFECYCLE_MESSAGE.number).toBe(published.procs['domain_event_callback_lifecycle']?.n);
});

it('gives no number to two procedures', () => {
  const numbers = Object.values(PROCEDURES).map(({ number }) => number);
  expect(new Set(numbers).size).toBe(numbers.length);
});
