// The hello codec: fixed struct first, then five strings back to back in the order of their lengths, then the
// nonce.
#include "hello.h"

#include <string_view>

#include "limits.h"

namespace skein::core {
namespace {

uint8_t* Put(uint8_t* to, std::string_view text) {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

// Takes `length` bytes off the front of `rest` as text; false when they are missing, too many or not UTF-8.
bool TakeText(Bytes* rest, uint16_t length, uint32_t bytes_max, std::string* text) {
  // The text itself is looked at only after its length was found to lie inside the body.
  if (length > bytes_max || rest->size() < length) return false;
  const Bytes taken = rest->first(length);
  if (!IsUtf8(taken)) return false;
  text->assign(taken.begin(), taken.end());
  *rest = rest->subspan(length);
  return true;
}

// Length of the UTF-8 sequence that starts with `lead`, and the range of its second byte; 0 if none does.
struct Sequence {
  size_t length;
  uint8_t second_min;
  uint8_t second_max;
};

Sequence SequenceOf(uint8_t lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xC2) return {0, 0, 0};  // a continuation byte, or an overlong two-byte form
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};  // below A0: overlong
  if (lead == 0xED) return {3, 0x80, 0x9F};  // above 9F: surrogates
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};  // below 90: overlong
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};  // above 8F: beyond U+10FFFF
  return {0, 0, 0};
}

}  // namespace

bool IsUtf8(Bytes text) {
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = SequenceOf(text[at]);
    if (sequence.length == 0 || text.size() - at < sequence.length) return false;
    if (sequence.length > 1) {
      const uint8_t second = text[at + 1];
      if (second < sequence.second_min || second > sequence.second_max) return false;
    }
    for (size_t next = at + 2; next < at + sequence.length; ++next) {
      if ((text[next] & 0xC0) != 0x80) return false;
    }
    at += sequence.length;
  }
  return true;
}

std::vector<uint8_t> EncodeHelloBody(const Hello& hello) {
  HelloBody body{};
  body.magic = kHelloMagic;
  body.version_min = hello.version_min;
  body.version_max = hello.version_max;
  body.uid = hello.uid;
  body.dial = hello.dial;
  body.lane = hello.lane;
  body.flags = hello.nonce.has_value() ? kHelloFlagProof : 0;
  body.cluster_length = static_cast<uint16_t>(hello.cluster.size());
  body.node_id_length = static_cast<uint16_t>(hello.node_id.size());
  body.bind_host_length = static_cast<uint16_t>(hello.bind.host.size());
  body.bind_port = hello.bind.port;
  body.advertised_host_length = static_cast<uint16_t>(hello.advertised.host.size());
  body.advertised_port = hello.advertised.port;
  body.dialed_host_length = static_cast<uint16_t>(hello.dialed.host.size());
  body.dialed_port = hello.dialed.port;
  const size_t nonce_bytes = hello.nonce.has_value() ? limits::kNonceBytes : 0;
  const size_t strings = hello.cluster.size() + hello.node_id.size() + hello.bind.host.size() +
                         hello.advertised.host.size() + hello.dialed.host.size();
  std::vector<uint8_t> bytes(sizeof(HelloBody) + strings + nonce_bytes);
  Store(bytes.data(), body);
  uint8_t* at = bytes.data() + sizeof(HelloBody);
  at = Put(at, hello.cluster);
  at = Put(at, hello.node_id);
  at = Put(at, hello.bind.host);
  at = Put(at, hello.advertised.host);
  at = Put(at, hello.dialed.host);
  if (hello.nonce.has_value()) Store(at, *hello.nonce);
  return bytes;
}

bool HasHelloMagic(Bytes body) {
  return body.size() >= sizeof(uint32_t) && Load<uint32_t>(body.data()) == kHelloMagic;
}

std::optional<Hello> DecodeHelloBody(Bytes bytes, Bytes* after) {
  if (bytes.size() < sizeof(HelloBody)) return std::nullopt;
  const auto body = Load<HelloBody>(bytes.data());
  if (body.uid == 0 || body.dial == 0 || body.lane > Lane::kLarge) return std::nullopt;
  Hello hello;
  hello.version_min = body.version_min;
  hello.version_max = body.version_max;
  hello.uid = body.uid;
  hello.dial = body.dial;
  hello.lane = body.lane;
  hello.bind.port = body.bind_port;
  hello.advertised.port = body.advertised_port;
  hello.dialed.port = body.dialed_port;
  Bytes rest = bytes.subspan(sizeof(HelloBody));
  const bool whole =
      TakeText(&rest, body.cluster_length, limits::kClusterNameBytesMax, &hello.cluster) &&
      TakeText(&rest, body.node_id_length, limits::kNodeIdBytesMax, &hello.node_id) &&
      TakeText(&rest, body.bind_host_length, limits::kHostBytesMax, &hello.bind.host) &&
      TakeText(&rest, body.advertised_host_length, limits::kHostBytesMax, &hello.advertised.host) &&
      TakeText(&rest, body.dialed_host_length, limits::kHostBytesMax, &hello.dialed.host);
  if (!whole || hello.advertised.host.empty() || hello.advertised.port == 0) return std::nullopt;
  if ((body.flags & kHelloFlagProof) != 0) {
    if (rest.size() < limits::kNonceBytes) return std::nullopt;
    hello.nonce = Load<Nonce>(rest.data());
    rest = rest.subspan(limits::kNonceBytes);
  }
  if (after != nullptr) *after = rest;
  return hello;
}

std::optional<Bytes> DecodeProofs(Bytes rest) {
  if (rest.empty() || rest[0] == 0 || rest[0] > limits::kSecretsMax) return std::nullopt;
  const size_t size = size_t{rest[0]} * limits::kProofBytes;
  if (rest.size() - 1 < size) return std::nullopt;
  return rest.subspan(1, size);
}

}  // namespace skein::core
