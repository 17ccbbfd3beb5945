#!/usr/bin/env node
/** The `skein` command. Each subcommand lives in a file of its own. */
import { createRequire } from 'node:module'
import { Command } from 'commander'
import { agentCommand } from './agent-command.js'
import { demoCommand } from './demo/demo-command.js'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

const program = new Command('skein')
  .description('Cluster membership and low-latency messaging for Node.js')
  .version(version)
  .addCommand(agentCommand())
  .addCommand(demoCommand())

await program.parseAsync()
