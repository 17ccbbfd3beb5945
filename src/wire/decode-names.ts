/**
 * Enum values of the wire as the names of the core. The generated enums carry the names, so a schema and a model that
 * drift apart do not compile.
 */
import { malformed } from './decode-tables.js'

type Names = Readonly<Record<string, string | number>>

/** The name of a value; an unknown one is malformed. */
export function nameOf<E extends Names>(names: E, value: number, path: string): keyof E & string {
  return (names[value] as (keyof E & string) | undefined) ?? malformed(`${path}: unknown value ${value}`)
}

/** The name of a value where `none`, the schema's 0, is no answer. */
export function reasonOf<E extends Names>(
  names: E,
  value: number,
  path: string,
): Exclude<keyof E & string, 'none'> {
  if (value === 0) malformed(`${path}: missing`)
  return nameOf(names, value, path) as Exclude<keyof E & string, 'none'>
}
