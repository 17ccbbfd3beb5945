/**
 * The package as a user gets it: packed, installed into an empty project with scripts off and no compiler on the PATH,
 * then imported, required, type-checked and run, over both transports.
 */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const COMMAND_TIMEOUT_MS = 120_000
const TARBALL_BYTES_MAX = 2 * 1024 * 1024

const nativeBuilt = existsSync(join(ROOT, 'build/Release/skein.node'))
const nativeRequired = process.env['SKEIN_REQUIRE_NATIVE'] === '1'
const withNative = nativeBuilt || nativeRequired
const NO_BINARY = 'no native binary was built here: npm run build:native'
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }

let scratch: string
let project: string
let packed: {
  readonly filename: string
  readonly size: number
  readonly files: readonly { readonly path: string }[]
}

/** Runs to the end; the output of a failure is what the test reports. */
function run(
  command: string,
  args: readonly string[],
  cwd: string,
  environment: NodeJS.ProcessEnv = process.env,
): string {
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env: environment,
    encoding: 'utf8',
    timeout: COMMAND_TIMEOUT_MS,
  })
  if (error !== undefined || status !== 0) {
    throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? signal ?? status}\n${stdout}${stderr}`)
  }
  return stdout
}

/** A PATH on which there is Node, npm and a shell, and nothing that could compile. */
function bareEnvironment(): NodeJS.ProcessEnv {
  const bin = join(scratch, 'bin')
  mkdirSync(bin)
  const npmFolder = dirname(realpathSync(run('sh', ['-c', 'command -v npm'], scratch).trim()))
  const programs = {
    node: process.execPath,
    npm: join(npmFolder, 'npm-cli.js'),
    npx: join(npmFolder, 'npx-cli.js'),
    sh: realpathSync('/bin/sh'),
  }
  for (const [name, target] of Object.entries(programs)) symlinkSync(target, join(bin, name))
  const { HOME, npm_config_cache: cache } = process.env
  return {
    PATH: bin,
    ...(HOME === undefined ? {} : { HOME }),
    ...(cache === undefined ? {} : { npm_config_cache: cache }),
  }
}

let bare: NodeJS.ProcessEnv

function script(name: string, text: string): string {
  writeFileSync(join(project, name), text)
  return run('node', [name], project, bare)
}

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'skein-pack-'))
  project = join(scratch, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "name": "consumer", "private": true }\n')
  // With a binary this is `npm pack` as a maintainer runs it: `prepack` builds and puts the binary into its place.
  const withoutBinary = withNative ? [] : ['--ignore-scripts']
  if (withoutBinary.length > 0) run(process.execPath, ['scripts/build.mjs', 'ts'], ROOT)
  const listing = run('npm', ['pack', '--json', '--pack-destination', scratch, ...withoutBinary], ROOT)
  // What `prepack` prints comes first; the listing is the last thing.
  packed = JSON.parse(listing.slice(listing.search(/^\[\s*$/m)))[0]
  bare = bareEnvironment()
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
  run('npm', ['install', ...flags, join(scratch, packed.filename)], project, bare)
}, 2 * COMMAND_TIMEOUT_MS)

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe('the tarball', () => {
  test('has what runs, and nothing of how it is made', () => {
    const paths = packed.files.map(({ path }) => path)
    for (const path of [
      'dist/index.js',
      'dist/index.d.ts',
      'dist/cli/main.js',
      'README.md',
      'package.json',
    ]) {
      expect(paths).toContain(path)
    }
    expect(
      paths.filter((path) => /^(src|test|bench|scripts|\.)|\/\.|native\/test|\.test\./.test(path)),
    ).toEqual([])
    expect(packed.size).toBeLessThan(TARBALL_BYTES_MAX)
  })

  test('has the binary for this platform', ({ skip }) => {
    skip(!withNative, NO_BINARY)
    expect(packed.files.map(({ path }) => path)).toContain(
      `prebuilds/${process.platform}-${process.arch}/skein.node`,
    )
  })
})

describe('installed with scripts off and no compiler', () => {
  /** Two nodes in one process: the second joins through the first, both leave. */
  const joinTwo = (transport: string): string => `
    import { joinCluster } from 'skein'
    const common = { name: 'pack', listen: '127.0.0.1:0', transport: '${transport}', joinTimeoutMs: 20_000 }
    const a = await joinCluster({ ...common, nodeId: 'a' })
    const b = await joinCluster({ ...common, nodeId: 'b', seeds: [a.self.address] })
    console.log(b.state.members.map((m) => m.nodeId).sort().join(), b.state.members.every((m) => m.status === 'up'))
    await b.leave()
    await a.leave()
    console.log((await b.closed).reason, (await a.closed).reason)
  `

  test('two nodes join and leave over node:net', () => {
    expect(script('net.mjs', joinTwo('net'))).toBe('a,b true\nleft left\n')
  })

  test('two nodes join and leave over the native transport', ({ skip }) => {
    skip(!withNative, NO_BINARY)
    expect(script('native.mjs', joinTwo('native'))).toBe('a,b true\nleft left\n')
  })

  test("require('skein') works from CommonJS", () => {
    const text = `const { joinCluster, isSkeinError } = require('skein')\nconsole.log(typeof joinCluster, isSkeinError({}))\n`
    expect(script('required.cjs', text)).toBe('function false\n')
  })

  test('the command is there', () => {
    expect(run('npx', ['--no-install', 'skein', '--version'], project, bare)).toBe(`${version}\n`)
  })

  test('the types hold for a strict consumer', () => {
    writeFileSync(
      join(project, 'consumer.mts'),
      `import { type Cluster, joinCluster, keepMajority, type StreamItem } from 'skein'
      export async function watch(): Promise<string[]> {
        const seen: string[] = []
        const cluster: Cluster = await joinCluster({ name: 'typed', listen: '127.0.0.1:0', downing: keepMajority() })
        for await (const event of cluster.events() as AsyncIterable<StreamItem>) {
          if (event.type === 'memberUp') seen.push(event.member.nodeId)
        }
        return seen
      }
      // @ts-expect-error a misspelt option is an error
      export const wrong = joinCluster({ name: 'typed', listen: '127.0.0.1:0', sedes: [] })\n`,
    )
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const flags = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--lib',
      'es2023,esnext.disposable',
    ]
    const types = ['--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types')]
    expect(run(process.execPath, [tsc, ...flags, ...types, 'consumer.mts'], project)).toBe('')
  })
})
