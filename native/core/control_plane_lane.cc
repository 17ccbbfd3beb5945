// Data lanes: sockets of their own beside a complete link. Only their handshake is ours, and it touches
// neither links nor targets; then they leave.
#include <utility>

#include "control_plane.h"
#include "limits.h"

namespace skein::core {
namespace {

LaneFailedReason LaneFailedReasonOf(GatedReason reason) {
  switch (reason) {
    case GatedReason::kRefused:
      return LaneFailedReason::kRefused;
    case GatedReason::kTimeout:
      return LaneFailedReason::kTimeout;
    case GatedReason::kUnreachable:
      return LaneFailedReason::kUnreachable;
    case GatedReason::kHandshake:
      return LaneFailedReason::kHandshake;
  }
  return LaneFailedReason::kHandshake;
}

}  // namespace

void ControlPlane::OpenLane(Uid uid, Lane lane, uint32_t dial, uint64_t now_us) {
  Collect();
  if (closing_) return;
  const Pair* pair = FindPair(uid);
  if (pair == nullptr || pair->link == 0) return EmitLaneFailed(uid, lane, dial, LaneFailedReason::kNoLink);
  // No peer would take such a hello.
  if (lane == Lane::kControl || lane > Lane::kLarge || dial == 0) {
    return EmitLaneFailed(uid, lane, dial, LaneFailedReason::kHandshake);
  }
  if (lane_dials_ >= limits::kLaneDialsMax) {
    return EmitLaneFailed(uid, lane, dial, LaneFailedReason::kUnreachable);
  }
  ++lane_dials_;
  Connection& connection = AddDial(pair->peer.address, uid, now_us);
  connection.lane = lane;
  connection.lane_address = std::make_unique<Endpoint>(pair->peer.address);
  connection.rank = {dial, options_.uid};
}

void ControlPlane::EmitLaneFailed(Uid uid, Lane lane, uint32_t dial, LaneFailedReason reason) {
  counters_->Add(Counter::kLaneDialsFailed);
  Event event{.type = EventType::kLaneFailed, .reason = static_cast<uint8_t>(reason)};
  event.uid = uid;
  event.attempts = dial;
  event.lane = lane;
  Emit(event);
}

// Told once, however many ways the connection goes on to fail in; it is the caller's to close.
void ControlPlane::LaneDialFailed(Connection& connection, GatedReason reason) {
  if (std::exchange(connection.lane_address, nullptr) == nullptr) return;
  --lane_dials_;
  EmitLaneFailed(connection.expected, connection.lane, connection.rank.dial, LaneFailedReasonOf(reason));
}

void ControlPlane::OnLaneAck(Connection& connection, uint64_t now_us) {
  // Closed without `ready`: on the other side this lane never existed.
  if (connection.peer.uid != connection.expected) {
    CloseConnection(connection, Draining::kUnreadable, now_us);
    LaneDialFailed(connection, GatedReason::kHandshake);
    return;
  }
  WriteReady(connection);
  --lane_dials_;
  HandOver(connection);
}

// The handshake is done on our side. The object lives on until the next input, as a destroyed one does.
void ControlPlane::HandOver(Connection& connection) {
  const ConnectionId id = connection.id;
  counters_->Add(Counter::kLanesOpened);
  deadlines_.Clear({DeadlineKind::kConnection, id});
  const LaneHandOver lane{std::move(connection.peer), connection.lane, connection.rank.dial,
                          connection.rank.dialler};
  const Bytes unread = connection.reader.TakeRest();
  destroyed_.push_back(std::move(connections_.extract(id).mapped()));
  effects_->HandOver(id, lane, unread);
}

// Of a quarantined incarnation. Its control link says why; a dialler that has taken our ack would read a
// frame from here as data.
void ControlPlane::EndLaneHandshakes(Uid uid, uint64_t now_us) {
  std::vector<Connection*> ended;
  for (const auto& [id, connection] : connections_) {
    const bool ours = connection->expected == uid || connection->peer.uid == uid;
    const bool ending = connection->phase == Phase::kClosing;
    if (connection->lane != Lane::kControl && ours && !ending) ended.push_back(connection.get());
  }
  for (Connection* connection : ended) {
    LaneDialFailed(*connection, GatedReason::kHandshake);
    // Nothing was sent yet, so nothing can be reset by closing at once.
    connection->phase == Phase::kConnecting ? DestroyConnection(*connection)
                                            : CloseConnection(*connection, Draining::kUnreadable, now_us);
  }
}

}  // namespace skein::core
