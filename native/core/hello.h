// Hello and hello ack: who is at the other end. Frozen from the first release: a later version may append
// after the strings, which this one ignores.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "auth.h"
#include "frame.h"

namespace skein::core {

// Where a node is dialled: a name or an IP literal without brackets.
struct Endpoint {
  std::string host;
  uint16_t port = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

struct Hello {
  uint16_t version_min = 0;
  uint16_t version_max = 0;
  Uid uid = 0;
  // Number of this dial: 1 + the highest that either side has used for the pair, as far as known.
  uint32_t dial = 0;
  Lane lane = Lane::kControl;
  std::string cluster;
  std::string node_id;
  Endpoint bind;
  Endpoint advertised;
  // What the dialler dialled; echoed by the ack.
  Endpoint dialed;
  // Of one who wants, or gives, proofs of a common secret.
  std::optional<Nonce> nonce;
};

// Body of a hello. The caller has checked its own strings against the limits.
std::vector<uint8_t> EncodeHelloBody(const Hello& hello);

// Whether a body starts with the magic; all that is looked at before the CRC of a first frame.
bool HasHelloMagic(Bytes body);

// Empty when malformed: too short for its lengths, a length above its limit, text that is not UTF-8,
// no uid, no dial number, no lane of ours, nothing to dial, a nonce announced and not there. `rest` is what
// follows the strings and the nonce: the proofs of an ack, or what a later version has appended.
std::optional<Hello> DecodeHelloBody(Bytes body, Bytes* rest = nullptr);

// The proofs of an ack, back to back, out of what follows its nonce; empty when malformed.
std::optional<Bytes> DecodeProofs(Bytes rest);

// Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(Bytes text);

}  // namespace skein::core
