/**
 * The program. It reads the command line and the configuration, runs one command, and ends with a code that says how:
 * 0 done, 1 could not, 2 not understood, 3 no such node runs, 70 a bug, 78 a wrong configuration. What a command needs
 * is loaded when it is chosen, so that help is there at once.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import type { Flags } from './actors/settings.ts';

const EXIT = { failed: 1, usage: 2, notRunning: 3, bug: 70, config: 78 } as const;
const LOG_FILE = 'novact.log';

process.stdout.on('error', () => undefined); // whoever read our output may have gone
process.stderr.on('error', () => undefined);
// At once: a node that did not start may have left a socket open that would keep the process.
process.exit(await main(process.argv.slice(2)));

async function main(words: string[]): Promise<number> {
  const program = new Command('novact').description('A compute service of supervised actors.').version(ownVersion(), '--version').exitOverride();
  let code = 0;
  const command = (name: string, about: string, run: (flags: Flags) => Promise<number>) =>
    withFlags(program.command(name).description(about).allowExcessArguments(false)).action(async (flags: Flags) => {
      code = await run(flags);
    });
  command('start', 'starts a node and runs it until it is stopped', start);
  command('config', 'prints every setting in force and where it came from', config);
  command('status', 'asks the node that runs on the data folder how it is', status).option('--json', 'as JSON');
  try {
    await program.parseAsync(words, { from: 'user' });
    return code;
  } catch (error) {
    return explain(error);
  }
}

function withFlags(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file (default: cluster.config.ts, when there is one)')
    .option('--data <dir>', 'where everything is kept that outlives a restart')
    .option('--port-offset <n>', 'added to every port, for a second cloud on this machine')
    .addOption(new Option('--driver <kind>', 'hypervisor of this node’s hosts: simulated or libvirt'))
    .option('--hosts <n>', 'number of hosts')
    .option('--roles <list>', 'what this node does, with commas: api,metadata,control,compute,network,console')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent')
    .option('--set <key=value>', 'any setting, such as leases.beatMs=500; may be repeated', (pair: string, before: string[] | undefined) => [
      ...(before ?? []),
      pair,
    ]);
}

async function start(flags: Flags): Promise<number> {
  const [{ loadConfig }, { systemClock }, { openLog }, { Lifecycle }, { endOnSignals }, commands] = await Promise.all([
    import('./actors/settings.ts'),
    import('./runtime/base/clock.ts'),
    import('./runtime/base/log.ts'),
    import('./runtime/node/lifecycle.ts'),
    import('./runtime/node/signals.ts'),
    import('./http/client/commands/summary.ts'),
  ]);
  const clock = systemClock;
  const begunMs = clock.monotonicMs();
  const settings = await loadConfig({ flags, env: process.env, cwd: process.cwd() });
  const { systemRandom } = await import('./runtime/base/random.ts');
  mkdirSync(settings.dataDir, { recursive: true, mode: 0o700 });
  const logFile = settings.log.to === 'file' ? join(settings.dataDir, LOG_FILE) : undefined;
  if (logFile !== undefined) closeSync(openSync(logFile, 'a', 0o600)); // before the log makes it with the usual rights
  const log = openLog({ level: settings.log.level, ...(logFile === undefined ? {} : { path: logFile }) });
  say(`novact ${ownVersion()} starts; its data is in ${settings.dataDir}`);

  const lifecycle = new Lifecycle({
    clock,
    log,
    progress: ({ stage, state, tookMs }) => {
      if (state !== 'starting' && state !== 'stopping') say(`  ${stage.padEnd(14)}  ${state}${tookMs < 100 ? '' : `, ${commands.seconds(tookMs)}`}`);
    },
  });
  const ended = Promise.withResolvers<number>();
  const launcher = takeLauncherFd();
  endOnSignals({
    clock,
    log,
    say,
    stop: () => lifecycle.stop(),
    exit: (code) => process.exit(code),
    ...(launcher === undefined ? {} : { launcherFd: launcher }),
  });
  const { startNode } = await import('./index.ts');
  try {
    const about = await startNode(settings, { clock, random: systemRandom, log, lifecycle, version: ownVersion(), progress: (line) => say(`  ${line}`) });
    say(commands.renderSummary({ ...about, version: ownVersion(), tookMs: clock.monotonicMs() - begunMs, logFile }));
  } catch (error) {
    if (lifecycle.stopping.aborted) return ended.promise; // the stop that broke it off ends the process
    log.error('the node did not start', { error });
    throw error;
  }
  return ended.promise; // until a signal
}

async function config(flags: Flags): Promise<number> {
  const [{ explainConfig }, { renderSettings }] = await Promise.all([import('./actors/settings.ts'), import('./http/client/commands/settings.ts')]);
  const { settings } = await explainConfig({ flags, env: process.env, cwd: process.cwd() });
  process.stdout.write(renderSettings(settings));
  return 0;
}

async function status(flags: Flags & { readonly json?: boolean }): Promise<number> {
  const [{ loadConfig }, { runningNode }, { toIso }, { askHealth, renderStatus }] = await Promise.all([
    import('./actors/settings.ts'),
    import('./runtime/node/data-folder.ts'),
    import('./runtime/base/clock.ts'),
    import('./http/client/commands/status.ts'),
  ]);
  const { dataDir } = await loadConfig({ flags, env: process.env, cwd: process.cwd() });
  const found = runningNode(dataDir);
  if (found === undefined) {
    say(flags.json ? JSON.stringify({ running: false, dataDir }) : `No novact runs on ${dataDir}.`);
    return EXIT.notRunning;
  }
  const host = found.address.includes(':') ? `[${found.address}]` : found.address;
  const node = { ...found, startedAt: toIso(found.startedMs), healthUrl: `http://${host}:${found.ports['health']}/health` };
  const health = await askHealth(node.healthUrl);
  say(flags.json ? JSON.stringify({ running: true, dataDir, ...node, well: health.isWell, health: health.answer }) : renderStatus(node, health));
  return health.isWell ? 0 : EXIT.failed;
}

/** A refusal is told as its sentence, a bug with all that is known of it. */
async function explain(error: unknown): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage; // it has told already
  const { Fault } = await import('./runtime/base/fault.ts');
  if (!Fault.is(error) || error.code === 'internal') {
    process.stderr.write(`novact ends because of a bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return EXIT.bug;
  }
  process.stderr.write(`${error.message}\n`);
  return error.reason.startsWith('config') ? EXIT.config : EXIT.failed;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The launcher's descriptor is for this process alone, not for programs that it starts. */
function takeLauncherFd(): number | undefined {
  const text = process.env['NOVACT_LAUNCHER_FD'];
  delete process.env['NOVACT_LAUNCHER_FD'];
  return text === undefined ? undefined : Number(text);
}

/** Beside this file in a checkout, above it in a compiled package. */
function ownVersion(): string {
  const paths = [join(import.meta.dirname, 'package.json'), join(import.meta.dirname, '..', 'package.json')];
  const manifest: unknown = JSON.parse(readFileSync(paths.find(existsSync) ?? '', 'utf8'));
  return manifest !== null && typeof manifest === 'object' && 'version' in manifest ? String(manifest.version) : 'unknown';
}
