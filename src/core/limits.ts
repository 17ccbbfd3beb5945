/** Every bound of membership. Counts read off the wire are checked against these before anything is built. */
export const CORE_LIMITS = {
  membersMax: 4096,
  /** Removed incarnations remembered. */
  tombstonesMax: 16_384,
  rolesPerMemberMax: 32,
  roleBytesMax: 64,
  nodeIdBytesMax: 255,
  hostBytesMax: 255,
  /** Rows one observer may hold: everybody else. */
  rowsPerObserverMax: 4096,
  /** Origins in a version vector: members and tombstones. */
  vectorEntriesMax: 20_480,
  /** Changes one incarnation can make; a stamp beyond it is a lie, and room remains for encoders to count on. */
  sequenceMax: 2 ** 31,
  /** Newcomers that wait for an older incarnation to go. */
  pendingJoinsMax: 256,
  seedsMax: 64,
} as const
