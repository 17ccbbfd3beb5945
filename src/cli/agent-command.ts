/** `skein agent`: the words of the command line, turned into the options of one node. */
import { Command, InvalidArgumentError, Option } from 'commander'
import type { JoinOptions } from '../cluster/options.js'
import { keepMajority, manual } from '../core/downing.js'
import { runAgent } from './agent.js'

/** As commander hands them over; the library checks them. */
export interface AgentFlags {
  readonly cluster: string
  readonly listen: string
  readonly advertise?: string
  readonly seeds?: readonly string[]
  readonly nodeId?: string
  readonly roles?: readonly string[]
  readonly downing?: 'keepMajority' | 'manual'
  readonly stableAfterMs?: number
  readonly joinTimeoutMs?: number
  readonly transport: 'auto' | 'native' | 'net'
  readonly json: boolean
}

export function agentCommand(): Command {
  return new Command('agent')
    .description('run one node until it is told to leave')
    .requiredOption('--cluster <name>', 'name of the cluster')
    .requiredOption('--listen <host:port>', 'where to listen')
    .option('--advertise <host:port>', 'the address others dial (default: --listen)')
    .option(
      '--seeds <list>',
      'addresses to ask for admission, comma-separated (default: found a cluster alone)',
      list,
    )
    .option('--node-id <name>', 'durable name of this node (default: the advertised address)')
    .option('--roles <list>', 'roles, comma-separated', list)
    .addOption(
      new Option('--downing <strategy>', 'who decides that a member is down').choices([
        'keepMajority',
        'manual',
      ]),
    )
    .option('--stable-after-ms <ms>', 'quiet time before keepMajority decides', whole)
    .option('--join-timeout-ms <ms>', 'time to become a member', whole)
    .addOption(
      new Option('--transport <kind>', 'how to talk').choices(['auto', 'native', 'net']).default('auto'),
    )
    .option('--json', 'one JSON object a line instead of sentences', false)
    .addHelpText(
      'after',
      `
SIGTERM or SIGINT leaves the cluster gracefully; a second one exits at once.
Exit codes: 0 left; 1 could not start, join or leave; 3 the cluster removed this node (restart it to come back).`,
    )
    .action(async (flags: AgentFlags) => {
      process.exitCode = await runAgent(joinOptions(flags), { json: flags.json })
    })
}

/** Unset flags stay unset, so that the library's defaults and their origins stand. */
export function joinOptions(flags: AgentFlags): JoinOptions {
  return {
    name: flags.cluster,
    listen: flags.listen,
    advertise: flags.advertise,
    seeds: flags.seeds,
    nodeId: flags.nodeId,
    roles: flags.roles,
    downing: downing(flags),
    joinTimeoutMs: flags.joinTimeoutMs,
    transport: flags.transport,
  }
}

/** No flag, no choice: whether one is needed is the library's to say. */
function downing({ downing, stableAfterMs }: AgentFlags): JoinOptions['downing'] {
  if (downing === 'manual') return manual()
  if (downing === undefined && stableAfterMs === undefined) return undefined
  return keepMajority(stableAfterMs === undefined ? {} : { stableAfterMs })
}

/** Empty items are kept: the library names them as what they are, a mistake. */
function list(value: string): string[] {
  return value.split(',').map((item) => item.trim())
}

/** Digits only: no sign, no fraction, no exponent. At most 999,999,999. */
export function whole(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('expected a whole number')
  return Number(value)
}
