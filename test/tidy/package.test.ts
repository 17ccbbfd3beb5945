/** What the package promises to those who install it: no scripts, no compiler, three dependencies. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from './tree.js'

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly gypfile?: boolean
}

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest

test('nothing runs at installation', () => {
  const lifecycle = [
    'preinstall',
    'install',
    'postinstall',
    'preprepare',
    'prepare',
    'postprepare',
    'prepublish',
  ]
  expect(lifecycle.filter((name) => name in manifest.scripts)).toEqual([])
  // Without it npm would run node-gyp for any package with a binding.gyp.
  expect(manifest.gypfile).toBe(false)
})

test('no script is run by another one that does not name it', () => {
  // npm runs `pre<name>` and `post<name>` around any script. `prebuild` is known to: it is incremental and may find nothing to do.
  const names = Object.keys(manifest.scripts)
  const implicit = names.filter((name) =>
    names.some((other) => name === `pre${other}` || name === `post${other}`),
  )
  expect(implicit).toEqual(['prebuild'])
})

test('the dependencies are these, exactly', () => {
  expect(Object.keys(manifest.dependencies).sort()).toEqual(['commander', 'flatbuffers', 'node-addon-api'])
  const versions = Object.values({ ...manifest.dependencies, ...manifest.devDependencies })
  expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
})
