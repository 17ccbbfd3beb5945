// Names of reasons.
#include "events.h"

#include <array>

namespace skein::core {

const char* NameOf(BadInputReason reason) {
  static constexpr std::array<const char*, kBadInputReasons> kNames = {
      "frameTooLarge",      "frameTooShort",   "badCrc",         "badMagic",           "badHello",
      "unknownKind",        "unexpectedFrame", "truncatedFrame", "handshakeTimeout",   "clusterMismatch",
      "versionUnsupported", "quarantined",     "sameUid",        "tooManyConnections",
      "unauthenticated",
  };
  return kNames[static_cast<size_t>(reason)];
}

}  // namespace skein::core
