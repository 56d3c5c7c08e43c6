/** Opens the embedded PostgreSQL of a folder, tells one line of JSON, and closes it when its standard input ends. */
import { openEmbeddedPostgres } from '../../../runtime/database/embedded.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';

const [dataDir = '', port = '0'] = process.argv.slice(2);
const lines: unknown[] = [];
const log = { ...silentLog, info: (event: string, fields?: object) => void lines.push({ event, ...fields }) };
const server = await openEmbeddedPostgres({ dataDir, port: Number(port), log, clock: systemClock, signal: AbortSignal.timeout(60_000) });
console.log(JSON.stringify({ how: server.how, pid: server.pid, url: server.url, lines }));
process.stdin.resume();
process.stdin.on('end', () => void server.close().then(() => process.exit(0)));
