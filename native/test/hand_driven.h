// Connections of a plane that a test drives by hand: it plays the other end, frame by frame, and may lie.
#pragma once

#include "../core/frame.h"
#include "../core/hello.h"
#include "plane_world.h"

namespace skein::test {

struct SeenFrame {
  core::FrameKind kind;
  std::vector<uint8_t> body;
};

// What `hello` of a node would say to whoever advertises `dialed`.
core::Hello HelloOf(const WorldNode& node, uint32_t dial, core::Lane lane);

std::vector<uint8_t> FrameOf(core::FrameKind kind, core::Bytes body);

// One end of a connection; the other is `node`'s.
class HandDriven {
 public:
  // Accepted by `node`.
  HandDriven(World& world, WorldNode& node);
  // The newest dial of `node`, which has just connected.
  static HandDriven LastDial(World& world, WorldNode& node);

  void Write(core::Bytes bytes);
  void Write(core::FrameKind kind, core::Bytes body) { Write(FrameOf(kind, body)); }
  void WriteHello(const core::Hello& hello) { Write(core::FrameKind::kHello, core::EncodeHelloBody(hello)); }
  void End() { node_->plane->OnEnd(id_, core::EndKind::kEof, world_->now_us); }

  // All frames written to us so far; the last one, or one of kind kNone.
  std::vector<SeenFrame> Frames() const;
  SeenFrame Last() const;
  core::RefusalReason Refusal() const;
  core::ConnectionId Id() const { return id_; }

 private:
  HandDriven(World& world, WorldNode& node, core::ConnectionId id) : world_(&world), node_(&node), id_(id) {}

  World* world_;
  WorldNode* node_;
  core::ConnectionId id_;
};

}  // namespace skein::test
