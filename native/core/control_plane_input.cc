// Frames off a connection: admitted by length, CRC and kind, then handled by the phase they arrive in.
#include "control_plane.h"
#include "limits.h"

namespace skein::core {

template <typename Body>
void ControlPlane::WriteStruct(Connection& connection, FrameKind kind, uint8_t flags, uint32_t sequence,
                               const Body& body) {
  uint8_t bytes[sizeof(Body)];
  Store(bytes, body);
  WriteFrame(connection, EncodeHead(kind, flags, sequence, bytes), bytes);
}

template void ControlPlane::WriteStruct(Connection&, FrameKind, uint8_t, uint32_t, const HeartbeatBody&);
template void ControlPlane::WriteStruct(Connection&, FrameKind, uint8_t, uint32_t, const RefusalBody&);
template void ControlPlane::WriteStruct(Connection&, FrameKind, uint8_t, uint32_t, const WatchBody&);
template void ControlPlane::WriteStruct(Connection&, FrameKind, uint8_t, uint32_t, const QuarantineBody&);
template void ControlPlane::WriteStruct(Connection&, FrameKind, uint8_t, uint32_t, const GoodbyeBody&);

void ControlPlane::WriteFrame(Connection& connection, const FrameHead& head, Bytes body) {
  counters_->Add(Counter::kFramesOut);
  counters_->Add(Counter::kBytesOut, head.size() + body.size());
  connection.queued_end = effects_->Write(connection.id, head, body);
}

void ControlPlane::OnData(ConnectionId id, Bytes bytes, uint64_t now_us) {
  Collect();
  counters_->Add(Counter::kBytesIn, bytes.size());
  Connection* connection = FindConnection(id);
  if (connection == nullptr) return;
  connection->reader.Feed(bytes);
  // Ends with the input: every turn consumes at least a header, or closes the connection.
  while ((connection = FindConnection(id)) != nullptr) {
    const bool closing = connection->phase == Phase::kClosing;
    if (closing && connection->draining == Draining::kUnreadable) return;
    // What never became a link gets the bound for strangers, in drain too.
    const bool early = connection->session == 0;
    FrameView frame;
    switch (connection->reader.Next(early ? limits::kHelloFrameBytesMax : limits::kControlFrameBytesMax,
                                    &frame)) {
      case FrameReader::Status::kNeedMore:
        return;
      case FrameReader::Status::kTooLarge:
        BadInput(*connection, BadInputReason::kFrameTooLarge, now_us);
        return;
      case FrameReader::Status::kTooShort:
        BadInput(*connection, BadInputReason::kFrameTooShort, now_us);
        return;
      // The handler may close or destroy the connection; it is looked up again for the next frame.
      case FrameReader::Status::kFrame:
        counters_->Add(Counter::kFramesIn);
        if (AdmitFrame(*connection, frame, now_us)) HandleFrame(*connection, frame, now_us);
    }
  }
}

bool ControlPlane::AdmitFrame(Connection& connection, const FrameView& frame, uint64_t now_us) {
  // Nothing comes of it, so nothing is checked.
  if (connection.phase == Phase::kClosing && connection.draining == Draining::kDrop) return true;
  // A stray client of another protocol is to be told from corruption.
  const bool first = connection.phase == Phase::kAwaitHello;
  std::optional<BadInputReason> bad;
  if (first && !HasHelloMagic(frame.Body())) {
    bad = BadInputReason::kBadMagic;
  } else if (!frame.CrcMatches()) {
    bad = BadInputReason::kBadCrc;
  } else if (!IsKnownKind(frame.header.kind)) {
    bad = BadInputReason::kUnknownKind;
  } else if (frame.header.lane != Lane::kControl) {
    bad = BadInputReason::kUnexpectedFrame;
  }
  if (!bad.has_value()) return true;
  BadInput(connection, *bad, now_us);
  return false;
}

void ControlPlane::HandleFrame(Connection& connection, const FrameView& frame, uint64_t now_us) {
  const FrameKind kind = frame.header.kind;
  switch (connection.phase) {
    case Phase::kAwaitHello:
      if (kind == FrameKind::kHello) return OnHello(connection, frame, now_us);
      break;
    case Phase::kHelloSent:
      if (kind == FrameKind::kHelloAck) return OnHelloAck(connection, frame, now_us);
      if (kind == FrameKind::kRefusal) return OnRefusal(connection, frame, now_us);
      break;
    case Phase::kAwaitReady:
      if (kind == FrameKind::kReady) return OnReady(connection, frame, now_us);
      // Only a link says so, and before a proof anybody could.
      if (kind == FrameKind::kQuarantined && !WantsProofs() && connection.lane == Lane::kControl) {
        return OnQuarantined(connection, frame, now_us);
      }
      if (kind == FrameKind::kGoodbye) return OnGoodbye(connection, frame, now_us);
      break;
    case Phase::kComplete:
      return HandleLinkFrame(connection, frame, now_us);
    case Phase::kClosing:
      if (kind == FrameKind::kMessage) OnMessage(connection, frame, now_us);
      return;
    case Phase::kConnecting:
      return;
  }
  BadInput(connection, BadInputReason::kUnexpectedFrame, now_us);
}

void ControlPlane::HandleLinkFrame(Connection& connection, const FrameView& frame, uint64_t now_us) {
  switch (frame.header.kind) {
    case FrameKind::kHeartbeat:
      return OnHeartbeat(connection, frame, now_us);
    case FrameKind::kEcho:
      return OnEcho(connection, frame, now_us);
    case FrameKind::kWatch:
      return OnWatchFrame(connection, frame, now_us);
    case FrameKind::kMessage:
      return OnMessage(connection, frame, now_us);
    case FrameKind::kQuarantined:
      return OnQuarantined(connection, frame, now_us);
    case FrameKind::kGoodbye:
      return OnGoodbye(connection, frame, now_us);
    default:
      return BadInput(connection, BadInputReason::kUnexpectedFrame, now_us);
  }
}

void ControlPlane::OnMessage(Connection& connection, const FrameView& frame, uint64_t now_us) {
  // Nothing is dropped silently; and what a quarantined incarnation still says has a counter of its own.
  if (connection.phase == Phase::kClosing && connection.draining == Draining::kDrop) {
    const bool quarantined = quarantined_.contains(connection.peer.uid);
    counters_->Add(quarantined ? Counter::kQuarantinedFramesDropped : Counter::kMessagesDropped);
    return;
  }
  Event event{.type = EventType::kMessage};
  event.uid = connection.peer.uid;
  event.session = connection.session;
  event.bytes = frame.Body();
  if (Emit(event)) {
    counters_->Add(Counter::kMessagesIn);
    return;
  }
  // JavaScript does not drain, and beats share this socket, so reading cannot simply stop. The peer is told
  // that the link is unwanted for now, and learns from the session that messages were lost.
  counters_->Add(Counter::kInboxFull);
  if (connection.phase == Phase::kComplete) SayGoodbye(connection, GoodbyeReason::kUnwanted);
  connection.draining = Draining::kDrop;
  CloseForPeer(connection, LinkDownReason::kIoError, DialTime::kBackoff, now_us);
}

void ControlPlane::OnGoodbye(Connection& connection, const FrameView& frame, uint64_t now_us) {
  GoodbyeBody body;
  if (!frame.Read(&body)) return BadInput(connection, BadInputReason::kFrameTooShort, now_us);
  // The better socket is on its way. Until it is complete here, this one stays the link, for sending.
  if (body.reason == GoodbyeReason::kSuperseded && connection.phase == Phase::kComplete) {
    connection.peer_superseded = true;
    return;
  }
  // A process that shuts down is asked at once, so that its end is noticed; one that does not want us is not
  // pressed.
  const DialTime dial = body.reason == GoodbyeReason::kShutdown ? DialTime::kNow : DialTime::kBackoff;
  CloseForPeer(connection, LinkDownReason::kGoodbye, dial, now_us);
}

}  // namespace skein::core
