/** Names that the API makes: host names from display names, reservation ids, passwords. */
import type { Random } from '../../../runtime/base/random.ts';

const HOSTNAME_MAX = 63;
const PASSWORD_LENGTH = 12;
/** Without signs that look alike: 0 O, 1 I l, and so on. */
const PASSWORD_GROUPS = ['23456789', 'ABCDEFGHJKLMNPQRSTUVWXYZ', 'abcdefghijkmnopqrstuvwxyz'] as const;
const BASE36 = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Lower case letters, digits and hyphens; `Server-<uuid>` when nothing is left. The suffix of a multi-create stays whole. */
export function hostnameFrom(name: string, suffix: string, id: string): string {
  const cut = cleaned(name.slice(0, HOSTNAME_MAX - suffix.length) + suffix);
  return cut === '' || cut === suffix.slice(1) ? `Server-${id}` : cut;
}

function cleaned(name: string): string {
  return name
    .replaceAll(/[ _.]/g, '-')
    .replaceAll(/[^\w-]/g, '')
    .toLowerCase()
    .replaceAll(/^[-.]+|[-.]+$/g, '');
}

/** `r-` and eight signs. */
export function reservationId(random: Random): string {
  return `r-${drawn(random, BASE36, 8)}`;
}

/** At least one sign of each group; from bytes of the cryptographic source. */
export function password(random: Random): string {
  const all = PASSWORD_GROUPS.join('');
  const signs = [...PASSWORD_GROUPS.map((group) => drawn(random, group, 1)), ...drawn(random, all, PASSWORD_LENGTH - PASSWORD_GROUPS.length).split('')];
  const order = random.bytes(signs.length);
  return signs
    .map((sign, i) => ({ sign, at: order[i] ?? 0 }))
    .sort((a, b) => a.at - b.at)
    .map(({ sign }) => sign)
    .join('');
}

/** Evenly drawn: bytes past the last whole group of the alphabet are thrown away. */
function drawn(random: Random, alphabet: string, count: number): string {
  const whole = 256 - (256 % alphabet.length);
  let text = '';
  while (text.length < count) {
    for (const byte of random.bytes(count * 2)) {
      if (byte < whole && text.length < count) text += alphabet[byte % alphabet.length] ?? '';
    }
  }
  return text;
}
