// One transport on the control thread: gives its control plane sockets, time and a way to JavaScript. The
// upper half is called from the transport's JavaScript thread, the lower half from the control thread; they
// meet in a command queue, in the gates that bound what JavaScript may queue, and in the event ring.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "../core/control_plane.h"
#include "control_thread.h"
#include "event_ring.h"
#include "js_loop.h"
#include "lane_table.h"
#include "openssl_auth.h"
#include "socket.h"

namespace skein::io {

struct NodeOptions {
  core::ControlPlaneOptions plane;  // `bind` is what to listen on; `advertised` is filled when it is bound
  std::optional<core::Endpoint> advertise;
};

enum class SendResult : uint8_t { kSent, kNoLink, kOutboxFull };

struct HostPeer {
  core::PeerStatus status;
  uint64_t outbox_bytes = 0;
};

class NodeHost final : public core::Effects,
                       public SocketOwner,
                       public std::enable_shared_from_this<NodeHost> {
 public:
  // `ring` is `ring_bytes` long, a power of two, and outlives the call of Abandon or the kClosed event.
  NodeHost(NodeOptions options, ControlThread* thread, JsLoop* js_loop, uint8_t* ring, uint32_t ring_bytes);
  ~NodeHost() override;

  // --- JavaScript thread
  void Start();
  void Connect(const core::Endpoint& address, core::Uid uid);
  void Disconnect(const core::Endpoint& address);
  SendResult Send(core::Uid uid, core::Bytes bytes);
  void Watch(core::Uid uid, const core::Endpoint& address);
  void Unwatch(core::Uid uid);
  void Probe(core::Uid uid, const core::Endpoint& address);
  void Quarantine(core::Uid uid, core::QuarantineReason reason);
  void OpenLane(core::Uid uid, core::Lane lane, uint32_t dial);
  // The socket of a kLaneOpened event, once; not open when the transport has ended meanwhile.
  HandedOver TakeHandOver(core::ConnectionId id);
  void Close();
  // Ends everything without a word: the JavaScript thread is going away. No call of any kind may follow.
  void Abandon();
  std::vector<HostPeer> Peers();
  const core::Counters& Counters() const { return counters_; }
  EventRing& Ring() { return ring_; }
  // True once after each wake-up that was meant for this transport.
  bool TakeWake() { return wake_pending_.exchange(false, std::memory_order_acq_rel); }

  // Asks for another turn of the JavaScript loop: it left something in the ring.
  void WakeAgain();

  // --- control thread, called by ControlThread
  void RunCommands(uint64_t now_us);
  void OnPaused(uint64_t gap_us);
  void OnDeadline(uint64_t now_us);
  // Before the loop sleeps: outcomes that had to wait, then one write per socket, then one wake-up.
  void Settle(uint64_t now_us);
  uint64_t NextDeadline() const { return plane_ == nullptr ? core::kNever : plane_->NextDeadline(); }

  // --- core::Effects
  void Dial(core::ConnectionId id, const core::Endpoint& to) override;
  uint64_t Write(core::ConnectionId id, core::Bytes head, core::Bytes body) override;
  uint64_t WrittenBytes(core::ConnectionId id) const override;
  void Shutdown(core::ConnectionId id) override;
  void Reset(core::ConnectionId id) override;
  void Destroy(core::ConnectionId id) override;
  void HandOver(core::ConnectionId id, const core::LaneHandOver& lane, core::Bytes unread) override;
  bool Emit(const core::Event& event) override;
  bool InboxFull() const override { return ring_.Full(); }
  uint32_t LoopAgeMs(uint64_t now_us) override;

  // --- SocketOwner
  void OnSocketConnected(Socket& socket) override;
  void OnSocketData(Socket& socket, core::Bytes bytes) override;
  void OnSocketEnd(Socket& socket, core::EndKind kind) override;
  void OnSocketDirty(Socket& socket) override;
  void OnSocketConnectFailed(Socket& socket, core::GatedReason reason) override;
  uv_buf_t ReceiveBuffer() override { return thread_->ReceiveBuffer(); }

 private:
  struct Listener;
  struct Resolve;

  enum class CommandKind : uint8_t {
    kStart,
    kConnect,
    kDisconnect,
    kSend,
    kWatch,
    kUnwatch,
    kProbe,
    kQuarantine,
    kOpenLane,
    kClose,
  };

  struct Command {
    CommandKind kind;
    core::Uid uid = 0;
    core::Endpoint address{};
    core::QuarantineReason reason = core::QuarantineReason::kNone;
    core::Lane lane = core::Lane::kControl;
    uint32_t dial = 0;
    std::vector<uint8_t> bytes{};
    std::shared_ptr<Gate> gate{};
  };

  void Enqueue(Command command);
  void Run(const Command& command, uint64_t now_us);
  void RunEarlyCommands(uint64_t now_us);
  void Listen();
  void ListenOn(const sockaddr_storage& address);
  void StartFailed(int status, const char* what);
  void ResumeAccepting();
  void ResumeAcceptingIfDue(uint64_t now_us);
  void PauseAccepting(uint64_t now_us);
  void AcceptAll(uint64_t now_us);
  void Admit(Descriptor accepted, const std::string& remote, uint64_t now_us);
  int CloseNext(uint64_t now_us);
  void CloseListener();
  bool KeepHandOver(core::ConnectionId id, HandedOver handed);
  void OpenGate(const core::Event& link_up);
  void MaybeFinish();
  Socket* FindSocket(core::ConnectionId id) const;

  const NodeOptions options_;
  ControlThread* const thread_;
  JsLoop* const js_loop_;
  EventRing ring_;
  core::Counters counters_;
  std::atomic<bool> wake_pending_{false};

  std::mutex mutex_;
  std::vector<Command> commands_;  // guarded by mutex_
  // What JavaScript may send to, as of the last link event.
  std::unordered_map<core::Uid, std::shared_ptr<Gate>> gates_;  // guarded by mutex_
  // Lane sockets that JavaScript has been told of and has not taken yet.
  std::unordered_map<core::ConnectionId, HandedOver> hand_overs_;  // guarded by mutex_
  std::atomic<bool> has_commands_{false};

  // The control thread's own.
  OpensslAuth auth_;
  std::unique_ptr<core::ControlPlane> plane_;
  std::map<core::ConnectionId, std::unique_ptr<Socket>> sockets_;
  std::vector<core::ConnectionId> dirty_;
  std::vector<std::pair<core::ConnectionId, core::GatedReason>> failed_connects_;
  std::vector<Command> early_;  // that came before there was a control plane
  Listener* listener_ = nullptr;
  Resolve* resolve_ = nullptr;
  bool wake_wanted_ = false;
  bool closing_ = false;
  bool finished_ = false;
};

}  // namespace skein::io
