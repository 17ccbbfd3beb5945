// A man in the middle of two nodes that share a secret, who knows none: he has one end prove what the other
// takes for something else.
#include "check.h"
#include "hand_driven.h"

namespace skein::test {
namespace {

using core::EventType;
using core::FrameKind;

constexpr core::Uid kForged = 0xE71100000000BAD0;

// The beginning of an ack by nobody, with room for `text_bytes` of somebody else's bytes as its last name.
std::vector<uint8_t> ForgedHead(uint32_t dial, size_t text_bytes) {
  const std::string cluster = "world";
  const std::string advertised = "evil.example";
  core::HelloBody head{};
  head.magic = core::kHelloMagic;
  head.version_min = head.version_max = 1;
  head.uid = kForged;
  head.dial = dial;
  head.flags = core::kHelloFlagProof;
  head.cluster_length = static_cast<uint16_t>(cluster.size());
  head.bind_port = head.dialed_port = 1;
  head.advertised_host_length = static_cast<uint16_t>(advertised.size());
  head.advertised_port = 666;
  head.dialed_host_length = static_cast<uint16_t>(text_bytes);
  std::vector<uint8_t> bytes(sizeof(head));
  core::Store(bytes.data(), head);
  bytes.insert(bytes.end(), cluster.begin(), cluster.end());
  bytes.insert(bytes.end(), advertised.begin(), advertised.end());
  return bytes;
}

TEST("what was proved as a part of the hello is no part of an ack") {
  World world(1);
  const Secrets shared{std::vector<uint8_t>(16, 7)};
  // The acceptor's uid is text as well, so that its ack can pass for a name.
  WorldNode& a = world.Add(0x11, shared);
  WorldNode& b = world.Add(0x6851324354657607, shared);
  world.Cut(a, b);
  a.plane->Connect(b.address, 0, world.now_us);
  world.Run(1000);
  HandDriven dialler = HandDriven::LastDial(world, a);
  const SeenFrame hello = dialler.Last();
  const auto asked = core::DecodeHelloBody(hello.body);
  CHECK(hello.kind == FrameKind::kHello && asked.has_value());
  if (!asked.has_value()) return;

  // An honest exchange tells how long the acceptor's part is.
  HandDriven honest(world, b);
  honest.Write(hello.kind, hello.body);
  core::Bytes proofs;
  CHECK(core::DecodeHelloBody(honest.Last().body, &proofs).has_value());
  const size_t signed_bytes = honest.Last().body.size() - proofs.size();
  const std::vector<uint8_t> head = ForgedHead(asked->dial, signed_bytes - core::limits::kNonceBytes);

  // Bytes behind a hello are a later version's: the acceptor proves them along with the hello.
  HandDriven acceptor(world, b);
  std::vector<uint8_t> longer = hello.body;
  longer.insert(longer.end(), head.begin(), head.end());
  acceptor.Write(FrameKind::kHello, longer);
  const SeenFrame ack = acceptor.Last();
  CHECK(ack.kind == FrameKind::kHelloAck);
  std::vector<uint8_t> forged = head;
  forged.insert(forged.end(), ack.body.begin(), ack.body.end());
  CHECK(core::DecodeHelloBody(forged).has_value());
  dialler.Write(FrameKind::kHelloAck, forged);

  CHECK(dialler.Last().kind == FrameKind::kHello);
  CHECK(a.Count(EventType::kLinkUp) == 0);
  CHECK(a.counters.Get(core::BadInputReason::kUnauthenticated) == 1);
}

}  // namespace
}  // namespace skein::test
