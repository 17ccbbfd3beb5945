// The control link of `docs/protocol.md` as a state machine: inputs with the time they happened at, effects
// through one interface, and the next deadline. It knows no socket, no clock, no thread and no JavaScript.
// One instance is one node; it must only ever be called from one thread at a time.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "auth.h"
#include "counters.h"
#include "deadline_table.h"
#include "effects.h"
#include "peer_state.h"

namespace skein::core {

struct HeartbeatOptions {
  uint32_t interval_ms = 1000;
  uint32_t echo_every = 10;
  double phi_threshold = 8;
  uint32_t acceptable_pause_ms = 2000;
  uint32_t min_std_deviation_ms = 100;
  uint32_t window_size = 200;
  uint32_t stalled_after_ms = 2000;
};

struct DialOptions {
  uint32_t connect_timeout_ms = 1000;
  uint32_t backoff_min_ms = 100;
  uint32_t backoff_max_ms = 10'000;
  uint32_t backoff_watched_max_ms = 1000;
  uint32_t confirm_gone_ms = 50;
};

struct ControlPlaneOptions {
  std::string cluster;
  std::string node_id;
  Uid uid = 0;
  Endpoint bind;
  Endpoint advertised;
  HeartbeatOptions heartbeat;
  DialOptions dial;
  // A peer must know one of them, and is shown the same; none: everybody is let in. Bounded by the caller.
  std::vector<std::vector<uint8_t>> secrets{};
  uint64_t random_seed = 0;
};

// What `peers()` says of one incarnation.
struct PeerStatus {
  Uid uid = 0;
  Endpoint address;
  ConnectionId link = 0;  // 0: not linked
  bool watched = false;
  double phi = 0;
  double silent_ms = 0;
  uint32_t loop_age_ms = 0;
  double rtt_ms = 0;
};

enum class EndKind : uint8_t { kEof, kReset, kError };

class ControlPlane {
 public:
  // `effects`, `counters` and `auth` must outlive the control plane; `auth` may be null where there is no
  // secret.
  ControlPlane(ControlPlaneOptions options, Effects* effects, Counters* counters, Authenticator* auth);
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  // --- what sockets say. Unknown ids are ignored: they were destroyed meanwhile.
  // 0 when too many handshakes are pending: the socket is to be closed.
  ConnectionId OnAccepted(const std::string& remote, uint64_t now_us);
  void OnConnected(ConnectionId id, uint64_t now_us);
  void OnConnectFailed(ConnectionId id, GatedReason reason, uint64_t now_us);
  void OnData(ConnectionId id, Bytes bytes, uint64_t now_us);
  void OnEnd(ConnectionId id, EndKind kind, uint64_t now_us);

  // --- what the clock says.
  void OnDeadline(uint64_t now_us);
  // This process was not scheduled for `gap_us`; call before the input that waited meanwhile.
  void OnPaused(uint64_t gap_us);
  uint64_t NextDeadline() const { return deadlines_.Next(); }

  // --- what the layer above wants.
  void Connect(const Endpoint& address, Uid uid, uint64_t now_us);
  void Disconnect(const Endpoint& address, uint64_t now_us);
  void Send(Uid uid, Bytes bytes, uint64_t now_us);
  void Watch(Uid uid, const Endpoint& address, uint64_t now_us);
  void Unwatch(Uid uid, uint64_t now_us);
  void Probe(Uid uid, const Endpoint& address, uint64_t now_us);
  void Quarantine(Uid uid, QuarantineReason reason, uint64_t now_us);
  // Dials a data lane beside the complete link to `uid`. One HandOver or one kLaneFailed follows.
  void OpenLane(Uid uid, Lane lane, uint32_t dial, uint64_t now_us);
  // Goodbye on every link, then drain. No event follows; done when Drained().
  void Close(uint64_t now_us);
  bool Drained() const { return closing_ && connections_.empty(); }

  std::vector<PeerStatus> Peers(uint64_t now_us) const;

 private:
  // When a dial that has become necessary may begin.
  enum class DialTime : uint8_t {
    kNow,            // at once, whatever was planned
    kUnlessPlanned,  // at once, unless a dial is planned already
    kBackoff,        // after the back-off, unless a dial is planned already
  };

  // --- control_plane.cc: lookup and bookkeeping
  Connection* FindConnection(ConnectionId id);
  Connection* LinkOf(const Pair& pair);
  Pair* FindPair(Uid uid);
  Pair& EnsurePair(Uid uid);
  void ForgetIdlePairs();
  Target* FindTarget(uint64_t id);
  Target* FindTarget(const Endpoint& address);
  // Null when wantedPeersMax is reached, or no hello could name such a host.
  Target* EnsureTarget(const Endpoint& address);
  // Ids of the targets at which this incarnation is wanted or was found.
  std::vector<uint64_t> TargetsOf(const Pair& pair) const;
  void Collect();
  bool Emit(const Event& event);

  // --- control_plane_close.cc: the end of connections and of links
  void CloseConnection(Connection& connection, Draining draining, uint64_t now_us);
  void DestroyConnection(Connection& connection);
  void SayGoodbye(Connection& connection, GoodbyeReason reason);
  // The pair has no link any more; says so and plans the next dial.
  void LoseLink(Connection& connection, LinkDownReason reason, DialTime dial, uint64_t now_us);
  // The pair's link, if `connection` is it.
  Pair* PairLinkedBy(const Connection& connection);
  void BadInput(Connection& connection, BadInputReason reason, uint64_t now_us);
  void CloseForPeer(Connection& connection, LinkDownReason reason, DialTime dial, uint64_t now_us);
  void ReleaseHeldLink(Uid uid, uint64_t now_us);
  void CloseIfUnwanted(Pair& pair, uint64_t now_us);
  bool AwaitsReadyFrom(Uid uid) const;

  // --- control_plane_dial.cc: targets
  std::optional<Uid> NeededAt(const Target& target);
  bool IsLinked(Uid uid);
  void Reconsider(Target& target, DialTime time, uint64_t now_us);
  void StartDial(Target& target, uint64_t now_us);
  // A connection that has begun to connect.
  Connection& AddDial(const Endpoint& address, Uid expected, uint64_t now_us);
  void PlanDial(Target& target, uint64_t at_us);
  uint32_t NextDialNumber(const Connection& connection, const Target& target);
  void DialFailed(Connection& connection, GatedReason reason, uint64_t now_us);
  void TargetFailed(Target& target, GatedReason reason, uint64_t now_us);
  bool OnRefusedConnection(Target& target, uint64_t now_us);
  void OnAnswer(Target& target, Uid uid, uint64_t now_us);
  void SettleProbes(Target& target, ProbeOutcome outcome);
  void EmitProbed(Uid uid, ProbeOutcome outcome);
  uint64_t BackoffUs(Target& target);
  void Unblock(Target& target, Uid uid);
  void Block(Target& target, Uid uid, uint64_t now_us);
  void AbandonDial(Target& target, bool withdrawn, uint64_t now_us);

  // --- control_plane_handshake.cc
  Hello OwnHello(const Connection& connection, const Endpoint& dialed);
  void WriteHello(Connection& connection, const Endpoint& dialed);
  void OnHello(Connection& connection, const FrameView& frame, uint64_t now_us);
  void WriteHelloAck(Connection& connection, const Endpoint& dialed, Bytes hello_body);
  std::optional<RefusalReason> WhyRefuse(const Hello& hello);
  void OnHelloAck(Connection& connection, const FrameView& frame, uint64_t now_us);
  std::optional<BadInputReason> WhyRejectAck(Connection& connection, const Hello& hello, Bytes body,
                                             Bytes rest);
  void OnOtherIncarnation(Connection& connection, Target& target, uint64_t now_us);
  void OnExpectedAck(Connection& connection, Target& target, uint64_t now_us);
  bool WouldWin(const Connection& connection);
  void OnReady(Connection& connection, const FrameView& frame, uint64_t now_us);
  void Complete(Connection& connection, uint64_t now_us);
  void BecomeLink(Connection& connection, Pair& pair, uint64_t now_us);
  void EmitLinkUp(const Connection& connection);

  // --- control_plane_refusal.cc
  void Refuse(Connection& connection, RefusalReason reason, Uid peer_uid, uint64_t now_us);
  void OnRefusal(Connection& connection, const FrameView& frame, uint64_t now_us);
  void ActOnRefusal(Target& target, Uid expected, const RefusalBody& body, RefusalReason reason,
                    uint64_t now_us);
  void RefusedForGood(Target& target, Uid expected, Uid by, uint64_t now_us);
  void OnSuperseded(Target& target, const RefusalBody& body, uint64_t now_us);
  void EmitQuarantinedBy(Uid uid, const Endpoint& address, uint16_t reason);
  void OnQuarantined(Connection& connection, const FrameView& frame, uint64_t now_us);

  // --- control_plane_auth.cc: admission by secrets; without any, nothing is asked and nothing shown
  bool WantsProofs() const { return !options_.secrets.empty(); }
  void AddNonce(Hello* hello);
  Proof ProofOf(std::string_view label, size_t secret, Bytes transcript) const;
  static void BeginAdmission(Connection& connection, Bytes hello_body);
  void AppendProofs(Connection& connection, Bytes hello_body, std::vector<uint8_t>* ack_body);
  bool AdmitAcceptor(Connection& connection, Bytes signed_ack, Bytes proofs);
  bool AdmitDialler(const Connection& connection, Bytes ready_body) const;
  void WriteReady(Connection& connection);

  // --- control_plane_lane.cc: data lanes, up to their hand-over
  void EmitLaneFailed(Uid uid, Lane lane, uint32_t dial, LaneFailedReason reason);
  void LaneDialFailed(Connection& connection, GatedReason reason);
  void OnLaneAck(Connection& connection, uint64_t now_us);
  void HandOver(Connection& connection);
  void EndLaneHandshakes(Uid uid, uint64_t now_us);

  // --- control_plane_input.cc: frames
  void HandleFrame(Connection& connection, const FrameView& frame, uint64_t now_us);
  // Checks in the order of the protocol; false when the connection was closed for it.
  bool AdmitFrame(Connection& connection, const FrameView& frame, uint64_t now_us);
  void HandleLinkFrame(Connection& connection, const FrameView& frame, uint64_t now_us);
  void OnMessage(Connection& connection, const FrameView& frame, uint64_t now_us);
  void OnGoodbye(Connection& connection, const FrameView& frame, uint64_t now_us);
  void WriteFrame(Connection& connection, const FrameHead& head, Bytes body);
  template <typename Body>
  void WriteStruct(Connection& connection, FrameKind kind, uint8_t flags, uint32_t sequence,
                   const Body& body);

  // --- control_plane_beat.cc: beats and verdicts
  void OnWatchFrame(Connection& connection, const FrameView& frame, uint64_t now_us);
  void OnHeartbeat(Connection& connection, const FrameView& frame, uint64_t now_us);
  void OnEcho(Connection& connection, const FrameView& frame, uint64_t now_us);
  void Beat(Connection& connection, uint64_t now_us);
  void AnswerEcho(Connection& connection, const FrameView& frame, const HeartbeatBody& beat, uint64_t now_us);
  void AskForBeats(Pair& pair);
  void StartDetector(Pair& pair, uint64_t now_us);
  void StopWatching(Pair& pair, uint64_t now_us);
  void PlanSilence(const Pair& pair, uint64_t now_us);
  void CheckSilence(Pair& pair, uint64_t now_us);
  void RaiseGone(Pair& pair, uint64_t now_us);
  void EmitSuspicion(const Pair& pair, bool suspected, SuspicionCause cause, uint64_t now_us);
  void NoteLoopAge(Pair& pair, uint32_t loop_age_ms);
  double DetectorMs(uint64_t now_us) const;

  // --- deadlines
  void Fire(const DeadlineKey& key, uint64_t now_us);
  void OnConnectionDeadline(Connection& connection, uint64_t now_us);

  const ControlPlaneOptions options_;
  Effects* const effects_;
  Counters* const counters_;
  Authenticator* const auth_;
  Random random_;
  DeadlineTable<DeadlineKey> deadlines_;

  std::map<ConnectionId, std::unique_ptr<Connection>> connections_;
  std::map<Uid, Pair> pairs_;
  std::map<uint64_t, std::unique_ptr<Target>> targets_;
  std::map<Endpoint, uint64_t> target_ids_;
  // Which linked incarnation advertises an address.
  std::map<Endpoint, Uid> linked_at_;
  std::unordered_map<Uid, QuarantineReason> quarantined_;
  std::deque<Uid> quarantine_order_;

  // Destroyed in the current input; kept until the next one, because callers up the stack may still hold
  // them.
  std::vector<std::unique_ptr<Connection>> destroyed_;
  std::vector<uint64_t> idle_targets_;

  ConnectionId next_connection_id_ = 1;
  uint64_t next_target_id_ = 1;
  uint64_t use_counter_ = 0;
  uint32_t pending_accepts_ = 0;
  uint32_t lane_dials_ = 0;  // whose outcome is not told yet
  uint64_t pause_offset_us_ = 0;
  bool closing_ = false;
};

// `host:port`, with brackets around an IPv6 literal.
std::string FormatEndpoint(const Endpoint& endpoint);

}  // namespace skein::core
