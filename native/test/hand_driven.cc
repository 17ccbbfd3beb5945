// Frames to and from a plane without a network in between.
#include "hand_driven.h"

#include <algorithm>

namespace skein::test {

core::Hello HelloOf(const WorldNode& node, uint32_t dial, core::Lane lane) {
  core::Hello hello;
  hello.version_min = hello.version_max = 1;
  hello.uid = node.uid;
  hello.dial = dial;
  hello.lane = lane;
  hello.cluster = "world";
  hello.node_id = "by hand";
  hello.bind = hello.advertised = node.address;
  hello.dialed = {"10.0.0.1", 7999};
  return hello;
}

std::vector<uint8_t> FrameOf(core::FrameKind kind, core::Bytes body) {
  const core::FrameHead head = core::EncodeHead(kind, 0, 0, body);
  std::vector<uint8_t> frame(head.size() + body.size());
  std::ranges::copy(body, std::ranges::copy(head, frame.begin()).out);
  return frame;
}

HandDriven::HandDriven(World& world, WorldNode& node)
    : HandDriven(world, node, node.plane->OnAccepted("by hand:1", world.now_us)) {}

HandDriven HandDriven::LastDial(World& world, WorldNode& node) {
  const core::ConnectionId id = node.dialled.back();
  node.plane->OnConnected(id, world.now_us);
  return {world, node, id};
}

void HandDriven::Write(core::Bytes bytes) { node_->plane->OnData(id_, bytes, world_->now_us); }

std::vector<SeenFrame> HandDriven::Frames() const {
  std::vector<SeenFrame> frames;
  core::FrameReader reader;
  reader.Feed(node_->unwired[id_]);
  core::FrameView view{};
  while (reader.Next(core::limits::kControlFrameBytesMax, &view) == core::FrameReader::Status::kFrame) {
    frames.push_back({view.header.kind, {view.Body().begin(), view.Body().end()}});
  }
  return frames;
}

SeenFrame HandDriven::Last() const {
  const std::vector<SeenFrame> frames = Frames();
  return frames.empty() ? SeenFrame{core::FrameKind::kNone, {}} : frames.back();
}

core::RefusalReason HandDriven::Refusal() const {
  const SeenFrame last = Last();
  if (last.kind != core::FrameKind::kRefusal) return core::RefusalReason::kNone;
  return core::Load<core::RefusalBody>(last.body.data()).reason;
}

}  // namespace skein::test
