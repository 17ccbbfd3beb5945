// Admission by secrets: who is let in, what a proof covers, and that neither a recorded, a changed nor a
// missing one opens anything.
#include <algorithm>
#include <string_view>

#include "../core/limits.h"
#include "check.h"
#include "fake_auth.h"
#include "hand_driven.h"
#include "plane_world.h"

namespace skein::test {
namespace {

using core::BadInputReason;
using core::Bytes;
using core::EventType;
using core::FrameKind;
using core::Lane;
using core::Proof;
using namespace std::string_view_literals;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr core::Uid kLow = 0x100;
constexpr core::Uid kHigh = 0x200;

const std::vector<uint8_t> kOld(16, 'o');
const std::vector<uint8_t> kNew(256, 'n');
const std::vector<uint8_t> kOther(32, 'x');

// As `docs/protocol.md` has it, and not as the code does it.
Proof ProofBy(const std::vector<uint8_t>& secret, std::string_view label, Bytes hello, Bytes ack) {
  const auto length = static_cast<uint32_t>(hello.size());
  const Bytes parts[] = {{reinterpret_cast<const uint8_t*>(label.data()), label.size()},
                         {reinterpret_cast<const uint8_t*>(&length), sizeof(length)},
                         hello,
                         ack};
  Proof proof;
  FakeAuth(0).Hmac(secret, parts, proof.data());
  return proof;
}

constexpr std::string_view kAcceptor = "skein acceptor\0"sv;
constexpr std::string_view kDialler = "skein dialler\0"sv;

core::Hello HelloWithNonce(const WorldNode& node, Lane lane) {
  core::Hello hello = HelloOf(node, 1, lane);
  hello.nonce.emplace();
  hello.nonce->fill(7);
  return hello;
}

// The part of an ack that proofs cover.
Bytes Signed(const std::vector<uint8_t>& ack, size_t proofs) {
  return Bytes(ack).first(ack.size() - 1 - proofs * core::limits::kProofBytes);
}

bool IsIn(const WorldNode& node, uint64_t now_us) {
  return !node.lanes.empty() || node.LinkedTo(kHigh, now_us) || node.LinkedTo(kLow, now_us);
}

TEST("secrets in common let both sides in, on the link and on lanes") {
  const std::vector<Secrets> lists = {{kOld}, {kOld, kNew}, {kNew, kOld}, {kNew}, {kOther, kNew}};
  for (size_t one = 0; one < lists.size(); ++one) {
    for (size_t other = 0; other < lists.size(); ++other) {
      World world(1 + one * lists.size() + other);
      world.piece_bytes_max = 40;
      WorldNode& a = world.Add(kLow, lists[one]);
      WorldNode& b = world.Add(kHigh, lists[other]);
      a.plane->Connect(b.address, 0, world.now_us);
      world.Run(kSecondUs);
      b.plane->OpenLane(a.uid, Lane::kLarge, 1, world.now_us);
      world.Run(kSecondUs);
      const bool common = std::ranges::any_of(lists[one], [&](const std::vector<uint8_t>& secret) {
        return std::ranges::find(lists[other], secret) != lists[other].end();
      });
      CHECK(a.LinkedTo(b.uid, world.now_us) == common && b.LinkedTo(a.uid, world.now_us) == common);
      CHECK(a.lanes.size() == (common ? 1 : 0) && b.lanes.size() == (common ? 1 : 0));
      const uint64_t turned_away = a.counters.Get(BadInputReason::kUnauthenticated);
      CHECK(common ? turned_away == 0 : turned_away > 1);
      CHECK(b.Count(EventType::kBadInput) == 0);
      CHECK(common || a.Count(EventType::kGated) == turned_away);
    }
  }
}

TEST("who has no secret is refused by who has one, and asked again by nobody but himself") {
  World world(1);
  WorldNode& open = world.Add(kLow);
  WorldNode& closed = world.Add(kHigh, {kOld});
  open.plane->Connect(closed.address, 0, world.now_us);
  world.Run(3 * kSecondUs);
  CHECK(open.Count(EventType::kRefused) > 1 && open.Count(EventType::kGated) > 1);
  CHECK(open.Last(EventType::kRefused)->reason ==
        static_cast<uint8_t>(core::RefusalReason::kUnauthenticated));
  CHECK(closed.counters.Get(BadInputReason::kUnauthenticated) == open.Count(EventType::kRefused));
  CHECK(closed.Count(EventType::kBadInput) == open.Count(EventType::kRefused));
  CHECK(open.counters.Get(BadInputReason::kUnauthenticated) == 0);
  open.plane->Disconnect(closed.address, world.now_us);
  closed.plane->Connect(open.address, 0, world.now_us);
  world.Run(3 * kSecondUs);
  CHECK(closed.Count(EventType::kGated) > 1 && closed.Count(EventType::kRefused) == 0);
  CHECK(!IsIn(open, world.now_us) && !IsIn(closed, world.now_us));
}

TEST("the acceptor's proofs and the dialler's are those of the page") {
  for (const Lane lane : {Lane::kControl, Lane::kOrdinary}) {
    World world(1);
    WorldNode& a = world.Add(kLow, {kOld, kNew});
    WorldNode& b = world.Add(kHigh);
    HandDriven peer(world, a);
    std::vector<uint8_t> hello = core::EncodeHelloBody(HelloWithNonce(b, lane));
    // A later version's, and covered all the same.
    hello.push_back(99);
    peer.Write(FrameKind::kHello, hello);
    const SeenFrame ack = peer.Last();
    CHECK(ack.kind == FrameKind::kHelloAck);
    Bytes rest;
    const std::optional<core::Hello> answer = core::DecodeHelloBody(ack.body, &rest);
    CHECK(answer.has_value() && answer->nonce.has_value() && answer->lane == lane);
    const std::optional<Bytes> proofs = core::DecodeProofs(rest);
    CHECK(proofs.has_value() && proofs->size() == 64);
    if (!proofs.has_value() || proofs->size() != 64) continue;
    const Bytes covered = Signed(ack.body, 2);
    CHECK(core::EqualInConstantTime(proofs->first(32), ProofBy(kOld, kAcceptor, hello, covered)));
    CHECK(core::EqualInConstantTime(proofs->last(32), ProofBy(kNew, kAcceptor, hello, covered)));
    peer.Write(FrameKind::kReady, ProofBy(kNew, kDialler, hello, covered));
    CHECK(IsIn(a, world.now_us) && a.Count(EventType::kBadInput) == 0);
  }
}

// A node with a secret, a good link to it, and the rest of the world.
struct Guarded {
  Guarded() : world(1), a(world.Add(kLow, {kOld})), friendly(world.Add(0x300, {kOld})), b(world.Add(kHigh)) {
    friendly.plane->Connect(a.address, 0, world.now_us);
    world.Run(kSecondUs);
    CHECK(a.LinkedTo(friendly.uid, world.now_us));
  }

  // After this many pieces of bad input of that kind; and the good link never noticed.
  void CheckShut(BadInputReason reason, size_t count) {
    world.Run(3 * kSecondUs);
    CHECK(!a.LinkedTo(kHigh, world.now_us) && a.lanes.empty());
    CHECK(a.counters.Get(reason) == count && a.Count(EventType::kBadInput) == count);
    CHECK(a.LinkedTo(friendly.uid, world.now_us));
    CHECK(a.Count(EventType::kLinkUp) == 1 && a.Count(EventType::kLinkDown) == 0);
    CHECK(a.Count(EventType::kQuarantinedBy) == 0 && a.Count(EventType::kIdentityChanged) == 0);
  }

  World world;
  WorldNode& a;
  WorldNode& friendly;
  WorldNode& b;
};

TEST("a ready without the right proof is refused") {
  using Answer = std::vector<uint8_t> (*)(Bytes hello, const std::vector<uint8_t>& ack);
  const Answer answers[] = {
      [](Bytes, const std::vector<uint8_t>&) { return std::vector<uint8_t>(); },
      [](Bytes, const std::vector<uint8_t>&) { return std::vector<uint8_t>(32); },
      // Cut short.
      [](Bytes hello, const std::vector<uint8_t>& ack) {
        const Proof proof = ProofBy(kOld, kDialler, hello, Signed(ack, 1));
        return std::vector<uint8_t>(proof.begin(), proof.end() - 1);
      },
      // The acceptor's own, sent back.
      [](Bytes, const std::vector<uint8_t>& ack) { return std::vector<uint8_t>(ack.end() - 32, ack.end()); },
      // By another secret.
      [](Bytes hello, const std::vector<uint8_t>& ack) {
        const Proof proof = ProofBy(kOther, kDialler, hello, Signed(ack, 1));
        return std::vector<uint8_t>(proof.begin(), proof.end());
      },
  };
  for (const Answer answer : answers) {
    Guarded guarded;
    for (const Lane lane : {Lane::kControl, Lane::kLarge}) {
      HandDriven peer(guarded.world, guarded.a);
      const std::vector<uint8_t> hello = core::EncodeHelloBody(HelloWithNonce(guarded.b, lane));
      peer.Write(FrameKind::kHello, hello);
      peer.Write(FrameKind::kReady, answer(hello, peer.Last().body));
      CHECK(peer.Refusal() == core::RefusalReason::kUnauthenticated);
      // Too late.
      peer.Write(FrameKind::kReady, ProofBy(kOld, kDialler, hello, Signed(peer.Frames()[0].body, 1)));
    }
    guarded.CheckShut(BadInputReason::kUnauthenticated, 2);
  }
}

TEST("a recorded handshake opens nothing when it is played again") {
  Guarded guarded;
  guarded.world.Cut(guarded.a, guarded.friendly);
  const core::Hello said = HelloWithNonce(guarded.b, Lane::kOrdinary);
  const std::vector<uint8_t> hello = core::EncodeHelloBody(said);
  HandDriven genuine(guarded.world, guarded.a);
  genuine.Write(FrameKind::kHello, hello);
  const Proof proof = ProofBy(kOld, kDialler, hello, Signed(genuine.Last().body, 1));
  genuine.Write(FrameKind::kReady, proof);
  CHECK(guarded.a.lanes.size() == 1);
  guarded.a.lanes.clear();
  HandDriven again(guarded.world, guarded.a);
  again.Write(FrameKind::kHello, hello);
  again.Write(FrameKind::kReady, proof);
  CHECK(again.Refusal() == core::RefusalReason::kUnauthenticated);
  // Nor on the lane beside, nor for another uid.
  for (const auto& [uid, lane] : {std::pair(kHigh, Lane::kLarge), std::pair(kHigh, Lane::kControl),
                                  std::pair(kHigh + 1, Lane::kOrdinary)}) {
    core::Hello other = said;
    other.uid = uid;
    other.lane = lane;
    HandDriven elsewhere(guarded.world, guarded.a);
    elsewhere.WriteHello(other);
    elsewhere.Write(FrameKind::kReady, proof);
    CHECK(elsewhere.Refusal() == core::RefusalReason::kUnauthenticated);
  }
  guarded.world.Heal(guarded.a, guarded.friendly);
  guarded.CheckShut(BadInputReason::kUnauthenticated, 4);
}

TEST("a nonce that is cut short is malformed, one that is missing is refused") {
  Guarded guarded;
  std::vector<uint8_t> hello = core::EncodeHelloBody(HelloWithNonce(guarded.b, Lane::kControl));
  for (size_t cut = 1; cut <= core::limits::kNonceBytes; ++cut) {
    HandDriven peer(guarded.world, guarded.a);
    peer.Write(FrameKind::kHello, Bytes(hello).first(hello.size() - cut));
    CHECK(peer.Refusal() == core::RefusalReason::kMalformed);
  }
  guarded.CheckShut(BadInputReason::kBadHello, core::limits::kNonceBytes);
  Guarded bare;
  for (const Lane lane : {Lane::kControl, Lane::kOrdinary}) {
    HandDriven peer(bare.world, bare.a);
    peer.WriteHello(HelloOf(bare.b, 1, lane));
    CHECK(peer.Refusal() == core::RefusalReason::kUnauthenticated);
  }
  bare.CheckShut(BadInputReason::kUnauthenticated, 2);
}

TEST("nothing is believed before the proof: a quarantine neither, nor another's name") {
  Guarded guarded;
  HandDriven peer(guarded.world, guarded.a);
  peer.WriteHello(HelloWithNonce(guarded.b, Lane::kControl));
  const core::QuarantineBody quarantine{kLow, core::QuarantineReason::kOperator, {}};
  peer.Write(core::EncodeFrame(FrameKind::kQuarantined, 0, 0, quarantine));
  guarded.CheckShut(BadInputReason::kUnexpectedFrame, 1);

  Guarded named;
  named.world.Cut(named.a, named.b);
  named.a.plane->Watch(kHigh, named.b.address, named.world.now_us);
  named.world.Run(1000);
  HandDriven dial = HandDriven::LastDial(named.world, named.a);
  core::Hello ack = HelloWithNonce(named.b, Lane::kControl);
  ack.uid = kHigh + 1;
  std::vector<uint8_t> body = core::EncodeHelloBody(ack);
  body.resize(body.size() + 1 + core::limits::kProofBytes, 1);
  dial.Write(FrameKind::kHelloAck, body);
  CHECK(named.a.counters.Get(BadInputReason::kUnauthenticated) == 1);
  CHECK(named.a.Count(EventType::kIdentityChanged) == 0 && named.a.Count(EventType::kSuspicion) == 0);
}

// What a dialler with a secret makes of an ack whose proofs it finds changed.
std::optional<BadInputReason> Judge(void (*change)(std::vector<uint8_t>*, size_t covered_bytes)) {
  World world(1);
  WorldNode& a = world.Add(kLow, {kOld});
  WorldNode& b = world.Add(kHigh);
  world.Cut(a, b);
  a.plane->Connect(b.address, 0, world.now_us);
  world.Run(1000);
  HandDriven dial = HandDriven::LastDial(world, a);
  std::vector<uint8_t> ack = core::EncodeHelloBody(HelloWithNonce(b, Lane::kControl));
  const size_t covered_bytes = ack.size();
  const Proof proof = ProofBy(kOld, kAcceptor, dial.Last().body, ack);
  ack.push_back(1);
  ack.insert(ack.end(), proof.begin(), proof.end());
  change(&ack, covered_bytes);
  dial.Write(FrameKind::kHelloAck, ack);
  if (a.LinkedTo(kHigh, world.now_us)) return std::nullopt;
  CHECK(dial.Last().kind == FrameKind::kHello);
  return static_cast<BadInputReason>(a.Last(EventType::kBadInput)->reason);
}

TEST("an ack is taken with a proof that is right, alone or among others, and not otherwise") {
  CHECK(!Judge([](std::vector<uint8_t>*, size_t) {}).has_value());
  CHECK(!Judge([](std::vector<uint8_t>* ack, size_t at) {
           (*ack)[at] = 4;
           ack->insert(ack->begin() + static_cast<ptrdiff_t>(at) + 1, 3 * core::limits::kProofBytes, 1);
         }).has_value());
  CHECK(!Judge([](std::vector<uint8_t>* ack, size_t) { ack->push_back(9); }).has_value());
  CHECK(Judge([](std::vector<uint8_t>* ack, size_t at) { (*ack)[at] = 0; }) == BadInputReason::kBadHello);
  CHECK(Judge([](std::vector<uint8_t>* ack, size_t at) {
          (*ack)[at] = 5;
          ack->resize(ack->size() + 4 * core::limits::kProofBytes);
        }) == BadInputReason::kBadHello);
  CHECK(Judge([](std::vector<uint8_t>* ack, size_t at) { (*ack)[at] = 2; }) == BadInputReason::kBadHello);
  CHECK(Judge([](std::vector<uint8_t>* ack, size_t) { ack->pop_back(); }) == BadInputReason::kBadHello);
  CHECK(Judge([](std::vector<uint8_t>* ack, size_t at) { ack->resize(at); }) == BadInputReason::kBadHello);
  CHECK(Judge([](std::vector<uint8_t>* ack, size_t) { ack->back() ^= 1; }) ==
        BadInputReason::kUnauthenticated);
  // No flag: whoever answers knows nothing of secrets.
  CHECK(Judge([](std::vector<uint8_t>* ack, size_t) {
          (*ack)[offsetof(core::HelloBody, flags)] = 0;
        }) == BadInputReason::kUnauthenticated);
}

struct Carried {
  bool dialler_in;
  bool acceptor_in;
  bool changed;
};

// Carries a handshake between two nodes, with one bit of one frame changed on the way, if the frame is so
// long, and its CRC made right again.
Carried Carry(Lane lane, size_t frame, size_t bit) {
  World world(1);
  WorldNode& a = world.Add(kLow, {kOld});
  WorldNode& b = world.Add(kHigh, {kOld});
  if (lane == Lane::kControl) {
    world.Cut(a, b);
    a.plane->Connect(b.address, 0, world.now_us);
    world.Run(1000);
  } else {
    a.plane->Connect(b.address, 0, world.now_us);
    world.Run(kSecondUs);
    world.Cut(a, b);
    a.plane->OpenLane(b.uid, lane, 1, world.now_us);
  }
  const auto ups = [](const WorldNode& node) { return node.Count(EventType::kLinkUp) + node.lanes.size(); };
  const size_t before = ups(a);
  HandDriven from = HandDriven::LastDial(world, a);
  HandDriven to(world, b);
  bool changed = false;
  for (size_t turn = 0; turn < 3; ++turn) {
    SeenFrame next = turn == 1 ? to.Last() : from.Last();
    if (turn == frame && bit < next.body.size() * 8) {
      next.body[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
      changed = true;
    }
    (turn == 1 ? from : to).Write(next.kind, next.body);
  }
  return {ups(a) > before, ups(b) > before, changed};
}

TEST("every bit of a handshake counts: changed on the way, it lets nobody in") {
  for (const Lane lane : {Lane::kControl, Lane::kLarge}) {
    const Carried whole = Carry(lane, 0, SIZE_MAX);
    CHECK(whole.dialler_in && whole.acceptor_in && !whole.changed);
    for (size_t frame = 0; frame < 3; ++frame) {
      size_t bits = 0;
      for (Carried carried = Carry(lane, frame, 0); carried.changed; carried = Carry(lane, frame, ++bits)) {
        CHECK(!carried.acceptor_in);
        // The dialler has done its part before its `ready` is changed.
        CHECK(carried.dialler_in == (frame == 2));
      }
      CHECK(bits >= core::limits::kProofBytes * 8);
    }
  }
}

TEST("random streams at a guarded door open nothing") {
  Guarded guarded;
  core::Random random(11);
  for (int round = 0; round < 5000; ++round) {
    HandDriven peer(guarded.world, guarded.a);
    const Lane lane = static_cast<Lane>(random.Next() % 3);
    std::vector<uint8_t> hello = core::EncodeHelloBody(HelloWithNonce(guarded.b, lane));
    for (uint64_t left = random.Next() % 4; left > 0; --left) {
      hello[4 + random.Next() % (hello.size() - 4)] = static_cast<uint8_t>(random.Next());
    }
    hello.resize(random.Next() % 4 == 0 ? 1 + random.Next() % 300 : hello.size());
    peer.Write(FrameKind::kHello, hello);
    std::vector<uint8_t> next(random.Next() % 100);
    for (uint8_t& byte : next) byte = static_cast<uint8_t>(random.Next());
    if (random.Next() % 2 == 0) {
      peer.Write(FrameKind::kReady, next);
    } else {
      peer.Write(next);
    }
    peer.End();
    peer.End();
  }
  CHECK(guarded.a.lanes.empty() && guarded.a.Count(EventType::kLinkUp) == 1);
  CHECK(guarded.a.counters.Get(BadInputReason::kUnauthenticated) > 1000);
  CHECK(guarded.a.LinkedTo(guarded.friendly.uid, guarded.world.now_us));
}

}  // namespace
}  // namespace skein::test
