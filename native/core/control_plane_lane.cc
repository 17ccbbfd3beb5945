// Data lanes: sockets of their own beside a complete link. Only their handshake is ours; then they leave.
#include "control_plane.h"

namespace skein::core {

void ControlPlane::OpenLane(Uid uid, Lane lane, uint32_t dial, uint64_t /*now_us*/) {
  Collect();
  Event event{.type = EventType::kLaneFailed, .reason = static_cast<uint8_t>(LaneFailedReason::kNoLink)};
  event.uid = uid;
  event.lane = lane;
  event.attempts = dial;
  Emit(event);
}

}  // namespace skein::core
