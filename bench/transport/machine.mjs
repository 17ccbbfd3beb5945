// Where figures were taken: absolute ones mean little without it.
import { spawnSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'

export function describeMachine() {
  const processors = cpus()
  const gxx = spawnSync('g++', ['-dumpfullversion'], { encoding: 'utf8' })
  return {
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    gxx: gxx.status === 0 ? gxx.stdout.trim() : null,
    load: Number(loadavg()[0].toFixed(2)),
    date: new Date().toISOString().slice(0, 10),
  }
}
