/** Arrows point one way: core <- wire <- messaging <- cluster <- everything else; native/core <- native/io <- native/binding. */
import { posix } from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { sourceFiles } from './tree.js'

interface Layer {
  /** Files of the layer, by path. */
  readonly files: RegExp
  /** What they may import besides each other, by path for our own files, by name for packages and node. */
  readonly may: readonly RegExp[]
}

const ERRORS = /^src\/errors\.ts$/
const CORE = /^src\/core\//
const ADDRESS = /^src\/core\/address\.ts$/
const WIRE = /^src\/wire\//
const TRANSPORT = /^src\/transport\//
const DETECTORS = /^src\/detectors\//
/** The virtual clock and the seeded generator stand below the memory transport; the simulator stands above the shell. */
const CLOCK = /^src\/sim\/(clock|random)\.ts$/
const OPTIONS = /^src\/options\//
const MESSAGING = /^src\/messaging\//
const CLUSTER = /^src\/cluster\//
const NODE = /^node:/

/** The wire as the transport knows it: frames, not membership. */
const FRAMES =
  /^src\/wire\/(frame|data-frame|hello|crc32c|generated\/(frame-.*|hello|heartbeat|watch|refusal.*|quarantine.*|goodbye.*|lane))\.ts$/

const LAYERS: Readonly<Record<string, Layer>> = {
  errors: { files: ERRORS, may: [] },
  core: { files: CORE, may: [] },
  wire: { files: WIRE, may: [CORE, /^src\/transport\/(transport|limits)\.ts$/, /^flatbuffers$/] },
  detectors: { files: DETECTORS, may: [] },
  transport: { files: TRANSPORT, may: [ADDRESS, FRAMES, ERRORS, DETECTORS, CLOCK, NODE] },
  clock: { files: CLOCK, may: [] },
  sim: {
    files: /^src\/sim\/(?!clock\.|random\.)/,
    may: [CORE, WIRE, TRANSPORT, CLUSTER, CLOCK, DETECTORS, ERRORS],
  },
  options: {
    files: OPTIONS,
    may: [ADDRESS, /^src\/transport\/(transport|limits|defaults)\.ts$/, ERRORS, NODE],
  },
  messaging: {
    files: MESSAGING,
    // Of membership it knows what a member is, for routing.
    may: [
      ADDRESS,
      /^src\/core\/(model|hash|limits)\.ts$/,
      /^src\/wire\/(data-frame|verify)\.ts$/,
      TRANSPORT,
      OPTIONS,
      ERRORS,
      NODE,
      /^flatbuffers$/,
    ],
  },
  cluster: { files: CLUSTER, may: [CORE, WIRE, TRANSPORT, OPTIONS, MESSAGING, ERRORS, NODE] },
  index: {
    files: /^src\/index\.ts$/,
    may: [CORE, CLUSTER, MESSAGING, OPTIONS, /^src\/transport\/transport\.ts$/, ERRORS],
  },
  cli: { files: /^src\/cli\//, may: [/^src\//, NODE, /^commander$/] },
}

const typescript = sourceFiles('src').filter(({ path }) => path.endsWith('.ts'))

/** Everything a file imports, types included: paths from the root for our own files, the specifier for others. */
function importsOf(path: string, text: string): string[] {
  return ts.preProcessFile(text).importedFiles.map(({ fileName }) => {
    if (!fileName.startsWith('.')) return fileName
    return posix.join(posix.dirname(path), fileName).replace(/\.js$/, '.ts')
  })
}

describe('TypeScript', () => {
  test('every file belongs to exactly one layer', () => {
    const homeless = typescript.filter(
      ({ path }) => Object.values(LAYERS).filter((l) => l.files.test(path)).length !== 1,
    )
    expect(homeless.map(({ path }) => path)).toEqual([])
  })

  test.each(Object.entries(LAYERS))('%s imports only what lies below it', (_, layer) => {
    const files = typescript.filter(({ path }) => layer.files.test(path))
    expect(files.length).toBeGreaterThan(0)
    const wrong = files.flatMap(({ path, text }) =>
      importsOf(path, text)
        .filter((imported) => ![layer.files, ...layer.may].some((allowed) => allowed.test(imported)))
        .map((imported) => `${path} imports ${imported}`),
    )
    expect(wrong).toEqual([])
  })

  test('the rule sees type imports, re-exports and dynamic imports', () => {
    const text = `import type { A } from '../cluster/a.js'\nexport { b } from './b.js'\nconst c = import('node:fs')\n`
    expect(importsOf('src/core/x.ts', text)).toEqual(['src/cluster/a.ts', 'src/core/b.ts', 'node:fs'])
  })
})

describe('C++', () => {
  const included = (folder: string): string[] =>
    sourceFiles(folder).flatMap(({ path, text }) =>
      [...text.matchAll(/^\s*#\s*include\s+[<"]([^>"]+)[>"]/gm)].map(([, name]) => `${path}: ${name}`),
    )
  /** Everything that touches the system: libuv, N-API, POSIX, threads, clocks, streams. */
  const SYSTEM =
    /: (uv|napi|node|node_api|node_buffer|js_native_api|v8|unistd|fcntl|poll|signal|pthread|netdb|errno|time|stdio)\.h$|: (sys|net|netinet|arpa|linux)\/|: (cerrno|csignal|cstdio|ctime|chrono|condition_variable|fstream|future|iostream|mutex|random|shared_mutex|thread)$/
  const NODE_API = /: (napi\w*|node|node_api|node_buffer|js_native_api|v8)\.h$/
  const UPPER = /: (\.\.\/)?(io|binding)\//

  test('native/core knows no system', () => {
    const all = included('native/core')
    expect(all.length).toBeGreaterThan(0)
    expect(all.filter((line) => SYSTEM.test(line) || UPPER.test(line))).toEqual([])
  })

  test('native/io knows no Node-API', () => {
    const all = included('native/io')
    expect(all.length).toBeGreaterThan(0)
    expect(all.filter((line) => NODE_API.test(line) || /: (\.\.\/)?binding\//.test(line))).toEqual([])
  })
})
