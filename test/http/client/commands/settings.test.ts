import { expect, it } from 'vitest';
import { renderSettings } from '../../../../http/client/commands/settings.ts';

it('shows each setting with its source when that is not the default', () => {
  const text = renderSettings([
    { path: 'a', value: '1', source: 'default' },
    { path: 'long.path', value: '"x"', source: '--set' },
  ]);
  expect(text).toBe('a         = 1\nlong.path = "x"   # --set\n');
});
