#!/usr/bin/env node
/*
 * Starts novact on a Node that is new enough: this one, or the one that comes as an optional package; with options
 * that keep its memory small where the process can become another. It is written for any Node that knows modules, so
 * that an old one gets a sentence and not a syntax error; keep it that way.
 *
 * Started anew, novact is a child in the same process group with the same standard streams. Signals sent to this
 * process are passed on, its exit code or signal becomes ours. One more descriptor stays open between the two and
 * nothing is ever written to it: when this process is killed it closes, and the child stops in order.
 */
import { spawn } from 'child_process';
import { existsSync } from 'fs';
import { createRequire } from 'module';
import { constants } from 'os';
import { dirname, join, sep } from 'path';
import { fileURLToPath, pathToFileURL } from 'url';

/** Runs TypeScript as it is, and has what the runtime uses. */
const NODE_MAJOR_MIN = 24;
const LAUNCHER_FD = 3;
/*
 * What keeps memory small; what the user set is left. A young heap of 128 MiB, an old one that doubles before it is
 * looked at and an arena of malloc for each thread hold three times what is used: measured with 1,000 servers under
 * reads, under 300 MiB in all with these and 500 without. Benchmark: test/bench/footprint.ts.
 */
const HEAP_OPTIONS = ['--max-semi-space-size=16', '--heap-growing-percent=50'];
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'];

const folder = dirname(fileURLToPath(import.meta.url));
/** Compiled code is kept beside the program, where only who may change the program can write: a second start takes half the time. */
const SETTINGS = { MALLOC_ARENA_MAX: '2', NODE_COMPILE_CACHE: join(folder, 'node_modules', '.cache', 'novact') };

main();

function main() {
  if (isNewEnough(process.version)) {
    // The options are for the beginning of a process; becoming that costs 25 ms.
    if (typeof process.execve === 'function') return run(process.execPath);
    import(pathToFileURL(program()).href).catch((error) => fail(error && error.stack ? error.stack : String(error)));
    return;
  }
  const node = bundledNode();
  if (node === undefined) {
    fail(
      'novact needs Node ' +
        NODE_MAJOR_MIN +
        ' or newer. This is ' +
        process.version +
        ', and the Node that comes with novact' +
        ' (package ' +
        packageName() +
        ') is not installed.\n' +
        'Install again without --omit=optional (npm ci), or start novact with a newer Node: /path/to/node novact.js …',
    );
    return;
  }
  run(node);
}

function run(node) {
  const own = process.env.NODE_OPTIONS || '';
  const options = HEAP_OPTIONS.filter((option) => !own.includes(option.split('=')[0]));
  const args = options.concat(process.execArgv, program(), process.argv.slice(2));
  const env = Object.assign({}, SETTINGS, process.env);
  // A Node that can become another program does: no second process is left.
  if (typeof process.execve === 'function') {
    process.removeAllListeners('warning'); // it calls itself experimental
    process.execve(node, [node].concat(args), env);
  }
  const child = spawn(node, args, {
    stdio: [0, 1, 2, 'pipe'],
    env: Object.assign(env, { NOVACT_LAUNCHER_FD: String(LAUNCHER_FD) }),
  });
  child.stdio[LAUNCHER_FD].on('error', () => {});
  const passOn = (signal) => child.kill(signal);
  PASSED_ON.forEach((signal) => process.on(signal, passOn));
  child.on('error', (error) => {
    const why = error.code === 'ENOENT' && existsSync(node) ? 'it was built for another system' : error.message;
    fail('novact needs Node ' + NODE_MAJOR_MIN + ' or newer. This is ' + process.version + ', and ' + node + ' cannot be started: ' + why + '.');
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    PASSED_ON.forEach((name) => process.removeListener(name, passOn));
    process.kill(process.pid, signal);
    // A signal that does not end this process: as a shell would tell it.
    setTimeout(() => process.exit(128 + (constants.signals[signal] || 0)), 1000);
  });
}

/** TypeScript in a checkout; compiled in a published package, since Node strips no types below node_modules. */
function program() {
  const source = join(folder, 'novact.ts');
  const isPackage = folder.split(sep).includes('node_modules');
  const compiled = join(folder, 'dist', 'novact.js');
  return isPackage || !existsSync(source) ? compiled : source;
}

function packageName() {
  return 'node-' + (process.platform === 'win32' ? 'win' : process.platform) + '-' + process.arch;
}

/** Its file, or undefined when it is missing or too old itself. */
function bundledNode() {
  const require = createRequire(import.meta.url);
  try {
    const manifest = require.resolve(packageName() + '/package.json');
    const file = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    return existsSync(file) && isNewEnough('v' + require(manifest).version) ? file : undefined;
  } catch {
    return undefined;
  }
}

function isNewEnough(version) {
  return Number(version.slice(1).split('.')[0]) >= NODE_MAJOR_MIN;
}

function fail(text) {
  process.stderr.write(text + '\n');
  process.exitCode = 1;
}
