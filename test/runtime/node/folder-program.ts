/** Locks a data folder, tells how that went in one line of JSON, and holds it until its standard input ends. */
import { systemClock } from '../../../runtime/base/clock.ts';
import { lockDataFolder } from '../../../runtime/node/data-folder.ts';

try {
  const folder = lockDataFolder(process.argv[2] ?? '', systemClock);
  folder.describe({ name: 'n', version: '1', address: '127.0.0.1', ports: { health: 1 }, state: 'running' });
  console.log(JSON.stringify({ locked: true, former: folder.former?.pid ?? null }));
  process.stdin.resume();
  process.stdin.on('end', () => {
    folder.release();
    process.exit(0);
  });
} catch (error) {
  console.log(JSON.stringify({ locked: false, message: error instanceof Error ? error.message : '' }));
  process.exit(0);
}
