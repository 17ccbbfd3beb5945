/** Names of incarnations, as this process gives them. */
import { randomInt } from 'node:crypto'
import { makeUid, NO_UID, type Uid } from '../core/address.js'

const RANDOM_BITS = 22

/** The last uid made here: two nodes of one process started in the same millisecond must differ, and be ordered. */
let lastUid: Uid = NO_UID

/** Higher than every uid made here before, whatever the wall clock does. */
export function nextUid(): Uid {
  lastUid = makeUid(Date.now(), randomInt(2 ** RANDOM_BITS), lastUid)
  return lastUid
}
