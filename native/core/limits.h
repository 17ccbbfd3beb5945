// Every bound of the native transport. Those that both implementations share are held equal to
// `src/transport/limits.ts` by a test; the rest bound what only the addon has (ring, overflow, pings).
#pragma once

#include <cstddef>
#include <cstdint>

namespace skein::core::limits {

// Shared with TypeScript.
inline constexpr uint32_t kControlFrameBytesMax = 4 * 1024 * 1024;
inline constexpr uint32_t kHelloFrameBytesMax = 2048;
inline constexpr uint32_t kClusterNameBytesMax = 255;
inline constexpr uint32_t kNodeIdBytesMax = 255;
inline constexpr uint32_t kHostBytesMax = 255;
inline constexpr uint32_t kControlOutboxBytesMax = 16 * 1024 * 1024;
inline constexpr uint32_t kPendingHandshakesMax = 256;
inline constexpr uint32_t kHandshakeTimeoutMs = 2000;
inline constexpr uint32_t kQuarantinedMax = 65'536;
inline constexpr uint32_t kWantedPeersMax = 4096;
inline constexpr uint32_t kSelfPauseMs = 500;
inline constexpr uint32_t kDrainTimeoutMs = 1000;
inline constexpr uint32_t kSecretsMax = 4;
inline constexpr uint32_t kSecretBytesMin = 16;
inline constexpr uint32_t kSecretBytesMax = 256;
inline constexpr uint32_t kNonceBytes = 32;
inline constexpr uint32_t kProofBytes = 32;

inline constexpr uint16_t kProtocolVersionMin = 1;
inline constexpr uint16_t kProtocolVersionMax = 1;

// Pace.
inline constexpr uint32_t kTickMs = 100;            // the timekeeping loop turns at least this often
inline constexpr uint32_t kBeatIntervalMinMs = 20;  // whatever an observer asks for
inline constexpr uint32_t kLoopPingMinMs = 50;      // at most one ping to a JavaScript loop in this time
inline constexpr uint32_t kBackoffFloorMs = 10;     // full jitter never dials sooner
inline constexpr uint32_t kBusyRetryMs = 1000;      // next try of a dial put off because our inbox is full

// A peer that keeps answering `superseded` is dialled at once this often, then with back-off.
inline constexpr uint32_t kSupersededRetriesMax = 3;

// Dials of data lanes under way at once: one to each peer that may be wanted.
inline constexpr uint32_t kLaneDialsMax = 4096;

// Incarnations remembered (dial numbers, sessions) beyond those linked or watched.
inline constexpr uint32_t kPairsMax = 8192;

// Memory.
inline constexpr uint32_t kReceiveBufferBytes = 64 * 1024;
inline constexpr uint32_t kPartialFrameKeptBytesMax = 64 * 1024;  // capacity kept after a large frame
inline constexpr uint32_t kWriteChunkBytes = 256 * 1024;          // one write given to the kernel
inline constexpr uint32_t kRingBytesMin = 64 * 1024;
inline constexpr uint32_t kRingBytesMax = 16 * 1024 * 1024;
inline constexpr uint32_t kInboxBytesMax = 64 * 1024 * 1024;
inline constexpr uint32_t kResolvedAddressesMax = 4;  // tried in turn for one name
inline constexpr int kListenBacklog = 511;
inline constexpr uint32_t kAcceptsPerTurnMax = 64;  // then the other sockets have their turn

// Data lanes.
inline constexpr uint32_t kLaneReceiveBytes = 256 * 1024;  // the receive buffer of one JavaScript loop
inline constexpr uint32_t kHandOversMax = 1024;  // sockets that JavaScript has not taken over yet, per transport
inline constexpr uint32_t kLaneUserTimeoutMs = 30'000;  // unacknowledged bytes end a lane; idle, it is probed

}  // namespace skein::core::limits
