// The control plane on a simulated network: one link per pair whatever the order of things, verdicts,
// quarantine.
#include "../core/limits.h"
#include "check.h"
#include "plane_world.h"

namespace skein::test {
namespace {

using core::EventType;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr core::Uid kLow = 0x100;
constexpr core::Uid kHigh = 0x200;

bool Suspects(const WorldNode& one, const WorldNode& other) {
  bool suspected = false;
  for (const SeenEvent& event : one.events) {
    if (event.type == EventType::kSuspicion && event.uid == other.uid) suspected = event.on;
  }
  return suspected;
}

void CheckOneLinkEach(World& world, WorldNode& a, WorldNode& b) {
  CHECK(a.LinkedTo(b.uid, world.now_us));
  CHECK(b.LinkedTo(a.uid, world.now_us));
  CHECK(a.Count(EventType::kLinkDown) == 0);
  CHECK(b.Count(EventType::kLinkDown) == 0);
}

TEST("crossed dials: one link on both sides, never down, messages flow, over 2000 schedules") {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    World world(seed);
    world.piece_bytes_max = seed % 2 == 0 ? 40 : 0;
    WorldNode& a = world.Add(kLow);
    WorldNode& b = world.Add(kHigh);
    a.plane->Connect(b.address, seed % 3 == 0 ? b.uid : 0, world.now_us);
    if (seed % 5 == 0) world.Run(world.random.Next() % 6000);
    b.plane->Connect(a.address, 0, world.now_us);
    world.Run(3 * kSecondUs);
    CheckOneLinkEach(world, a, b);
    a.Send(b.uid, "from a");
    b.Send(a.uid, "from b");
    world.Run(kSecondUs);
    CHECK(b.Last(EventType::kMessage) != nullptr && b.Last(EventType::kMessage)->text == "from a");
    CHECK(a.Last(EventType::kMessage) != nullptr && a.Last(EventType::kMessage)->text == "from b");
    // The sockets that lost are gone: one connection is left at each end.
    CHECK(a.counters.Get(core::Counter::kLinksUp) >= 1);
    CHECK(a.counters.Get(core::BadInputReason::kUnexpectedFrame) == 0);
    CHECK(b.counters.Get(core::BadInputReason::kUnexpectedFrame) == 0);
  }
}

TEST("messages of a session arrive in order, and of a replaced one under its own number") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    World world(seed);
    world.piece_bytes_max = 30;
    WorldNode& a = world.Add(kLow);
    WorldNode& b = world.Add(kHigh);
    a.plane->Connect(b.address, 0, world.now_us);
    for (int at = 0; at < 60; ++at) {
      if (at == 20) b.plane->Connect(a.address, 0, world.now_us);
      if (at == 40) a.plane->Probe(b.uid, b.address, world.now_us);
      world.Run(300);
      a.Send(b.uid, std::to_string(at));
    }
    world.Run(2 * kSecondUs);
    int last = -1;
    uint32_t last_session = 0;
    for (const SeenEvent& event : b.events) {
      if (event.type != EventType::kMessage) continue;
      if (event.session == last_session) CHECK(std::stoi(event.text) > last);
      last = std::stoi(event.text);
      last_session = event.session;
    }
    CHECK(last == 59);
  }
}

TEST("a killed peer is gone after two refusals, once, and silence follows") {
  World world(3);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  a.plane->Watch(b.uid, b.address, world.now_us);
  world.Run(kSecondUs);
  CHECK(a.counters.Get(core::Counter::kBeatsIn) > 5);
  world.Kill(b);
  world.Run(300'000);
  const SeenEvent* gone = a.Last(EventType::kSuspicion);
  CHECK(gone != nullptr && gone->on && gone->reason == static_cast<uint8_t>(core::SuspicionCause::kGone));
  CHECK(a.Count(EventType::kSuspicion) == 1);
  world.Run(10 * kSecondUs);
  CHECK(a.Count(EventType::kSuspicion) == 2);
  CHECK(a.Last(EventType::kSuspicion)->reason == static_cast<uint8_t>(core::SuspicionCause::kSilence));
}

TEST("a cut is silence, not gone; healing takes a new socket and one beat") {
  World world(4);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  a.plane->Watch(b.uid, b.address, world.now_us);
  world.Run(2 * kSecondUs);
  world.Cut(a, b);
  world.Run(10 * kSecondUs);
  CHECK(a.Count(EventType::kSuspicion) == 1);
  CHECK(a.LinkedTo(b.uid, world.now_us));
  world.Heal(a, b, false);
  world.Run(3 * kSecondUs);
  CHECK(a.Count(EventType::kSuspicion) == 2);
  CHECK(!a.Last(EventType::kSuspicion)->on);
  CHECK(a.Count(EventType::kLinkUp) == 2);
  CHECK(a.Count(EventType::kLinkDown) == 0);
}

TEST("a cut that heals before a dial does needs no new socket") {
  World world(9);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  a.plane->Watch(b.uid, b.address, world.now_us);
  world.Run(2 * kSecondUs);
  world.Cut(a, b);
  world.Run(10 * kSecondUs);
  world.Heal(a, b);
  world.Run(3 * kSecondUs);
  CHECK(a.Count(EventType::kSuspicion) == 2 && !a.Last(EventType::kSuspicion)->on);
  CHECK(a.Count(EventType::kLinkDown) == 0 && b.Count(EventType::kLinkDown) == 0);
}

TEST("an outage is not learnt: the next one is noticed as fast") {
  World world(11);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  a.plane->Watch(b.uid, b.address, world.now_us);
  world.Run(2 * kSecondUs);
  for (int outage = 0; outage < 5; ++outage) {
    world.Cut(a, b);
    world.Run(10 * kSecondUs);
    world.Heal(a, b, outage % 2 == 0);
    world.Run(5 * kSecondUs);
    CHECK(!Suspects(a, b));
  }
  world.Cut(a, b);
  world.Run(1'600'000);
  CHECK(Suspects(a, b));
}

// A is linked to B; B's next socket has said hello, and the present one goodbye(superseded) and FIN. The
// successor.
core::ConnectionId AnnounceSuccessor(World& world, WorldNode& a, WorldNode& b) {
  b.plane->Connect(a.address, 0, world.now_us);
  world.Run(kSecondUs);
  core::Hello hello;
  hello.version_min = hello.version_max = 1;
  hello.uid = b.uid;
  hello.dial = 7;
  hello.cluster = "world";
  hello.advertised = b.address;
  const core::ConnectionId link = a.plane->Peers(world.now_us).front().link;
  const core::ConnectionId successor = a.plane->OnAccepted("10.0.0.9:2", world.now_us);
  const std::vector<uint8_t> body = core::EncodeHelloBody(hello);
  a.plane->OnData(successor, core::EncodeHead(core::FrameKind::kHello, 0, 0, body), world.now_us);
  a.plane->OnData(successor, body, world.now_us);
  const core::GoodbyeBody goodbye{core::GoodbyeReason::kSuperseded};
  a.plane->OnData(link, core::EncodeFrame(core::FrameKind::kGoodbye, 0, 0, goodbye), world.now_us);
  a.plane->OnEnd(link, core::EndKind::kEof, world.now_us);
  CHECK(a.LinkedTo(b.uid, world.now_us) && a.Count(EventType::kLinkDown) == 0);
  return successor;
}

TEST("a link whose successor was announced is held for it") {
  World world(12);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  const core::ConnectionId successor = AnnounceSuccessor(world, a, b);
  a.plane->OnData(successor, core::EncodeHead(core::FrameKind::kReady, 0, 0, {}), world.now_us);
  CHECK(a.Count(EventType::kLinkUp) == 2 && a.Count(EventType::kLinkDown) == 0);
}

TEST("a link whose successor fails falls at once, and within the bound when nothing is heard of it") {
  for (const bool fails : {true, false}) {
    World world(13);
    WorldNode& a = world.Add(kLow);
    WorldNode& b = world.Add(kHigh);
    const core::ConnectionId successor = AnnounceSuccessor(world, a, b);
    if (fails) {
      a.plane->OnEnd(successor, core::EndKind::kEof, world.now_us);
    } else {
      world.Run(uint64_t{core::limits::kDrainTimeoutMs} * 1000 + 1);
    }
    CHECK(a.Last(EventType::kLinkDown) != nullptr);
    CHECK(a.Last(EventType::kLinkDown)->reason == static_cast<uint8_t>(core::LinkDownReason::kSuperseded));
  }
}

TEST("our own pause is charged to nobody") {
  World world(5);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  a.plane->Watch(b.uid, b.address, world.now_us);
  world.Run(2 * kSecondUs);
  // What the shell does on waking up: the clock has jumped, the pause is told first, input is read, then
  // deadlines.
  world.now_us += 30 * kSecondUs;
  a.plane->OnPaused(30 * kSecondUs);
  b.plane->OnPaused(30 * kSecondUs);
  world.Run(2 * kSecondUs);
  CHECK(a.Count(EventType::kPaused) == 1);
  CHECK(a.Count(EventType::kSuspicion) == 0);
}

TEST("quarantine: told, closed, refused, nothing delivered") {
  World world(6);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  b.plane->Connect(a.address, a.uid, world.now_us);
  world.Run(kSecondUs);
  a.plane->Quarantine(b.uid, core::QuarantineReason::kRemovedAfterDown, world.now_us);
  b.Send(a.uid, "late");
  world.Run(5 * kSecondUs);
  CHECK(b.Last(EventType::kQuarantinedBy) != nullptr);
  CHECK(b.Last(EventType::kQuarantinedBy)->reason ==
        static_cast<uint8_t>(core::QuarantineReason::kRemovedAfterDown));
  CHECK(a.Count(EventType::kMessage) == 0);
  CHECK(a.counters.Get(core::Counter::kQuarantinedFramesDropped) == 1);
  CHECK(!a.LinkedTo(b.uid, world.now_us) && !b.LinkedTo(a.uid, world.now_us));
}

TEST("a final refusal by one incarnation does not stop the dials for another that is expected there") {
  World world(10);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  b.plane->Quarantine(a.uid, core::QuarantineReason::kOperator, world.now_us);
  a.plane->Watch(kHigh + 1, b.address, world.now_us);
  world.Run(5 * kSecondUs);
  CHECK(a.Count(EventType::kRefused) > 1);
  CHECK(a.Count(EventType::kGated) > 1);
  CHECK(a.Last(EventType::kSuspicion) != nullptr);
  // Meant for the refusing one itself, it is final.
  WorldNode& c = world.Add(kLow + 1);
  b.plane->Quarantine(c.uid, core::QuarantineReason::kOperator, world.now_us);
  c.plane->Connect(b.address, b.uid, world.now_us);
  world.Run(5 * kSecondUs);
  CHECK(c.Count(EventType::kRefused) == 1);
  CHECK(c.Count(EventType::kQuarantinedBy) == 1);
}

TEST("stalled is an edge that follows the loop age in beats") {
  World world(7);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  a.plane->Watch(b.uid, b.address, world.now_us);
  world.Run(kSecondUs);
  b.loop_age_ms = 2500;
  world.Run(kSecondUs);
  CHECK(a.Count(EventType::kStalled) == 1 && a.Last(EventType::kStalled)->on);
  b.loop_age_ms = 0;
  world.Run(kSecondUs);
  CHECK(a.Count(EventType::kStalled) == 2 && !a.Last(EventType::kStalled)->on);
  CHECK(a.Count(EventType::kSuspicion) == 0);
}

TEST("an inbox at its bound closes the link that feeds it, and takes no new one") {
  World world(8);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  b.plane->Connect(a.address, 0, world.now_us);
  world.Run(kSecondUs);
  a.refuse_messages = a.inbox_full = true;
  b.Send(a.uid, "too much");
  world.Run(3 * kSecondUs);
  CHECK(a.counters.Get(core::Counter::kInboxFull) == 1);
  CHECK(a.Last(EventType::kLinkDown) != nullptr);
  CHECK(!b.LinkedTo(a.uid, world.now_us));
  CHECK(b.Last(EventType::kRefused) != nullptr);
  CHECK(b.Last(EventType::kRefused)->reason == static_cast<uint8_t>(core::RefusalReason::kBusy));
  a.refuse_messages = a.inbox_full = false;
  world.Run(20 * kSecondUs);
  CHECK(b.LinkedTo(a.uid, world.now_us));
}

void StepAtRandom(World& world) {
  WorldNode& one = *world.nodes[world.random.Next() % 4];
  WorldNode& other = *world.nodes[world.random.Next() % 4];
  switch (world.random.Next() % 8) {
    case 0:
    case 1:
      return one.plane->Connect(other.address, world.random.Next() % 2 == 0 ? other.uid : 0, world.now_us);
    case 2:
      return one.plane->Watch(other.uid, other.address, world.now_us);
    case 3:
      one.plane->Unwatch(other.uid, world.now_us);
      // Nobody withdraws a suspicion of somebody who is not watched any more.
      one.events.push_back({EventType::kSuspicion, 0, false, other.uid, 0, 0, ""});
      return;
    case 4:
      return one.plane->Probe(other.uid, other.address, world.now_us);
    case 5:
      return one.plane->Disconnect(other.address, world.now_us);
    case 6:
      return world.random.Next() % 2 == 0 ? world.Cut(one, other)
                                          : world.Heal(one, other, world.random.Next() % 2 == 0);
    default:
      return one.Send(other.uid, "x");
  }
}

// Every linkUp and linkDown in turn, sessions rising by one, and what they add up to is what is the case.
void CheckLinkEvents(const World& world, const WorldNode& node) {
  std::map<core::Uid, uint32_t> session;
  std::map<core::Uid, bool> linked;
  for (const SeenEvent& event : node.events) {
    if (event.type == EventType::kLinkUp) {
      CHECK(event.session == ++session[event.peer_uid]);
      linked[event.peer_uid] = true;
    } else if (event.type == EventType::kLinkDown) {
      CHECK(linked[event.uid] && event.session == session[event.uid]);
      linked[event.uid] = false;
    }
  }
  for (const auto& [uid, is_linked] : linked) CHECK(node.LinkedTo(uid, world.now_us) == is_linked);
  CHECK(node.counters.Get(core::BadInputReason::kUnexpectedFrame) == 0);
  CHECK(node.counters.Get(core::BadInputReason::kBadCrc) == 0);
}

void ForEachPair(World& world, const std::function<void(WorldNode&, WorldNode&)>& run) {
  for (const auto& one : world.nodes) {
    for (const auto& other : world.nodes) {
      if (one != other) run(*one, *other);
    }
  }
}

TEST("random lives: cuts, probes, watches, connects and disconnects leave no contradiction") {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    World world(seed);
    world.piece_bytes_max = 50;
    for (core::Uid uid = 1; uid <= 4; ++uid) world.Add(uid * 0x100);
    for (int step = 0; step < 60; ++step) {
      StepAtRandom(world);
      world.Run(world.random.Next() % 300'000);
    }
    for (const auto& node : world.nodes) CheckLinkEvents(world, *node);
    // Healed and wanted: everybody finds everybody, and nobody is suspected.
    ForEachPair(world, [&](WorldNode& one, WorldNode& other) {
      world.Heal(one, other);
      one.plane->Watch(other.uid, other.address, world.now_us);
    });
    world.Run(30 * kSecondUs);
    ForEachPair(world, [&](WorldNode& one, WorldNode& other) {
      CHECK(one.LinkedTo(other.uid, world.now_us));
      CHECK(!Suspects(one, other));
    });
    for (const auto& node : world.nodes) node->plane->Close(world.now_us);
    world.Run(5 * kSecondUs);
    for (const auto& node : world.nodes) CHECK(node->plane->Drained());
  }
}

TEST("damaged streams close their connection and nothing else") {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    World world(seed);
    WorldNode& a = world.Add(kLow);
    WorldNode& b = world.Add(kHigh);
    b.plane->Connect(a.address, 0, world.now_us);
    world.Run(kSecondUs);
    const core::ConnectionId stray = a.plane->OnAccepted("stray:1", world.now_us);
    std::vector<uint8_t> bytes(world.random.Next() % 3000);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(world.random.Next());
    if (bytes.size() > 4 && seed % 2 == 0) core::Store(bytes.data(), static_cast<uint32_t>(bytes.size() - 4));
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = std::min<size_t>(bytes.size() - at, 1 + world.random.Next() % 500);
      a.plane->OnData(stray, core::Bytes(bytes).subspan(at, size), world.now_us);
      at += size;
    }
    a.plane->OnEnd(stray, seed % 3 == 0 ? core::EndKind::kReset : core::EndKind::kEof, world.now_us);
    world.Run(3 * kSecondUs);
    CheckOneLinkEach(world, a, b);
  }
}

}  // namespace
}  // namespace skein::test
