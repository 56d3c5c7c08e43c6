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
  command('restored', 'says that the store was put back from a backup; to be run before the next start', restored);
  const node = program.command('node').description('nodes of the cluster that hold no credentials of the database');
  const flavor = program.command('flavor').description('sizes of servers, as far as the API has no word for it');
  const namedCommand = (parent: Command) => (words: string, about: string, run: (flags: Flags, name: string) => Promise<number>) =>
    withFlags(parent.command(words).description(about).allowExcessArguments(false)).action(async (...given: unknown[]) => {
      code = await run(given.at(-2) as Flags, typeof given[0] === 'string' ? given[0] : '');
    });
  const [nodeCommand, flavorCommand] = [namedCommand(node), namedCommand(flavor)];
  nodeCommand('add <name>', 'lets a node in and prints its key file (roles: compute, or --roles)', addNode);
  nodeCommand('list', 'shows the nodes and how they come in', listNodes);
  nodeCommand('remove <name>', 'takes the key of a node back', removeNode);
  const policy = program.command('policy').description('who may do what: the rules of the API and the file that changes them');
  withFlags(policy.command('list').description('prints every rule, its default, its override and who may').allowExcessArguments(false))
    .option('--changed', 'only rules that the file changes')
    .option('--json', 'as JSON')
    .action(async (flags: PolicyFlags) => {
      code = await listPolicy(flags);
    });
  withFlags(policy.command('check [file]').description('says whether a policy file is sound (default: the one that the configuration names)'))
    .allowExcessArguments(false)
    .action(async (...given: unknown[]) => {
      code = await checkPolicy(given.at(-2) as Flags, typeof given[0] === 'string' ? given[0] : undefined);
    });
  flavorCommand('disable <id>', 'lets a flavor make no new servers', (flags, id) => switchFlavorOf(flags, id, true));
  flavorCommand('enable <id>', 'lets it make servers again', (flags, id) => switchFlavorOf(flags, id, false));
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
    .option('--processes <n>', 'processes to run, so that more than one core is used')
    .option('--name <name>', 'name of this node in the cluster; the same after a restart')
    .option('--key-file <file>', 'key of a node without a database, made by: novact node add')
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
  delete process.env['NOVACT_PROCESS']; // it has secrets, and programs that this one starts need none
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
    const about = await startNode(settings, {
      clock,
      random: systemRandom,
      log,
      lifecycle,
      version: ownVersion(),
      program: ownWords(),
      progress: (line) => say(`  ${line}`),
    });
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

type PolicyFlags = Flags & { readonly changed?: boolean; readonly json?: boolean };

async function listPolicy(flags: PolicyFlags): Promise<number> {
  const [{ loadConfig }, { policyChanges, policyRows, renderPolicy }] = await Promise.all([
    import('./actors/settings.ts'),
    import('./http/client/commands/policy.ts'),
  ]);
  const { policy } = await loadConfig({ flags, env: process.env, cwd: process.cwd() });
  const rows = policyRows(policyChanges(policy.file), flags.changed);
  process.stdout.write(flags.json ? `${JSON.stringify(rows)}\n` : renderPolicy(rows));
  return 0;
}

async function checkPolicy(flags: Flags, named: string | undefined): Promise<number> {
  const [{ loadConfig }, { policyChanges }] = await Promise.all([import('./actors/settings.ts'), import('./http/client/commands/policy.ts')]);
  const file = named ?? (await loadConfig({ flags, env: process.env, cwd: process.cwd() })).policy.file;
  if (file === undefined) {
    process.stderr.write('No policy file: name one, or set policy.file.\n');
    return EXIT.usage;
  }
  const count = Object.keys(policyChanges(file)).length;
  say(`${file}: ${count} ${count === 1 ? 'rule' : 'rules'}, sound.`);
  return 0;
}

async function restored(flags: Flags): Promise<number> {
  const [{ loadConfig }, { runningNode }, { markRestored, MEMORY_FILE }] = await Promise.all([
    import('./actors/settings.ts'),
    import('./runtime/node/data-folder.ts'),
    import('./actors/conductor/incarnation.ts'),
  ]);
  const { dataDir } = await loadConfig({ flags, env: process.env, cwd: process.cwd() });
  const found = runningNode(dataDir);
  if (found !== undefined) {
    process.stderr.write(`novact process ${found.pid} runs on ${dataDir}: stop every node before the store is put back.\n`);
    return EXIT.failed;
  }
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  markRestored(join(dataDir, MEMORY_FILE));
  say('The next start gives the store a new incarnation: streams begin anew, and guests that it does not know are left alone.');
  return 0;
}

/** Where the nodes are written down: by URL, or in the embedded store while its node runs. */
async function placeOfNodes(flags: Flags) {
  const [{ loadConfig }, { systemClock }, { silentLog }, { embeddedUrl }] = await Promise.all([
    import('./actors/settings.ts'),
    import('./runtime/base/clock.ts'),
    import('./runtime/base/log.ts'),
    import('./runtime/database/embedded.ts'),
  ]);
  const { roles: _, ...others } = flags; // they are those of the node that is added
  const { database, dataDir } = await loadConfig({ flags: others, env: process.env, cwd: process.cwd() });
  return { url: database.url ?? embeddedUrl(join(dataDir, 'postgres')), clock: systemClock, log: silentLog };
}

async function addNode(flags: Flags, name: string): Promise<number> {
  const [{ addNodeKey }, { newKeyPair }, { renderKeyFile }, { nodeRoles }] = await Promise.all([
    import('./actors/conductor/node-keys.ts'),
    import('./runtime/mesh/curve.ts'),
    import('./runtime/node/key-file.ts'),
    import('./actors/settings.ts'),
  ]);
  const { name: node, roles } = nodeRoles(name, flags.roles ?? 'compute');
  const keys = newKeyPair();
  const { cluster, seeds } = await addNodeKey(await placeOfNodes(flags), { name: node, publicKey: keys.publicKey, roles });
  process.stdout.write(renderKeyFile({ node, roles, cluster, keys, seeds }));
  return 0;
}

async function listNodes(flags: Flags): Promise<number> {
  const [nodes, { renderNodes }] = await Promise.all([import('./actors/conductor/node-keys.ts'), import('./http/client/commands/nodes.ts')]);
  process.stdout.write(renderNodes(await nodes.listNodes(await placeOfNodes(flags))));
  return 0;
}

async function removeNode(flags: Flags, name: string): Promise<number> {
  const { removeNodeKey } = await import('./actors/conductor/node-keys.ts');
  if (await removeNodeKey(await placeOfNodes(flags), name)) return 0;
  process.stderr.write(`No key stands for a node ${name}.\n`);
  return EXIT.failed;
}

async function switchFlavorOf(flags: Flags, id: string, disabled: boolean): Promise<number> {
  const { switchFlavor } = await import('./actors/conductor/flavor-switch.ts');
  const name = await switchFlavor(await placeOfNodes(flags), id, disabled);
  if (name === undefined) {
    process.stderr.write(`There is no flavor with the id ${id}.\n`);
    return EXIT.failed;
  }
  say(disabled ? `Flavor ${name} makes no new servers.` : `Flavor ${name} makes servers again.`);
  return 0;
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

/** Without the launcher: this is a Node that is new enough, with its options. */
function ownWords(): readonly [string, ...string[]] {
  return [process.execPath, ...process.execArgv, import.meta.filename, 'start'];
}

/** Beside this file in a checkout, above it in a compiled package. */
function ownVersion(): string {
  const paths = [join(import.meta.dirname, 'package.json'), join(import.meta.dirname, '..', 'package.json')];
  const manifest: unknown = JSON.parse(readFileSync(paths.find(existsSync) ?? '', 'utf8'));
  return manifest !== null && typeof manifest === 'object' && 'version' in manifest ? String(manifest.version) : 'unknown';
}
