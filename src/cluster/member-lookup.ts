/** Which member an operator means by a uid, a nodeId or an address. */
import { formatAddress } from '../core/address.js'
import type { Member } from '../core/model.js'
import { SkeinError } from '../errors.js'

/** A uid, a nodeId or `host:port`; or a member itself. */
export type NodeReference = string | { readonly uid: string }

/** The one member meant. Throws `ERR_SKEIN_NOT_MEMBER`, with the list, for none or several. */
export function findMember(members: readonly Member[], reference: NodeReference): Member {
  const name = typeof reference === 'string' ? reference : reference.uid
  const found = members.filter(
    (m) =>
      m.uid === name ||
      (typeof reference === 'string' && (m.nodeId === name || formatAddress(m.address) === name)),
  )
  if (found.length === 1) return found[0]!
  const list = members.map((m) => `${m.nodeId} at ${formatAddress(m.address)}, uid ${m.uid}`).join('; ')
  const fault = found.length === 0 ? 'no member is called' : `${found.length} members are called`
  const way = found.length === 0 ? 'Nothing changed' : 'Nothing changed: name the uid instead'
  throw new SkeinError('ERR_SKEIN_NOT_MEMBER', `${fault} ${JSON.stringify(name)}. ${way}. Members: ${list}`)
}
