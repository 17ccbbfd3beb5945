// The listening half of NodeHost: resolve, bind, listen, accept.
#include <cstring>

#include "../core/limits.h"
#include "node_host.h"

namespace skein::io {

// Outlives its host until libuv has closed it; `host` is cleared first.
struct NodeHost::Listener {
  uv_tcp_t tcp{};
  NodeHost* host = nullptr;
};

struct NodeHost::Resolve {
  uv_getaddrinfo_t request{};
  NodeHost* host = nullptr;
};

void NodeHost::Listen() {
  sockaddr_storage literal{};
  if (ParseLiteral(options_.plane.bind, &literal)) return ListenOn(literal);
  resolve_ = new Resolve;
  resolve_->host = this;
  resolve_->request.data = resolve_;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  const auto on_resolved = [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
    const std::unique_ptr<Resolve> resolve(static_cast<Resolve*>(request->data));
    NodeHost* self = resolve->host;
    if (self != nullptr) {
      self->resolve_ = nullptr;
      if (status != 0 || found == nullptr) {
        self->StartFailed(status, "resolve");
      } else {
        sockaddr_storage address{};
        std::memcpy(&address, found->ai_addr, std::min<size_t>(found->ai_addrlen, sizeof(address)));
        const uint16_t port = htons(self->options_.plane.bind.port);
        address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port = port
                                      : reinterpret_cast<sockaddr_in*>(&address)->sin_port = port;
        if (!self->closing_) self->ListenOn(address);
        self->RunEarlyCommands(self->thread_->Now());
      }
    }
    uv_freeaddrinfo(found);
  };
  const char* host = options_.plane.bind.host.c_str();
  const int status = uv_getaddrinfo(thread_->Loop(), &resolve_->request, on_resolved, host, nullptr, &hints);
  if (status == 0) return;
  delete std::exchange(resolve_, nullptr);
  StartFailed(status, "resolve");
}

void NodeHost::ListenOn(const sockaddr_storage& address) {
  listener_ = new Listener;
  listener_->host = this;
  uv_tcp_init(thread_->Loop(), &listener_->tcp);
  listener_->tcp.data = listener_;
  int status = uv_tcp_bind(&listener_->tcp, reinterpret_cast<const sockaddr*>(&address), 0);
  const auto on_connection = [](uv_stream_t* server, int accepted) {
    NodeHost* self = static_cast<Listener*>(server->data)->host;
    if (self != nullptr) self->OnConnection(accepted);
  };
  if (status == 0) {
    auto* stream = reinterpret_cast<uv_stream_t*>(&listener_->tcp);
    status = uv_listen(stream, core::limits::kListenBacklog, on_connection);
  }
  sockaddr_storage bound{};
  int length = sizeof(bound);
  if (status == 0) {
    status = uv_tcp_getsockname(&listener_->tcp, reinterpret_cast<sockaddr*>(&bound), &length);
  }
  if (status != 0) {
    CloseListener();
    StartFailed(status, "bind");
    return;
  }
  const uint16_t port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                                          : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
  core::ControlPlaneOptions plane = options_.plane;
  // The address, not the name: two nodes must agree on what is the same address.
  char host[INET6_ADDRSTRLEN] = "";
  if (uv_ip_name(reinterpret_cast<sockaddr*>(&bound), host, sizeof(host)) == 0) plane.bind.host = host;
  plane.bind.port = port;
  plane.advertised = options_.advertise.value_or(plane.bind);
  if (plane.advertised.port == 0) plane.advertised.port = port;
  core::Event event{.type = core::EventType::kStarted};
  const core::Endpoint advertised = plane.advertised;
  event.address = &advertised;
  plane_ = std::make_unique<core::ControlPlane>(std::move(plane), this, &counters_, &auth_);
  Emit(event);
}

void NodeHost::StartFailed(int status, const char* what) {
  const std::string text = std::string(uv_err_name(status)) + " " + what + " " +
                           core::FormatEndpoint(options_.plane.bind) + ": " + uv_strerror(status);
  core::Event event{.type = core::EventType::kStartFailed};
  event.text = text;
  Emit(event);
}

void NodeHost::OnConnection(int status) {
  const uint64_t now_us = thread_->Now();
  if (status != 0 || plane_ == nullptr) return;
  // Accepted even when it will be refused: a backlog that nobody empties would refuse everybody.
  auto socket = std::make_unique<Socket>(thread_->Loop(), this, 0);
  std::string remote = "?";
  if (socket->Accept(reinterpret_cast<uv_stream_t*>(&listener_->tcp), &remote) != 0) return;
  const core::ConnectionId id = plane_->OnAccepted(remote, now_us);
  // Too many handshakes: the socket closes with this scope.
  if (id == 0) return;
  socket->SetId(id);
  sockets_[id] = std::move(socket);
}

void NodeHost::CloseListener() {
  if (resolve_ != nullptr) {
    // Keeps the close waiting if it runs already; libuv's thread pool cannot be interrupted.
    uv_cancel(reinterpret_cast<uv_req_t*>(&resolve_->request));
    if (finished_) std::exchange(resolve_, nullptr)->host = nullptr;
  }
  if (listener_ == nullptr) return;
  listener_->host = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&listener_->tcp),
           [](uv_handle_t* handle) { delete static_cast<Listener*>(handle->data); });
  listener_ = nullptr;
}

}  // namespace skein::io
