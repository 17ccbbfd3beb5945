// Encoding of events into records.
#include "event_record.h"

#include <algorithm>
#include <string_view>

#include "../core/bytes.h"

namespace skein::io {
namespace {

constexpr size_t kTextBytesMax = 1024;

void AppendText(std::vector<uint8_t>* record, std::string_view text) {
  record->insert(record->end(), text.begin(), text.end());
}

}  // namespace

std::vector<uint8_t> EncodeEvent(const core::Event& event) {
  const core::Endpoint none;
  const core::PeerIdentity nobody;
  const core::Endpoint& address = event.address == nullptr ? none : *event.address;
  const core::PeerIdentity& peer = event.peer == nullptr ? nobody : *event.peer;
  const std::string_view text = event.text.substr(0, std::min(event.text.size(), kTextBytesMax));
  const size_t strings = address.host.size() + peer.address.host.size() + peer.bind.host.size() +
                         peer.node_id.size() + text.size();
  EventRecord head{};
  head.record_bytes = PaddedTo8(sizeof(head) + strings);
  head.type = event.type;
  head.reason = event.reason;
  head.on = event.on ? 1 : 0;
  const bool lane_opened = event.type == core::EventType::kLaneOpened;
  head.lane = static_cast<uint8_t>(event.lane);
  head.uid = lane_opened ? event.dialler : event.uid;
  head.session = event.session;
  head.attempts = event.attempts;
  head.phi = event.phi;
  head.ms = lane_opened ? static_cast<double>(event.connection) : event.ms;
  head.peer_uid = peer.uid;
  head.address_port = address.port;
  head.address_host_length = static_cast<uint16_t>(address.host.size());
  head.peer_port = peer.address.port;
  head.peer_host_length = static_cast<uint16_t>(peer.address.host.size());
  head.bind_port = peer.bind.port;
  head.bind_host_length = static_cast<uint16_t>(peer.bind.host.size());
  head.node_id_length = static_cast<uint16_t>(peer.node_id.size());
  head.text_length = static_cast<uint16_t>(text.size());
  std::vector<uint8_t> record(sizeof(head));
  record.reserve(head.record_bytes);
  core::Store(record.data(), head);
  AppendText(&record, address.host);
  AppendText(&record, peer.address.host);
  AppendText(&record, peer.bind.host);
  AppendText(&record, peer.node_id);
  AppendText(&record, text);
  record.resize(head.record_bytes);
  return record;
}

MessageRecord MessageHead(const core::Event& message, uint32_t chunk_offset, uint32_t chunk_bytes) {
  MessageRecord head{};
  head.record_bytes = PaddedTo8(sizeof(head) + chunk_bytes);
  head.type = core::EventType::kMessage;
  head.uid = message.uid;
  head.session = message.session;
  head.message_bytes = static_cast<uint32_t>(message.bytes.size());
  head.chunk_offset = chunk_offset;
  head.chunk_bytes = chunk_bytes;
  return head;
}

}  // namespace skein::io
