// Data lanes up to their hand-over: who gets which socket, what becomes of one that fails, and that nothing
// else is touched by any of it.
#include "../core/limits.h"
#include "check.h"
#include "lane_rig.h"

namespace skein::test {
namespace {

using core::BadInputReason;
using core::EventType;
using core::FrameKind;
using core::Lane;
using core::LaneFailedReason;

TEST("a lane is handed over on both sides under one name, and carries bytes both ways") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Linked pair(seed);
    pair.Open(pair.a, pair.b, Lane::kOrdinary, 5);
    pair.world.Run(kSecondUs);
    CHECK(pair.a.lanes.size() == 1 && pair.b.lanes.size() == 1);
    if (pair.a.lanes.empty() || pair.b.lanes.empty()) continue;
    for (const HeldLane& held : {pair.a.lanes[0], pair.b.lanes[0]}) {
      CHECK(held.lane.lane == Lane::kOrdinary && held.lane.dial == 5 && held.lane.dialler == pair.a.uid);
    }
    CHECK(pair.a.lanes[0].lane.peer.uid == pair.b.uid && pair.b.lanes[0].lane.peer.uid == pair.a.uid);
    CHECK(pair.b.lanes[0].lane.peer.address == pair.a.address);
    pair.a.SendOnLane(pair.a.lanes[0], std::string(1000, 'a'));
    pair.b.SendOnLane(pair.b.lanes[0], "from b");
    // Longer than any timeout of the handshake: nothing of the control plane's is left that could end it.
    pair.world.Run(10 * kSecondUs);
    CHECK(pair.b.lanes[0].received == std::string(1000, 'a') && pair.a.lanes[0].received == "from b");
    CHECK(!pair.a.lanes[0].ended && !pair.b.lanes[0].ended);
    CHECK(pair.a.counters.Get(core::Counter::kLanesOpened) == 1);
    pair.CheckLinkUntouched();
  }
}

TEST("both sides may open both lanes at once: every socket has its own (dial, dialler)") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Linked pair(seed);
    for (const Lane lane : {Lane::kOrdinary, Lane::kLarge}) {
      pair.Open(pair.a, pair.b, lane, 1);
      pair.Open(pair.b, pair.a, lane, 1);
    }
    pair.world.Run(kSecondUs);
    for (const WorldNode* node : {&pair.a, &pair.b}) {
      std::map<std::tuple<Lane, uint32_t, core::Uid>, int> names;
      for (const HeldLane& held : node->lanes) ++names[{held.lane.lane, held.lane.dial, held.lane.dialler}];
      CHECK(node->lanes.size() == 4 && names.size() == 4);
    }
    pair.CheckLinkUntouched();
  }
}

TEST("bytes read past the handshake travel with the lane") {
  Linked pair(1);
  HandDriven dial = pair.OpenByHand(Lane::kLarge, 9);
  CHECK(dial.Last().kind == FrameKind::kHello);
  const std::optional<core::Hello> hello = core::DecodeHelloBody(dial.Last().body);
  CHECK(hello.has_value() && hello->lane == Lane::kLarge && hello->dial == 9);
  CHECK(hello.has_value() && hello->dialed == pair.b.address);
  std::vector<uint8_t> bytes = FrameOf(FrameKind::kHelloAck, AckBody(pair.b, 9, Lane::kLarge));
  bytes.insert(bytes.end(), {'d', 'a', 't', 'a'});
  dial.Write(bytes);
  CHECK(pair.a.lanes.size() == 1 && pair.a.lanes[0].received == "data");
  CHECK(dial.Last().kind == FrameKind::kReady && dial.Last().body.empty());
  HandDriven accepted(pair.world, pair.a);
  // In two pieces, so that the frame before the data is put together first.
  accepted.WriteHello(HelloOf(pair.b, 1, Lane::kOrdinary));
  const std::vector<uint8_t> ready = FrameOf(FrameKind::kReady, {});
  accepted.Write(core::Bytes(ready).first(5));
  std::vector<uint8_t> rest(ready.begin() + 5, ready.end());
  rest.insert(rest.end(), 70'000, 'x');
  accepted.Write(rest);
  CHECK(pair.a.lanes.size() == 2 && pair.a.lanes[1].received == std::string(70'000, 'x'));
  CHECK(pair.a.lanes[1].lane.dialler == pair.b.uid && pair.a.lanes[1].lane.dial == 1);
}

TEST("without a link, or with a name that no hello carries, a lane fails at once") {
  World world(1);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  a.plane->OpenLane(b.uid, Lane::kOrdinary, 1, world.now_us);
  CHECK(a.Count(EventType::kLaneFailed) == 1);
  CHECK(a.Last(EventType::kLaneFailed)->reason == static_cast<uint8_t>(LaneFailedReason::kNoLink));
  a.plane->Connect(b.address, 0, world.now_us);
  world.Run(kSecondUs);
  world.Kill(b);
  world.Run(kSecondUs);
  a.plane->OpenLane(b.uid, Lane::kOrdinary, 1, world.now_us);
  CHECK(a.Last(EventType::kLaneFailed)->reason == static_cast<uint8_t>(LaneFailedReason::kNoLink));
  for (const auto& [lane, dial] :
       {std::pair(Lane::kControl, 1u), std::pair(static_cast<Lane>(3), 1u), std::pair(Lane::kLarge, 0u)}) {
    Linked pair(1);
    const size_t dials = pair.a.dialled.size();
    pair.Open(pair.a, pair.b, lane, dial);
    pair.CheckFailed(LaneFailedReason::kHandshake, lane, dial);
    CHECK(pair.a.dialled.size() == dials);
  }
}

TEST("a lane that is refused, lost or turned away fails once, and is not tried again") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Linked refused(seed);
    refused.b.listening = false;
    refused.Open(refused.a, refused.b, Lane::kOrdinary, 3);
    refused.world.Run(5 * kSecondUs);
    refused.CheckFailed(LaneFailedReason::kRefused, Lane::kOrdinary, 3);
    Linked lost(seed);
    lost.world.Cut(lost.a, lost.b);
    lost.Open(lost.a, lost.b, Lane::kLarge, 4);
    lost.world.Run(5 * kSecondUs);
    lost.CheckFailed(LaneFailedReason::kTimeout, Lane::kLarge, 4);
    Linked busy(seed);
    busy.b.inbox_full = true;
    busy.Open(busy.a, busy.b, Lane::kLarge, 5);
    busy.world.Run(5 * kSecondUs);
    busy.CheckFailed(LaneFailedReason::kHandshake, Lane::kLarge, 5);
  }
  Linked unreachable(1);
  unreachable.world.Cut(unreachable.a, unreachable.b);
  unreachable.Open(unreachable.a, unreachable.b, Lane::kLarge, 6);
  unreachable.a.plane->OnConnectFailed(unreachable.a.dialled.back(), core::GatedReason::kUnreachable,
                                       unreachable.world.now_us);
  unreachable.CheckFailed(LaneFailedReason::kUnreachable, Lane::kLarge, 6);
}

TEST("a lane fails by its handshake on whatever is not the ack that was asked for") {
  using Play = void (*)(Linked&, HandDriven&);
  const Play plays[] = {
      [](Linked&, HandDriven& dial) { dial.End(); },
      [](Linked& pair, HandDriven& dial) {
        dial.Write(FrameKind::kHelloAck, AckBody(pair.b, 8, Lane::kOrdinary));
      },
      [](Linked& pair, HandDriven& dial) {
        dial.Write(FrameKind::kHelloAck, AckBody(pair.b, 7, Lane::kLarge));
      },
      [](Linked& pair, HandDriven& dial) {
        dial.Write(FrameKind::kHelloAck, AckBody(pair.b, 7, Lane::kControl));
      },
      [](Linked&, HandDriven& dial) { dial.Write(FrameKind::kReady, {}); },
      [](Linked&, HandDriven& dial) { dial.Write(std::vector<uint8_t>(100, 0xff)); },
      [](Linked& pair, HandDriven& dial) {
        core::Hello other = HelloOf(pair.b, 7, Lane::kOrdinary);
        other.uid = 0x300;
        dial.Write(FrameKind::kHelloAck, core::EncodeHelloBody(other));
      },
  };
  for (const Play play : plays) {
    Linked pair(1);
    HandDriven dial = pair.OpenByHand(Lane::kOrdinary, 7);
    play(pair, dial);
    // Whatever else comes, the outcome was told.
    dial.Write(FrameKind::kHelloAck, AckBody(pair.b, 7, Lane::kOrdinary));
    dial.End();
    pair.world.Run(5 * kSecondUs);
    pair.CheckFailed(LaneFailedReason::kHandshake, Lane::kOrdinary, 7);
    CHECK(dial.Last().kind == FrameKind::kHello);
  }
  Linked silent(1);
  silent.OpenByHand(Lane::kOrdinary, 7);
  silent.world.Run(5 * kSecondUs);
  silent.CheckFailed(LaneFailedReason::kTimeout, Lane::kOrdinary, 7);
}

TEST("a lane of a peer needs no link here, is never superseded, and teaches no dial number") {
  World world(1);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  HandDriven early(world, a);
  early.WriteHello(HelloOf(b, UINT32_MAX, Lane::kOrdinary));
  CHECK(early.Last().kind == FrameKind::kHelloAck);
  early.Write(FrameKind::kReady, {});
  CHECK(a.lanes.size() == 1 && a.Count(EventType::kLinkUp) == 0);
  for (uint32_t at = 0; at < 3; ++at) {
    a.plane->Connect(b.address, 0, world.now_us);
    world.Run(kSecondUs);
  }
  HandDriven late(world, a);
  late.WriteHello(HelloOf(b, 1, Lane::kOrdinary));
  late.Write(FrameKind::kReady, {});
  CHECK(a.lanes.size() == 2);
  world.Cut(a, b);
  a.plane->Probe(b.uid, b.address, world.now_us);
  world.Run(core::limits::kBackoffFloorMs * 1000);
  const std::optional<core::Hello> hello = core::DecodeHelloBody(HandDriven::LastDial(world, a).Last().body);
  CHECK(hello.has_value() && hello->dial == 2 && hello->lane == Lane::kControl);
}

TEST("what is not a lane's hello and ready ends that connection and nothing else") {
  struct Attempt {
    FrameKind kind;
    std::vector<uint8_t> body;
    BadInputReason expected;
  };
  const core::GoodbyeBody goodbye{core::GoodbyeReason::kShutdown};
  std::vector<uint8_t> quarantined(sizeof(core::QuarantineBody));
  core::Store(quarantined.data(), core::QuarantineBody{kLow, core::QuarantineReason::kOperator, {}});
  const std::vector<Attempt> attempts = {
      {FrameKind::kMessage, {1, 2, 3}, BadInputReason::kUnexpectedFrame},
      {FrameKind::kHello, AckBody(Linked(1).b, 1, Lane::kLarge), BadInputReason::kUnexpectedFrame},
      {FrameKind::kQuarantined, quarantined, BadInputReason::kUnexpectedFrame},
      {FrameKind::kMessage, std::vector<uint8_t>(3000), BadInputReason::kFrameTooLarge},
  };
  for (const Attempt& attempt : attempts) {
    Linked pair(1);
    HandDriven lane(pair.world, pair.a);
    lane.WriteHello(HelloOf(pair.b, 1, Lane::kLarge));
    lane.Write(attempt.kind, attempt.body);
    CHECK(pair.a.counters.Get(attempt.expected) == 1 && pair.a.Count(EventType::kQuarantinedBy) == 0);
    // The rest of the stream is not even looked at.
    lane.Write(std::vector<uint8_t>(5000, 0xff));
    CHECK(pair.a.Count(EventType::kBadInput) == 1 && pair.a.lanes.empty());
    pair.CheckLinkUntouched();
  }
  Linked pair(1);
  HandDriven unknown(pair.world, pair.a);
  unknown.WriteHello(HelloOf(pair.b, 1, static_cast<Lane>(3)));
  CHECK(unknown.Refusal() == core::RefusalReason::kMalformed);
  CHECK(pair.a.counters.Get(BadInputReason::kBadHello) == 1);
  HandDriven leaving(pair.world, pair.a);
  leaving.WriteHello(HelloOf(pair.b, 1, Lane::kLarge));
  leaving.Write(core::EncodeFrame(FrameKind::kGoodbye, 0, 0, goodbye));
  leaving.Write(FrameKind::kMessage, {});
  CHECK(pair.a.counters.Get(core::Counter::kMessagesDropped) == 0);
  HandDriven slow(pair.world, pair.a);
  slow.WriteHello(HelloOf(pair.b, 1, Lane::kLarge));
  pair.world.Run(uint64_t{core::limits::kHandshakeTimeoutMs} * 1000);
  CHECK(pair.a.counters.Get(BadInputReason::kHandshakeTimeout) == 1);
  CHECK(pair.a.Count(EventType::kBadInput) == 2 && pair.a.lanes.empty());
  pair.CheckLinkUntouched();
}

TEST("a handshake that is handed over leaves the count of those that wait") {
  World world(1);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  for (uint32_t at = 0; at < 2 * core::limits::kPendingHandshakesMax; ++at) {
    HandDriven lane(world, a);
    lane.WriteHello(HelloOf(b, at + 1, Lane::kOrdinary));
    lane.Write(FrameKind::kReady, {});
  }
  CHECK(a.lanes.size() == 2 * core::limits::kPendingHandshakesMax);
  CHECK(a.counters.Get(BadInputReason::kTooManyConnections) == 0);
  // Nor is it waited for in any other way.
  CHECK(a.plane->NextDeadline() == core::kNever);
}

}  // namespace
}  // namespace skein::test
