// One TCP connection of the control thread: connect (names included), a byte queue towards the kernel,
// reading into the loop's shared buffer, shutdown. It knows nothing of frames. All calls and callbacks on the
// control thread.
#pragma once

#include <uv.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../core/control_plane.h"
#include "descriptor.h"

namespace skein::io {

class Socket;

// Unwritten bytes towards one incarnation, shared with the JavaScript thread, which bounds them.
struct Gate {
  std::atomic<uint64_t> queued_bytes{0};
};

class SocketOwner {
 public:
  virtual ~SocketOwner() = default;
  virtual void OnSocketConnected(Socket& socket) = 0;
  virtual void OnSocketData(Socket& socket, core::Bytes bytes) = 0;
  virtual void OnSocketEnd(Socket& socket, core::EndKind kind) = 0;
  // The socket has something to flush before the loop sleeps.
  virtual void OnSocketDirty(Socket& socket) = 0;
  // A connect failed. Not to be acted upon in this call: it may come out of Connect itself.
  virtual void OnSocketConnectFailed(Socket& socket, core::GatedReason reason) = 0;
  // Memory that a read may fill now; what it holds is handed over before the next read.
  virtual uv_buf_t ReceiveBuffer() = 0;
};

class Socket {
 public:
  Socket(uv_loop_t* loop, SocketOwner* owner, core::ConnectionId id);
  // Closes the handle; nothing is called back any more.
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  core::ConnectionId Id() const { return id_; }
  void SetId(core::ConnectionId id) { id_ = id; }

  void Connect(const core::Endpoint& to);
  // Takes over an accepted connection. A libuv status.
  int Open(Descriptor accepted);

  uint64_t Write(core::Bytes head, core::Bytes body);
  uint64_t WrittenBytes() const { return queued_total_ - QueuedBytes(); }
  void Shutdown();
  // The close to come is to be a reset.
  void ResetOnClose();
  void Flush();
  // The connection as a descriptor of its own, ready for a data lane, with everything queued in the
  // kernel's hands; not open when that cannot be. This object is to be deleted then, which leaves the
  // connection alone.
  Descriptor HandOver();

  // Counts what is and will be queued here towards `gate`.
  void AttachGate(std::shared_ptr<Gate> gate);

 private:
  struct Handle;
  struct Resolve;

  uint64_t QueuedBytes() const;
  void SettleGate();
  void OpenHandle();
  void CloseHandle();
  void ConnectNext();
  void OnConnectStatus(int status);
  void StartReading();
  // Gives the kernel one chunk of what is pending; a libuv status when it takes none.
  int TryWrite();
  void QueueWrite();
  void Broken();

  uv_loop_t* const loop_;
  SocketOwner* const owner_;
  core::ConnectionId id_;
  Handle* handle_ = nullptr;
  Resolve* resolve_ = nullptr;
  std::vector<sockaddr_storage> candidates_;
  core::GatedReason last_failure_ = core::GatedReason::kUnreachable;
  bool open_ = false;  // connected, and not found broken
  bool writing_ = false;
  bool shutdown_wanted_ = false;
  bool shutdown_begun_ = false;
  bool dirty_ = false;

  std::vector<uint8_t> pending_;
  size_t pending_offset_ = 0;
  uint64_t queued_total_ = 0;
  std::shared_ptr<Gate> gate_;
  uint64_t gate_counted_ = 0;
};

// `host:port` of a socket address.
std::string FormatSockaddr(const sockaddr* address);

// Parses an IP literal; false for a name.
bool ParseLiteral(const core::Endpoint& endpoint, sockaddr_storage* address);

}  // namespace skein::io
