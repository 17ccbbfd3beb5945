// Frames, CRC and the hello codec on split, damaged and lying input.
#include "../core/frame.h"

#include <string>

#include "../core/backoff.h"
#include "../core/crc32c.h"
#include "../core/hello.h"
#include "../core/limits.h"
#include "check.h"

namespace skein::core {
namespace {

std::vector<uint8_t> Message(uint32_t sequence, size_t size) {
  std::vector<uint8_t> body(size);
  for (size_t at = 0; at < size; ++at) body[at] = static_cast<uint8_t>(at * 7 + sequence);
  const FrameHead head = EncodeHead(FrameKind::kMessage, 0, sequence, body);
  std::vector<uint8_t> frame(head.begin(), head.end());
  frame.insert(frame.end(), body.begin(), body.end());
  return frame;
}

Bytes BytesOf(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Hello SampleHello() {
  Hello hello;
  hello.version_min = hello.version_max = 1;
  hello.uid = 0x0123456789abcdef;
  hello.dial = 7;
  hello.cluster = "orders";
  hello.node_id = "a-1";
  hello.bind = {"127.0.0.1", 7000};
  hello.advertised = {"a.example", 7001};
  hello.dialed = {"::1", 7002};
  return hello;
}

TEST("crc32c: the check value, continuation, hardware equal to table") {
  CHECK(Crc32c(BytesOf("123456789")) == 0xE3069283);
  CHECK(Crc32cByTable(BytesOf("123456789")) == 0xE3069283);
  CHECK(Crc32c({}) == 0);
  Random random(1);
  for (size_t size = 0; size < 200; ++size) {
    std::vector<uint8_t> bytes(size);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Next());
    const Bytes all(bytes);
    const size_t cut = size == 0 ? 0 : random.Next() % size;
    CHECK(Crc32c(all) == Crc32cByTable(all));
    CHECK(Crc32c(all.subspan(cut), Crc32c(all.first(cut))) == Crc32c(all));
  }
}

TEST("frame reader: any cut of the stream gives the same frames") {
  std::vector<uint8_t> stream;
  for (uint32_t sequence = 1; sequence <= 20; ++sequence) {
    const std::vector<uint8_t> frame = Message(sequence, sequence % 5 == 0 ? 3000 : sequence);
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    FrameReader reader;
    uint32_t expected = 1;
    for (size_t at = 0; at < stream.size();) {
      // Small pieces and large ones, so that every state of the reader meets every kind of input.
      const size_t most = seed % 3 == 0 ? 3 : 1 + random.Next() % 5000;
      const size_t size = std::min<size_t>(stream.size() - at, 1 + random.Next() % most);
      reader.Feed(Bytes(stream).subspan(at, size));
      at += size;
      FrameView frame;
      while (reader.Next(4096, &frame) == FrameReader::Status::kFrame) {
        CHECK(frame.CrcMatches());
        CHECK(frame.header.sequence == expected);
        ++expected;
      }
    }
    CHECK(expected == 21);
    CHECK(!reader.HasPartial());
  }
}

TEST("frame reader: a length is believed only up to the bound, and memory only for what arrived") {
  FrameView frame;
  std::vector<uint8_t> huge = {0xff, 0xff, 0xff, 0xff, 1, 2, 3};
  FrameReader reader;
  reader.Feed(huge);
  CHECK(reader.Next(4096, &frame) == FrameReader::Status::kTooLarge);
  std::vector<uint8_t> tiny = {15, 0, 0, 0};
  FrameReader another;
  another.Feed(tiny);
  CHECK(another.Next(4096, &frame) == FrameReader::Status::kTooShort);
  FrameReader byte_by_byte;
  for (size_t at = 0; at < 3; ++at) {
    byte_by_byte.Feed(Bytes(huge).subspan(at, 1));
    CHECK(byte_by_byte.Next(4096, &frame) == FrameReader::Status::kNeedMore);
    CHECK(byte_by_byte.HasPartial());
  }
  byte_by_byte.Feed(Bytes(huge).subspan(3, 1));
  CHECK(byte_by_byte.Next(4096, &frame) == FrameReader::Status::kTooLarge);
}

TEST("frame: every flipped bit after the length is noticed") {
  const std::vector<uint8_t> whole = Message(3, 50);
  for (size_t bit = kLengthBytes * 8; bit < whole.size() * 8; ++bit) {
    std::vector<uint8_t> damaged = whole;
    damaged[bit / 8] = static_cast<uint8_t>(damaged[bit / 8] ^ (1u << (bit % 8)));
    FrameReader reader;
    reader.Feed(damaged);
    FrameView frame;
    CHECK(reader.Next(4096, &frame) == FrameReader::Status::kFrame);
    CHECK(!frame.CrcMatches());
  }
}

TEST("hello: round trip, every truncation refused, a longer one read") {
  const std::vector<uint8_t> body = EncodeHelloBody(SampleHello());
  const std::optional<Hello> read = DecodeHelloBody(body);
  CHECK(read.has_value());
  CHECK(read->uid == SampleHello().uid && read->dial == 7 && read->cluster == "orders");
  CHECK(read->node_id == "a-1" && read->bind == SampleHello().bind);
  CHECK(read->advertised == SampleHello().advertised && read->dialed == SampleHello().dialed);
  for (size_t size = 0; size < body.size(); ++size) CHECK(!DecodeHelloBody(Bytes(body).first(size)));
  std::vector<uint8_t> longer = body;
  longer.insert(longer.end(), {1, 2, 3});
  CHECK(DecodeHelloBody(longer).has_value());
}

TEST("hello: a nonce is all there or refused, and what follows it is handed out") {
  Hello hello = SampleHello();
  hello.lane = Lane::kLarge;
  hello.nonce.emplace();
  for (size_t at = 0; at < hello.nonce->size(); ++at) (*hello.nonce)[at] = static_cast<uint8_t>(at + 1);
  std::vector<uint8_t> body = EncodeHelloBody(hello);
  for (size_t size = 0; size < body.size(); ++size) CHECK(!DecodeHelloBody(Bytes(body).first(size)));
  body.insert(body.end(), {7, 8});
  Bytes rest;
  const std::optional<Hello> read = DecodeHelloBody(body, &rest);
  CHECK(read.has_value() && read->lane == Lane::kLarge && read->nonce == hello.nonce);
  CHECK(rest.size() == 2 && rest[0] == 7);
}

TEST("hello: the proofs of an ack are 1 to 4, and whole") {
  for (uint32_t count = 0; count <= 255; ++count) {
    std::vector<uint8_t> rest(1 + count * limits::kProofBytes, 5);
    rest[0] = static_cast<uint8_t>(count);
    const std::optional<Bytes> proofs = DecodeProofs(rest);
    CHECK(proofs.has_value() == (count >= 1 && count <= limits::kSecretsMax));
    if (!proofs.has_value()) continue;
    CHECK(proofs->size() == count * limits::kProofBytes);
    CHECK(!DecodeProofs(Bytes(rest).first(rest.size() - 1)).has_value());
    rest.push_back(0);
    CHECK(DecodeProofs(rest)->size() == count * limits::kProofBytes);
  }
  CHECK(!DecodeProofs({}).has_value());
}

TEST("hello: with the longest names, a nonce and every proof it fits into a first frame") {
  Hello hello = SampleHello();
  hello.cluster.assign(limits::kClusterNameBytesMax, 'x');
  hello.node_id.assign(limits::kNodeIdBytesMax, 'x');
  hello.bind.host.assign(limits::kHostBytesMax, 'x');
  hello.advertised.host = hello.dialed.host = hello.bind.host;
  hello.nonce.emplace();
  const size_t proofs = 1 + limits::kSecretsMax * limits::kProofBytes;
  CHECK(kHeaderBytes + EncodeHelloBody(hello).size() + proofs <= limits::kHelloFrameBytesMax);
}

TEST("proofs are equal when every byte is, and no length passes for another") {
  std::vector<uint8_t> one(limits::kProofBytes, 9);
  CHECK(EqualInConstantTime(one, std::vector<uint8_t>(limits::kProofBytes, 9)));
  CHECK(!EqualInConstantTime(one, Bytes(one).first(31)) && !EqualInConstantTime({}, one));
  for (size_t at = 0; at < one.size(); ++at) {
    std::vector<uint8_t> other = one;
    other[at] ^= 0x80;
    CHECK(!EqualInConstantTime(one, other));
  }
}

TEST("hello: no uid, no dial, no lane of ours, nothing to dial, names too long are refused") {
  const auto refused = [](auto change) {
    Hello hello = SampleHello();
    change(hello);
    return !DecodeHelloBody(EncodeHelloBody(hello)).has_value();
  };
  CHECK(refused([](Hello& hello) { hello.uid = 0; }));
  CHECK(refused([](Hello& hello) { hello.dial = 0; }));
  CHECK(refused([](Hello& hello) { hello.lane = static_cast<Lane>(3); }));
  CHECK(!refused([](Hello& hello) { hello.lane = Lane::kOrdinary; }));
  CHECK(refused([](Hello& hello) { hello.advertised.host.clear(); }));
  CHECK(refused([](Hello& hello) { hello.advertised.port = 0; }));
  CHECK(refused([](Hello& hello) { hello.cluster.assign(256, 'x'); }));
  CHECK(refused([](Hello& hello) { hello.node_id.assign(1, char{-1}); }));
  CHECK(!refused([](Hello& hello) { hello.node_id.assign(255, 'x'); }));
  CHECK(!refused([](Hello& hello) { hello.node_id.clear(); }));
}

TEST("hello: random bytes behind a right magic never read out of bounds") {
  Random random(5);
  size_t read = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<uint8_t> body(random.Next() % 400);
    for (uint8_t& byte : body) byte = static_cast<uint8_t>(random.Next() % 7 == 0 ? random.Next() : 0);
    if (body.size() >= 4) Store(body.data(), kHelloMagic);
    if (DecodeHelloBody(body).has_value()) ++read;
  }
  CHECK(read < 20'000);
}

TEST("utf-8: the forms that no text has") {
  const auto valid = [](const std::string& text) { return IsUtf8(BytesOf(text)); };
  CHECK(valid("") && valid("skein") && valid("\xC3\xA9") && valid("\xE2\x82\xAC") &&
        valid("\xF0\x9F\x90\xA6"));
  CHECK(!valid("\x80") && !valid("\xC0\x80") && !valid("\xC1\xBF") && !valid("\xE0\x80\x80"));
  CHECK(!valid("\xED\xA0\x80") && !valid("\xF0\x80\x80\x80") && !valid("\xF4\x90\x80\x80"));
  CHECK(!valid("\xF8\x88\x80\x80\x80") && !valid("\xE2\x82") && !valid("\xC3"));
}

}  // namespace
}  // namespace skein::core
